"""Rows as files of several forms, page by page."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from taximeter.store.events.columnar_file import write_arrow, write_parquet

Pages = Iterable[Sequence[dict[str, Any]]]
Columns = Mapping[str, str]
"""Names of columns, and what is in them, as `columnar_file` names it."""


class Form(StrEnum):
    csv = "csv"
    json = "json"
    parquet = "parquet"
    arrow = "arrow"


BY_ENDING: Final = {
    ".csv": Form.csv,
    ".json": Form.json,
    ".ndjson": Form.json,
    ".jsonl": Form.json,
    ".parquet": Form.parquet,
    ".arrow": Form.arrow,
    ".feather": Form.arrow,
}


def write(file: Path, form: Form, pages: Pages, columns: Columns) -> int:
    """Write rows into a file; how many that were. Raises OSError, and UsageError when a library is missing."""
    if form is Form.csv:
        return _write_csv(file, pages, columns)
    if form is Form.json:
        return _write_lines(file, pages)
    return (write_parquet if form is Form.parquet else write_arrow)(file, pages, columns)


def _write_lines(file: Path, pages: Pages) -> int:
    written = 0
    with file.open("w", encoding="utf-8") as out:
        for page in pages:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in page)
            written += len(page)
    return written


def _write_csv(file: Path, pages: Pages, columns: Columns) -> int:
    """RFC 4180; what is not known is empty, what has parts is JSON."""
    written = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(columns)
        for page in pages:
            writer.writerows([_cell(row.get(name)) for name in columns] for row in page)
            written += len(page)
    return written


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
