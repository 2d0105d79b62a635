"""The events store in ClickHouse: when one machine is not enough, and for several collectors at once.

ClickHouse has no transactions. What belongs together is written in an order in which a crash between two steps loses
nothing and doubles nothing; the order is told where it is written. An event counts once because its id is its key, so
every batch can be repeated. Statements of one query do not share a snapshot: what comes between them is in the later
ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Any, Final

from taximeter.clock import rfc3339, to_unix_us
from taximeter.errors import QueryStoppedError, StoreError, UsageError
from taximeter.store.events import (
    clickhouse_append,
    clickhouse_moving,
    clickhouse_restate,
    clickhouse_rollups,
    pages,
    rolling,
    statements,
)
from taximeter.store.events import clickhouse_dialect as dialect
from taximeter.store.events.alone import ask_alone
from taximeter.store.events.answers import Found, durations_row, outcome_rows, write_off_row
from taximeter.store.events.asking import ask
from taximeter.store.events.clickhouse_append import Inserter
from taximeter.store.events.clickhouse_client import (
    TOOK_TOO_LONG,
    TOOK_TOO_MUCH_MEMORY,
    ClickHouseClient,
    ClickHouseError,
    parse_address,
    stopped,
    text,
)
from taximeter.store.events.clickhouse_schema import bring_up_to_date
from taximeter.store.events.columns import OUTCOME_FACTS
from taximeter.store.events.costliest import Costs, ask_costliest
from taximeter.store.events.deleted_users import user_hash, without_deleted
from taximeter.store.events.fair_lock import FairLock
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.lines import OUTCOME, Lines, parted, readable_lines
from taximeter.store.events.moving import Bounds, OutcomeSums, Place
from taximeter.store.events.port import (
    Appended,
    Cancellation,
    Deletion,
    DerivationPage,
    EventPage,
    Retention,
    Table,
    Told,
    Verification,
)
from taximeter.store.events.query import Answer, EventQuery, OutcomeQuery, Query
from taximeter.store.events.repricing import NewCost, Repricing
from taximeter.store.events.rollups import EVENTS, LEVELS, OUTCOMES, USER_DAYS, Level, Standing, Stretch, tables_of
from taximeter.store.events.slots import Statement
from taximeter.store.events.sql_answer import table_of
from taximeter.store.events.sql_check import bounded, checked

QUERY_TIMEOUT_SECONDS: Final = 30.0

UNITS_AT_ONCE: Final = 24
"""Units of a level that are added up in one statement."""

TURNS_AT_ONCE: Final = 7
"""Days or weeks that are compared with the events in one statement."""

_NAMING_USERS: Final = ("events", OUTCOME_FACTS.table, *(level.table for level in LEVELS if "user_id" in level.fields))
_REFUSED_ENTRY: Final = frozenset({192, 193, 194, 497, 516})


class ClickHouseEvents:
    """An `EventStore` in the database that `url` names (see `clickhouse_client.parse_address`), which is made when it
    is not there.

    `writer` is a UUID that no other process has. `collector` names the one whose marks these are, since several may
    write into one database; it stays the same over restarts.

    Raises SchemaError when the database cannot be used as it is, StoreError when the server does not answer.
    """

    def __init__(
        self,
        url: str,
        *,
        writer: str,
        collector: str = "",
        query_timeout_seconds: float = QUERY_TIMEOUT_SECONDS,
        use_rollups: bool = True,
    ) -> None:
        self._client = ClickHouseClient(parse_address(url), timeout_seconds=query_timeout_seconds)
        self._collector = text(collector)
        self._use_rollups = use_rollups
        self._write_lock = FairLock()
        self._marks = clickhouse_rollups.Marks(self._client, writer)
        self._inserter = Inserter(self._client)
        self._outcome_inserter = Inserter(self._client, OUTCOME_FACTS)
        try:
            with self._errors():
                self._schema_version = bring_up_to_date(self._client)
                clickhouse_rollups.prepare(self._client, writer)
        except StoreError:
            self._client.close()
            raise

    @property
    def schema_version(self) -> int:
        return self._schema_version

    # --- events in -------------------------------------------------------------------------------------------------

    def append(self, lines: Sequence[bytes], marks: Mapping[str, int]) -> Appended:
        """Facts first, their marks last: a batch that was cut off comes again, and its facts are known by then."""
        lines, reached = parted(lines)
        by_id, rejected = readable_lines(lines)
        outcomes, unreadable = readable_lines(reached, OUTCOME)
        with self._write_lock, self._errors():
            by_id = self._wanted(by_id, rejected, EVENTS)
            outcomes = self._wanted(outcomes, unreadable, OUTCOMES)
            inserted = self._insert_new(by_id, rejected)
            kept = self._insert_new_outcomes(outcomes, unreadable)
            self._set_marks(marks)
        return Appended(inserted, len(lines) - len(rejected) - inserted, (*rejected, *unreadable), kept)

    def _wanted(self, by_id: Lines, rejected: list[bytes], name: str) -> Lines:
        """Without what cannot be kept, or is kept no more."""
        if by_id:
            by_id = without_deleted(by_id, self._deleted_users())
            rejected += clickhouse_append.without_strange_times(by_id)
            rejected += self._take_expired(by_id, name)
        return by_id

    def _insert_new_outcomes(self, by_id: Lines, rejected: list[bytes]) -> int:
        known = self._outcome_inserter.known(by_id)
        new = [line for outcome_id, (line, _) in by_id.items() if outcome_id not in known]
        inserted = self._outcome_inserter.insert(new) if new else []
        rejected += set(new).difference(inserted)
        return len(inserted)

    def _insert_new(self, by_id: Lines, rejected: list[bytes]) -> int:
        known = self._inserter.known(by_id)
        new = [line for event_id, (line, _) in by_id.items() if event_id not in known]
        if not new:
            return 0
        starts_us = {start_us for event_id, (_, start_us) in by_id.items() if event_id not in known}
        with self._marks.around(starts_us):
            inserted = self._inserter.insert(new)
        if len(inserted) < len(new):
            rejected += set(new).difference(inserted)
        return len(inserted)

    def _take_expired(self, by_id: Lines, name: str) -> list[bytes]:
        """Take lines out that began when nothing of that name is kept any more: the sums of events are closed."""
        from_us = self._kept_from().get(name)
        if from_us is None:
            return []
        expired = [event_id for event_id, (_, start_us) in by_id.items() if start_us < from_us]
        return [by_id.pop(event_id)[0] for event_id in expired]

    def _set_marks(self, marks: Mapping[str, int]) -> None:
        self._write_marks([{"name": name, "position": position} for name, position in marks.items()])

    def _write_marks(self, rows: Sequence[Mapping[str, object]]) -> None:
        if rows:
            names = ", ".join(rows[0])
            values = "\n".join(json.dumps(row) for row in rows)
            insert = (
                f"INSERT INTO marks (collector, {names}) SELECT {self._collector}, {names} "
                f"FROM format(JSONEachRow, 'name String, position Int64, gone UInt8', {text(values)})"
            )
            self._client.write(insert)

    def marks(self) -> dict[str, int]:
        with self._errors():
            _, rows = self._client.read(f"SELECT name, position FROM marks FINAL WHERE collector = {self._collector}")
        return {str(name): int(position) for name, position in rows}

    def forget_marks(self, names: Iterable[str]) -> None:
        with self._write_lock, self._errors():
            self._write_marks([{"name": name, "position": 0, "gone": 1} for name in names])

    def known_ids(self, ids: Iterable[str]) -> set[str]:
        wanted = set(ids)
        if not wanted:
            return set()
        listed = ", ".join(map(text, wanted))
        with self._errors():
            _, rows = self._client.read(f"SELECT DISTINCT event_id FROM events WHERE event_id IN ({listed})")
        return {event_id for (event_id,) in rows}

    # --- answers ---------------------------------------------------------------------------------------------------

    def query(self, query: Query, *, cancellation: Cancellation | None = None) -> Answer:
        with self._errors():
            standing = self._standing() if self._use_rollups else None
            return ask(query, lambda statement: self._found(statement, cancellation), standing)

    def alone(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        with self._errors():
            standing = self._standing() if self._use_rollups else None
            return ask_alone(query, lambda statement: self._found(statement, cancellation), standing)

    def costliest(self, query: Query, *, cancellation: Cancellation | None = None) -> list[Costs]:
        with self._errors():
            standing = self._standing() if self._use_rollups else None
            return ask_costliest(query, lambda statement: self._found(statement, cancellation), standing)

    def _found(self, statement: Statement, cancellation: Cancellation | None) -> list[Found]:
        return self._client.found(dialect.said(statement), cancellation=cancellation)

    def _standing(self) -> Standing:
        return Standing(clickhouse_rollups.dirty(self._client), self._kept_from())

    def _kept_from(self) -> dict[str, int]:
        _, rows = self._client.read("SELECT name, started_at FROM kept_from FINAL")
        return {name: to_unix_us(started_at.replace(tzinfo=UTC)) for name, started_at in rows}

    def events(self, query: EventQuery, *, cancellation: Cancellation | None = None) -> EventPage:
        before = pages.read_cursor(query.cursor)
        with self._errors():
            return pages.page(query, self._found(statements.events(query, before), cancellation))

    def sql(self, statement: str, *, cancellation: Cancellation | None = None) -> Table:
        asked = dialect.sql(bounded(checked(statement)))
        with self._errors(), _statement_errors():
            columns, rows = self._client.read(asked, cancellation=cancellation)
            days = [kind.removeprefix("Nullable(").rstrip(")") in ("Date", "Date32") for _, kind in columns]
            return table_of(tuple(columns), [_with_days(row, days) for row in rows])

    def cache_write_offs(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        with self._errors():
            return [write_off_row(query, row) for row in self._found(statements.cache_write_offs(query), cancellation)]

    def durations(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        with self._errors():
            return [durations_row(query, row) for row in self._found(statements.durations(query), cancellation)]

    def outcomes(self, query: OutcomeQuery, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        with self._errors():
            return outcome_rows(query, self._found(statements.outcomes(query), cancellation))

    # --- costs -----------------------------------------------------------------------------------------------------

    def derivations(self, query: EventQuery, *, cancellation: Cancellation | None = None) -> DerivationPage:
        before = pages.read_cursor(query.cursor)
        with self._errors():
            statement = dialect.said(statements.derivations(query, before))
            _, rows = self._client.read(statement, cancellation=cancellation)
            return pages.derivation_page(query, [tuple(row) for row in rows])

    def restate(self, costs: Sequence[NewCost], repricing: Repricing, at_us: int) -> None:
        clickhouse_restate.check_run(repricing)
        with self._write_lock, self._errors():
            with self._marks.around(cost.started_us for cost in costs):
                clickhouse_restate.replace_costs(self._client, costs, repricing.id, at_us)
            clickhouse_restate.keep_run(self._client, repricing)

    def repricings(self, *, limit: int, repricing_id: str | None = None) -> list[Repricing]:
        with self._errors():
            return clickhouse_restate.runs(self._client, limit, repricing_id)

    def superseded(self, event_id: str) -> list[dict[str, Any]]:
        with self._errors():
            return [pages.whole_record(row) for row in clickhouse_restate.superseded(self._client, event_id)]

    # --- deletion --------------------------------------------------------------------------------------------------

    def delete_user(self, user_id: str, at_us: int) -> Deletion:
        """1. keep out what comes again, 2. delete, 3. add up anew. Whoever is cut off asks again."""
        named = f"user_id = {text(user_id)}"
        with self._write_lock, self._errors():
            row = json.dumps({"user_hash": user_hash(user_id), "deleted_at": rfc3339(at_us)})
            self._client.write("INSERT INTO deleted_users FORMAT JSONEachRow", row.encode())
            hours = self._moments(f"SELECT DISTINCT toStartOfHour(started_at) FROM events WHERE {named}")
            events = self._count(f"SELECT count() FROM events FINAL WHERE {named}")
            outcomes = self._count(f"SELECT count() FROM {OUTCOME_FACTS.table} FINAL WHERE {named}")
            with self._marks.around(hours):
                self._delete("superseded_costs", f"event_id IN (SELECT event_id FROM events WHERE {named})")
                for table in _NAMING_USERS:
                    self._delete(table, named)
        self.roll_up(LATEST_US)
        with self._errors():
            counts = " + ".join(f"(SELECT count() FROM {table} WHERE {named})" for table in _NAMING_USERS)
            return Deletion(events, self._count(f"SELECT {counts}"), outcomes)

    def _deleted_users(self) -> dict[str, int]:
        _, rows = self._client.read("SELECT user_hash, deleted_at FROM deleted_users FINAL")
        return {digest: to_unix_us(deleted_at.replace(tzinfo=UTC)) for digest, deleted_at in rows}

    def expire(self, ages: Retention, now_us: int) -> dict[str, int]:
        before_us = {name: USER_DAYS.unit(now_us - days * USER_DAYS.unit_us) for name, days in ages.days.items()}
        if EVENTS in before_us:
            self.roll_up(before_us[EVENTS])
        with self._write_lock, self._errors():
            return {name: self._expire(name, at_us) for name, at_us in before_us.items()}

    def _expire(self, name: str, before_us: int) -> int:
        """1. say from when on it is kept, 2. delete: in between, what is still there is not asked for."""
        moment = OUTCOME_FACTS.moment if name == OUTCOMES else "started_at"
        old = f"{moment} < fromUnixTimestamp64Micro({before_us}, 'UTC')"
        facts = {EVENTS: ["events FINAL"], OUTCOMES: [f"{OUTCOME_FACTS.table} FINAL"]}
        asked = facts.get(name) or [level.view for level in LEVELS if level.kept_as == name]
        rows = sum(self._count(f"SELECT count() FROM {table} WHERE {old}") for table in asked)
        if rows:
            kept = json.dumps({"name": name, "started_at": rfc3339(before_us)})
            self._client.write("INSERT INTO kept_from FORMAT JSONEachRow", kept.encode())
            if name == EVENTS:
                self._delete("superseded_costs", f"event_id IN (SELECT event_id FROM events WHERE {old})")
            for table in (OUTCOME_FACTS.table,) if name == OUTCOMES else tables_of(name):
                self._delete(table, old)
        return rows

    def _delete(self, table: str, condition: str) -> None:
        """Returns when the rows are gone from the disk."""
        self._client.write(f"ALTER TABLE {table} DELETE WHERE {condition}")

    def _count(self, statement: str) -> int:
        _, ((count,),) = self._client.read(statement)
        return int(count)

    def _moments(self, statement: str) -> list[int]:
        _, rows = self._client.read(statement)
        return [to_unix_us(moment.replace(tzinfo=UTC)) for (moment,) in rows]

    # --- roll-ups --------------------------------------------------------------------------------------------------

    def roll_up(self, before_us: int) -> int:
        with self._errors():
            marks = clickhouse_rollups.written(self._client)
            return sum(self._roll_up(level, marks, before_us) for level in LEVELS)

    def _roll_up(self, level: Level, marks: Sequence[clickhouse_rollups.Mark], before_us: int) -> int:
        """Those of the marks, which were read before it is asked what is due."""
        marked = {mark.unit for mark in marks}
        due = [unit for unit in rolling.due(self._standing(), level, before_us) if (level.name, unit[0]) in marked]
        for first in range(0, len(due), UNITS_AT_ONCE):
            stretches = due[first : first + UNITS_AT_ONCE]
            units = {(level.name, start_us) for start_us, _ in stretches}
            clickhouse_rollups.add_up(self._client, level, stretches, [mark for mark in marks if mark.unit in units])
        if due:
            clickhouse_rollups.delete_stale(self._client, level)
        return len(due)

    def verify(self, *, repair: bool = False, told: Told | None = None) -> Verification:
        with self._errors():
            verification = self._verified(told)
            if repair and verification.differing:
                with self._marks.around(start_us for _, start_us in verification.differing):
                    pass
        if repair and verification.differing:
            self.roll_up(LATEST_US)
        return verification

    def _verified(self, told: Told | None) -> Verification:
        verification = Verification()
        standing = self._standing()
        some_turns = [(level, some) for level in LEVELS for some in self._some_turns(level)]
        for number, (level, some) in enumerate(some_turns, 1):
            units = [unit for start_us in some for unit in rolling.clean(standing, level, start_us)]
            verification = verification.with_checked(level, len(units), self._differing(level, units))
            if told is not None:
                told(number, len(some_turns))
        return verification

    def _some_turns(self, level: Level) -> list[Sequence[int]]:
        turns = clickhouse_rollups.turns(self._client, level)
        return [turns[first : first + TURNS_AT_ONCE] for first in range(0, len(turns), TURNS_AT_ONCE)]

    def _differing(self, level: Level, units: Sequence[Stretch]) -> list[int]:
        """The starts of units that differ from the events, without those that became dirty meanwhile."""
        found = clickhouse_rollups.differing(self._client, level, units) if units else []
        if not found:
            return []
        dirty = clickhouse_rollups.dirty(self._client)
        return [start_us for start_us in found if (level.name, start_us) not in dirty]

    # --- moving: what `Movable` has beyond the port --------------------------------------------------------------

    def bounds(self) -> Bounds:
        with self._errors():
            return clickhouse_moving.bounds(self._client)

    def put_bounds(self, bounds: Bounds) -> None:
        with self._write_lock, self._errors():
            clickhouse_moving.put_bounds(self._client, bounds)

    def kept_sums(self, level: Level, stretch: Stretch) -> list[Found]:
        with self._errors():
            return clickhouse_moving.kept_sums(self._client, level, stretch)

    def put_sums(self, level: Level, stretch: Stretch, rows: Sequence[Found]) -> None:
        with self._write_lock, self._errors():
            self._marks.wrote([(one.name, one.unit(stretch[0])) for one in LEVELS if one.of == level])
            clickhouse_moving.put_sums(self._client, level, stretch, rows)

    def earlier_costs(self, stretch: Stretch) -> list[Found]:
        with self._errors():
            return clickhouse_moving.earlier_costs(self._client, stretch)

    def put_earlier_costs(self, rows: Sequence[Found]) -> None:
        with self._write_lock, self._errors():
            clickhouse_moving.put_earlier_costs(self._client, rows)

    def count_earlier_costs(self) -> int:
        with self._errors():
            return clickhouse_moving.count_earlier_costs(self._client)

    def outcomes_after(self, last: Place | None, most: int) -> list[Found]:
        with self._errors():
            return clickhouse_moving.outcomes_after(self._client, last, most)

    def outcome_sums(self) -> OutcomeSums:
        with self._errors():
            return clickhouse_moving.outcome_sums(self._client)

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What the server refuses becomes an error of ours."""
        try:
            yield
        except ClickHouseError as error:
            if error.code in TOOK_TOO_LONG:
                raise stopped() from error
            hint = "check user and password in store.events" if error.code in _REFUSED_ENTRY else None
            raise StoreError(f"{self._client.address} cannot do it now: {_first_line(error)}", hint=hint) from error


_LONGEST_MESSAGE: Final = 500


def _first_line(error: ClickHouseError) -> str:
    return str(error).partition("\n")[0][:_LONGEST_MESSAGE]


def _with_days(row: Sequence[Any], days: Sequence[bool]) -> list[Any]:
    """Days are none of the moments at which they begin."""
    return [value.date() if is_day and value is not None else value for value, is_day in zip(row, days, strict=True)]


@contextmanager
def _statement_errors() -> Iterator[None]:
    """Mistakes in a user's statement are the user's."""
    try:
        yield
    except ClickHouseError as error:
        if error.code in TOOK_TOO_MUCH_MEMORY:
            raise QueryStoppedError(
                "the statement was stopped: it took too much memory", hint="ask for less"
            ) from error
        if error.code in TOOK_TOO_LONG or error.code in _REFUSED_ENTRY:
            raise
        raise UsageError(f"the statement cannot be answered: {_first_line(error)}", field="sql") from error
