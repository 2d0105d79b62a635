"""Answers as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from taximeter.store.events import parquet

ROWS: list[dict[str, Any]] = [
    {"time": "2026-10-25T02:00:00+02:00", "feature": "it's", "http_status": 200, "calls": 3, "cost_usd": "0.0125"},
    {"time": "2026-10-25T02:00:00+01:00", "feature": None, "calls": 2**40, "cost_usd": None, "other": True},
]


def read(tmp_path: Path, content: bytes, select: str) -> list[tuple[Any, ...]]:
    file = tmp_path / "answer.parquet"
    file.write_bytes(content)
    with duckdb.connect() as connection:
        return connection.execute(select, [str(file)]).fetchall()


def test_columns_have_the_types_of_what_is_in_them(tmp_path: Path) -> None:
    columns = read(tmp_path, parquet(ROWS), "DESCRIBE SELECT * FROM read_parquet(?)")
    assert [(name, kind) for name, kind, *_ in columns] == [
        ("time", "TIMESTAMP WITH TIME ZONE"),
        ("feature", "VARCHAR"),
        ("http_status", "BIGINT"),
        ("calls", "BIGINT"),
        ("cost_usd", "DECIMAL(38,12)"),
        ("other", "BOOLEAN"),
    ]


def test_values_are_exact_and_what_is_missing_is_null(tmp_path: Path) -> None:
    select = "SELECT epoch(time)::BIGINT, feature, http_status, calls, cost_usd::VARCHAR, other FROM read_parquet(?)"
    assert read(tmp_path, parquet(ROWS), select) == [
        (1_792_886_400, "it's", 200, 3, "0.012500000000", None),
        (1_792_890_000, None, None, 2**40, None, True),
    ]


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_there_are_as_many_rows(tmp_path: Path, count: int) -> None:
    content = parquet([{"feature": f"f{number}", "calls": number} for number in range(count)])
    assert read(tmp_path, content, "SELECT count(*) FROM read_parquet(?)") == [(count,)]
