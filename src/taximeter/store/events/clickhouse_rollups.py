"""Roll-ups in ClickHouse, where neither a batch and its marks nor a replacement of rows is one transaction.

A batch marks its units in three steps, and a crash between any two of them leaves units dirty that need not be:
  1. the writer says that it writes to them        (state 2: read from the events, not to be cleared)
  2. the events are inserted
  3. the writer says that it has written           (state 1: read from the events, to be added up)

Adding up takes four steps, and what a crash leaves behind is rows of a generation that nobody asks for:
  1. read which marks say "written"                only these are cleared in 4: what is written meanwhile marks anew
  2. insert the sums, under a new generation       made after 1, so a later generation knows of at least as much
  3. say that this generation counts               one row for each unit
  4. clear the marks of 1                          under the number of their step, which a later step exceeds

A mark of state 2 that is older than an insert may take belongs to a writer that died, and counts as written.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlglot import expressions as exp

from taximeter.clock import rfc3339, to_unix_us
from taximeter.store.events import clickhouse_dialect as dialect
from taximeter.store.events import rolling
from taximeter.store.events.clickhouse_client import ClickHouseClient, text
from taximeter.store.events.clickhouse_schema import columns_of
from taximeter.store.events.rollups import LEVELS, Level, Stretch

_CLEAR, _WRITTEN, _WRITING = range(3)
_STATES: Final = 3

LONGEST_INSERT_SECONDS: Final = 600
"""No insert takes longer: our own wait for an answer ends far earlier."""

STALE_ROWS: Final = 100_000
"""So many rows of generations that no longer count are deleted together."""

Unit = tuple[str, int]
"""Level and start of a unit, microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Mark:
    """That a writer has written to a unit, in the step of that version."""

    unit: Unit
    writer: str
    version: int


class Marks:
    """What this process marks, as the writer of that name (a UUID that no other process has)."""

    def __init__(self, client: ClickHouseClient, writer: str) -> None:
        self._client = client
        self._writer = writer
        self._steps = 0
        self._lock = threading.Lock()

    @contextmanager
    def around(self, starts_us: Iterable[int]) -> Iterator[None]:
        """Marks the units in which events began at these moments, before and after what is done inside. When that
        fails, it may have been done all the same: the units stay dirty."""
        units = sorted(rolling.units_of(starts_us))
        step = self._next_step()
        self._write(units, _WRITING, step * _STATES)
        yield
        self._write(units, _WRITTEN, step * _STATES + 1)

    def wrote(self, units: Sequence[Unit]) -> None:
        """Marks units whose sums are not what they are added up from."""
        self._write(units, _WRITTEN, self._next_step() * _STATES + 1)

    def _next_step(self) -> int:
        with self._lock:
            self._steps += 1
            return self._steps

    def _write(self, units: Sequence[Unit], state: int, version: int) -> None:
        write(self._client, [(Mark(unit, self._writer, version), state) for unit in units])


def write(client: ClickHouseClient, marks: Iterable[tuple[Mark, int]]) -> None:
    """Marks with their states."""
    lines = [
        json.dumps(
            {
                "level": mark.unit[0],
                "started_at": rfc3339(mark.unit[1]),
                "writer": mark.writer,
                "state": state,
                "version": mark.version,
            }
        )
        for mark, state in marks
    ]
    if lines:
        insert = "INSERT INTO rollup_dirty (level, started_at, writer, state, version) FORMAT JSONEachRow"
        client.write(insert, "\n".join(lines).encode())


def dirty(client: ClickHouseClient) -> set[Unit]:
    """The units that are dirty."""
    _, rows = client.read("SELECT DISTINCT level, started_at FROM rollup_dirty FINAL WHERE state > 0")
    return {(level, _us(started_at)) for level, started_at in rows}


def written(client: ClickHouseClient) -> list[Mark]:
    """The marks of those who have written, or died meanwhile."""
    _, rows = client.read(
        f"SELECT level, started_at, writer, version FROM rollup_dirty FINAL WHERE state = {_WRITTEN} "
        f"OR (state = {_WRITING} AND marked_at < now() - {LONGEST_INSERT_SECONDS})"
    )
    return [Mark((level, _us(started_at)), writer, version) for level, started_at, writer, version in rows]


def clear(client: ClickHouseClient, marks: Iterable[Mark]) -> None:
    write(client, [(Mark(mark.unit, mark.writer, mark.version + 1), _CLEAR) for mark in marks])


def prepare(client: ClickHouseClient, writer: str) -> None:
    """Make the tables that are not there, or lack a measure of this version; all of their units are dirty then."""
    for level in LEVELS:
        condition = f"database = currentDatabase() AND table = {text(level.table)}"
        if columns_of(client, "name", "columns", condition) != {*rolling.columns(level), "generation"}:
            _make(client, level, writer)
        client.write(f"CREATE OR REPLACE VIEW {level.view} AS {dialect.sql(_view_of(level))}")


def _make(client: ClickHouseClient, level: Level, writer: str) -> None:
    empty = dialect.sql(rolling.no_rows(level))
    client.write(f"DROP TABLE IF EXISTS {level.table}")
    every = f"SELECT DISTINCT {text(level.name)}, {_start(level.interval)} FROM {_known_in(level)}"
    client.write(
        "INSERT INTO rollup_dirty (level, started_at, writer, state, version) "
        f"SELECT *, toUUID({text(writer)}), {_WRITTEN}, 1 FROM ({every})"
    )
    if level.of is None:  # nothing can be added up any more of what events were already deleted from
        kept = "SELECT max(started_at) FROM kept_from FINAL WHERE name = 'events' HAVING count() > 0"
        client.write(f"INSERT INTO kept_from (name, started_at) SELECT {text(level.name)}, * FROM ({kept})")
    client.write(
        f"CREATE TABLE IF NOT EXISTS {level.table} ENGINE = MergeTree PARTITION BY toYYYYMM(started_at) "
        f"ORDER BY (started_at, generation) AS SELECT *, toUInt64(0) AS generation FROM ({empty})"
    )


def _start(interval: str) -> str:
    return f"toDateTime64(toStartOfInterval(started_at, INTERVAL 1 {interval}), 6, 'UTC')"


def _known_in(level: Level) -> str:
    """Where units of the level hold something: a finer level knows better than the events."""
    if level.of is None:
        return "events"
    waiting = f"SELECT started_at FROM rollup_dirty FINAL WHERE state > 0 AND level = {text(level.of.name)}"
    return f"(SELECT started_at FROM {level.of.view} UNION ALL {waiting})"


def _view_of(level: Level) -> exp.Select:
    """What queries ask: the generations that count."""
    units = exp.select("started_at", "generation").from_(exp.Final(this=exp.to_table("rollup_units")))
    counting = units.where(exp.column("level").eq(exp.Literal.string(level.name)))
    pair = exp.Tuple(expressions=[exp.column("started_at"), exp.column("generation")])
    rows = exp.select(*(exp.column(name, quoted=True) for name in rolling.columns(level))).from_(level.table)
    return rolling.viewed(level, rows.where(exp.In(this=pair, query=counting.subquery())).subquery("counting"))


def add_up(client: ClickHouseClient, level: Level, stretches: Sequence[Stretch], marks: Sequence[Mark]) -> None:
    """Replace the rows of these units by what the events say, and clear the marks, which were read before."""
    generation = new_generation(client)
    names = ", ".join(rolling.columns(level))
    rows = dialect.said(rolling.added_up(level, stretches))
    client.write(f"INSERT INTO {level.table} ({names}, generation) SELECT *, {generation} FROM ({rows})")
    say_it_counts(client, level, (start_us for start_us, _ in stretches), generation)
    clear(client, marks)


def new_generation(client: ClickHouseClient) -> int:
    """Later than every one that there is, by the server's clock."""
    _, ((generation,),) = client.read("SELECT toUnixTimestamp64Micro(now64(6))")
    return int(generation)


def say_it_counts(client: ClickHouseClient, level: Level, starts_us: Iterable[int], generation: int) -> None:
    """The rows of this generation are those of the units from now on."""
    units = [
        json.dumps({"level": level.name, "started_at": rfc3339(start_us), "generation": generation})
        for start_us in starts_us
    ]
    client.write("INSERT INTO rollup_units FORMAT JSONEachRow", "\n".join(units).encode())


def delete_stale(client: ClickHouseClient, level: Level) -> None:
    """Delete rows of generations that do not count, when there are many. What is being added up is younger than an
    hour."""
    units = f"SELECT started_at, generation FROM rollup_units FINAL WHERE level = {text(level.name)}"
    old = "generation < toUnixTimestamp64Micro(now64(6) - INTERVAL 1 HOUR)"
    stale = f"(started_at, generation) NOT IN ({units})"
    _, ((rows, bound),) = client.read(f"SELECT count(), max(generation) FROM {level.table} WHERE {stale} AND {old}")
    if rows > STALE_ROWS:
        client.write(f"ALTER TABLE {level.table} DELETE WHERE generation <= {bound} AND {stale}")


def turns(client: ClickHouseClient, level: Level) -> list[int]:
    """The starts of the days, UTC, or of the longer units of the level, that hold anything."""
    interval, tables = rolling.turns_in(level)
    each = " UNION ALL ".join(f"SELECT DISTINCT {_start(interval)} AS turn FROM {table}" for table in tables)
    _, rows = client.read(f"SELECT DISTINCT turn FROM ({each}) ORDER BY turn")
    return [_us(turn) for (turn,) in rows]


def differing(client: ClickHouseClient, level: Level, stretches: Sequence[Stretch]) -> list[int]:
    """The starts of the units whose rows are not what the events say."""
    _, rows = client.read(dialect.said(rolling.differences(level, stretches)))
    return sorted(_us(started_at) for (started_at,) in rows)


def _us(moment: Any) -> int:
    assert isinstance(moment, datetime)
    return to_unix_us(moment.replace(tzinfo=UTC))
