"""The statements that make roll-ups, and that prove them: one tree for every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import expressions as exp

from taximeter.store.events import buckets
from taximeter.store.events.alone import each_alone
from taximeter.store.events.bins import BIN, bin_number
from taximeter.store.events.families import family
from taximeter.store.events.intervals import Calendar, Interval
from taximeter.store.events.rollups import (
    EVENTS,
    HOURS,
    LEVELS,
    SO_FAR_EVERY_US,
    USER_DAYS,
    Level,
    Standing,
    Stretch,
    joined,
    within,
)
from taximeter.store.events.slots import Slot, Slots, Statement
from taximeter.store.events.statements import CALLS, aggregate, over_rows
from taximeter.store.events.vocabulary import MODEL, MODEL_FAMILY

START: Final = "started_at"
"""The start of a unit, UTC: named as in `calls`, so that the same conditions and buckets fit both."""

_SIDE: Final = "side"
_UNIT: Final = "unit"


def columns(level: Level) -> tuple[str, ...]:
    """The columns of a level's table."""
    return (START, *level.keys, *(part.name for part in level.parts))


@dataclass(frozen=True, slots=True)
class UnitsShape:
    """Of what is said about whole units of a level."""

    level: Level
    units: tuple[tuple[Slot, Slot], ...]


def _about(build: Callable[[UnitsShape], exp.Query], level: Level, stretches: Sequence[Stretch]) -> Statement:
    slots = Slots()
    units = tuple((slots.moment(from_us), slots.moment(to_us)) for from_us, to_us in joined(stretches))
    return slots.statement(build, UnitsShape(level, units))


def added_up(level: Level, stretches: Sequence[Stretch]) -> Statement:
    """The rows of a level for whole units, from the events or from the finer level."""
    return _about(_added_up, level, stretches)


def differences(level: Level, stretches: Sequence[Stretch]) -> Statement:
    """The starts of the units whose rows are not what the events, or the rows of the finer level, say."""
    return _about(_differences, level, stretches)


def no_rows(level: Level) -> exp.Select:
    """The columns of a level, with no row: what its table is made of."""
    return _sums(level, [(0, 1)]).limit(0)


def _added_up(shape: UnitsShape) -> exp.Select:
    return _sums(shape.level, shape.units)


def _differences(shape: UnitsShape) -> exp.Select:
    """Rows of both sides together, each counted for its side: the events are added up once."""
    names = columns(shape.level)
    sides = [
        exp.select(*_quoted(names), exp.alias_(exp.Literal.number(weight), _SIDE)).from_(side.subquery(name))
        for name, side, weight in (("said", _added_up(shape), 1), ("kept", _kept(shape), -1))
    ]
    both = exp.union(sides[0], sides[1], distinct=False).subquery("sides")
    alone = exp.select(*_quoted(names)).from_(both).group_by(*_quoted(names)).having(_on_one_side())
    return exp.select(exp.column(START, quoted=True)).distinct().from_(alone.subquery("differing"))


def _on_one_side() -> exp.Expr:
    return exp.Sum(this=exp.column(_SIDE)).neq(exp.Literal.number(0))


def _sums(level: Level, stretches: Sequence[tuple[int | Slot, int | Slot]]) -> exp.Select:
    source, sums = (CALLS, aggregate) if level.of is None else (level.of.view, over_rows)
    fields = (*level.alone, *level.fields)
    select = exp.select(exp.alias_(_unit(level, source), _UNIT), *_quoted(fields)).from_(source)
    select = select.where(within(stretches)).group_by(_UNIT, *_quoted(fields))
    if level.timing is not None:
        took = exp.column(level.timing.column, quoted=True)
        select = select.select(exp.alias_(bin_number(took), BIN, quoted=True)).where(exp.not_(took.is_(exp.null())))
        select = select.group_by(BIN)
    grouped = select.select(*(exp.alias_(sums(part), part.name, quoted=True) for part in level.parts))
    if level.alone:
        grouped = each_alone(grouped, level.alone, (_UNIT, *level.fields), level.parts)
    named = [exp.alias_(exp.column(_UNIT), START, quoted=True), *_quoted(columns(level)[1:])]
    return exp.select(*named).from_(grouped.subquery("sums"))


def _unit(level: Level, source: str) -> exp.Expr:
    calendar = Calendar(level.interval, "UTC")
    start = buckets.bucket(exp.column(START, source, quoted=True), calendar, buckets.clock_changes(calendar, 0, 1))
    return exp.cast(start, exp.DataType.Type.TIMESTAMP)  # engines make a date of a week


def _kept(shape: UnitsShape) -> exp.Select:
    """The rows of a level as they are."""
    return exp.select(*_quoted(columns(shape.level))).from_(shape.level.view).where(within(shape.units))


def viewed(level: Level, table: exp.Expr) -> exp.Select:
    """What queries ask: the rows of a level, with the model where it is known."""
    return with_model(table) if MODEL in level.askable else exp.select("*").from_(table)


def with_model(table: exp.Expr) -> exp.Select:
    """All columns, `model` and `model_family`."""
    return exp.select("*", exp.alias_(model(), MODEL), exp.alias_(family(model()), MODEL_FAMILY)).from_(table)


def model() -> exp.Expr:
    """The one that answered, where that is known."""
    return exp.Coalesce(this=exp.column("response_model"), expressions=[exp.column("request_model")])


def units_of(starts_us: Iterable[int]) -> set[tuple[str, int]]:
    """The units of every level that these moments lie in."""
    hours = {HOURS.unit(start_us) for start_us in starts_us}
    return {(level.name, level.unit(hour_us)) for hour_us in hours for level in LEVELS}


def turns_in(level: Level) -> tuple[Interval, Sequence[str]]:
    """What proves a level turn by turn: a day, or a unit that is longer; and where anything that is in one stands."""
    if level.of is None:
        return USER_DAYS.interval, (EVENTS, *(one.view for one in LEVELS if one.of is None))
    return level.interval, (level.of.view, level.view)


def clean(standing: Standing, level: Level, start_us: int) -> list[Stretch]:
    """The clean units in the day, UTC, that begins at `start_us`, or in the unit itself where that is longer, and those
    that are kept so far; as far as what they are added up from is kept."""
    source = EVENTS if level.of is None else level.of.kept_as
    first_us = max(start_us, standing.kept_from.get(source, start_us))
    turn = [(first_us, start_us + max(USER_DAYS.unit_us, level.unit_us))]
    return [*_units(level, standing.clean(level, turn)), *standing.begun(level, turn)]


def due(standing: Standing, level: Level, before_us: int) -> list[Stretch]:
    """The dirty units of a level that have ended before a moment, in order; of a coarser level those that the finer one
    can say as a whole."""
    starts = sorted(start for name, start in standing.dirty if name == level.name)
    ended = [(start, start + level.unit_us) for start in starts if start + level.unit_us <= before_us]
    if level.of is None:
        return ended
    return [stretch for stretch in ended if standing.clean(level.of, [stretch]) == (stretch,)]


def due_so_far(standing: Standing, level: Level, before_us: int) -> Stretch | None:
    """What of the unit that a moment lies in is to be added up before it has ended: until the last full hour or, of a
    coarser level, the last unit of the finer one, when that can say it; not soon after the last time."""
    stretch = start_us, until_us = level.unit(before_us), (level.of or HOURS).unit(before_us)
    if until_us == start_us or (level.name, start_us) not in standing.dirty:
        return None
    made = standing.so_far.get((level.name, start_us))
    if made is not None and (made.until_us >= until_us or before_us < made.made_before_us + SO_FAR_EVERY_US):
        return None
    if level.of is not None and standing.clean(level.of, [stretch]) != (stretch,):
        return None
    return stretch


def _units(level: Level, stretches: Iterable[Stretch]) -> list[Stretch]:
    return [
        (start_us, start_us + level.unit_us) for stretch in stretches for start_us in range(*stretch, level.unit_us)
    ]


def _quoted(names: Iterable[str]) -> list[exp.Expr]:
    return [exp.column(name, quoted=True) for name in names]
