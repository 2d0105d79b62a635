"""What is too old is deleted, in DuckDB: events, outcomes and the sums of each level, each at an age of its own.

Events go in whole days (UTC), and only after the sums of those days are there, so that what was spent stays known.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import duckdb

from taximeter.clock import to_datetime, to_unix_us
from taximeter.store.events.columns import OUTCOME_FACTS
from taximeter.store.events.rollups import EVENTS, OUTCOMES, tables_of

_SUPERSEDED: Final = """
    DELETE FROM superseded_costs WHERE event_id IN (SELECT event_id FROM events WHERE started_at < ?)
"""
_KEEP: Final = """
    INSERT INTO kept_from VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at
"""


def kept_from(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """From when on things are kept, by name; nothing for what was never deleted for its age."""
    found = cursor.execute("SELECT name, started_at FROM kept_from").fetchall()
    return {str(name): to_unix_us(started_at.replace(tzinfo=UTC)) for name, started_at in found}


def expire(connection: duckdb.DuckDBPyConnection, name: str, before_us: int) -> int:
    """Inside of a transaction: delete what began before a moment; how many rows that were."""
    before = to_datetime(before_us).replace(tzinfo=None)
    if name == EVENTS:
        connection.execute(_SUPERSEDED, [before])
        connection.execute("DELETE FROM arranged WHERE started_at < ?", [before])
    if name == OUTCOMES:
        rows = _delete(connection, OUTCOME_FACTS.table, before, OUTCOME_FACTS.moment)
    else:
        rows = sum(_delete(connection, table, before) for table in tables_of(name))
    if rows:
        connection.execute(_KEEP, [name, before])
    return rows


def _delete(connection: duckdb.DuckDBPyConnection, table: str, before: datetime, moment: str = "started_at") -> int:
    delete = f"DELETE FROM {table} WHERE {moment} < ?"  # noqa: S608 - names of ours
    (rows,) = connection.execute(delete, [before]).fetchone() or (0,)
    return int(rows)
