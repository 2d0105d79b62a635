"""Percentiles from the roll-ups that say how many calls took how long, as statements of one timing (see `bins`).

What is not rolled up yet, or not in whole units, is counted from the events in the same statement. Columns: those of
the group, and a bin for each percentile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlglot import expressions as exp

from taximeter.store.events import statements
from taximeter.store.events.bins import BIN, bin_number
from taximeter.store.events.durations import Timing
from taximeter.store.events.query import Query
from taximeter.store.events.rollups import CALLS_IN_BIN, Level, Standing, plan_of_timing, within
from taximeter.store.events.slots import Slots, Statement
from taximeter.store.events.statements import CALLS, Keys, Shape, SlottedStretches
from taximeter.store.events.vocabulary import PERCENTILES, Part

_UNTIL, _EVERY = "until", "every"
_HUNDRED: Final = 100


def timings_of(parts: Sequence[Part]) -> dict[Timing, tuple[Part, ...]]:
    """The percentiles among these, by what is timed."""
    found: dict[Timing, tuple[Part, ...]] = {}
    for part in parts:
        if part.name in PERCENTILES:
            timing, _ = PERCENTILES[part.name]
            found[timing] = (*found.get(timing, ()), part)
    return found


@dataclass(frozen=True, slots=True)
class PercentilesShape:
    """`groups` are the keys of the groups that are meant, or, with `are_outside`, that are not; all of them without."""

    asked: Shape
    timing: Timing
    parts: tuple[Part, ...]
    rolled: tuple[tuple[Level, SlottedStretches], ...]
    gaps: SlottedStretches
    groups: Keys | None
    are_outside: bool

    @property
    def names(self) -> list[str]:
        """The columns of the group: calls outside of groups are told apart by their buckets alone."""
        return self.asked.group_names[len(self.asked.keys) :] if self.are_outside else self.asked.group_names


def shown(
    query: Query, timing: Timing, parts: Sequence[Part], standing: Standing, first: Sequence[Sequence[Any]] | None
) -> Statement | None:
    """As `statements.shown`; None when the events have to say it."""
    return _statement(query, timing, parts, standing, first, are_outside=False)


def rest(
    query: Query, timing: Timing, parts: Sequence[Part], standing: Standing, first: Sequence[Sequence[Any]]
) -> Statement | None:
    """As `statements.rest`; None when the events have to say it."""
    return _statement(query, timing, parts, standing, first, are_outside=True)


def whole(query: Query, timing: Timing, parts: Sequence[Part], standing: Standing) -> Statement | None:
    """As `statements.whole`; None when the events have to say it."""
    return _statement(statements.ungrouped(query), timing, parts, standing, None, are_outside=False)


def _statement(
    query: Query,
    timing: Timing,
    parts: Sequence[Part],
    standing: Standing,
    groups: Sequence[Sequence[Any]] | None,
    *,
    are_outside: bool,
) -> Statement | None:
    plan = plan_of_timing(query, timing, standing)
    if plan is None:
        return None
    slots = Slots()
    asked = statements.timeless(query, slots)
    rolled = tuple((level, statements.slotted(stretches, slots)) for level, stretches in plan.rolled)
    gaps = statements.slotted(plan.gaps, slots)
    keys = None if groups is None else tuple(statements.in_slots(slots, one) for one in groups)
    shape = PercentilesShape(asked, timing, tuple(parts), rolled, gaps, keys, are_outside)
    return slots.statement(_percentiles, shape)


def _percentiles(shape: PercentilesShape) -> exp.Select:
    names = [exp.column(name) for name in shape.names]
    calls = exp.Sum(this=exp.column(CALLS_IN_BIN.name, quoted=True))
    counted = exp.select(*names, exp.column(BIN), exp.alias_(calls, CALLS_IN_BIN.name, quoted=True))
    counted = counted.from_(_rows(shape).subquery("rows_of_bins")).group_by(*names, exp.column(BIN))
    running = exp.select(*names, exp.column(BIN), _running(shape, _UNTIL, in_order=True))
    running = running.select(_running(shape, _EVERY, in_order=False)).from_("counted")
    select = exp.select(*names, *(exp.alias_(_first_bin(part), part.name, quoted=True) for part in shape.parts))
    select = select.from_("running").with_("counted", as_=counted, copy=False).with_("running", as_=running, copy=False)
    return select.group_by(*names) if names else select


def _running(shape: PercentilesShape, name: str, *, in_order: bool) -> exp.Expr:
    """The calls of a group, or those of them that are in this bin or one before."""
    order = exp.Order(expressions=[exp.Ordered(this=exp.column(BIN))]) if in_order else None
    calls = exp.Sum(this=exp.column(CALLS_IN_BIN.name, quoted=True))
    window = exp.Window(this=calls, partition_by=[exp.column(name) for name in shape.names], order=order)
    return exp.alias_(window, name)


def _first_bin(part: Part) -> exp.Expr:
    """The nearest rank: the first bin with which there are enough calls."""
    _, percent = PERCENTILES[part.name]
    until, every = (
        exp.Mul(this=exp.column(name), expression=exp.Literal.number(times))
        for name, times in ((_UNTIL, _HUNDRED), (_EVERY, percent))
    )
    return exp.Min(this=exp.Case(ifs=[exp.If(this=exp.GTE(this=until, expression=every), true=exp.column(BIN))]))


def _rows(shape: PercentilesShape) -> exp.Query:
    """How many calls are in a bin of a group, in as many rows as there are."""
    asked = replace(shape.asked, query=replace(shape.asked.query, group_by=())) if shape.are_outside else shape.asked
    keys, counted = statements.key_columns(asked), exp.column(CALLS_IN_BIN.name, quoted=True)
    rows = [
        exp.select(*keys, exp.column(BIN, quoted=True), counted.copy()).from_(level.view).where(within(stretches))
        for level, stretches in shape.rolled
    ]
    if shape.gaps:
        took = exp.column(shape.timing.column, quoted=True)
        one = exp.alias_(exp.Literal.number(1), CALLS_IN_BIN.name, quoted=True)
        alone = exp.select(*keys, exp.alias_(bin_number(took), BIN, quoted=True), one).from_(CALLS)
        rows.append(alone.where(within(shape.gaps), exp.not_(took.is_(exp.null()))))
    filtered = [each.where(*statements.filters_of(shape.asked), *_of_groups(shape)) for each in rows]
    return exp.union(*filtered, distinct=False) if len(filtered) > 1 else filtered[0]


def _of_groups(shape: PercentilesShape) -> list[exp.Expr]:
    if shape.groups is None:
        return []
    test = statements.outside if shape.are_outside else statements.inside
    return [test(shape.asked.query, shape.groups)]
