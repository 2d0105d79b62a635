"""A provider's own files as the rows that a reconciliation compares: read as an import reads them, and kept nowhere."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from taximeter.errors import UsageError
from taximeter.ingest.imports.engine import Import, Lines, told
from taximeter.ingest.imports.files import rows_of
from taximeter.ingest.imports.row import Options


class Kept:
    """A sink that keeps what it takes."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def take(self, lines: Lines) -> int:
        self.records += (json.loads(line) for _, line in lines)
        return len(lines)


def rows_of_reports(contents: Mapping[str, bytes], now_us: int) -> list[dict[str, Any]]:
    """The events that an import of these files, by name, would make.

    Raises UsageError for a file of no known format, and where a row is wrong.
    """
    kept = Kept()
    run = Import(kept, None, Options(now_us, {}))
    for name, content in contents.items():
        form, rows = told(rows_of(io.BufferedReader(io.BytesIO(content))))
        if form is None:
            hint = "a bill or a usage report as the provider's API or console gives it"
            raise UsageError(f"{name}: no format that is known", hint=hint, field="files")
        run.take(name, rows, form, _nothing)
    run.finish()
    return rows_that_came(run, kept)


def rows_that_came(run: Import, kept: Kept) -> list[dict[str, Any]]:
    """What an import kept. Raises UsageError where a row was wrong."""
    if run.tally.wrong_at:
        name, place, reason = run.tally.wrong_at[0]
        raise UsageError(f"{name}, row {place}: {reason}", hint="taximeter import --dry-run shows all such rows")
    return kept.records


def _nothing() -> None:
    pass
