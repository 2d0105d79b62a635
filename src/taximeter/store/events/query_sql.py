"""A query as a statement that its reader can run and change: over `calls`, with its values written in.

It asks the events alone and says each measure as what it is, so it is not the statement that answers the query (see
`statements`), only one with the same rows. It differs in two things, which would be unreadable otherwise: shares and
amounts per call are divided as floating-point numbers, and percentiles are of the calls themselves, not of bins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlglot import expressions as exp

from taximeter.errors import UsageError
from taximeter.store.events import statements
from taximeter.store.events.query import TIME, Query
from taximeter.store.events.slots import Slots, moment_text
from taximeter.store.events.sql_check import MOST_CHARACTERS, WRITTEN_IN
from taximeter.store.events.statements import PLACE, WEIGHT, Shape
from taximeter.store.events.vocabulary import MEASURES, PERCENTILES, Measure, Part

ASKED: Final = "asked"
"""The calls of the query, with the keys of their group."""
RANKED: Final = "ranked"
"""The groups, with their place."""
PLACED: Final = "placed"
"""The calls, with the place that their group is shown at."""
OTHER: Final = "other"

_DATED: Final = ("day", "week", "month", "quarter", "year")
_MONEY_DIGITS: Final = 12
_FACTORS: Final = {"cost_per_1000_output_tokens_usd": 1000}


def query_sql(query: Query) -> str:
    """The statement, in the dialect of users' statements. Raises UsageError when it cannot be one."""
    if query.compare is not None:
        raise UsageError("a comparison is two statements", hint="ask for each time alone", field="compare")
    slots = Slots()
    shape = statements.shape_of(query, slots)
    are_placed = query.group_by and (query.limit or query.interval)
    tree = _spread(query, shape) if are_placed else _plain(query, shape)
    text = _written(tree, slots.values).sql(dialect=WRITTEN_IN, pretty=True)
    if len(text) > MOST_CHARACTERS:
        hint = "ask with fewer values in the filters, or a shorter range"
        raise UsageError(f"its SQL has more than {MOST_CHARACTERS} characters", hint=hint, field="filters")
    return text


# --- the two forms -------------------------------------------------------------------------------------------------


def _plain(query: Query, shape: Shape) -> exp.Select:
    """Groups with the measures of their calls, or buckets without groups."""
    fields = [statements.field_of(name) for name in shape.query.group_by]
    keys = [_named(field, name) for field, name in zip(fields, query.group_by, strict=True)]
    times = [_time_of(shape)] if query.interval is not None else []
    order = [_ordered(exp.column(TIME), descending=_is_latest_first(query)) for _ in times]
    if fields:
        order += _order_of_groups(query, _weight(query, fields), fields)
    select = exp.select(*(exp.alias_(time, TIME) for time in times), *keys, *_measures(query))
    select = statements.from_calls(select, shape)
    by = [*times, *fields]
    return select.group_by(*(one.copy() for one in by)).order_by(*order) if by else select


def _spread(query: Query, shape: Shape) -> exp.Select:
    """With a place for each group, over all its buckets; those behind the limit have one together."""
    keys = [exp.column(name) for name in shape.keys]
    place = exp.column(PLACE)
    select = exp.select(*([exp.column(TIME)] if query.interval is not None else []))
    is_rest = None if query.limit is None else place > exp.Literal.number(query.limit)
    for key, name in zip(keys, query.group_by, strict=True):
        select = select.select(exp.alias_(_unless(is_rest, exp.AnyValue(this=key)), name, quoted=True))
    select = select.select(*_measures(query)).from_(PLACED)
    if is_rest is not None:
        select = select.select(exp.alias_(is_rest.copy(), OTHER))
    by = [exp.column(TIME), place] if query.interval is not None else [place]
    order = [_ordered(one, descending=one.name == TIME and _is_latest_first(query)) for one in by]
    select = select.group_by(*by).order_by(*order)
    for name, step in ((ASKED, _asked(shape)), (RANKED, _ranked(query, keys)), (PLACED, _placed(query, keys))):
        select = select.with_(name, as_=step, copy=False)
    return select


def _unless(condition: exp.Expr | None, value: exp.Expr) -> exp.Expr:
    return value if condition is None else exp.Case(ifs=[exp.If(this=exp.not_(condition.copy()), true=value)])


def _asked(shape: Shape) -> exp.Select:
    pairs = zip(shape.query.group_by, shape.keys, strict=True)
    columns = [exp.alias_(statements.field_of(name), key) for name, key in pairs]
    if shape.query.interval is not None:
        columns.append(exp.alias_(_time_of(shape), TIME))
    return statements.from_calls(exp.select("*", *columns), shape)


def _ranked(query: Query, keys: Sequence[exp.Expr]) -> exp.Select:
    weight = _weight(query, keys)
    source = exp.select(*keys).from_(ASKED).group_by(*keys)
    if query.interval is not None and any(part.kind == "whole" for part in _ranking_parts(query)):
        # What does not add up weighs as its largest bucket.
        buckets = source.select(exp.alias_(weight, WEIGHT)).group_by(TIME)
        source = exp.select(*keys).from_(buckets.subquery("buckets")).group_by(*keys)
        weight = exp.Max(this=exp.column(WEIGHT))
    order = exp.Order(expressions=_order_of_groups(query, weight, keys))
    return source.select(exp.alias_(exp.Window(this=exp.RowNumber(), order=order), PLACE))


def _placed(query: Query, keys: Sequence[exp.Expr]) -> exp.Select:
    place: exp.Expr = exp.column(PLACE)
    if query.limit is not None:
        first, limit = exp.Literal.number(query.offset), exp.Literal.number(query.limit)
        here = exp.Sub(this=place, expression=first) if query.offset else place
        inside = exp.Between(this=here.copy(), low=exp.Literal.number(1), high=limit)
        place = exp.Case(ifs=[exp.If(this=inside, true=here)], default=exp.Literal.number(query.limit + 1))
    same = (exp.NullSafeEQ(this=exp.column(key.name, ASKED), expression=exp.column(key.name, RANKED)) for key in keys)
    calls = exp.Column(this=exp.Star(), table=exp.to_identifier(ASKED))
    return exp.select(calls, exp.alias_(place, PLACE)).from_(ASKED).join(RANKED, on=exp.and_(*same))


def _named(field: exp.Expr, name: str) -> exp.Expr:
    return field if field.name == name else exp.alias_(field, name, quoted=True)


# --- columns -------------------------------------------------------------------------------------------------------


def _time_of(shape: Shape) -> exp.Expr:
    """A bucket's start: of days and longer the date in the zone, else the moment in UTC."""
    start = statements.bucket_of(shape)
    return exp.cast(start, "DATE") if shape.query.interval in _DATED else start


def _is_latest_first(query: Query) -> bool:
    return query.order_by is not None and query.order_by.name == TIME and query.order_by.descending


def _order_of_groups(query: Query, weight: exp.Expr, keys: Sequence[exp.Expr]) -> list[exp.Expr]:
    """Groups of equal weight rank by their keys."""
    first = _ordered(weight, descending=statements.ranking_of(query).descending)
    return [first, *(_ordered(key) for key in keys)]


def _ordered(value: exp.Expr, *, descending: bool = False) -> exp.Expr:
    return exp.Ordered(this=value.copy(), desc=descending, nulls_first=False)


def _ranking_parts(query: Query) -> tuple[Part, ...]:
    measure = MEASURES.get(statements.ranking_of(query).name)
    return () if measure is None else measure.parts


def _weight(query: Query, keys: Sequence[exp.Expr]) -> exp.Expr:
    ranking = statements.ranking_of(query).name
    return _value(MEASURES[ranking]) if ranking in MEASURES else keys[query.group_by.index(ranking)]


def _measures(query: Query) -> list[exp.Expr]:
    return [exp.alias_(_value(MEASURES[name]), name) for name in dict.fromkeys(query.measures)]


def _value(measure: Measure) -> exp.Expr:
    """As `Measure.value` makes it of the parts."""
    parts = [_aggregate(part) for part in measure.parts]
    if measure.kind == "count":
        none = exp.Literal.number(0)
        return parts[0] if isinstance(parts[0], exp.Count) else exp.Coalesce(this=parts[0], expressions=[none])
    value = parts[0] if len(parts) == 1 else statements.quotient(parts[:-1], parts[-1])
    if measure.name in _FACTORS:
        value = exp.Mul(this=exp.Literal.number(_FACTORS[measure.name]), expression=value)
    if measure.money and measure.kind == "sum" and len(parts) > 1:
        value = exp.Round(this=value, decimals=exp.Literal.number(_MONEY_DIGITS))
    known = statements.cost_is_known(_aggregate)
    return exp.Case(ifs=[exp.If(this=known, true=value)]) if measure.money else value


def _aggregate(part: Part) -> exp.Expr:
    if part.name not in PERCENTILES:
        return statements.aggregate(part)
    timing, percent = PERCENTILES[part.name]
    return exp.PercentileDisc(this=exp.column(timing.column), expression=exp.Literal.number(f"0.{percent}"))


# --- words ---------------------------------------------------------------------------------------------------------


def _written(tree: exp.Expr, values: Sequence[Any]) -> exp.Expr:
    """With the values in their slots, and without quotes where a name needs none."""

    def written(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Parameter):
            return _literal(values[int(node.this.name) - 1])
        if isinstance(node, exp.Identifier) and _PLAIN.fullmatch(node.name):
            return exp.to_identifier(node.name, quoted=False)
        return node

    return tree.transform(written)


_PLAIN: Final = re.compile("[a-z][a-z0-9_]*")


def _literal(value: Any) -> exp.Expr:
    if isinstance(value, bool):
        return exp.true() if value else exp.false()
    if isinstance(value, int | Decimal):
        return exp.Literal.number(format(value, "f") if isinstance(value, Decimal) else value)
    if isinstance(value, datetime):
        return exp.cast(exp.Literal.string(moment_text(value)), exp.DataType.Type.TIMESTAMP)
    if isinstance(value, tuple):
        return exp.Array(expressions=[exp.Literal.string(text) for text in value])
    return exp.Literal.string(value)
