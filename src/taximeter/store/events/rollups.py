"""Roll-ups: the sums of whole hours, days and weeks, kept beside the events that they are computed from; those of days
by each value of some dimensions alone; and how many calls of a day took how long, of which percentiles are told (see
`bins`).

For every unit of a level that is not *dirty*, the rows of the level are what adding up its events gives. An event that
comes, changes or goes makes its units dirty in the same transaction; a job adds dirty units up anew. So a roll-up is
never wrong, only sometimes not there, and everything in it can be thrown away.

The day and the week that have not ended may be kept *so far*, for users, of whom there are no sums by hour: the rows
are what the events before a full hour say, or the days before this one. An event that comes, changes or goes before
then ends this in the same transaction.

The planner takes a level only where it says exactly what the events say: all groups and filters are columns of it, all
measures add up, and buckets begin where its units do. A coarser level says in fewer rows what a finer one says: it is
taken for its whole units, the finer one for what is left. The rest of the time asked about, the edges and the dirty
units, is added up from the events in the same statement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlglot import expressions as exp

from taximeter.clock import rfc3339, to_unix_us
from taximeter.errors import UsageError
from taximeter.store.events import buckets
from taximeter.store.events.bins import BIN
from taximeter.store.events.durations import DURATION, FIRST_TOKEN, Timing
from taximeter.store.events.intervals import INTERVALS, Interval
from taximeter.store.events.query import Query
from taximeter.store.events.slots import Slot, moment_of
from taximeter.store.events.vocabulary import MODEL, MODEL_FAMILY, Part, sum_parts

_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US

DIMENSION: Final = "dimension"
"""The column that says which dimension a row is about."""

MOST_GAPS: Final = 64
"""Stretches of one statement that are read from the events; with more of them everything is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Sums by unit and `fields`, in the table `table`, asked through the view `view`, which has `model` too.

    A unit is an `interval` of UTC. `buckets` are the intervals whose buckets consist of whole units. A level that is
    coarser than another one, `of`, has the same fields and is added up from its rows. One of a `timing` counts the
    calls that have it, by their bins besides. One of dimensions `alone` adds all calls up once for each of them: a row
    says in the column `dimension` which one it is about, has its value, and no value of the others.
    """

    name: str
    interval: Interval
    unit_us: int
    buckets: tuple[Interval, ...]
    fields: tuple[str, ...]
    first_us: int = 0
    """The start of a unit, any one."""
    of: Level | None = None
    timing: Timing | None = None
    alone: tuple[str, ...] = ()
    about: str | None = None
    """The one of these whose rows are meant."""
    goes_with: str | None = None
    """The name of what it is kept as long as, where not its own."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is added up: the columns besides the start of the unit (`started_at`) and the keys."""
        return PARTS if self.timing is None else (CALLS_IN_BIN,)

    @property
    def keys(self) -> tuple[str, ...]:
        """What rows are told apart by, besides the start of the unit."""
        if self.alone:
            return (DIMENSION, *self.alone, *self.fields)
        return self.fields if self.timing is None else (*self.fields, BIN)

    @property
    def table(self) -> str:
        return f"rollup_{self.name}"

    @property
    def view(self) -> str:
        return f"rolled_{self.name}"

    @property
    def askable(self) -> frozenset[str]:
        """What can be grouped and filtered by."""
        named = (MODEL, MODEL_FAMILY) if "response_model" in self.fields else ()
        return frozenset((*self.fields, *named, *((self.about,) if self.about else ())))

    @property
    def rows(self) -> exp.Expr | None:
        """Which rows of the view are meant, where not all."""
        if self.about is None:
            return None
        return exp.column(DIMENSION, quoted=True).eq(exp.Literal.string(self.about))

    def unit(self, moment_us: int) -> int:
        """The start of the unit that a moment lies in."""
        return moment_us - (moment_us - self.first_us) % self.unit_us

    def next_unit(self, moment_us: int) -> int:
        """The first start of a unit that is not before a moment."""
        return self.unit(moment_us + self.unit_us - 1)

    @property
    def kept_as(self) -> str:
        """The name of what goes at the same age: a coarser level is no reason to keep anything longer."""
        return self.goes_with or (self.name if self.of is None else self.of.kept_as)


# Fields of few values: each one multiplies the rows. With tenants, prompt versions and endpoints an hour of a million
# events in ninety days had as many rows as events.
HOURS: Final = Level(
    name="hours",
    interval="hour",
    unit_us=_HOUR_US,
    buckets=INTERVALS[INTERVALS.index("hour") :],
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
    name="user_days",
    interval="day",
    unit_us=_DAY_US,
    buckets=INTERVALS[INTERVALS.index("day") :],
    fields=("user_id", "team", "tenant", "environment"),
)
# Most users of a day come every day: a week has hardly more rows than one of its days.
USER_WEEKS: Final = Level(
    name="user_weeks",
    interval="week",
    unit_us=7 * _DAY_US,
    first_us=4 * _DAY_US,  # the first Monday, 5 January 1970
    buckets=("week",),
    fields=USER_DAYS.fields,
    of=USER_DAYS,
)
SUMS: Final = (HOURS, USER_DAYS, USER_WEEKS)
"""The levels of sums by several dimensions, in the order in which they are tried, fewer rows first."""

# Together these would make as many rows as there are events, each alone it is as many as it has values. By model, since
# what a value cost is not understood without; where a price is missing, since questions may leave such calls out.
VALUE_DAYS: Final = Level(
    name="value_days",
    interval="day",
    unit_us=_DAY_US,
    buckets=USER_DAYS.buckets,
    fields=("request_model", "response_model", "unpriced_reason"),
    alone=(
        "environment",
        "team",
        "feature",
        "endpoint",
        "service_version",
        "prompt_version",
        "api_key_id",
        "tenant",
    ),
    goes_with=HOURS.name,
)
ALONE: Final = tuple(replace(VALUE_DAYS, about=name) for name in VALUE_DAYS.alone)
"""The same level as it is asked, by one dimension; those of fewer values first, since all of them say a total."""


def _timed(timing: Timing) -> Level:
    # Of days, since an hour has hardly fewer rows than a day; without reasons, which calls that take time seldom have.
    return Level(
        name=f"{timing.name}_days",
        interval="day",
        unit_us=_DAY_US,
        buckets=USER_DAYS.buckets,
        fields=tuple(name for name in HOURS.fields if name != "unpriced_reason"),
        timing=timing,
        goes_with=HOURS.name,
    )


# By user a day has about half as many rows as events. Of the time to the first token, which pages do not tell by user,
# there would be as many again.
USER_DURATION_DAYS: Final = Level(
    name="user_duration_days",
    interval="day",
    unit_us=_DAY_US,
    buckets=USER_DAYS.buckets,
    fields=USER_DAYS.fields,
    timing=DURATION,
    goes_with=USER_DAYS.name,
)
TIMED: Final = (*(_timed(timing) for timing in (DURATION, FIRST_TOKEN)), USER_DURATION_DAYS)
"""Those that say percentiles; of one timing those of fewer rows first."""

LEVELS: Final = (*SUMS, VALUE_DAYS, *TIMED)
"""In the order in which they are added up: a coarser one after the one that it is of."""

PARTS: Final[tuple[Part, ...]] = sum_parts()
"""What levels of sums have."""

CALLS_IN_BIN: Final = Part("calls", "sum")
"""What levels of a timing have."""

Dirty = Collection[tuple[str, int]]
"""Level and start of the units that have to be added up anew, microseconds since the epoch."""

KEPT_SO_FAR: Final = (USER_DAYS, USER_WEEKS, USER_DURATION_DAYS)
"""The levels of which the unit that has not ended is added up as well: sums of users by hour would be nearly as many as
there are events. A coarser one after the one that it is of."""

SO_FAR_EVERY_US: Final = 600_000_000
"""It is added up again at most so often, however many late events come: each time all events of the unit are read."""


@dataclass(frozen=True, slots=True)
class SoFar:
    """Until when a unit that has not ended is added up (its own start: not at all), and until when events were settled
    when it last was."""

    until_us: int
    made_before_us: int


Stretch = tuple[int, int]
"""A time [from_us, to_us)."""

Stretches = tuple[Stretch, ...]
"""In order, without one in two."""

EVENTS: Final = "events"
"""The name of the events where levels are named, as of what is kept for how long."""

OUTCOMES: Final = "outcomes"
"""The name of the outcomes there."""


def tables_of(name: str) -> tuple[str, ...]:
    """The tables of what is kept for the same time: of the events, or of a level and those that are coarser."""
    return ("events",) if name == EVENTS else tuple(level.table for level in LEVELS if level.kept_as == name)


@dataclass(frozen=True, slots=True)
class Standing:
    """How roll-ups stand in a snapshot: what is dirty, from when on events and levels are still kept (by name,
    microseconds since the epoch; what is not named is kept for ever), and which of the dirty units are kept so far."""

    dirty: Dirty = ()
    kept_from: Mapping[str, int] = field(default_factory=dict)
    so_far: Mapping[tuple[str, int], SoFar] = field(default_factory=dict)

    def has_events(self, stretches: Sequence[Stretch]) -> bool:
        """Whether all events of this time are still kept."""
        return not stretches or stretches[0][0] >= self.kept_from.get(EVENTS, 0)

    def clean(self, level: Level, stretches: Iterable[Stretch]) -> Stretches:
        """The whole units of a level in this time that are kept, and not dirty."""
        dirty = sorted(start for name, start in self.dirty if name == level.name)
        kept_us = self._kept_from_us(level)
        whole = [(level.next_unit(max(from_us, kept_us)), level.unit(to_us)) for from_us, to_us in stretches]
        return joined(piece for from_us, to_us in whole for piece in _without(from_us, to_us, dirty, level.unit_us))

    def begun(self, level: Level, stretches: Sequence[Stretch]) -> list[Stretch]:
        """What of units of a level is kept so far, and lies in this time as a whole."""
        kept_us = self._kept_from_us(level)
        begun = [(start_us, one.until_us) for (name, start_us), one in self.so_far.items() if name == level.name]
        return [one for one in begun if kept_us <= one[0] < one[1] and any(_is_in(one, each) for each in stretches)]

    def added_up(self, level: Level, stretches: Sequence[Stretch]) -> Stretches:
        """What of this time the rows of a level say."""
        return joined(sorted((*self.clean(level, stretches), *self.begun(level, stretches))))

    def _kept_from_us(self, level: Level) -> int:
        return max(self.kept_from.get(name, 0) for name in (level.kept_as, level.name))


def _is_in(one: Stretch, other: Stretch) -> bool:
    return other[0] <= one[0] and one[1] <= other[1]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which stretches of a query's time come from which level, and which from the events; together they are all of
    it."""

    rolled: tuple[tuple[Level, Stretches], ...]
    gaps: Stretches


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
    for levels in _fitting(query, parts):
        found = _planned(query, levels, standing)
        if found is not None and standing.has_events(found.gaps):
            return found
    if not standing.has_events([(query.from_us, query.to_us)]):
        raise _no_longer_kept(standing)
    return None


def _no_longer_kept(standing: Standing) -> UsageError:
    kept = rfc3339(standing.kept_from[EVENTS])
    hint = "ask from then on, or for sums of whole hours or days by " + ", ".join(HOURS.fields)
    return UsageError(f"events from before {kept} are no longer kept", hint=hint, field="from", kept_from=kept)


def _fitting(query: Query, parts: Sequence[Part]) -> list[list[Level]]:
    """The levels that can answer, each after those that are coarser."""
    if any(part not in PARTS for part in parts):
        return []
    fitting = [level for level in SUMS if _fits(query, level)]
    by_several = [[*(one for one in fitting if one.of == level), level] for level in fitting if level.of is None]
    alone = next((level for level in ALONE if _fits(query, level)), None)
    # Where days end, hours go on: hardly anything is left to the events.
    return by_several if alone is None else [[alone, *next(iter(by_several), [])], *by_several]


def _fits(query: Query, level: Level) -> bool:
    fields = {*query.group_by, *(condition.field for condition in query.filters)}
    return fields <= level.askable and _buckets_are_whole_units(query, level)


def plan_alone(query: Query, standing: Standing | None) -> tuple[Stretches, Stretches]:
    """Which days of a question by each of some dimensions alone come from the roll-up, and what from the events.

    Raises UsageError for a time of which not everything is kept that could say it.
    """
    every: Stretches = ((query.from_us, query.to_us),)
    if standing is None:
        return (), every
    named = {condition.field for condition in query.filters}
    days = standing.clean(VALUE_DAYS, every) if named <= VALUE_DAYS.askable else ()
    gaps = joined(_between(*every[0], days))
    if len(gaps) > MOST_GAPS:
        days, gaps = (), every
    if not standing.has_events(gaps):
        raise _no_longer_kept(standing)
    return days, gaps


def plan_of_timing(query: Query, timing: Timing, standing: Standing) -> Plan | None:
    """The roll-up that says how many calls of each group took how long, or None when the events do."""
    for level in TIMED:
        if level.timing == timing and _fits(query, level):
            found = _planned(query, [level], standing)
            if found is not None and standing.has_events(found.gaps):
                return found
    return None


def _buckets_are_whole_units(query: Query, level: Level) -> bool:
    if query.calendar is None:
        return True
    if query.calendar.interval not in level.buckets:
        return False
    pieces = buckets.pieces(query.calendar, query.from_us, query.to_us)
    cuts_fit = all(level.unit(piece.to_us) == piece.to_us for piece in pieces[:-1])
    return cuts_fit and all(piece.offset_seconds * 1_000_000 % level.unit_us == 0 for piece in pieces)


def _planned(query: Query, levels: Sequence[Level], standing: Standing) -> Plan | None:
    rolled: list[tuple[Level, Stretches]] = []
    left: Stretches = ((query.from_us, query.to_us),)
    for level in levels:
        if stretches := standing.added_up(level, left):
            rolled.append((level, stretches))
            left = joined(gap for stretch in left for gap in _between(*stretch, stretches))
    return Plan(tuple(rolled), left) if rolled and len(left) <= MOST_GAPS else None


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


def _between(start_us: int, end_us: int, rolled: Sequence[Stretch]) -> Iterable[Stretch]:
    """What of [start_us, end_us) lies before, between and after those of the stretches that lie in it."""
    inside = [stretch for stretch in rolled if start_us <= stretch[0] < end_us]
    edges = [start_us, *(edge for stretch in inside for edge in stretch), end_us]
    return ((from_us, to_us) for from_us, to_us in zip(edges[::2], edges[1::2], strict=True) if from_us < to_us)


def joined(stretches: Iterable[Stretch]) -> Stretches:
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
