"""One question by several dimensions, each of them alone: what every value of each adds up to, by model.

As many questions would read the events as many times. Here they are read once: added up by all of the dimensions
together, and those sums once more for each of them. Whole days come from the roll-up that is made in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlglot import expressions as exp

from taximeter.errors import UsageError
from taximeter.store.events import statements
from taximeter.store.events.answers import Found
from taximeter.store.events.query import MOST_ROWS, Query
from taximeter.store.events.rollups import DIMENSION, VALUE_DAYS, Standing, plan_alone, within
from taximeter.store.events.slots import Slots, Statement
from taximeter.store.events.statements import CALLS, RANK, WEIGHT, Shape, SlottedStretches, over_rows
from taximeter.store.events.vocabulary import MEASURES, MODEL, Part

DIMENSIONS: Final = VALUE_DAYS.alone
"""Those that can be asked about so."""

VALUE: Final = "value"
OTHER: Final = "other"
_SHOWN: Final = "is_shown"
_SHOWN_VALUE: Final = "shown_value"
_SHOWN_MODEL: Final = "shown_model"


def each_alone(
    together: exp.Select, dimensions: Sequence[str], beside: Sequence[str], parts: Sequence[Part]
) -> exp.Select:
    """Sums by several dimensions and the columns `beside` them, added up once for each of these dimensions: a row says
    in the column `dimension` which one it is about, has its value, and no value of the others."""
    about = exp.column(DIMENSION, quoted=True)
    each = [exp.select(exp.alias_(exp.Literal.string(name), DIMENSION, quoted=True)) for name in dimensions]
    values = {name: _of_its_own(name) for name in dimensions}
    keys = [*(exp.column(name, quoted=True) for name in beside), about]
    alone = exp.select(*keys, *(exp.alias_(value, name, quoted=True) for name, value in values.items()))
    alone = alone.from_(together.subquery("together"))
    alone = alone.join(_united(each).subquery("dimensions"), join_type="cross")
    alone = alone.select(*(exp.alias_(over_rows(part), part.name, quoted=True) for part in parts))
    return alone.group_by(*(key.copy() for key in (*keys, *values.values())))


def _of_its_own(name: str) -> exp.Expr:
    is_about = exp.column(DIMENSION, quoted=True).eq(exp.Literal.string(name))
    return exp.Case(ifs=[exp.If(this=is_about, true=exp.column(name, "together", quoted=True))])


# --- the question --------------------------------------------------------------------------------------------------


def ask_alone(query: Query, run: Callable[[Statement], list[Found]], standing: Standing | None) -> list[dict[str, Any]]:
    """The rows. Raises UsageError when there are too many."""
    found = run(_statement(query, standing))
    if len(found) > MOST_ROWS:
        raise UsageError(f"the answer has more than {MOST_ROWS} rows", hint="give a limit", field="limit")
    return [_row(query, row) for row in found]


def _row(query: Query, found: Found) -> dict[str, Any]:
    keys = {DIMENSION: found[DIMENSION], VALUE: found[_SHOWN_VALUE], MODEL: found[_SHOWN_MODEL]}
    measured = {name: MEASURES[name].value(found) for name in query.measures}
    return {**keys, **measured} if found[_SHOWN] else {**keys, **measured, OTHER: True}


@dataclass(frozen=True, slots=True)
class AloneShape:
    """`days` come from the roll-up, the `gaps` from the events."""

    asked: Shape
    days: SlottedStretches
    gaps: SlottedStretches


def _statement(query: Query, standing: Standing | None) -> Statement:
    days, gaps = plan_alone(query, standing)
    slots = Slots()
    asked = statements.timeless(query, slots)
    shape = AloneShape(asked, statements.slotted(days, slots), statements.slotted(gaps, slots))
    return slots.statement(_alone, shape)


def _alone(shape: AloneShape) -> exp.Select:
    query = shape.asked.query
    parts = statements.parts_of(query)
    keys = [exp.column(name) for name in (DIMENSION, VALUE, MODEL)]
    sums = (
        exp.select(*keys, *_summed(parts)).from_(_united(list(_rows(shape, parts))).subquery("every")).group_by(*keys)
    )
    folded = exp.select(exp.column(DIMENSION), *_shown(query)).from_("ranks").limit(MOST_ROWS + 1)
    folded = folded.select(*_summed(parts)).group_by(DIMENSION, _SHOWN, _SHOWN_VALUE, _SHOWN_MODEL)
    for name, step in (("sums", sums), ("weighed", _weighed(query)), ("ranks", _ranked())):
        folded = folded.with_(name, as_=step, copy=False)
    return folded


def _united(rows: Sequence[exp.Select]) -> exp.Query:
    return exp.union(*rows, distinct=False) if len(rows) > 1 else rows[0]


def _summed(parts: Sequence[Part]) -> list[exp.Expr]:
    return [exp.alias_(over_rows(part), part.name, quoted=True) for part in parts]


def _rows(shape: AloneShape, parts: Sequence[Part]) -> Iterator[exp.Select]:
    dimensions = shape.asked.query.group_by
    values = [exp.column(name, quoted=True) for name in dimensions]
    value = values[0] if len(values) == 1 else exp.Coalesce(this=values[0], expressions=values[1:])
    columns = [exp.column(DIMENSION, quoted=True), exp.alias_(value, VALUE), exp.column(MODEL, quoted=True)]
    columns += [exp.column(part.name, quoted=True) for part in parts]
    filters = statements.filters_of(shape.asked)
    if shape.days:
        about = exp.column(DIMENSION, quoted=True).isin(*(exp.Literal.string(name) for name in dimensions))
        yield exp.select(*columns).from_(VALUE_DAYS.view).where(within(shape.days), about, *filters)
    if shape.gaps:
        keys = [exp.column(name, quoted=True) for name in (*dimensions, MODEL)]
        sums = [exp.alias_(statements.aggregate(part), part.name, quoted=True) for part in parts]
        together = exp.select(*keys, *sums).from_(CALLS).where(within(shape.gaps), *filters).group_by(*keys)
        alone = each_alone(together, dimensions, (MODEL,), parts)
        yield exp.select(*(column.copy() for column in columns)).from_(alone.subquery("alone"))


def _weighed(query: Query) -> exp.Select:
    """By the first measure, of a value over all models."""
    part = MEASURES[query.measures[0]].parts[0]
    weight = exp.Window(this=over_rows(part), partition_by=[exp.column(name) for name in (DIMENSION, VALUE)])
    return exp.select("*", exp.alias_(weight, WEIGHT)).from_("sums")


def _ranked() -> exp.Select:
    order = [exp.Ordered(this=exp.column(WEIGHT), desc=True, nulls_first=False)]
    order.append(exp.Ordered(this=exp.column(VALUE), desc=False, nulls_first=False))
    rank = exp.Window(this=exp.DenseRank(), partition_by=[exp.column(DIMENSION)], order=exp.Order(expressions=order))
    return exp.select("*", exp.alias_(rank, RANK)).from_("weighed")


def _shown(query: Query) -> list[exp.Expr]:
    """Whether a row is of a value that has rows of its own, and that value and the model."""
    every = exp.true() if query.limit is None else exp.column(RANK) <= exp.Literal.number(query.limit)
    named = ((VALUE, _SHOWN_VALUE), (MODEL, _SHOWN_MODEL))
    keys = [
        exp.alias_(exp.Case(ifs=[exp.If(this=every.copy(), true=exp.column(name))]), shown) for name, shown in named
    ]
    return [exp.alias_(every, _SHOWN), *keys]
