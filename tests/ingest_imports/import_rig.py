"""What the tests of imports share: samples in the shape of real exports, and their rows as records."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from taximeter.ingest.imports.engine import outcomes, told
from taximeter.ingest.imports.files import RowFile, rows_of
from taximeter.ingest.imports.registry import format_named
from taximeter.ingest.imports.row import Draft, LeftOut, Options, Row

SAMPLES = Path(__file__).parent / "samples"
NOW_US = 1_790_000_000_000_000
"""2026-09-21: later than everything in the samples, except what is not over yet."""


class Came(NamedTuple):
    """What came out of a file."""

    format: str
    records: list[Mapping[str, Any]]
    skipped: list[str]
    wrong: list[tuple[int, str]]


def came_from(sample: Path, columns: Mapping[str, str] | None = None) -> Came:
    with RowFile(sample) as opened:
        form, rows = told(opened.rows())
        if columns:
            form = format_named("generic")
        assert form is not None, f"{sample} is not recognised"
        found = list(outcomes(rows, form, Options(NOW_US, columns or {})))
    left_out = [one for one in found if isinstance(one, LeftOut)]
    return Came(
        form.name,
        [one.record for one in found if isinstance(one, Draft)],
        [one.reason for one in left_out if not one.wrong],
        [(one.place, one.reason) for one in left_out if one.wrong],
    )


def rows_in(content: bytes) -> list[Row | LeftOut]:
    return list(rows_of(io.BufferedReader(io.BytesIO(content), buffer_size=1 << 17)))
