"""The statements that make roll-ups, and that prove them: one tree for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlglot import expressions as exp

from taximeter.store.events import buckets
from taximeter.store.events.families import family
from taximeter.store.events.intervals import Calendar
from taximeter.store.events.rollups import (
    EVENTS,
    HOURS,
    LEVELS,
    PARTS,
    USER_DAYS,
    Dirty,
    Level,
    Standing,
    Stretch,
    within,
)
from taximeter.store.events.statements import CALLS, aggregate
from taximeter.store.events.vocabulary import MODEL, MODEL_FAMILY

START: Final = "started_at"
"""The start of a unit, UTC: named as in `calls`, so that the same conditions and buckets fit both."""


def columns(level: Level) -> tuple[str, ...]:
    """The columns of a level's table."""
    return (START, *level.fields, *(part.name for part in PARTS))


def added_up(level: Level, stretches: Sequence[Stretch]) -> exp.Select:
    """The rows of a level for whole units, from the events."""
    calendar = Calendar("day" if level.finest == "day" else "hour", "UTC")
    unit = buckets.bucket(exp.column(START, CALLS, quoted=True), calendar, stretches[0][0], stretches[-1][1])
    select = exp.select(exp.alias_(unit, "unit"), *(exp.column(name, quoted=True) for name in level.fields))
    select = select.select(*(exp.alias_(aggregate(part), part.name, quoted=True) for part in PARTS))
    grouped = select.from_(CALLS).where(within(stretches)).group_by("unit", *level.fields)
    named = [exp.alias_(exp.column("unit"), START, quoted=True), *_quoted(columns(level)[1:])]
    return exp.select(*named).from_(grouped.subquery("sums"))


def kept(level: Level, stretches: Sequence[Stretch]) -> exp.Select:
    """The rows of a level as they are."""
    return exp.select(*_quoted(columns(level))).from_(level.view).where(within(stretches))


def differences(level: Level, stretches: Sequence[Stretch]) -> exp.Select:
    """The starts of the units whose rows are not what the events say."""
    events, rows = added_up(level, stretches), kept(level, stretches)
    missing = exp.except_(events, rows, distinct=False)
    wrong = exp.except_(rows.copy(), events.copy(), distinct=False)
    sides = [exp.select("*").from_(side.subquery(name)) for side, name in ((missing, "missing"), (wrong, "wrong"))]
    both = exp.union(sides[0], sides[1], distinct=False)
    return exp.select(exp.column(START, quoted=True)).distinct().from_(both.subquery("differing"))


def viewed(level: Level, table: exp.Expr) -> exp.Select:
    """What queries ask: the rows of a level, with the model where it is known."""
    return with_model(table) if MODEL in level.askable else exp.select("*").from_(table)


def with_model(table: exp.Expr) -> exp.Select:
    """All columns, `model` and `model_family`."""
    model = exp.Coalesce(this=exp.column("response_model"), expressions=[exp.column("request_model")])
    return exp.select("*", exp.alias_(model, MODEL), exp.alias_(family(model), MODEL_FAMILY)).from_(table)


def units_of(starts_us: Iterable[int]) -> set[tuple[str, int]]:
    """The units of every level that these moments lie in."""
    hours = {HOURS.unit(start_us) for start_us in starts_us}
    return {(level.name, level.unit(hour_us)) for hour_us in hours for level in LEVELS}


def clean(standing: Standing, level: Level, day_us: int) -> list[Stretch]:
    """The clean units of a day, UTC, that begins at `day_us`, as far as its events are kept."""
    first_us = max(day_us, standing.kept_from.get(EVENTS, day_us))
    units = range(first_us, day_us + USER_DAYS.unit_us, level.unit_us)
    return [(unit, unit + level.unit_us) for unit in units if (level.name, unit) not in standing.dirty]


def due(dirty: Dirty, level: Level, before_us: int, most: int) -> list[Stretch]:
    """The first dirty units of a level that have ended before a moment, as stretches."""
    starts = sorted(start for name, start in dirty if name == level.name and start + level.unit_us <= before_us)
    return [(start, start + level.unit_us) for start in starts[:most]]


def _quoted(names: Iterable[str]) -> list[exp.Expr]:
    return [exp.column(name, quoted=True) for name in names]
