"""The deletion of everything that is kept about a user, in DuckDB.

Copies that come later (a spool read again after a crash, a client that repeats itself) are kept out by a hash of the
user: the hash, and not the name, because the name is what has to go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC
from typing import Final

import duckdb
import msgspec

from taximeter.clock import to_datetime, to_unix_us
from taximeter.store.events import duckdb_rollups
from taximeter.store.events.duckdb_append import Lines
from taximeter.store.events.rollups import LEVELS

_KEEP: Final = """
    INSERT INTO deleted_users VALUES (?, ?) ON CONFLICT (user_hash) DO UPDATE SET deleted_at = excluded.deleted_at
"""
_HOURS: Final = "SELECT DISTINCT date_trunc('hour', started_at) FROM events WHERE user_id = ?"
_SUPERSEDED: Final = """
    DELETE FROM superseded_costs WHERE event_id IN (SELECT event_id FROM events WHERE user_id = ?)
"""

Deleted = Mapping[str, int]
"""When (microseconds since the epoch) the data of a user was deleted, by the hash of the user."""


class _User(msgspec.Struct):
    user_id: str | None = None


_USER: Final = msgspec.json.Decoder(_User)


def user_hash(user_id: str) -> str:
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()


def deleted_users(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    found = connection.execute("SELECT user_hash, deleted_at FROM deleted_users").fetchall()
    return {str(digest): to_unix_us(deleted_at.replace(tzinfo=UTC)) for digest, deleted_at in found}


def delete(connection: duckdb.DuckDBPyConnection, user_id: str, at_us: int) -> int:
    """Inside of a transaction: the user's events and what was derived from them; how many events that were."""
    hours = connection.execute(_HOURS, [user_id]).fetchall()
    duckdb_rollups.mark(connection, [to_unix_us(hour.replace(tzinfo=UTC)) for (hour,) in hours])
    connection.execute(_SUPERSEDED, [user_id])
    (events,) = connection.execute("DELETE FROM events WHERE user_id = ?", [user_id]).fetchone() or (0,)
    for level in LEVELS:
        if "user_id" in level.fields:  # also of days whose events are no longer kept
            connection.execute(f"DELETE FROM {level.table} WHERE user_id = ?", [user_id])  # noqa: S608 - ours
    connection.execute(_KEEP, [user_hash(user_id), to_datetime(at_us).replace(tzinfo=None)])
    return int(events)


def remaining(cursor: duckdb.DuckDBPyConnection, user_id: str) -> int:
    """Rows that still name the user, in events and roll-ups."""
    tables = ("events", *(level.table for level in LEVELS if "user_id" in level.fields))
    counts = [f"SELECT count(*) AS n FROM {table} WHERE user_id = $1" for table in tables]  # noqa: S608 - names of ours
    every = f"SELECT sum(n) FROM ({' UNION ALL '.join(counts)})"  # noqa: S608 - as above
    (count,) = cursor.execute(every, [user_id]).fetchone() or (0,)
    return int(count or 0)


def without_deleted(lines: Lines, deleted: Deleted) -> Lines:
    """The lines without those of events that began before their user's data was deleted."""
    return {event_id: line for event_id, line in lines.items() if not _is_deleted(*line, deleted)} if deleted else lines


def _is_deleted(line: bytes, start_us: int, deleted: Deleted) -> bool:
    try:
        user_id = _USER.decode(line).user_id
    except msgspec.MsgspecError:  # no text for a user: nobody's
        return False
    return user_id is not None and start_us <= deleted.get(user_hash(user_id), -1)
