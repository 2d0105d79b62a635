"""Moving all that one store holds into another one, of the same engine or of another.

How far a move has come is nowhere written down: the target says it. A day whose sums are the same in both is not read
again, an event that is there already counts once, and everything else is put in place of what has the same name. So a
move that was cut off is simply begun again, and one that is over finds nothing left to do.

1. whose data was deleted, and from when on things are kept: nothing that had to go comes back
2. the sums of days whose events are no longer kept
3. the events, day by day
4. what calls cost before they were priced anew, and the runs that did it
5. the outcomes, a page after the other
6. every day's sums of both are compared, to the last digit
7. how far the spool is stored: until here the source is the one that counts
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.outcome import OUTCOME
from taximeter.errors import StoreError
from taximeter.store.events.answers import Found
from taximeter.store.events.instants import EARLIEST_US, LATEST_US
from taximeter.store.events.pages import whole_record
from taximeter.store.events.port import EventStore
from taximeter.store.events.query import TIME, EventQuery, Query
from taximeter.store.events.rollups import EVENTS, HOURS, LEVELS, USER_DAYS, Level, Stretch
from taximeter.store.events.vocabulary import MEASURES

PAGE_EVENTS: Final = 10_000
"""Events that are read and written at once."""

MOST_RUNS: Final = 1_000_000
"""Runs of re-pricing; there are as many as somebody asked for."""

SUMS: Final = tuple(name for name, measure in MEASURES.items() if all(part.kind == "sum" for part in measure.parts))
"""The measures that are compared."""

_OUTSIDE: Final = (EventQuery(to_us=EARLIEST_US, limit=PAGE_EVENTS), EventQuery(from_us=LATEST_US, limit=PAGE_EVENTS))
"""Events of clocks that are wrong beyond what can be asked about; they are moved all the same."""

Told = Callable[[int, int], None]
"""How many of how many calls are there."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a store does not take any more: events of users (by hash) that began before their data was deleted, and what
    began before it is kept (by name). Microseconds since the epoch."""

    deleted_users: Mapping[str, int]
    kept_from: Mapping[str, int]

    @property
    def events_from_us(self) -> int:
        return self.kept_from.get(EVENTS, EARLIEST_US)

    @property
    def sums_from_us(self) -> int:
        return min(self.events_from_us, *(self.kept_from.get(level.kept_as, EARLIEST_US) for level in LEVELS))


class Movable(EventStore, Protocol):
    """A store whose whole can be moved. What is put is there once, however often it is put."""

    def bounds(self) -> Bounds: ...

    def put_bounds(self, bounds: Bounds) -> None:
        """Beside its own; the later moment counts."""
        ...

    def kept_sums(self, level: Level, stretch: Stretch) -> list[Found]:
        """The rows of a level for whole units of it, by the columns of its table."""
        ...

    def put_sums(self, level: Level, stretch: Stretch, rows: Sequence[Found]) -> None:
        """In place of the rows of these units; coarser units are added up anew from them."""
        ...

    def earlier_costs(self, stretch: Stretch) -> list[Found]:
        """What events that began in a time cost by earlier derivations: the columns `repricing.SUPERSEDED`."""
        ...

    def put_earlier_costs(self, rows: Sequence[Found]) -> None: ...

    def count_earlier_costs(self) -> int: ...

    def outcomes_after(self, last: Place | None, most: int) -> list[Found]:
        """Outcomes by their moments and ids, those that follow one: the columns of `OUTCOME_FACTS`."""
        ...

    def outcome_sums(self) -> OutcomeSums: ...


Place = tuple[int, str]
"""The moment of an outcome, microseconds since the epoch, and its id."""


class OutcomeSums(NamedTuple):
    """How many outcomes there are, how many of them have a value, and what those are worth together, in USD."""

    outcomes: int
    valued: int
    value_usd: Decimal


@dataclass(frozen=True, slots=True)
class Moved:
    """What both stores hold after a move; `copied` calls of it were not there before."""

    calls: int
    copied: int
    earlier_costs: int
    repricings: int
    totals: Mapping[str, Any]
    outcomes: int = 0


def move(source: Movable, target: Movable, now_us: int, told: Told) -> Moved:
    """Raises StoreError when the target cannot take everything, or holds what the source does not."""
    for store in (source, target):
        store.roll_up(LATEST_US)
    bounds = source.bounds()
    target.put_bounds(bounds)
    for day in sums_by_day(source, bounds.sums_from_us, bounds.events_from_us):
        _move_kept_sums(source, target, _day(day))
    copied = _move_events(source, target, bounds.events_from_us, told)
    target.roll_up(LATEST_US)
    earlier_costs = _move_earlier_costs(source, target, bounds.events_from_us)
    runs = source.repricings(limit=MOST_RUNS)
    for run in runs:
        target.restate((), run, now_us)
    outcomes = _move_outcomes(source, target)
    calls, totals = _compared(source, target, bounds.sums_from_us)
    target.append([], source.marks())
    return Moved(calls, copied, earlier_costs, len(runs), totals, outcomes)


def sums_by_day(store: EventStore, from_us: int, to_us: int = LATEST_US) -> dict[int, dict[str, Any]]:
    """All sums of the days, UTC, that hold anything; by their starts, microseconds since the epoch."""
    if from_us >= to_us:
        return {}
    rows = store.query(Query(from_us=from_us, to_us=to_us, measures=SUMS, interval="day")).rows
    return {_start_us(row): {name: row[name] for name in SUMS} for row in rows}


def _start_us(row: Mapping[str, Any]) -> int:
    return to_unix_us(datetime.fromisoformat(row[TIME]))


def _day(start_us: int) -> Stretch:
    return start_us, start_us + USER_DAYS.unit_us


# --- sums without events -------------------------------------------------------------------------------------------


def _move_kept_sums(source: Movable, target: Movable, day: Stretch) -> None:
    for level in (level for level in LEVELS if level.of is None):
        rows = source.kept_sums(level, day)
        if not _same(rows, target.kept_sums(level, day)):
            target.put_sums(level, day, rows)
            if not _same(rows, target.kept_sums(level, day)):
                raise _different(f"the {level.name} of {rfc3339(day[0])} do not come back as they were")


def _same(rows: Sequence[Found], others: Sequence[Found]) -> bool:
    return sorted(map(_written, rows)) == sorted(map(_written, others))


def _written(row: Found) -> bytes:
    return msgspec.json.encode(whole_record(row), order="sorted")


# --- events --------------------------------------------------------------------------------------------------------


def _move_events(source: Movable, target: Movable, from_us: int, told: Told) -> int:
    """How many were not there before."""
    days, there = sums_by_day(source, from_us), sums_by_day(target, from_us)
    every = sum(sums["calls"] for sums in days.values())
    done = copied = 0
    for calls, new in _copies(source, target, days, there):
        done, copied = done + calls, copied + new
        told(min(done, every), every)
    return copied


def _copies(
    source: Movable, target: Movable, days: Mapping[int, Any], there: Mapping[int, Any]
) -> Iterator[tuple[int, int]]:
    """How many calls are known to be in the target now, piece by piece, and how many of them are new there."""
    for day_us, sums in days.items():
        if sums == there.get(day_us):
            yield sums["calls"], 0
        else:
            for hour in _hours(source, day_us):
                yield from _copy(source, target, EventQuery(from_us=hour[0], to_us=hour[1], limit=PAGE_EVENTS))
    for outside in _OUTSIDE:
        yield from _copy(source, target, outside)


def _hours(store: EventStore, day_us: int) -> list[Stretch]:
    """Those that hold anything: a page of one is looked for in little more than itself."""
    from_us, to_us = _day(day_us)
    rows = store.query(Query(from_us=from_us, to_us=to_us, measures=("calls",), interval="hour")).rows
    return [(start_us, start_us + HOURS.unit_us) for start_us in map(_start_us, rows)]


def _copy(source: Movable, target: Movable, query: EventQuery) -> Iterator[tuple[int, int]]:
    while True:
        page = source.events(query)
        if not page.events:
            return
        lines = [msgspec.json.encode(record) for record in page.events]
        done = target.append(lines, {})
        if done.rejected:
            example = page.events[lines.index(done.rejected[0])]["event_id"]
            raise _different(f"{len(done.rejected):,} calls are not taken, such as {example}")
        yield len(lines), done.inserted
        if page.next is None:
            return
        query = replace(query, cursor=page.next)


# --- costs before re-pricing ---------------------------------------------------------------------------------------


def _move_earlier_costs(source: Movable, target: Movable, from_us: int) -> int:
    """How many there are."""
    every = source.count_earlier_costs()
    if every != target.count_earlier_costs():
        for day_us in sums_by_day(source, from_us):
            for hour in _hours(source, day_us):
                if rows := source.earlier_costs(hour):
                    target.put_earlier_costs(rows)
    return every


# --- outcomes ------------------------------------------------------------------------------------------------------


def _move_outcomes(source: Movable, target: Movable) -> int:
    """How many there are. Raises StoreError when they are not the same in both afterwards."""
    sums = source.outcome_sums()
    if sums != target.outcome_sums():
        for lines in _pages_of_outcomes(source):
            if rejected := target.append(lines, {}).rejected:
                raise _different(f"{len(rejected):,} outcomes are not taken")
        if sums != (there := target.outcome_sums()):
            raise _different(f"{tuple(sums)} outcomes with values and their sum became {tuple(there)}")
    return sums.outcomes


def _pages_of_outcomes(source: Movable) -> Iterator[list[bytes]]:
    last: Place | None = None
    while page := source.outcomes_after(last, PAGE_EVENTS):
        yield [msgspec.json.encode({"record": OUTCOME, **whole_record(row)}) for row in page]
        last = to_unix_us(page[-1]["occurred_at"].replace(tzinfo=UTC)), str(page[-1]["outcome_id"])


# --- the proof -----------------------------------------------------------------------------------------------------


def _compared(source: Movable, target: Movable, from_us: int) -> tuple[int, Mapping[str, Any]]:
    """How many calls there are, and the totals of both. Raises StoreError when the two are not the same."""
    here, there = sums_by_day(source, from_us), sums_by_day(target, from_us)
    for day_us in sorted({*here, *there}):
        if here.get(day_us) != there.get(day_us):
            raise _different(_in_words(day_us, here.get(day_us, {}), there.get(day_us, {})))
    counted = [(_calls(store), store.count_earlier_costs()) for store in (source, target)]
    if counted[0] != counted[1]:
        raise _different(f"{counted[0]} calls and earlier costs became {counted[1]}")
    return counted[0][0], source.query(Query(from_us=from_us, to_us=LATEST_US, measures=SUMS)).totals


def _calls(store: EventStore) -> int:
    """Whenever they were."""
    ((calls,),) = store.sql("SELECT count(*) AS calls FROM calls").rows
    return int(calls)


def _in_words(day_us: int, here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    name = next(name for name in SUMS if here.get(name) != there.get(name))
    return f"{name} of {rfc3339(day_us)[:10]} is {here.get(name, 0)} here and {there.get(name, 0)} there"


def _different(what: str) -> StoreError:
    hint = "the new place must hold nothing else: name an empty database, or move its file away; nothing was taken over"
    return StoreError(f"the two stores are not the same: {what}", hint=hint)
