"""Answers that are files: written by pages on this machine, sent, and then gone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from taximeter.exporters.forms import Columns, Form, Pages, write

MEDIA: Final = {
    Form.csv: "text/csv; charset=utf-8",
    Form.json: "application/x-ndjson",
    Form.parquet: "application/vnd.apache.parquet",
    Form.arrow: "application/vnd.apache.arrow.file",
}
_ENDINGS: Final = {Form.json: "ndjson"}


def file_answer(name: str, form: Form, pages: Pages, columns: Columns) -> Response:
    """Raises what writing raises, before anything is sent."""
    folder = tempfile.TemporaryDirectory(prefix="taximeter-")
    file = Path(folder.name) / f"{name}.{_ENDINGS.get(form, form)}"
    try:
        write(file, form, pages, columns)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(file, media_type=MEDIA[form], filename=file.name, background=BackgroundTask(folder.cleanup))
