"""Roll-ups: the sums of whole hours and days, kept beside the events that they are computed from.

For every unit of a level that is not *dirty*, the rows of the level are what adding up its events gives. An event that
comes, changes or goes makes its units dirty in the same transaction; a job adds dirty units up anew. So a roll-up is
never wrong, only sometimes not there, and everything in it can be thrown away.

The planner takes a level only where it says exactly what the events say: all groups and filters are columns of it, all
measures add up, and buckets begin where its units do. The rest of the time asked about, the edges and the dirty units,
is added up from the events in the same statement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlglot import expressions as exp

from taximeter.clock import rfc3339, to_unix_us
from taximeter.errors import UsageError
from taximeter.store.events import buckets
from taximeter.store.events.intervals import INTERVALS, Interval
from taximeter.store.events.query import Query
from taximeter.store.events.slots import Slot, moment_of
from taximeter.store.events.vocabulary import MODEL, MODEL_FAMILY, Part, sum_parts

_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US

MOST_GAPS: Final = 64
"""Stretches of one statement that are read from the events; with more of them everything is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Sums by unit and `fields`, in the table `table`, asked through the view `view`, which has `model` too.

    `finest` is the shortest interval whose buckets consist of whole units.
    """

    name: str
    unit_us: int
    finest: Interval
    fields: tuple[str, ...]

    @property
    def table(self) -> str:
        return f"rollup_{self.name}"

    @property
    def view(self) -> str:
        return f"rolled_{self.name}"

    @property
    def askable(self) -> frozenset[str]:
        """What can be grouped and filtered by."""
        return frozenset((*self.fields, MODEL, MODEL_FAMILY) if "response_model" in self.fields else self.fields)

    def unit(self, moment_us: int) -> int:
        """The start of the unit that a moment lies in."""
        return moment_us // self.unit_us * self.unit_us


# Fields of few values: each one multiplies the rows. With tenants, prompt versions and endpoints an hour of a million
# events in ninety days had as many rows as events.
HOURS: Final = Level(
    name="hours",
    unit_us=_HOUR_US,
    finest="hour",
    fields=(
        "provider",
        "request_model",
        "response_model",
        "operation",
        "status",
        "team",
        "feature",
        "environment",
        "unpriced_reason",
    ),
)
USER_DAYS: Final = Level(
    name="user_days", unit_us=_DAY_US, finest="day", fields=("user_id", "team", "tenant", "environment")
)
LEVELS: Final = (HOURS, USER_DAYS)
"""In the order in which they are tried: fewer rows first."""

PARTS: Final[tuple[Part, ...]] = sum_parts()
"""The columns of every level besides the start of the unit (`started_at`) and its fields."""

Dirty = Collection[tuple[str, int]]
"""Level and start of the units that have to be added up anew, microseconds since the epoch."""

Stretch = tuple[int, int]
"""A time [from_us, to_us)."""

EVENTS: Final = "events"
"""The name of the events where levels are named, as of what is kept for how long."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How roll-ups stand in a snapshot: what is dirty, and from when on events and levels are still kept (by name,
    microseconds since the epoch; what is not named is kept for ever)."""

    dirty: Dirty = ()
    kept_from: Mapping[str, int] = field(default_factory=dict)

    def has(self, name: str, stretches: Sequence[Stretch]) -> bool:
        """Whether all of this time is still kept."""
        return not stretches or stretches[0][0] >= self.kept_from.get(name, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which stretches of a query's time come from a level, and which from the events; together they are all of it."""

    level: Level
    rolled: tuple[Stretch, ...]
    gaps: tuple[Stretch, ...]


def kept_from_us(error: UsageError, step_us: int) -> int:
    """The first whole step (such as an hour) that is still kept, of what a query was refused with by `plan`.

    Raises the error itself when it was refused for something else.
    """
    kept = error.facts.get("kept_from")
    if not isinstance(kept, str):
        raise error
    return -(-to_unix_us(datetime.fromisoformat(kept)) // step_us) * step_us


def plan(query: Query, parts: Sequence[Part], standing: Standing) -> Plan | None:
    """The roll-up that answers exactly, or None when the events do.

    Raises UsageError for a time of which nothing is kept that could.
    """
    for level in _fitting(query, parts):
        dirty = sorted(start for name, start in standing.dirty if name == level.name)
        found = _planned(query, level, dirty)
        if found is not None and standing.has(level.name, found.rolled) and standing.has(EVENTS, found.gaps):
            return found
    if not standing.has(EVENTS, [(query.from_us, query.to_us)]):
        kept = rfc3339(standing.kept_from[EVENTS])
        hint = "ask from then on, or for sums of whole hours or days by " + ", ".join(HOURS.fields)
        raise UsageError(f"events from before {kept} are no longer kept", hint=hint, field="from", kept_from=kept)
    return None


def _fitting(query: Query, parts: Sequence[Part]) -> list[Level]:
    if any(part not in PARTS for part in parts):
        return []
    fields = {*query.group_by, *(condition.field for condition in query.filters)}
    return [level for level in LEVELS if fields <= level.askable and _buckets_are_whole_units(query, level)]


def _buckets_are_whole_units(query: Query, level: Level) -> bool:
    if query.calendar is None:
        return True
    if INTERVALS.index(query.calendar.interval) < INTERVALS.index(level.finest):
        return False
    pieces = buckets.pieces(query.calendar, query.from_us, query.to_us)
    cuts = (piece.to_us for piece in pieces[:-1])
    shifts = (piece.offset_seconds * 1_000_000 for piece in pieces)
    return all(moment_us % level.unit_us == 0 for moment_us in (*cuts, *shifts))


def _planned(query: Query, level: Level, dirty: Sequence[int]) -> Plan | None:
    start_us = -(-query.from_us // level.unit_us) * level.unit_us
    end_us = level.unit(query.to_us)
    if start_us >= end_us:
        return None
    rolled = joined(_without(start_us, end_us, dirty, level.unit_us))
    edges = [(query.from_us, min(start_us, query.to_us)), *_between(start_us, end_us, rolled), (end_us, query.to_us)]
    gaps = joined((gap_from, gap_to) for gap_from, gap_to in edges if gap_from < gap_to)
    return Plan(level, rolled, gaps) if rolled and len(gaps) <= MOST_GAPS else None


def _without(start_us: int, end_us: int, dirty: Iterable[int], unit_us: int) -> Iterable[Stretch]:
    """The stretches of [start_us, end_us) that are not dirty; `dirty` is in order."""
    at_us = start_us
    for unit in dirty:
        if start_us <= unit < end_us:
            if at_us < unit:
                yield at_us, unit
            at_us = unit + unit_us
    if at_us < end_us:
        yield at_us, end_us


def _between(start_us: int, end_us: int, rolled: Sequence[Stretch]) -> list[Stretch]:
    """What of [start_us, end_us) lies before, between and after those stretches."""
    edges = [start_us, *(edge for stretch in rolled for edge in stretch), end_us]
    return list(zip(edges[::2], edges[1::2], strict=True))


def joined(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same time in fewer stretches."""
    found: list[Stretch] = []
    for from_us, to_us in stretches:
        if found and found[-1][1] == from_us:
            found[-1] = (found[-1][0], to_us)
        else:
            found.append((from_us, to_us))
    return tuple(found)


def within(stretches: Sequence[tuple[int | Slot, int | Slot]]) -> exp.Expr:
    """Whether `started_at` lies in one of them, which are in order.

    The bounds of all of them stand before the rest: engines skip what lies outside of one range, not of several.
    """
    if not stretches:
        return exp.false()
    tests = [_inside(*stretch) for stretch in stretches]
    if len(tests) == 1:
        return tests[0]
    return exp.and_(_inside(stretches[0][0], stretches[-1][1]), exp.or_(*tests))


def _inside(start: int | Slot, end: int | Slot) -> exp.Expr:
    moment = exp.column("started_at", quoted=True)
    return exp.and_(moment >= moment_of(start), moment.copy() < moment_of(end))
