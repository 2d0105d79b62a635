"""Where the events of a day lie in DuckDB's file: once the day is over, those of one user beside each other.

Events come in the order of time, so the calls of one user lie all over a day, and a question about one user reads all
of it. Written anew in the order of users, a question skips what is of others; an event takes about 5 bytes more. Only
the place of rows changes: each statement moves rows inside of a transaction.

A day is arranged again when at least as many events came late as were arranged, so that an event moves a few times at
most, however late others come.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb

from taximeter.clock import to_datetime

LEAST_EVENTS: Final = 10_000
"""A day of fewer events is left as it came: it is read as a whole in a few milliseconds."""

EVENTS_AT_ONCE: Final = 500_000
"""Events that are moved in one transaction, in which they are sorted in memory. An hour is moved as a whole."""

Period = tuple[datetime, datetime]
"""Whole hours of a day, UTC without a zone."""


def waiting(cursor: duckdb.DuckDBPyConnection, day_us: int, least_events: int) -> list[Period]:
    """The parts of a day that are to be arranged, in order; none when the day is small, or arranged already."""
    day = _moment(day_us)
    hours: list[tuple[datetime, int]] = cursor.execute(_BY_HOUR, [day, day]).fetchall()
    (arranged,) = cursor.execute(_ARRANGED, [day]).fetchone() or (0,)
    events = sum(count for _, count in hours)
    return list(_parts(hours)) if events >= max(least_events, 2 * arranged) else []


def _parts(hours: Iterable[tuple[datetime, int]]) -> Iterable[Period]:
    """Neighbouring hours, as many as are moved at once."""
    start, end, events = None, None, 0
    for hour, count in hours:
        if start is not None and end is not None and events + count > EVENTS_AT_ONCE:
            yield start, end
            start, events = None, 0
        start, end, events = start or hour, hour + timedelta(hours=1), events + count
    if start is not None and end is not None:
        yield start, end


def arrange(connection: duckdb.DuckDBPyConnection, period: Period) -> None:
    """Inside of a transaction: write the events of a part of a day anew, then delete the rows that were there.

    Others may store events of the same day meanwhile: those stay where they are.
    """
    (last,) = connection.execute("SELECT max(rowid) FROM events").fetchone() or (None,)
    connection.execute(_WRITE, period)
    connection.execute(_DELETE, [*period, last])


def keep(connection: duckdb.DuckDBPyConnection, day_us: int) -> None:
    """Inside of a transaction: the events of this day are arranged now."""
    day = _moment(day_us)
    connection.execute(_KEEP, [day, day, day])


_OF_DAY: Final = "started_at >= ?::TIMESTAMP AND started_at < ?::TIMESTAMP + INTERVAL 1 DAY"
_BY_HOUR: Final = f"""
    SELECT date_trunc('hour', started_at) AS hour, count(*) FROM events WHERE {_OF_DAY} GROUP BY hour ORDER BY hour
"""  # noqa: S608 - names of our own schema
_ARRANGED: Final = "SELECT events FROM arranged WHERE started_at = ?"
_WRITE: Final = """
    INSERT INTO events SELECT * FROM events WHERE started_at >= ? AND started_at < ?
    ORDER BY user_id, started_at, event_id
"""
_DELETE: Final = "DELETE FROM events WHERE started_at >= ? AND started_at < ? AND rowid <= ?"
"""What a transaction has written itself has higher numbers than all rows of before."""
_KEEP: Final = f"""
    INSERT INTO arranged SELECT ?::TIMESTAMP, count(*) FROM events WHERE {_OF_DAY}
    ON CONFLICT (started_at) DO UPDATE SET events = excluded.events
"""  # noqa: S608 - as above


def _moment(at_us: int) -> datetime:
    """A value of the stores' timestamp type: UTC, without a zone."""
    return to_datetime(at_us).astimezone(UTC).replace(tzinfo=None)
