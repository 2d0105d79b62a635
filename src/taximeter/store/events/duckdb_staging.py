"""Lines into rows: a batch is read into a staging table, looked at, and inserted without its duplicates.

DuckDB reads the JSON; no row passes through Python.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import duckdb

from taximeter.store.events.columns import COLUMN_NAMES

_UNKNOWN_IS: Final = {
    "attempt": "1",
    "not_billed": "false",
    "usage_estimated": "false",
    "usage_conflict": "false",
}
"""Columns in which a record that says nothing means something."""

_READ_AS_TEXT: Final = ("started_at", "ingested_at")
"""Read as text first: a plain cast to TIMESTAMP would drop an offset instead of applying it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is in the staging table: lines that could be read, how many ids they have, and the range of these ids.

    Ids that are not UUIDv7 are counted apart and lie outside of the range: they say nothing about time, and one of
    them would widen the range to the whole history.
    """

    readable: int
    distinct: int
    lowest: UUID | None
    highest: UUID | None
    without_time: int


NO_BATCH: Final = Batch(0, 0, None, None, 0)


class Staging:
    """The staging table of one connection (which must not be used by others meanwhile)."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        types = _column_types(connection)
        self._read = _read_statement(types, line="line")
        self._read_carefully = _read_statement(types, line="CASE WHEN json_valid(line) THEN line END")
        columns = ", ".join(COLUMN_NAMES)
        self._insert = f"INSERT INTO events ({columns}) SELECT {columns} FROM staged"  # noqa: S608

    def stage(self, lines: Sequence[bytes]) -> Batch:
        """Read `lines` into the table, replacing what was there."""
        texts = [line.decode("utf-8", "replace") for line in lines]
        try:
            self._connection.execute(self._read, [texts])
        except duckdb.InvalidInputException:
            self._connection.execute(self._read_carefully, [texts])
        row = self._connection.execute(_LOOK).fetchone()
        assert row is not None
        return Batch(*row)

    def insert(self, batch: Batch) -> int:
        """Move the rows of the staging table that are new into `events`; return their number."""
        once = _ONCE if batch.distinct < batch.readable else ""
        inserted = 0
        if batch.lowest is not None:
            inserted += self._count(self._insert + _NEW + once, [batch.lowest, batch.highest])
        if batch.without_time:
            inserted += self._count(self._insert + _NEW_WITHOUT_TIME + once, [])
        return inserted

    def _count(self, sql: str, parameters: list[object]) -> int:
        row = self._connection.execute(sql, parameters).fetchone()
        assert row is not None
        return int(row[0])

    def clear(self) -> None:
        """Give the memory back."""
        self._connection.execute("DROP TABLE IF EXISTS staged")


_LOOK: Final = """
    SELECT count(*), count(DISTINCT event_id),
           min(event_id) FILTER (has_time), max(event_id) FILTER (has_time),
           count(*) FILTER (NOT has_time)
    FROM staged
"""
_NEW: Final = """
    WHERE has_time
      AND NOT EXISTS (
          SELECT 1 FROM events
          WHERE events.event_id BETWEEN ? AND ? AND events.event_id = staged.event_id
      )
"""
_NEW_WITHOUT_TIME: Final = """
    WHERE NOT has_time
      AND NOT EXISTS (SELECT 1 FROM events WHERE events.event_id = staged.event_id)
"""
_ONCE: Final = " AND line_number IN (SELECT min(line_number) FROM staged GROUP BY event_id)"


def _column_types(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    rows = connection.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'events'")
    types: dict[str, str] = dict(rows.fetchall())
    return {name: types[name] for name in COLUMN_NAMES}


def _read_statement(types: dict[str, str], line: str) -> str:
    """Lines without an object, an id or a start are left out; a value of the wrong type is read as not known."""
    structure = json.dumps({name: "VARCHAR" if name in _READ_AS_TEXT else kind for name, kind in types.items()})
    columns = ", ".join(f"{_value(name)} AS {name}" for name in types)
    return f"""
        CREATE OR REPLACE TEMP TABLE staged AS
        SELECT line_number, {columns}, uuid_extract_version(event_id) = 7 AS has_time
        FROM (
            SELECT line_number, unnest(from_json({line}, '{structure}'))
            FROM (SELECT unnest($1::VARCHAR[]) AS line, generate_subscripts($1::VARCHAR[], 1) AS line_number)
        )
        WHERE event_id IS NOT NULL AND TRY_CAST(started_at AS TIMESTAMPTZ) IS NOT NULL
    """  # noqa: S608 - names and types of our own schema


def _value(name: str) -> str:
    if name in _READ_AS_TEXT:
        return f"TRY_CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
    return f"coalesce({name}, {_UNKNOWN_IS[name]})" if name in _UNKNOWN_IS else name
