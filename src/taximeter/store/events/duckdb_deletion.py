"""The deletion of everything that is kept about a user, in DuckDB."""

from __future__ import annotations

from datetime import UTC
from typing import Final

import duckdb

from taximeter.clock import to_datetime, to_unix_us
from taximeter.store.events import duckdb_rollups
from taximeter.store.events.columns import OUTCOME_FACTS
from taximeter.store.events.deleted_users import user_hash
from taximeter.store.events.rollups import LEVELS

_KEEP: Final = """
    INSERT INTO deleted_users VALUES (?, ?) ON CONFLICT (user_hash) DO UPDATE SET deleted_at = excluded.deleted_at
"""
_HOURS: Final = "SELECT DISTINCT date_trunc('hour', started_at) FROM events WHERE user_id = ?"
_SUPERSEDED: Final = """
    DELETE FROM superseded_costs WHERE event_id IN (SELECT event_id FROM events WHERE user_id = ?)
"""
_OUTCOMES: Final = f"DELETE FROM {OUTCOME_FACTS.table} WHERE user_id = ?"  # noqa: S608 - a name of ours


def deleted_users(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    found = connection.execute("SELECT user_hash, deleted_at FROM deleted_users").fetchall()
    return {str(digest): to_unix_us(deleted_at.replace(tzinfo=UTC)) for digest, deleted_at in found}


def delete(connection: duckdb.DuckDBPyConnection, user_id: str, at_us: int) -> tuple[int, int]:
    """Inside of a transaction: the user's events, outcomes and what was derived; how many events and outcomes that
    were."""
    hours = connection.execute(_HOURS, [user_id]).fetchall()
    duckdb_rollups.mark(connection, [to_unix_us(hour.replace(tzinfo=UTC)) for (hour,) in hours])
    connection.execute(_SUPERSEDED, [user_id])
    (events,) = connection.execute("DELETE FROM events WHERE user_id = ?", [user_id]).fetchone() or (0,)
    for level in LEVELS:
        if "user_id" in level.fields:  # also of days whose events are no longer kept
            connection.execute(f"DELETE FROM {level.table} WHERE user_id = ?", [user_id])  # noqa: S608 - ours
    (outcomes,) = connection.execute(_OUTCOMES, [user_id]).fetchone() or (0,)
    connection.execute(_KEEP, [user_hash(user_id), to_datetime(at_us).replace(tzinfo=None)])
    return int(events), int(outcomes)


def remaining(cursor: duckdb.DuckDBPyConnection, user_id: str) -> int:
    """Rows that still name the user, in events, outcomes and roll-ups."""
    tables = ("events", OUTCOME_FACTS.table, *(level.table for level in LEVELS if "user_id" in level.fields))
    counts = [f"SELECT count(*) AS n FROM {table} WHERE user_id = $1" for table in tables]  # noqa: S608 - names of ours
    every = f"SELECT sum(n) FROM ({' UNION ALL '.join(counts)})"  # noqa: S608 - as above
    (count,) = cursor.execute(every, [user_id]).fetchone() or (0,)
    return int(count or 0)
