"""A batch of lines into rows, each event once.

What is new is known by `lines`. The rest of a line goes from JSON into columns inside DuckDB, straight into the table:
staging it first costs twice as much, since DuckDB sets up storage for each of 55 columns anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import duckdb

from taximeter.store.events.columns import EVENT_FACTS, Facts
from taximeter.store.events.lines import HIGHEST_ID, has_time

_UNKNOWN_IS: Final = {
    "attempt": "1",
    "not_billed": "false",
    "usage_estimated": "false",
    "usage_conflict": "false",
}
"""Columns in which a record that says nothing means something."""

_READ_AS_TEXT: Final = ("started_at", "occurred_at", "ingested_at")
"""Read as text first: a plain cast to TIMESTAMP would drop an offset instead of applying it."""


class Inserter:
    """Inserts lines through one connection, which must not be used by others meanwhile."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, facts: Facts = EVENT_FACTS) -> None:
        self._connection = connection
        self._rows = _reading_statement(_column_types(connection, facts))
        self._insert = f"INSERT INTO {facts.table} ({', '.join(facts.names)}) {self._rows}"
        between = f"FROM {facts.table} WHERE {facts.key} BETWEEN ? AND ?"
        self._count_between = f"SELECT count(*) {between}"
        self._ids_between = f"SELECT {facts.key} {between}"
        self._these_ids_between = f"{self._ids_between} AND {facts.key} IN (SELECT unnest(?::UUID[]))"

    def known(self, ids: Iterable[int]) -> set[int]:
        """Those of `ids` that are stored.

        Ids that are UUIDv7 are looked for between the lowest and the highest of them, which is a small part of the
        table. Other ids say nothing about time, and are looked for everywhere.
        """
        timed = [event_id for event_id in ids if has_time(event_id)]
        known = self._known_between(min(timed), max(timed), timed) if timed else set()
        if others := [event_id for event_id in ids if not has_time(event_id)]:
            known |= self._known_between(0, HIGHEST_ID, others)
        return known

    def _known_between(self, lowest: int, highest: int, ids: Sequence[int]) -> set[int]:
        bounds: list[object] = [UUID(int=lowest), UUID(int=highest)]
        (stored,) = self._connection.execute(self._count_between, bounds).fetchone() or (0,)
        if not stored:
            return set()
        if stored * _TIMES_DEARER <= len(ids):
            found = self._connection.execute(self._ids_between, bounds).fetchall()
        else:
            these = [*bounds, [f"{event_id:032x}" for event_id in ids]]
            found = self._connection.execute(self._these_ids_between, these).fetchall()
        return {event_id.int for (event_id,) in found}.intersection(ids)

    def parsable(self, lines: Sequence[bytes]) -> list[bytes]:
        """Those of `lines` that DuckDB can read, found by halving; for a batch whose insert failed."""
        try:
            self._connection.execute(f"SELECT count(COLUMNS(*)) FROM ({self._rows})", [_texts(lines)])  # noqa: S608
        except (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError):
            if len(lines) == 1:
                return []
            middle = len(lines) // 2
            return self.parsable(lines[:middle]) + self.parsable(lines[middle:])
        return list(lines)

    def insert(self, lines: Sequence[bytes]) -> None:
        """Insert lines that are known to be new."""
        self._connection.execute(self._insert, [_texts(lines)])


_TIMES_DEARER: Final = 4
"""So much more it takes to hand out an id that is stored than to hand in, as text, one that is looked for."""


def _texts(lines: Sequence[bytes]) -> list[str]:
    return [line.decode("utf-8", "replace") for line in lines]


def _column_types(connection: duckdb.DuckDBPyConnection, facts: Facts) -> dict[str, str]:
    asked = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?"
    types: dict[str, str] = dict(connection.execute(asked, [facts.table]).fetchall())
    return {name: types[name] for name in facts.names}


def _reading_statement(types: dict[str, str]) -> str:
    """A value of the wrong type is read as not known."""
    structure = json.dumps({name: "VARCHAR" if name in _READ_AS_TEXT else kind for name, kind in types.items()})
    columns = ", ".join(f"{_value(name)} AS {name}" for name in types)
    return f"""
        SELECT {columns}
        FROM (SELECT unnest(from_json(line, '{structure}')) FROM (SELECT unnest($1::VARCHAR[]) AS line))
    """  # noqa: S608 - names and types of our own schema


def _value(name: str) -> str:
    if name in _READ_AS_TEXT:
        return f"TRY_CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
    return f"coalesce({name}, {_UNKNOWN_IS[name]})" if name in _UNKNOWN_IS else name
