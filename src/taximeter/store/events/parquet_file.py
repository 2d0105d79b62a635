"""Rows of an answer as a Parquet file, with money as decimals and counts as whole numbers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from taximeter.store.events.query import TIME
from taximeter.store.events.vocabulary import FILTERABLE

_TYPE_OF: Final[dict[type, str]] = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The bytes of a Parquet file with these rows. Columns are those of all rows."""
    types = {name: _column_type(name, [row.get(name) for row in rows]) for name in _names(rows)}
    structure = json.dumps([types])
    with tempfile.TemporaryDirectory(prefix="taximeter-") as folder, duckdb.connect() as connection:
        file = Path(folder) / "rows.parquet"
        relation = connection.sql(
            "SELECT unnest(row) FROM (SELECT unnest(from_json($rows, $structure)) AS row)",
            params={"rows": json.dumps([dict(row) for row in rows]), "structure": structure},
        )
        relation.write_parquet(str(file), compression="zstd")
        return file.read_bytes()


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    return list(names) or [TIME]


def _column_type(name: str, values: Sequence[Any]) -> str:
    if name == TIME:
        return "TIMESTAMPTZ"
    if name.endswith("_usd") or name == "cost_per_call":
        return "DECIMAL(38, 12)"
    if FILTERABLE.get(name) == "text":
        return "VARCHAR"
    kinds = {type(value) for value in values if value is not None}
    return _TYPE_OF.get(kinds.pop(), "VARCHAR") if len(kinds) == 1 else "VARCHAR"
