"""The events store in one DuckDB file: the default, for one machine.

One connection writes, under a lock; every read has a cursor of its own and sees the last commit, so reads do not wait
for writes. The process that opens the file owns it (see `taximeter.store.ownership`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from taximeter.errors import QueryStoppedError, SchemaError, StoreError, UsageError
from taximeter.store.events import (
    duckdb_arrangement,
    duckdb_deletion,
    duckdb_dialect,
    duckdb_moving,
    duckdb_restate,
    duckdb_retention,
    duckdb_rollups,
    pages,
    rolling,
    statements,
)
from taximeter.store.events.alone import ask_alone
from taximeter.store.events.answers import Found, durations_row, outcome_rows, write_off_row
from taximeter.store.events.asking import ask
from taximeter.store.events.columns import OUTCOME_FACTS
from taximeter.store.events.costliest import Costs, ask_costliest
from taximeter.store.events.deleted_users import without_deleted
from taximeter.store.events.duckdb_append import Inserter
from taximeter.store.events.duckdb_reads import Reads
from taximeter.store.events.duckdb_schema import bring_up_to_date
from taximeter.store.events.duckdb_values import readable
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
from taximeter.store.events.rollups import (
    EVENTS,
    KEPT_SO_FAR,
    LEVELS,
    OUTCOMES,
    USER_DAYS,
    Level,
    Standing,
    Stretch,
)
from taximeter.store.events.slots import Statement
from taximeter.store.events.sql_answer import table_of
from taximeter.store.events.sql_check import bounded, checked

QUERY_TIMEOUT_SECONDS: Final = 30.0
MEMORY_LIMIT_MB: Final = 448
"""Of the engine. At 50 million events questions are as fast as with more, since the system keeps pages of the file as
well (`why` takes a twentieth longer than with 512); moving a day's events fits, and so do the percentiles of three
months by version. With what Python holds of a long history a server stays under 1 GB."""
THREADS: Final = 2

SPILL_MB: Final = 4096
"""What queries that need more memory may write to disk meanwhile."""

CHECKPOINT_MB: Final = 64
"""The log is written into the file when it has grown to this. Each time the last, half-filled row group is written
again, so a small value makes every insert dearer; a large one makes the start after a crash slower (about 1 s here)."""

FIRST_MOMENT_US: Final = -(1 << 62)
"""Before every event: from here on events are kept while none was deleted for its age."""

UNITS_AT_ONCE: Final = 4
"""Units of a level that are added up in one transaction: a batch waits for so many at most."""

FETCHED_AT_ONCE: Final = 1_000
"""Rows that become Python's values in one go, during which no other thread of the process runs."""


class DuckDBEvents:
    """An `EventStore` in the file `path`, which is created when it is not there.

    Raises SchemaError when the file cannot be used as it is, StoreError when it cannot be opened now.
    """

    def __init__(
        self,
        path: Path,
        *,
        memory_limit_mb: int = MEMORY_LIMIT_MB,
        threads: int = THREADS,
        query_timeout_seconds: float = QUERY_TIMEOUT_SECONDS,
        use_rollups: bool = True,
        arrange_from: int = duckdb_arrangement.LEAST_EVENTS,
    ) -> None:
        """`arrange_from` is how many events of a day are worth being written anew user by user."""
        self._path = path
        self._reads = Reads(str(path), query_timeout_seconds)
        self._use_rollups = use_rollups
        self._arrange_from = arrange_from
        self._write_lock = FairLock()
        self._rewriting = threading.Lock()  # for whoever changes or moves rows of events; taken before the other one
        self._sql_turn = threading.Lock()
        self._writer = _open(path, memory_limit_mb, threads)
        try:
            with _store_errors(path):
                self._schema_version = bring_up_to_date(self._writer, str(path))
                duckdb_rollups.prepare(self._writer)
                self._inserter = Inserter(self._writer)
                self._outcome_inserter = Inserter(self._writer, OUTCOME_FACTS)
                self._deleted_users = duckdb_deletion.deleted_users(self._writer)
                self._kept_from = duckdb_retention.kept_from(self._writer)
        except StoreError:
            self._writer.close()
            raise

    @property
    def schema_version(self) -> int:
        return self._schema_version

    def append(self, lines: Sequence[bytes], marks: Mapping[str, int]) -> Appended:
        lines, reached = parted(lines)
        by_id, rejected = readable_lines(lines)
        outcomes, unreadable = readable_lines(reached, OUTCOME)
        with self._write_lock, _store_errors(self._path):
            by_id = without_deleted(by_id, self._deleted_users)
            rejected += self._take_expired(by_id, EVENTS)
            new, starts_us = _new(by_id, self._inserter.known(by_id))
            outcomes = without_deleted(outcomes, self._deleted_users)
            unreadable += self._take_expired(outcomes, OUTCOMES)
            new_outcomes, _ = _new(outcomes, self._outcome_inserter.known(outcomes))
            inserted, kept = self._commit(new, new_outcomes, marks, starts_us)
        if len(inserted) < len(new):
            rejected += set(new).difference(inserted)
        if len(kept) < len(new_outcomes):
            unreadable += set(new_outcomes).difference(kept)
        duplicates = len(lines) - len(rejected) - len(inserted)
        return Appended(len(inserted), duplicates, (*rejected, *unreadable), len(kept))

    def _take_expired(self, by_id: Lines, name: str) -> list[bytes]:
        """Take lines out that began when nothing of that name is kept any more: the sums of events are closed."""
        from_us = self._kept_from.get(name, FIRST_MOMENT_US)
        expired = [event_id for event_id, (_, start_us) in by_id.items() if start_us < from_us]
        return [by_id.pop(event_id)[0] for event_id in expired]

    def _commit(
        self, lines: Sequence[bytes], outcomes: Sequence[bytes], marks: Mapping[str, int], starts_us: Set[int]
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Insert `lines` and `outcomes`, make the roll-ups of these starts dirty and set the marks in one transaction;
        the lines of both that could be inserted."""
        try:
            with _transaction(self._writer):
                if lines:
                    self._inserter.insert(lines)
                    duckdb_rollups.mark(self._writer, starts_us)
                if outcomes:
                    self._outcome_inserter.insert(outcomes)
                self._set_marks(marks)
        except (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError):
            parsable, good = self._inserter.parsable(lines), self._outcome_inserter.parsable(outcomes)
            if (len(parsable), len(good)) == (len(lines), len(outcomes)):
                raise
            return self._commit(parsable, good, marks, starts_us)
        return lines, outcomes

    def _set_marks(self, marks: Mapping[str, int]) -> None:
        for name, position in marks.items():
            self._writer.execute(_SET_MARK, [name, position])

    def marks(self) -> dict[str, int]:
        return dict(self._fetch("SELECT name, position FROM marks"))

    def forget_marks(self, names: Iterable[str]) -> None:
        with self._write_lock, _store_errors(self._path):
            self._writer.execute("DELETE FROM marks WHERE name IN (SELECT unnest(?::VARCHAR[]))", [list(names)])

    def known_ids(self, ids: Iterable[str]) -> set[str]:
        wanted = sorted(ids)
        if not wanted:
            return set()
        return {str(found) for (found,) in self._fetch(_KNOWN_IDS, [wanted[0], wanted[-1], wanted])}

    def query(self, query: Query, *, cancellation: Cancellation | None = None) -> Answer:
        with self.reading(cancellation) as cursor:
            standing = self._standing(cursor) if self._use_rollups else None
            return ask(query, lambda statement: _found(cursor, statement), standing)

    def alone(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        with self.reading(cancellation) as cursor:
            standing = self._standing(cursor) if self._use_rollups else None
            return ask_alone(query, lambda statement: _found(cursor, statement), standing)

    def costliest(self, query: Query, *, cancellation: Cancellation | None = None) -> list[Costs]:
        with self.reading(cancellation) as cursor:
            standing = self._standing(cursor) if self._use_rollups else None
            return ask_costliest(query, lambda statement: _found(cursor, statement), standing)

    def _standing(self, cursor: duckdb.DuckDBPyConnection) -> Standing:
        kept_from = duckdb_retention.kept_from(cursor)
        return Standing(duckdb_rollups.dirty(cursor), kept_from, duckdb_rollups.so_far(cursor))

    def expire(self, ages: Retention, now_us: int) -> dict[str, int]:
        before_us = {name: USER_DAYS.unit(now_us - days * USER_DAYS.unit_us) for name, days in ages.days.items()}
        if EVENTS in before_us:
            self.roll_up(before_us[EVENTS])
        with self._rewriting, self._write_lock, _store_errors(self._path), _transaction(self._writer):
            deleted = {n: duckdb_retention.expire(self._writer, n, at_us) for n, at_us in before_us.items()}
            self._kept_from = duckdb_retention.kept_from(self._writer)
        return deleted

    def delete_user(self, user_id: str, at_us: int) -> Deletion:
        with self._rewriting, self._write_lock, _store_errors(self._path), _transaction(self._writer):
            events, outcomes = duckdb_deletion.delete(self._writer, user_id, at_us)
            self._deleted_users = duckdb_deletion.deleted_users(self._writer)
        self.roll_up(LATEST_US)
        with self.reading(None) as cursor:
            return Deletion(events, duckdb_deletion.remaining(cursor, user_id), outcomes)

    def roll_up(self, before_us: int) -> int:
        """Days are arranged before they are added up: when this ends in between, both are done the next time."""
        with self.reading(None) as cursor:
            days = rolling.due(self._standing(cursor), USER_DAYS, before_us)
        for day_us, _ in days:
            self._arrange(day_us)
        ended = sum(self._roll_up(level, before_us) for level in LEVELS)
        for level in KEPT_SO_FAR:
            self._add_up_so_far(level, before_us)
        return ended

    def _add_up_so_far(self, level: Level, before_us: int) -> None:
        with self._write_lock, _store_errors(self._path), _transaction(self._writer):
            stretch = rolling.due_so_far(self._standing(self._writer), level, before_us)
            if stretch is not None:
                duckdb_rollups.add_up_so_far(self._writer, level, stretch, before_us)

    def _arrange(self, day_us: int) -> None:
        """In transactions beside those of batches, which only add rows and so wait for none of them."""
        with self.reading(None) as cursor:
            periods = duckdb_arrangement.waiting(cursor, day_us, self._arrange_from)
        for period in periods:
            with self._moving() as cursor:
                duckdb_arrangement.arrange(cursor, period)
                if period == periods[-1]:
                    duckdb_arrangement.keep(cursor, day_us)
        if periods:
            self._reclaim()

    def _reclaim(self) -> None:
        """The next day takes the room that moved rows left; without, arranging all days of a file doubles it."""
        with self._rewriting, self._write_lock:
            try:
                self._writer.execute("CHECKPOINT")
            except duckdb.TransactionException:  # not beside another's transaction: the next one does it
                return

    @contextmanager
    def _moving(self) -> Iterator[duckdb.DuckDBPyConnection]:
        writer = self._writer
        with self._rewriting, _store_errors(self._path), closing(writer.cursor()) as cursor, _transaction(cursor):
            yield cursor

    def _roll_up(self, level: Level, before_us: int) -> int:
        done = 0
        while units := self._add_some_up(level, before_us):
            done += units
        return done

    def _add_some_up(self, level: Level, before_us: int) -> int:
        """How many units were due and are added up now: what is due is asked where nobody writes meanwhile."""
        with self._write_lock, _store_errors(self._path), _transaction(self._writer):
            due = rolling.due(self._standing(self._writer), level, before_us)[:UNITS_AT_ONCE]
            if due:
                duckdb_rollups.add_up(self._writer, level, due)
        return len(due)

    def verify(self, *, repair: bool = False, told: Told | None = None) -> Verification:
        verification = Verification()
        turns = [(level, start_us) for level in LEVELS for start_us in self._turns(level)]
        for number, (level, start_us) in enumerate(turns, 1):
            stretches, differing = self._checked(level, start_us)
            verification = verification.with_checked(level, len(stretches), differing)
            if told is not None:
                told(number, len(turns))
        if repair and verification.differing:
            with self._write_lock, _store_errors(self._path), _transaction(self._writer):
                duckdb_rollups.mark(self._writer, [start_us for _, start_us in verification.differing])
            self.roll_up(LATEST_US)
        return verification

    def _turns(self, level: Level) -> list[int]:
        with self.reading(None) as cursor:
            return duckdb_rollups.turns(cursor, level)

    def _checked(self, level: Level, start_us: int) -> tuple[list[Stretch], list[int]]:
        """The clean units of a turn, and the starts of those that differ from the events."""
        with self.reading(None) as cursor:
            clean = rolling.clean(self._standing(cursor), level, start_us)
            return clean, duckdb_rollups.differing(cursor, level, clean) if clean else []

    def events(self, query: EventQuery, *, cancellation: Cancellation | None = None) -> EventPage:
        before = pages.read_cursor(query.cursor)
        with self.reading(cancellation) as cursor:
            return pages.page(query, _found(cursor, statements.events(query, before)))

    def sql(self, statement: str, *, cancellation: Cancellation | None = None) -> Table:
        text = duckdb_dialect.sql(bounded(checked(statement)))
        with self._sql_turn, self.reading(cancellation) as cursor, _statement_errors():
            described = cursor.execute(f"DESCRIBE {text}").fetchall()
            columns = tuple((str(name), str(kind)) for name, kind, *_ in described)
            cursor.execute(readable(text, [kind for _, kind in columns]))
            return table_of(columns, cursor.fetchall())

    def cache_write_offs(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        with self.reading(cancellation) as cursor:
            return [write_off_row(query, row) for row in _found(cursor, statements.cache_write_offs(query))]

    def durations(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        with self.reading(cancellation) as cursor:
            return [durations_row(query, row) for row in _found(cursor, statements.durations(query))]

    def outcomes(self, query: OutcomeQuery, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        with self.reading(cancellation) as cursor:
            return outcome_rows(query, _found(cursor, statements.outcomes(query)))

    def derivations(self, query: EventQuery, *, cancellation: Cancellation | None = None) -> DerivationPage:
        before = pages.read_cursor(query.cursor)
        with self.reading(cancellation) as cursor:
            cursor.execute(*duckdb_dialect.said(statements.derivations(query, before)))
            rows: list[tuple[Any, ...]] = []
            while fetched := cursor.fetchmany(FETCHED_AT_ONCE):
                rows += fetched
            return pages.derivation_page(query, rows)

    def restate(self, costs: Sequence[NewCost], repricing: Repricing, at_us: int) -> None:
        with self._rewriting, self._write_lock, _store_errors(self._path), _transaction(self._writer):
            duckdb_restate.replace_costs(self._writer, costs, repricing.id, at_us)
            duckdb_rollups.mark(self._writer, (cost.started_us for cost in costs))
            duckdb_restate.keep_run(self._writer, repricing)

    def repricings(self, *, limit: int, repricing_id: str | None = None) -> list[Repricing]:
        with self.reading(None) as cursor:
            return duckdb_restate.runs(cursor, limit, repricing_id)

    def superseded(self, event_id: str) -> list[dict[str, Any]]:
        with self.reading(None) as cursor:
            return [pages.whole_record(row) for row in duckdb_restate.superseded(cursor, event_id)]

    # --- moving: what `Movable` has beyond the port --------------------------------------------------------------

    def bounds(self) -> Bounds:
        with self.reading(None) as cursor:
            return duckdb_moving.bounds(cursor)

    def put_bounds(self, bounds: Bounds) -> None:
        with self._write_lock, _store_errors(self._path), _transaction(self._writer):
            duckdb_moving.put_bounds(self._writer, bounds)
            self._deleted_users = duckdb_deletion.deleted_users(self._writer)
            self._kept_from = duckdb_retention.kept_from(self._writer)

    def kept_sums(self, level: Level, stretch: Stretch) -> list[Found]:
        with self.reading(None) as cursor:
            return duckdb_moving.kept_sums(cursor, level, stretch)

    def put_sums(self, level: Level, stretch: Stretch, rows: Sequence[Found]) -> None:
        with self._write_lock, _store_errors(self._path), _transaction(self._writer):
            duckdb_moving.put_sums(self._writer, level, stretch, rows)

    def earlier_costs(self, stretch: Stretch) -> list[Found]:
        with self.reading(None) as cursor:
            return duckdb_moving.earlier_costs(cursor, stretch)

    def put_earlier_costs(self, rows: Sequence[Found]) -> None:
        with self._write_lock, _store_errors(self._path), _transaction(self._writer):
            duckdb_moving.put_earlier_costs(self._writer, rows)

    def count_earlier_costs(self) -> int:
        with self.reading(None) as cursor:
            return duckdb_moving.count_earlier_costs(cursor)

    def outcomes_after(self, last: Place | None, most: int) -> list[Found]:
        with self.reading(None) as cursor:
            return duckdb_moving.outcomes_after(cursor, last, most)

    def outcome_sums(self) -> OutcomeSums:
        with self.reading(None) as cursor:
            return duckdb_moving.outcome_sums(cursor)

    def close(self) -> None:
        """Writes what is in the log into the file, when all reads are over; the store cannot be used afterwards."""
        self._reads.close()
        with self._rewriting, self._write_lock:
            self._writer.close()

    def _fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self.reading(None) as cursor:
            return cursor.execute(sql, list(parameters)).fetchall()

    @contextmanager
    def reading(self, cancellation: Cancellation | None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor on one snapshot, interrupted when its time is over, it is cancelled, or the store closes."""
        cancellation = cancellation or Cancellation()
        with _store_errors(self._path), self._reads.running(cancellation):
            cursor = self._writer.cursor()
            try:
                cancellation.guard(cursor.interrupt)
                if cancellation.cancelled:
                    raise duckdb.InterruptException("cancelled before it began")
                cursor.execute("BEGIN READ ONLY")
                yield cursor
            finally:
                cancellation.guard(None)
                cursor.close()


def _new(by_id: Lines, known: Set[int]) -> tuple[list[bytes], set[int]]:
    """The lines that are not known, and their moments."""
    new = [line for event_id, line in by_id.items() if event_id not in known]
    return [line for line, _ in new], {moment_us for _, moment_us in new}


_SET_MARK: Final = """
    INSERT INTO marks VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position
"""
_KNOWN_IDS: Final = """
    SELECT event_id FROM events
    WHERE event_id BETWEEN ?::UUID AND ?::UUID
      AND event_id IN (SELECT unnest(?::UUID[]))
"""


def _found(cursor: duckdb.DuckDBPyConnection, statement: Statement) -> list[Found]:
    cursor.execute(*duckdb_dialect.said(statement))
    names = [column[0] for column in cursor.description or ()]
    found: list[Found] = []
    while rows := cursor.fetchmany(FETCHED_AT_ONCE):
        found += (dict(zip(names, row, strict=True)) for row in rows)
    return found


def _open(path: Path, memory_limit_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    settings: dict[str, Any] = {
        "memory_limit": f"{memory_limit_mb}MB",
        "threads": threads,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allocator_background_threads": True,  # what a large question took goes back to the system afterwards
        "checkpoint_threshold": f"{CHECKPOINT_MB}MB",
        "max_temp_directory_size": f"{SPILL_MB}MB",
    }
    try:
        connection = duckdb.connect(str(path), config=settings)
    except duckdb.Error as error:
        raise _opening_error(path, error) from error
    # Users' statements run here: nothing outside of the file is readable, and no statement can change that.
    connection.execute("SET enable_external_access = false")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # it would be the machine's; moments are kept in UTC
    connection.execute("SET lock_configuration = true")
    return connection


def _opening_error(path: Path, error: duckdb.Error) -> StoreError:
    text = str(error).partition("\n")[0]
    if "Could not set lock" in text:
        return StoreError(f"{path} is open in another process: {text}", hint="stop it first")
    if isinstance(error, duckdb.IOException) and not path.exists():
        return StoreError(f"{path} cannot be created: {text}", hint="check the directory and its permissions")
    return SchemaError(
        f"{path} cannot be read: {text}",
        hint="damaged, or written by a newer version: upgrade, restore a backup, or move it away to begin anew",
    )


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except duckdb.Error:
        _roll_back(connection)
        raise


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("ROLLBACK")
    except duckdb.Error:  # a COMMIT that failed has already rolled back
        return


@contextmanager
def _statement_errors() -> Iterator[None]:
    """Mistakes in a user's statement are the user's."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise QueryStoppedError("the statement was stopped: it took too much memory", hint="ask for less") from error
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        text = str(error).partition("\n")[0]
        raise UsageError(f"the statement cannot be answered: {text}", field="sql") from error


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    """Errors of the engine become ours."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryStoppedError(
            "the query was stopped: it took too long or was cancelled", hint="ask for less"
        ) from error
    except duckdb.Error as error:
        text = str(error).partition("\n")[0]
        raise StoreError(f"{path} cannot do it now: {text}") from error
