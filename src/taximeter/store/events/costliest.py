"""What the values of a dimension cost in two times, of those that cost most in either of them: in one statement.

A question for the first of each time, and one for those of the other, would add up all values six times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from sqlglot import expressions as exp

from taximeter.store.events import statements
from taximeter.store.events.answers import Found
from taximeter.store.events.query import Query
from taximeter.store.events.rollups import Standing, plan
from taximeter.store.events.slots import Slots, Statement
from taximeter.store.events.statements import GroupsShape, Shape, key_name
from taximeter.store.events.vocabulary import COST

VALUE: Final = key_name(0)
_SIDE: Final = "side"
_BEFORE: Final = "before_usd"
_AFTER: Final = "after_usd"
_SIDES: Final = (_BEFORE, _AFTER)


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one value: USD; None where no call is priced, or none was made."""

    value: str | None
    before_usd: Decimal | None
    after_usd: Decimal | None


def ask_costliest(query: Query, run: Callable[[Statement], list[Found]], standing: Standing | None) -> list[Costs]:
    """Raises UsageError for a time of which not everything is kept that could say it."""
    return [Costs(row[VALUE], row[_BEFORE], row[_AFTER]) for row in run(_statement(query, standing))]


def _statement(query: Query, standing: Standing | None) -> Statement:
    then = query.compare
    assert then is not None
    slots = Slots()
    asked = statements.timeless(query, slots)
    before = replace(query, from_us=then.from_us, to_us=then.to_us)
    return slots.statement(_costliest, tuple(_side(asked, side, standing, slots) for side in (before, query)))


def _side(asked: Shape, query: Query, standing: Standing | None, slots: Slots) -> GroupsShape:
    found = None if standing is None else plan(query, (COST,), standing)
    if found is None:
        return GroupsShape(asked, gaps=statements.slotted([(query.from_us, query.to_us)], slots))
    rolled = tuple((level, statements.slotted(stretches, slots)) for level, stretches in found.rolled)
    return GroupsShape(asked, rolled, statements.slotted(found.gaps, slots))


def _costliest(sides: tuple[GroupsShape, GroupsShape]) -> exp.Select:
    value, limit = exp.column(VALUE), sides[0].asked.query.limit
    both = exp.union(*(_rows(name, side) for name, side in zip(_SIDES, sides, strict=True)), distinct=False)
    sums = exp.select(value, *map(_cost, _SIDES)).from_(both.subquery("both")).group_by(value.copy())
    select = exp.select(value.copy(), *map(exp.column, _SIDES)).from_("ranks")
    if limit is not None:
        select = select.where(exp.or_(*(_is_first(name, limit) for name in _SIDES)))
    ranks = exp.select("*", *map(_rank, _SIDES)).from_("sums")
    return select.with_("sums", as_=sums, copy=False).with_("ranks", as_=ranks, copy=False)


def _rows(name: str, side: GroupsShape) -> exp.Select:
    columns = (exp.column(VALUE), exp.column(COST.name, quoted=True), exp.alias_(exp.Literal.string(name), _SIDE))
    return exp.select(*columns).from_(statements.rows_of_levels(side, (COST,)).subquery("parts"))


def _cost(name: str) -> exp.Expr:
    on_this_side = exp.If(this=exp.column(_SIDE).eq(exp.Literal.string(name)), true=exp.column(COST.name, quoted=True))
    return exp.alias_(exp.Sum(this=exp.Case(ifs=[on_this_side])), name)


def _rank(name: str) -> exp.Expr:
    """Values that cost the same rank by themselves, so that an answer is the same every time."""
    order = [exp.Ordered(this=exp.column(name), desc=True, nulls_first=False)]
    order.append(exp.Ordered(this=exp.column(VALUE), desc=False, nulls_first=False))
    return exp.alias_(exp.Window(this=exp.RowNumber(), order=exp.Order(expressions=order)), _rank_name(name))


def _is_first(name: str, limit: int) -> exp.Expr:
    is_known = exp.not_(exp.column(name).is_(exp.null()))
    return exp.and_(is_known, exp.column(_rank_name(name)) <= exp.Literal.number(limit))


def _rank_name(side: str) -> str:
    return f"{side}_rank"
