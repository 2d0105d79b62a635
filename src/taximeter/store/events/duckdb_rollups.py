"""Roll-ups in DuckDB. What writes is called inside the transaction of its caller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any, Final

import duckdb

from taximeter.clock import to_datetime, to_unix_us
from taximeter.store.events import duckdb_dialect as dialect
from taximeter.store.events import rolling
from taximeter.store.events.duckdb_views import Views
from taximeter.store.events.rollups import HOURS, LEVELS, Level, SoFar, Stretch, joined, within
from taximeter.store.events.vocabulary import MODEL


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that are not there, or lack a measure of this version; all of their units are dirty then."""
    views = Views(connection)
    for level in LEVELS:
        if views.columns(level.table).keys() != set(rolling.columns(level)):
            _make(connection, level)
            views = Views(connection)
        views.keep(level.view, level.table, has_model=MODEL in level.askable)


def _make(connection: duckdb.DuckDBPyConnection, level: Level) -> None:
    empty = dialect.sql(rolling.no_rows(level))
    connection.execute("BEGIN")
    try:
        connection.execute(f"DROP VIEW IF EXISTS {level.view}")
        connection.execute(f"DROP TABLE IF EXISTS {level.table}")
        connection.execute(f"CREATE TABLE {level.table} AS {empty}")
        connection.execute("DELETE FROM rollup_dirty WHERE level = $1", [level.name])
        connection.execute("DELETE FROM rollup_so_far")  # also of what is added up from this level
        connection.execute(f"INSERT INTO rollup_dirty {_every_unit(level)}", [level.name])
        if level.of is None:
            connection.execute(_KEPT_WITH_EVENTS, [level.name])
        connection.execute("COMMIT")
    except duckdb.Error:
        connection.execute("ROLLBACK")
        raise


_KEPT_WITH_EVENTS: Final = """
    INSERT INTO kept_from SELECT $1, started_at FROM kept_from WHERE name = 'events'
    ON CONFLICT (name) DO UPDATE SET started_at = greatest(started_at, excluded.started_at)
"""
"""Nothing can be added up any more of what events were already deleted from."""


def _every_unit(level: Level) -> str:
    """All units of the level named by $1 that hold something, of which a finer level knows better than the events."""
    source = "events"
    if level.of is not None:
        waiting = f"SELECT started_at FROM rollup_dirty WHERE level = '{level.of.name}'"  # noqa: S608 - names of ours
        source = f"(SELECT started_at FROM {level.of.table} UNION ALL {waiting})"  # noqa: S608 - as above
    return f"SELECT DISTINCT $1, date_trunc('{level.interval}', started_at) FROM {source}"  # noqa: S608 - as above


def mark(connection: duckdb.DuckDBPyConnection, starts_us: Iterable[int]) -> None:
    """The units in which events began at these moments are dirty now, and not kept so far any more where that is after
    them."""
    hours_us = {HOURS.unit(start_us) for start_us in starts_us}
    units = [[level, _moment(unit_us)] for level, unit_us in rolling.units_of(hours_us)]
    if units:  # in one statement: a thousand of them cost seconds
        both = [[level for level, _ in units], [moment for _, moment in units]]
        connection.execute(
            "INSERT OR IGNORE INTO rollup_dirty SELECT unnest(?::VARCHAR[]), unnest(?::TIMESTAMP[])", both
        )
        end_so_far(connection, hours_us)


def end_so_far(connection: duckdb.DuckDBPyConnection, moments_us: Iterable[int]) -> None:
    """What is kept so far beyond any of these moments is not kept any more."""
    connection.execute(_NOT_SO_FAR, [[_moment(moment_us) for moment_us in moments_us]])


_NOT_SO_FAR: Final = """
    UPDATE rollup_so_far SET until = started_at FROM (SELECT unnest(?::TIMESTAMP[]) AS moment)
    WHERE started_at <= moment AND moment < until
"""


def dirty(cursor: duckdb.DuckDBPyConnection) -> set[tuple[str, int]]:
    """The units that are dirty in the snapshot of the cursor."""
    found = cursor.execute("SELECT level, started_at FROM rollup_dirty").fetchall()
    return {(str(level), to_unix_us(started_at.replace(tzinfo=UTC))) for level, started_at in found}


def so_far(cursor: duckdb.DuckDBPyConnection) -> dict[tuple[str, int], SoFar]:
    """The units that are kept so far in the snapshot of the cursor."""
    found = cursor.execute("SELECT level, started_at, until, made_before FROM rollup_so_far").fetchall()
    return {(str(level), _us(start)): SoFar(_us(until), _us(made)) for level, start, until, made in found}


def add_up(connection: duckdb.DuckDBPyConnection, level: Level, stretches: Sequence[Stretch]) -> None:
    """Replace the rows of these units by what the events say, and take their marks away."""
    _replace(connection, level, stretches)
    units = dialect.sql(within(joined(stretches)))
    for table in ("rollup_dirty", "rollup_so_far"):
        connection.execute(f"DELETE FROM {table} WHERE level = ? AND {units}", [level.name])  # noqa: S608 - ours


def add_up_so_far(connection: duckdb.DuckDBPyConnection, level: Level, stretch: Stretch, before_us: int) -> None:
    """Replace the rows of a unit by what is said so far; it stays marked."""
    _replace(connection, level, [stretch])
    start, until, made_before = map(_moment, (*stretch, before_us))
    connection.execute("DELETE FROM rollup_so_far WHERE level = ? AND started_at = ?", [level.name, start])
    connection.execute("INSERT INTO rollup_so_far VALUES (?, ?, ?, ?)", [level.name, start, until, made_before])


def _replace(connection: duckdb.DuckDBPyConnection, level: Level, stretches: Sequence[Stretch]) -> None:
    units = dialect.sql(within(joined(stretches)))
    connection.execute(f"DELETE FROM {level.table} WHERE {units}")  # noqa: S608 - names of ours
    rows, values = dialect.said(rolling.added_up(level, stretches))
    connection.execute(f"INSERT INTO {level.table} BY NAME SELECT * FROM ({rows}) {_arranged(level)}", values)  # noqa: S608


def _arranged(level: Level) -> str:
    """Those of one user beside each other: a question about one reads the others' less, and they take less room."""
    return "ORDER BY started_at, user_id" if "user_id" in level.fields else ""


def turns(cursor: duckdb.DuckDBPyConnection, level: Level) -> list[int]:
    """The starts of the days, UTC, or of the longer units of the level, that hold anything."""
    interval, tables = rolling.turns_in(level)
    each = " UNION ".join(
        f"SELECT date_trunc('{interval}', started_at)::TIMESTAMP AS turn FROM {table}"  # noqa: S608 - names of ours
        for table in tables
    )
    return [_us(turn) for (turn,) in cursor.execute(f"{each} ORDER BY turn").fetchall()]


def differing(cursor: duckdb.DuckDBPyConnection, level: Level, stretches: Sequence[Stretch]) -> list[int]:
    """The starts of the units whose rows are not what the events say."""
    found = cursor.execute(*dialect.said(rolling.differences(level, stretches))).fetchall()
    return sorted(_us(started_at) for (started_at,) in found)


def _moment(at_us: int) -> Any:
    """A value of the store's timestamp type: UTC, without a zone."""
    return to_datetime(at_us).replace(tzinfo=None)


def _us(moment: Any) -> int:
    return to_unix_us(moment.replace(tzinfo=UTC))
