"""What moving a store needs of DuckDB, beside the port. What writes is called inside the transaction of its caller."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import duckdb
import msgspec

from taximeter.clock import to_datetime
from taximeter.store.events import duckdb_deletion, duckdb_retention, duckdb_rollups, rolling
from taximeter.store.events import duckdb_dialect as dialect
from taximeter.store.events.answers import Found
from taximeter.store.events.columns import OUTCOME_FACTS
from taximeter.store.events.moving import Bounds, OutcomeSums, Place
from taximeter.store.events.pages import whole_record
from taximeter.store.events.repricing import SUPERSEDED
from taximeter.store.events.rollups import LEVELS, Level, Stretch, within

_KEEP_DELETED: Final = """
    INSERT INTO deleted_users VALUES (?, ?)
    ON CONFLICT (user_hash) DO UPDATE SET deleted_at = greatest(deleted_at, excluded.deleted_at)
"""
_KEEP_FROM: Final = """
    INSERT INTO kept_from VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET started_at = greatest(started_at, excluded.started_at)
"""


def bounds(cursor: duckdb.DuckDBPyConnection) -> Bounds:
    return Bounds(duckdb_deletion.deleted_users(cursor), duckdb_retention.kept_from(cursor))


def put_bounds(connection: duckdb.DuckDBPyConnection, more: Bounds) -> None:
    for statement, moments in ((_KEEP_DELETED, more.deleted_users), (_KEEP_FROM, more.kept_from)):
        for name, moment_us in moments.items():
            connection.execute(statement, [name, _moment(moment_us)])


def kept_sums(cursor: duckdb.DuckDBPyConnection, level: Level, stretch: Stretch) -> list[Found]:
    names = rolling.columns(level)
    units = dialect.sql(within([stretch]))
    return _found(cursor, names, f"SELECT {', '.join(names)} FROM {level.table} WHERE {units}", [])  # noqa: S608 - ours


def put_sums(connection: duckdb.DuckDBPyConnection, level: Level, stretch: Stretch, rows: Sequence[Found]) -> None:
    units = dialect.sql(within([stretch]))
    connection.execute(f"DELETE FROM {level.table} WHERE {units}")  # noqa: S608 - names of ours
    names = rolling.columns(level)
    read, lines = _read(connection, level.table, names), [_lines(rows)]
    connection.execute(f"INSERT INTO {level.table} ({', '.join(names)}) {read}", lines)
    for coarser in (one for one in LEVELS if one.of == level):
        unit = [coarser.name, _moment(coarser.unit(stretch[0]))]
        connection.execute("INSERT OR IGNORE INTO rollup_dirty VALUES (?, ?)", unit)
    duckdb_rollups.end_so_far(connection, [stretch[0]])


def earlier_costs(cursor: duckdb.DuckDBPyConnection, stretch: Stretch) -> list[Found]:
    return _found(cursor, SUPERSEDED, _EARLIER, [_moment(moment_us) for moment_us in stretch])


def put_earlier_costs(connection: duckdb.DuckDBPyConnection, rows: Sequence[Found]) -> None:
    read = _read(connection, "superseded_costs", SUPERSEDED)
    connection.execute(_PUT_EARLIER.format(read=read), [_lines(rows)])


def count_earlier_costs(cursor: duckdb.DuckDBPyConnection) -> int:
    (count,) = cursor.execute("SELECT count(*) FROM superseded_costs").fetchone() or (0,)
    return int(count)


def outcomes_after(cursor: duckdb.DuckDBPyConnection, last: Place | None, most: int) -> list[Found]:
    after = [] if last is None else [_moment(last[0]), last[1]]
    condition = "" if last is None else "WHERE (occurred_at, outcome_id) > (?, ?::UUID)"
    asked = f"SELECT {', '.join(OUTCOME_FACTS.names)} FROM {OUTCOME_FACTS.table} {condition}"  # noqa: S608 - ours
    return _found(cursor, OUTCOME_FACTS.names, f"{asked} ORDER BY occurred_at, outcome_id LIMIT {most:d}", after)


def outcome_sums(cursor: duckdb.DuckDBPyConnection) -> OutcomeSums:
    outcomes, valued, value_usd = cursor.execute(_OUTCOME_SUMS).fetchone() or (0, 0, None)
    return OutcomeSums(int(outcomes), int(valued), value_usd or Decimal(0))


_OUTCOME_SUMS: Final = f"SELECT count(*), count(value_usd), sum(value_usd) FROM {OUTCOME_FACTS.table}"  # noqa: S608 - ours
_EARLIER: Final = f"""
    SELECT {", ".join(SUPERSEDED)} FROM superseded_costs
    WHERE event_id IN (SELECT event_id FROM events WHERE started_at >= ? AND started_at < ?)
"""  # noqa: S608 - names of our own schema
_PUT_EARLIER: Final = f"""
    INSERT INTO superseded_costs ({", ".join(SUPERSEDED)})
    SELECT * FROM ({{read}}) AS moved WHERE NOT EXISTS (
        SELECT 1 FROM superseded_costs AS kept
        WHERE kept.event_id = moved.event_id AND kept.superseded_at = moved.superseded_at
          AND coalesce(kept.repricing_id, '') = coalesce(moved.repricing_id, '')
    )
"""  # noqa: S608 - as above


def _found(
    cursor: duckdb.DuckDBPyConnection, names: Sequence[str], statement: str, values: Sequence[Any]
) -> list[Found]:
    rows = cursor.execute(statement, list(values)).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def _lines(rows: Sequence[Found]) -> list[str]:
    return [msgspec.json.encode(whole_record(row)).decode() for row in rows]


def _read(connection: duckdb.DuckDBPyConnection, table: str, names: Sequence[str]) -> str:
    """A statement that makes rows of the table from lines, its one parameter."""
    found = connection.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table])
    types = dict(found.fetchall())
    structure = json.dumps({name: types[name] for name in names})
    return f"""
        SELECT {", ".join(names)}
        FROM (SELECT unnest(from_json(line, '{structure}')) FROM (SELECT unnest($1::VARCHAR[]) AS line))
    """  # noqa: S608 - names and types of our own schema


def _moment(at_us: int) -> Any:
    """A value of the store's timestamp type: UTC, without a zone."""
    return to_datetime(at_us).replace(tzinfo=None)
