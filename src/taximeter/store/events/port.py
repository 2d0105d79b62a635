"""The port of the events store: what DuckDB does today and ClickHouse will do, in the same words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from taximeter.clock import rfc3339
from taximeter.errors import UsageError
from taximeter.store.events.costliest import Costs
from taximeter.store.events.query import Answer, EventQuery, OutcomeQuery, Query
from taximeter.store.events.repricing import NewCost, Repricing
from taximeter.store.events.rollups import EVENTS, OUTCOMES, Level

Told = Callable[[int, int], None]
"""Told what is done of a long work, and how much that is in all."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch, in lines. Those in `rejected` could not be read: no JSON object, no id, no start, or a
    value that no column takes. `inserted` and `duplicates` are events, `outcomes` those outcomes that are new."""

    inserted: int
    duplicates: int
    rejected: tuple[bytes, ...] = ()
    outcomes: int = 0


@dataclass(frozen=True, slots=True)
class EventPage:
    """Stored records, newest first, and the cursor of the next page; None at the end.

    A record has every field: what is not known is null, flags are false, tags and units empty, `attempt` 1. When only
    some columns were asked for, it leaves out what is not known, except `cost_usd`: null there says "unpriced".
    """

    events: list[dict[str, Any]]
    next: str | None


@dataclass(frozen=True, slots=True)
class DerivationPage:
    """Rows of stored events, newest first, with the columns `repricing.DERIVATION`: the id as text, the start as a
    datetime (UTC, without a zone), `amounts` as `repricing.amounts_of` makes it, `by_model` as JSON text, units as a
    mapping. `next` is the cursor of the next page, None at the end."""

    rows: list[tuple[Any, ...]]
    next: str | None


class EventStore(Protocol):
    """Events, stored once each. All methods block and may be called from any thread.

    Every method raises StoreError when the store cannot do it now (full, read-only, closed).
    """

    @property
    def schema_version(self) -> int:
        """The number of the last schema file that was applied."""
        ...

    def append(self, lines: Sequence[bytes], marks: Mapping[str, int]) -> Appended:
        """Store a batch of records (one JSON object a line) and the marks of where it came from: both or neither.

        When this returns, the batch survives a crash. An event id that is already there, or came earlier in the
        batch, is a duplicate and is left out. A line that cannot be read never holds up the others. Lines of outcomes
        (see `core.outcome`) are kept apart, by ids of their own; nothing that is said of events counts them.
        """
        ...

    def marks(self) -> dict[str, int]:
        """The last committed position of every source that was not forgotten."""
        ...

    def forget_marks(self, names: Iterable[str]) -> None:
        """Drop the marks of sources that no longer exist."""
        ...

    def known_ids(self, ids: Iterable[str]) -> set[str]:
        """Those of `ids` (canonical UUID text) that are stored."""
        ...

    def query(self, query: Query, *, cancellation: Cancellation | None = None) -> Answer:
        """Raises UsageError when the answer has too many rows, QueryStoppedError when it takes too long."""
        ...

    def alone(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        """The measures of a query by each dimension of its `group_by` alone, which are some of `alone.DIMENSIONS`: rows
        have `dimension`, `value` and `model`. With a limit those of as many values of each dimension as come first by
        the first measure; all others of a dimension are one row, with `"other": True`. The measures add up.

        Raises UsageError when the answer has too many rows, QueryStoppedError when it takes too long.
        """
        ...

    def costliest(self, query: Query, *, cancellation: Cancellation | None = None) -> list[Costs]:
        """What the values of a query's only dimension cost in the time that is compared with and in its own, in no
        order. With a limit those of as many values as come first by cost, where that is known, in one of the times or
        the other; of values that cost the same the first by themselves.

        Raises QueryStoppedError when it takes too long.
        """
        ...

    def events(self, query: EventQuery, *, cancellation: Cancellation | None = None) -> EventPage:
        """One page of records. Raises UsageError for a broken cursor, QueryStoppedError when it takes too long."""
        ...

    def sql(self, statement: str, *, cancellation: Cancellation | None = None) -> Table:
        """The answer to a user's own statement, see `sql_check`.

        Raises UsageError for a statement that is not allowed, wrong, or has too many rows, QueryStoppedError when it
        takes too long or too much memory.
        """
        ...

    def cache_write_offs(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        """By the groups and intervals of a query: `written_calls` (calls that wrote to a provider's cache), and how
        many of them wrote what no call of the same kind read back in its lifetime: `written_off_calls`,
        `written_off_tokens`, `written_off_usd` (the surcharge). Rows have the dimensions and `time`, as an answer's.
        """
        ...

    def durations(self, query: Query, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        """By the groups of a query: how many calls took how long, the columns `durations.COUNTED`. The query has no
        interval; its measures and limit count for nothing."""
        ...

    def outcomes(self, query: OutcomeQuery, *, cancellation: Cancellation | None = None) -> list[dict[str, Any]]:
        """By the groups of a query: `outcomes`, how many of them have a value (`valued_outcomes`), and what those are
        worth together (`value_usd`, a Decimal, None of none). Rows have `outcome`, its name, and the dimensions.

        Raises UsageError when the answer has too many rows, QueryStoppedError when it takes too long.
        """
        ...

    def derivations(self, query: EventQuery, *, cancellation: Cancellation | None = None) -> DerivationPage:
        """One page of what costs were derived from, and the costs; `columns` of the query count for nothing.

        Raises UsageError for a broken cursor, QueryStoppedError when it takes too long.
        """
        ...

    def restate(self, costs: Sequence[NewCost], repricing: Repricing, at_us: int) -> None:
        """Replace costs of stored events and keep the run as it stands after that: both or neither.

        The derivations that were current until now are kept, with the run and the moment; every total follows.
        Events that are not stored are passed over. Without costs only the run is kept.
        """
        ...

    def repricings(self, *, limit: int, repricing_id: str | None = None) -> list[Repricing]:
        """Runs, the newest first; only the one of that id when it is given."""
        ...

    def superseded(self, event_id: str) -> list[dict[str, Any]]:
        """The earlier derivations of an event's cost, the newest first: the keys of `repricing.COST_COLUMNS`,
        `superseded_at` and `repricing_id`."""
        ...

    def delete_user(self, user_id: str, at_us: int) -> Deletion:
        """Delete every event and outcome of a user, with all that was derived from it; later copies are not stored.

        `at_us` is now. An event or outcome of the user that comes about later counts again.
        """
        ...

    def expire(self, ages: Retention, now_us: int) -> dict[str, int]:
        """Delete what is older than it is kept; how many rows of what. Events go when their sums are there. An event
        or outcome that comes when its time is no longer kept is rejected."""
        ...

    def roll_up(self, before_us: int) -> int:
        """Add up anew what is dirty of the roll-ups and ended before a moment; how many units that were."""
        ...

    def verify(self, *, repair: bool = False, told: Told | None = None) -> Verification:
        """Compare every roll-up with its events, and add up anew those that differ when `repair`.

        One stretch of time after the other is read; `told` hears after each how many are done, and of how many.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Deletion:
    """How many events and outcomes of a user were deleted, and how many rows still name the user after that: none."""

    events: int
    remaining_rows: int
    outcomes: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days events, outcomes and the levels of roll-ups are kept, by name; what is not named is kept for
    ever.

    Raises UsageError when sums would go before the events that they are of.
    """

    days: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, days in self.days.items():
            if name not in (EVENTS, OUTCOMES) and days < self.days.get(EVENTS, days + 1):
                raise UsageError(f"{name} cannot be kept for less time than events", field=name)


@dataclass(frozen=True, slots=True)
class Verification:
    """How many units of roll-ups were compared with their events, by level, and which differ: (level, start in
    microseconds since the epoch). Units that wait to be added up are not compared; they are read from the events."""

    checked: Mapping[str, int] = field(default_factory=dict)
    differing: tuple[tuple[str, int], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        units = [{"level": level, "start": rfc3339(start_us)} for level, start_us in self.differing]
        return {"checked": dict(self.checked), "differing": units}

    def with_checked(self, level: Level, units: int, differing: Sequence[int]) -> Verification:
        """With these units of a level too."""
        checked = {**self.checked, level.name: self.checked.get(level.name, 0) + units}
        return Verification(checked, (*self.differing, *((level.name, start_us) for start_us in differing)))


@dataclass(frozen=True, slots=True)
class Table:
    """Columns as (name, type of the engine), and rows of values as the engine gives them."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(slots=True)
class Cancellation:
    """Hand it to a query, and `cancel()` it from any other thread; before, during or after."""

    _stop: Callable[[], None] | None = None
    _cancelled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            stop = self._stop
        if stop is not None:
            stop()

    def guard(self, stop: Callable[[], None] | None) -> None:
        """For adapters: `stop` ends the statement that is running; None when it is over."""
        with self._lock:
            self._stop = stop
            due = self._cancelled and stop is not None
        if due and stop is not None:
            stop()
