"""Queries as statements: one sqlglot tree, rendered in the dialect of the engine.

Values from outside, and names of tags, stand beside the tree (see `slots`): it holds nothing that users said.

A query becomes up to four statements:

1. `groups`: every part that adds up, by group and bucket. Groups behind the limit are folded into one by the
   statement itself, so that the rows of the answer are all the calls there are.
2. `shown` (only when roll-ups answer the first and the query wants percentiles or distinct users): those, by group and
   bucket. Otherwise they stand in the first one.
3. `rest` (only when the query wants such and groups were folded): those, over the calls of the folded groups.
4. `whole` (only when it wants such, and has more than one row): those, over all calls.

Each of 2 to 4 comes from the events; percentiles from roll-ups where those say them, in a statement of their own for
each timing (see `percentiles`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from sqlglot import expressions as exp

from taximeter.core.cost import COMPONENTS
from taximeter.core.outcome import OUTCOME
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.store.events import buckets
from taximeter.store.events.bins import bin_number
from taximeter.store.events.columns import OUTCOME_FACTS
from taximeter.store.events.durations import BOUNDS_MS, LONGEST_MS, TIMINGS, Timing
from taximeter.store.events.filters import Condition
from taximeter.store.events.query import MOST_ROWS, TIME, EventQuery, Order, OutcomeQuery, Query
from taximeter.store.events.repricing import DERIVATION, NO_AMOUNT
from taximeter.store.events.rollups import OUTCOMES, Level, Standing, Stretch, plan, within
from taximeter.store.events.slots import Slot, Slots, Statement, placed
from taximeter.store.events.vocabulary import (
    COST,
    COST_MEASURES,
    COVERAGE,
    FAILED,
    MEASURES,
    PERCENTILES,
    TAG_PREFIX,
    UNPRICED,
    Part,
)

LATE_SECONDS: Final = 300
MOST_SLOTS: Final = 100
"""Values of one condition that have a slot each, by which the engines pass over what cannot have them. More are one
list, looked up by its hashes: a text of thousands of slots takes longer to read than the events."""

EACH_OF: Final = "unnest"
"""A list as rows. Not sqlglot's own node, which becomes a search through the list for every row."""

"""A call is late when the store got it more than this after it began."""

BUCKET: Final = "bucket"
PLACE: Final = "place"
RANK: Final = "ranked"
WEIGHT: Final = "weight"
SHOWN: Final = "shown"
CALLS: Final = "calls"
"""The view that is asked."""


def key_name(index: int) -> str:
    """The column of the answer that holds the dimension at `index`."""
    return f"key_{index}"


# --- parts ---------------------------------------------------------------------------------------------------------


def parts_of(query: Query) -> tuple[Part, ...]:
    """Every part the query needs, once each."""
    ranking = ranking_of(query).name
    measures = [MEASURES[name] for name in (*query.measures, ranking) if name in MEASURES]
    wanted = [part for measure in measures for part in measure.parts]
    if any(measure.money for measure in measures):
        wanted.append(COST)
    return tuple(dict.fromkeys((*wanted, *COVERAGE)))


def ranking_of(query: Query) -> Order:
    """What decides which groups are first."""
    if query.order_by is None or query.order_by.name == TIME:
        return Order(query.measures[0], True)
    return query.order_by


_SUMMED_COLUMNS: Final = (*TOKEN_CLASSES, "cost_usd", "cache_read_saving_usd", "cache_write_surcharge_usd")


def aggregate(part: Part) -> exp.Expr:
    """A part over events."""
    name = part.name
    if name in PERCENTILES:
        timing, percent = PERCENTILES[name]
        return exp.WithinGroup(
            this=exp.PercentileDisc(this=exp.Literal.number(f"0.{percent}")),
            expression=exp.Order(expressions=[exp.Ordered(this=bin_number(_column(timing.column)))]),
        )
    if name in _SUMMED_COLUMNS:
        return exp.Sum(this=_column(name))
    if name in _SOME_OF_A_SUM:
        column, condition = _SOME_OF_A_SUM[name]
        return exp.Sum(this=exp.Case(ifs=[exp.If(this=condition(), true=_column(column))]))
    if name in COST_MEASURES:
        return exp.Sum(this=exp.Dot(this=_column("cost"), expression=exp.to_identifier(COST_MEASURES[name])))
    return _COUNTS[name]()


def _calls_with(condition: exp.Expr) -> exp.Expr:
    return exp.Count(this=exp.Case(ifs=[exp.If(this=condition, true=exp.Literal.number(1))]))


def _has_status(*statuses: str) -> exp.Expr:
    return exp.In(this=_column("status"), expressions=[exp.Literal.string(status) for status in statuses])


def _is_retry() -> exp.Expr:
    return _column("attempt") > exp.Literal.number(1)


def _is_priced() -> exp.Expr:
    return exp.not_(_unpriced())


_SOME_OF_A_SUM: Final[dict[str, tuple[str, Callable[[], exp.Expr]]]] = {
    "retry_cost_usd": ("cost_usd", _is_retry),
    "failed_cost_usd": ("cost_usd", lambda: _has_status(*FAILED)),
    "cancelled_cost_usd": ("cost_usd", lambda: _has_status("cancelled")),
    "priced_output_tokens": ("output_tokens", _is_priced),
}
"""Part → the column that is summed, and over which calls."""


def _late() -> exp.Expr:
    bound = exp.Interval(this=exp.Literal.string(str(LATE_SECONDS)), unit=exp.var("SECOND"))
    return _calls_with(_column("ingested_at") > exp.Add(this=_column("started_at"), expression=bound))


def _tokens() -> exp.Expr:
    zero = exp.Literal.number(0)
    read, written = (
        exp.Coalesce(this=_column(name), expressions=[zero.copy()]) for name in ("input_tokens", "output_tokens")
    )
    return exp.Add(this=read, expression=written)


def _unpriced() -> exp.Expr:
    return _column("cost_usd").is_(exp.null())


def _cache_saving() -> exp.Expr:
    saved, surcharge = _column("cache_read_saving_usd"), _column("cache_write_surcharge_usd")
    return exp.Sum(this=exp.Sub(this=saved, expression=surcharge))


_COUNTS: Final[dict[str, Callable[[], exp.Expr]]] = {
    "calls": lambda: exp.Count(this=exp.Star()),
    "priced_calls": lambda: exp.Count(this=_column("cost_usd")),
    "total_tokens": lambda: exp.Sum(this=_tokens()),
    "errors": lambda: _calls_with(_has_status("error")),
    "failed_calls": lambda: _calls_with(_has_status(*FAILED)),
    "cancelled_calls": lambda: _calls_with(_has_status("cancelled")),
    "refused": lambda: _calls_with(_has_status("refused")),
    "cached_calls": lambda: _calls_with(_has_status("cached")),
    "retries": lambda: _calls_with(_is_retry()),
    "calls_telling_input": lambda: exp.Count(this=_column("input_tokens")),
    "calls_telling_output": lambda: exp.Count(this=_column("output_tokens")),
    "unpriced_calls": lambda: _calls_with(_unpriced()),
    "unpriced_tokens": lambda: exp.Sum(this=exp.Case(ifs=[exp.If(this=_unpriced(), true=_tokens())])),
    "estimated_calls": lambda: _calls_with(_column("usage_estimated")),
    "late_calls": _late,
    "cache_hits": lambda: _calls_with(_column("cache_read_tokens") > exp.Literal.number(0)),
    "calls_with_input": lambda: _calls_with(_column("input_tokens") > exp.Literal.number(0)),
    "cache_saving_usd": _cache_saving,
    "first_seen": lambda: exp.Min(this=_column("started_at")),
    "last_seen": lambda: exp.Max(this=_column("started_at")),
    "users": lambda: exp.Count(this=exp.Distinct(expressions=[_column("user_id")])),
}


# --- columns and conditions ----------------------------------------------------------------------------------------


def _column(name: str) -> exp.Expr:
    return exp.column(name, quoted=True)


def field_of(name: str) -> exp.Expr:
    """A dimension of a shape, where a tag is named by its slot."""
    if name.startswith(TAG_PREFIX):
        tag = Slot(int(name.removeprefix(TAG_PREFIX)))
        return exp.Bracket(this=_column("tags"), expressions=[placed(tag)])
    return _column(name)


def _value(field: str, value: Any) -> exp.Expr:
    """A value of a condition on `field`, in the slot where it is kept."""
    assert isinstance(value, Slot)
    return exp.cast(placed(value), exp.DataType.Type.UUID) if field == "event_id" else placed(value)


def _condition(condition: Condition) -> exp.Expr:
    field = field_of(condition.field)
    if condition.operator == "exists":
        unset = field.is_(exp.null())
        return exp.not_(unset) if condition.values[0] else unset
    if condition.operator == "in":
        return _one_of(condition)
    if condition.operator == "not":
        return exp.not_(exp.Coalesce(this=exp.paren(_one_of(condition)), expressions=[exp.false()]))
    value = _value(condition.field, condition.values[0])
    if condition.operator in ("contains", "not_contains"):
        contains = exp.StrPosition(this=field, substr=value) > exp.Literal.number(0)
        if condition.operator == "contains":
            return contains
        return exp.not_(exp.Coalesce(this=exp.paren(contains), expressions=[exp.false()]))
    return _COMPARISONS[condition.operator](this=field, expression=value)


_COMPARISONS: Final = {">": exp.GT, ">=": exp.GTE, "<": exp.LT, "<=": exp.LTE}


def _one_of(condition: Condition) -> exp.Expr:
    """Whether the field is among the values; never SQL's "unknown" when None is among them."""
    named = [value for value in condition.values if value is not None]
    tests: list[exp.Expr] = []
    if named and isinstance(named[0], Slot) and named[0].many:
        texts = exp.cast(placed(named[0]), exp.DataType.build("VARCHAR[]"))
        each = exp.select(exp.Anonymous(this=EACH_OF, expressions=[texts]))
        tests.append(exp.In(this=field_of(condition.field), query=each.subquery()))
    elif named:
        values = [_value(condition.field, value) for value in named]
        tests.append(exp.In(this=field_of(condition.field), expressions=values))
    if None in condition.values:
        tests.append(field_of(condition.field).is_(exp.null()))
    return exp.or_(*tests) if tests else exp.false()


def filters_of(shape: Shape | PageShape) -> list[exp.Expr]:
    return [_condition(condition) for condition in shape.filters]


def _conditions(shape: Shape | PageShape) -> list[exp.Expr]:
    """Those of the filters and of the time."""
    conditions = filters_of(shape)
    if shape.start is not None:
        conditions.append(_column("started_at") >= placed(shape.start))
    if shape.end is not None:
        conditions.append(_column("started_at") < placed(shape.end))
    return conditions


# --- shapes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a query decides about the text of a statement. `query` has no filters and stands for any time; `start`
    and `end` are the slots of its own where that is asked as a whole, `clock_changes` those of its zone in it."""

    query: Query
    filters: tuple[Condition, ...]
    start: Slot | None
    end: Slot | None
    clock_changes: tuple[buckets.Span, ...] = ()

    @property
    def keys(self) -> list[str]:
        return [key_name(index) for index in range(len(self.query.group_by))]

    @property
    def group_names(self) -> list[str]:
        """The columns that rows are grouped by."""
        return [*self.keys, BUCKET] if self.query.interval is not None else self.keys


def shape_of(query: Query, slots: Slots) -> Shape:
    """With the whole time of the query."""
    start, end = slots.moment(query.from_us), slots.moment(query.to_us)
    return replace(timeless(query, slots), start=start, end=end)


def timeless(query: Query, slots: Slots) -> Shape:
    calendar = query.calendar
    changes = () if calendar is None else buckets.clock_changes(calendar, query.from_us, query.to_us)
    at_any_time = replace(
        query,
        from_us=0,
        to_us=1,
        filters=(),
        compare=None,
        group_by=tuple(_dimension(name, slots) for name in query.group_by),
        order_by=query.order_by and replace(query.order_by, name=_dimension(query.order_by.name, slots)),
    )
    return Shape(at_any_time, _filters(query.filters, slots), None, None, changes)


def _dimension(name: str, slots: Slots) -> str:
    if not name.startswith(TAG_PREFIX):
        return name
    return f"{TAG_PREFIX}{slots.name(name.removeprefix(TAG_PREFIX)).number}"


def _filters(filters: Iterable[Condition], slots: Slots) -> tuple[Condition, ...]:
    return tuple(_with_slots(condition, slots) for condition in filters)


def _with_slots(condition: Condition, slots: Slots) -> Condition:
    field = _dimension(condition.field, slots)
    if condition.operator == "exists":
        return replace(condition, field=field)
    named = tuple(value for value in condition.values if isinstance(value, str))
    if len(named) > MOST_SLOTS and field != "event_id":
        unset = (None,) if None in condition.values else ()
        return replace(condition, field=field, values=(slots.many(named), *unset))
    return replace(condition, field=field, values=in_slots(slots, condition.values))


def in_slots(slots: Slots, values: Iterable[Any]) -> tuple[Slot | None, ...]:
    """What is not set has no slot: SQL asks for it in other words."""
    return tuple(None if value is None else _in_slot(slots, value) for value in values)


def _in_slot(slots: Slots, value: Any) -> Slot:
    return slots.number(value) if isinstance(value, Decimal) else slots.of(value)


def slotted(stretches: Iterable[Stretch], slots: Slots) -> SlottedStretches:
    return tuple((slots.moment(from_us), slots.moment(to_us)) for from_us, to_us in stretches)


SlottedStretches = tuple[tuple[Slot, Slot], ...]
Keys = tuple[tuple[Slot | None, ...], ...]
"""The keys of groups, each a slot or None."""


@dataclass(frozen=True, slots=True)
class GroupsShape:
    """Of `groups`. With nothing `rolled` all comes from the events; `first` are the keys of groups whose places are
    given."""

    asked: Shape
    rolled: tuple[tuple[Level, SlottedStretches], ...] = ()
    gaps: SlottedStretches = ()
    first: Keys | None = None


# --- statements ----------------------------------------------------------------------------------------------------


def groups(query: Query, standing: Standing | None = None, first: Sequence[Sequence[Any]] | None = None) -> Statement:
    """Columns: `place` (from 1; limit + 1 is the folded rest), `ranked` (the last rank in it), `key_N`, `bucket`, and
    one for each part. `first` are the keys of the groups that have the first places, in another time than they were
    ranked in. Without `standing`, only events are read."""
    found = None if standing is None else plan(query, parts_of(query), standing)
    slots = Slots()
    if found is None:
        shape = GroupsShape(shape_of(query, slots))
    else:
        rolled = tuple((level, slotted(stretches, slots)) for level, stretches in found.rolled)
        shape = GroupsShape(timeless(query, slots), rolled, slotted(found.gaps, slots))
    if first is not None:
        shape = replace(shape, first=tuple(in_slots(slots, keys) for keys in first))
    return slots.statement(_groups, shape)


def _groups(shape: GroupsShape) -> exp.Select:
    query, keys, first = shape.asked.query, shape.asked.keys, shape.first
    parts = parts_of(query)
    if not _is_placed_first(shape):
        return _with_ranks(_folded(query, parts, keys), shape, parts)
    if first is not None:
        return _by_place(shape, parts, _given_places(first))
    columns = (exp.column(name) for name in (*keys, PLACE))
    shown = exp.select(*columns).from_("placed").where(exp.column(PLACE) < _place_of_others(query))
    groups = exp.select(exp.Max(this=exp.column(RANK))).from_("placed").subquery()
    return _with_ranks(_by_place(shape, parts, shown, groups), shape, _parts_of_rank(query))


def _with_ranks(select: exp.Select, shape: GroupsShape, weighing: Sequence[Part]) -> exp.Select:
    """With the steps that give each group its place, by what it weighs."""
    query, first = shape.asked.query, shape.first
    rank = _rank(query, shape.asked.keys) if first is None else _given_rank(query, first)
    ranked = exp.select("*", exp.alias_(rank, RANK)).from_("weighed")
    place = _place(query) if first is None else exp.column(RANK)
    placed = exp.select("*", exp.alias_(place, PLACE)).from_("ranks")
    steps = (("grouped", _grouped(shape, weighing)), ("weighed", _weighed(shape.asked, weighing)), ("ranks", ranked))
    for name, step in (*steps, ("placed", placed)):
        select = select.with_(name, as_=step, copy=False)
    return select


def _is_placed_first(shape: GroupsShape) -> bool:
    """Whether groups get their places before all the rest is added up, for those that are shown alone: of 50,000 users
    this takes a third to two thirds of the time. Of few groups it takes longer, and where all comes from the events it
    would read them twice."""
    query = shape.asked.query
    few_of_many = _OF_MANY_VALUES in query.group_by and query.limit is not None
    return bool(shape.rolled) and few_of_many and query.interval is None and shape.first != ()


_OF_MANY_VALUES: Final = "user_id"
"""The field of a level that makes many groups."""


def _parts_of_rank(query: Query) -> tuple[Part, ...]:
    """What decides about the weight of a group."""
    measure = MEASURES.get(ranking_of(query).name)
    if measure is None:
        return ()
    return tuple(dict.fromkeys((*measure.parts, COST, UNPRICED) if measure.money else measure.parts))


def _by_place(shape: GroupsShape, parts: Sequence[Part], shown: exp.Query, last: exp.Expr | None = None) -> exp.Select:
    """As `_folded`: the parts of the groups that are `shown`, by their keys and places, and of the others together.
    `last` is the last rank of all groups, their places without."""
    query, keys = shape.asked.query, shape.asked.keys
    same = exp.and_(*(exp.NullSafeEQ(this=exp.column(key, "parts"), expression=exp.column(key, SHOWN)) for key in keys))
    # Of what is not shown the one engine says that its place is null, the other one that it is 0.
    unseen = exp.Nullif(this=exp.column(PLACE, SHOWN), expression=exp.Literal.number(0))
    place = exp.Coalesce(this=unseen, expressions=[_place_of_others(query)])
    select = exp.select(exp.alias_(place, PLACE), exp.alias_(last or place.copy(), RANK))
    select = select.select(*(exp.alias_(exp.AnyValue(this=exp.column(key, SHOWN)), key) for key in keys))
    select = select.select(*(_refolded(part) for part in parts))
    rows = rows_of_levels(shape, parts).subquery("parts")
    return select.from_(rows).join(shown.subquery(SHOWN), on=same, join_type="left").group_by(place.copy())


def _place_of_others(query: Query) -> exp.Expr:
    """The place of all groups that are not shown."""
    assert query.limit is not None
    return exp.Literal.number(query.limit + 1)


def _given_places(first: Keys) -> exp.Query:
    """Groups with the places that they have."""
    each = [
        exp.select(exp.alias_(exp.Literal.number(place), PLACE), *(_given_key(*key) for key in enumerate(keys)))
        for place, keys in enumerate(first, start=1)
    ]
    return exp.union(*each, distinct=False) if len(each) > 1 else each[0]


def _given_key(index: int, key: Slot | None) -> exp.Expr:
    value = exp.null() if key is None else placed(key)
    return exp.alias_(exp.cast(value, exp.DataType.Type.VARCHAR), key_name(index))


def _grouped(shape: GroupsShape, parts: Sequence[Part]) -> exp.Query:
    """Rows by group and bucket. With levels and without buckets they are as they stand in the levels: the next step
    groups them, and once is enough."""
    asked = shape.asked
    if not shape.rolled:
        return _by_group(asked, from_calls(_added_up(asked, parts), asked))
    rows = rows_of_levels(shape, parts)
    if asked.query.interval is None:
        return rows
    columns = (*(exp.column(name) for name in asked.group_names), *(_refolded(part) for part in parts))
    return _by_group(asked, exp.select(*columns).from_(rows.subquery("parts")))


def rows_of_levels(shape: GroupsShape, parts: Sequence[Part]) -> exp.Query:
    """The rows of the levels and the events in the gaps, as they are: with the keys of their group, and the parts."""
    keys, filters = key_columns(shape.asked), filters_of(shape.asked)
    sums = exp.select(*keys, *(_column(part.name) for part in parts))
    sources = [sums.copy().from_(level.view).where(level.rows, within(stretches)) for level, stretches in shape.rolled]
    if shape.gaps:
        alone = exp.select(*keys, *(exp.alias_(_of_one_call(part), part.name, quoted=True) for part in parts))
        sources.append(alone.from_(CALLS).where(within(shape.gaps)))
    rows = [source.where(*filters) for source in sources]
    return exp.union(*rows, distinct=False) if len(rows) > 1 else rows[0]


def _of_one_call(part: Part) -> exp.Expr:
    """What one call adds to a part that adds up."""
    total = aggregate(part)
    added: exp.Expr = total.this
    if isinstance(total, exp.Sum):
        return added
    if isinstance(added, exp.Star):
        return exp.Literal.number(1)
    none = exp.If(this=added.is_(exp.null()), true=exp.Literal.number(0))
    return exp.Case(ifs=[none], default=exp.Literal.number(1))


def _added_up(shape: Shape, parts: Sequence[Part]) -> exp.Select:
    return exp.select(*key_columns(shape), *(exp.alias_(aggregate(part), part.name, quoted=True) for part in parts))


def _by_group(shape: Shape, select: exp.Select) -> exp.Select:
    names = shape.group_names
    return select.group_by(*(exp.column(name) for name in names)) if names else select


def key_columns(shape: Shape) -> list[exp.Expr]:
    columns = [exp.alias_(field_of(name), key_name(index)) for index, name in enumerate(shape.query.group_by)]
    if shape.query.interval is not None:
        columns.append(exp.alias_(bucket_of(shape), BUCKET))
    return columns


def bucket_of(shape: Shape) -> exp.Expr:
    assert shape.query.calendar is not None
    return buckets.bucket(_column("started_at"), shape.query.calendar, shape.clock_changes)


def from_calls(select: exp.Select, shape: Shape) -> exp.Select:
    return select.from_(exp.to_table(CALLS)).where(*_conditions(shape))


def _weighed(shape: Shape, parts: Sequence[Part]) -> exp.Select:
    """Rows with the weight of their group. Without buckets a group becomes one row here, which is much cheaper than a
    window over it."""
    query, keys = shape.query, shape.keys
    ranking = ranking_of(query)
    if query.interval is not None:
        weight = _over_group(ranking, query, lambda part: _window(part, keys))
        return exp.select("*", exp.alias_(weight, WEIGHT)).from_("grouped")
    columns: list[exp.Expr] = [exp.column(key) for key in keys]
    weight = exp.alias_(_over_group(ranking, query, over_rows), WEIGHT)
    return _by_group(shape, exp.select(*columns, *(_refolded(part) for part in parts), weight).from_("grouped"))


def _over_group(ranking: Order, query: Query, total: Callable[[Part], exp.Expr]) -> exp.Expr:
    """What a group weighs, over all its buckets. Percentiles weigh as their largest bucket."""
    if ranking.name not in MEASURES:
        return exp.column(key_name(query.group_by.index(ranking.name)))
    measure = MEASURES[ranking.name]
    weights = [total(part) for part in measure.parts]
    weight = weights[0] if len(weights) == 1 else quotient(weights[:-1], weights[-1])
    return exp.Case(ifs=[exp.If(this=cost_is_known(total), true=weight)]) if measure.money else weight


def quotient(some: Sequence[exp.Expr], divisor: exp.Expr) -> exp.Expr:
    """The sum of `some` by `divisor`; null without one."""
    none = exp.Literal.number(0)
    first, *others = [exp.Coalesce(this=one, expressions=[none.copy()]) for one in some]
    total: exp.Expr = first
    for other in others:
        total = exp.Add(this=total, expression=other)
    return exp.Div(this=exp.paren(total), expression=exp.Nullif(this=divisor, expression=none))


def cost_is_known(total: Callable[[Part], exp.Expr]) -> exp.Expr:
    """What `vocabulary.cost_is_known` decides for a row, for a group over all its buckets."""
    none = exp.Literal.number(0)
    return exp.or_(total(COST).neq(none), total(UNPRICED).eq(none.copy()))


def _window(part: Part, keys: Sequence[str]) -> exp.Expr:
    return exp.Window(this=over_rows(part), partition_by=[exp.column(key) for key in keys])


def over_rows(part: Part) -> exp.Expr:
    """A part over rows that are sums already, such as those of a level."""
    function = exp.Sum if part.kind == "sum" else exp.Max
    return function(this=exp.column(part.name, quoted=True))


def _rank(query: Query, keys: Sequence[str]) -> exp.Expr:
    """Groups of equal weight rank by their keys, so that an answer is the same every time."""
    if not keys:
        return exp.Literal.number(1)
    descending = ranking_of(query).descending
    order = [exp.Ordered(this=exp.column(WEIGHT), desc=descending, nulls_first=False)]
    order += [exp.Ordered(this=exp.column(key), desc=False, nulls_first=False) for key in keys]
    return exp.Window(this=exp.DenseRank(), order=exp.Order(expressions=order))


def _given_rank(query: Query, first: Keys) -> exp.Expr:
    assert query.limit is not None
    last = exp.Literal.number(query.limit + 1)
    case = exp.Case(default=last)
    for place, keys in enumerate(first, start=1):
        case = case.when(_has_keys(query, keys), exp.Literal.number(place))
    return case if first else last


def _has_keys(query: Query, keys: Sequence[Slot | None]) -> exp.Expr:
    columns = [exp.column(key_name(index)) for index in range(len(keys))]
    pairs = zip(query.group_by, columns, keys, strict=True)
    return exp.and_(
        *(column.is_(exp.null()) if key is None else column.eq(_value(name, key)) for name, column, key in pairs)
    )


def _place(query: Query) -> exp.Expr:
    """The rank among those that are shown, from 1; what is not shown is together at limit + 1."""
    rank = exp.column(RANK)
    if query.limit is None or not query.group_by:
        return rank
    shown = exp.and_(
        rank > exp.Literal.number(query.offset), rank.copy() <= exp.Literal.number(query.offset + query.limit)
    )
    place = exp.Sub(this=rank.copy(), expression=exp.Literal.number(query.offset))
    return exp.Case(ifs=[exp.If(this=shown, true=place)], default=exp.Literal.number(query.limit + 1))


def _folded(query: Query, parts: Sequence[Part], keys: Sequence[str]) -> exp.Select:
    by = [PLACE, BUCKET] if query.interval is not None else [PLACE]
    select = exp.select(*by).from_("placed").group_by(*by).limit(MOST_ROWS + 1)
    select = select.select(exp.alias_(exp.Max(this=exp.column(RANK)), RANK))
    # A place holds one group, so its keys are any of its keys; the folded rest is recognised by its place.
    select = select.select(*(exp.alias_(exp.AnyValue(this=exp.column(key)), key) for key in keys))
    return select.select(*(_refolded(part) for part in parts))


def _refolded(part: Part) -> exp.Expr:
    return exp.alias_(over_rows(part), part.name, quoted=True)


def whole(query: Query, parts: Sequence[Part]) -> Statement:
    """The parts over all calls of the query: one row."""
    slots = Slots()
    return slots.statement(_whole, WholeShape(shape_of(ungrouped(query), slots), tuple(parts)))


def ungrouped(query: Query) -> Query:
    """The same calls as one: the name of a tag would have no slot."""
    return replace(query, group_by=(), order_by=None, interval=None)


def shown(query: Query, parts: Sequence[Part], first: Sequence[Sequence[Any]] | None) -> Statement:
    """The parts by group and bucket, over the calls of the groups `first` (their keys), or of all of them."""
    slots = Slots()
    asked = shape_of(query, slots)
    keys = None if first is None else tuple(in_slots(slots, one) for one in first)
    return slots.statement(_shown, ShownShape(asked, tuple(parts), keys))


def rest(query: Query, parts: Sequence[Part], first: Sequence[Sequence[Any]]) -> Statement:
    """The parts over the calls outside of the groups `first` (their keys), by bucket when there is an interval."""
    slots = Slots()
    asked = shape_of(query, slots)
    keys = tuple(in_slots(slots, one) for one in first)
    return slots.statement(_rest, WholeShape(asked, tuple(parts), keys))


@dataclass(frozen=True, slots=True)
class WholeShape:
    """Of `whole` and `rest`."""

    asked: Shape
    parts: tuple[Part, ...]
    first: Keys = ()


@dataclass(frozen=True, slots=True)
class ShownShape:
    """Of `shown`."""

    asked: Shape
    parts: tuple[Part, ...]
    first: Keys | None


def _shown(shape: ShownShape) -> exp.Select:
    select = _by_group(shape.asked, from_calls(_added_up(shape.asked, shape.parts), shape.asked))
    return select if shape.first is None else select.where(inside(shape.asked.query, shape.first))


def _whole(shape: WholeShape) -> exp.Select:
    columns = (exp.alias_(aggregate(part), part.name, quoted=True) for part in shape.parts)
    return from_calls(exp.select(*columns), shape.asked)


def _rest(shape: WholeShape) -> exp.Select:
    query = shape.asked.query
    select = _whole(shape).where(outside(query, shape.first))
    if query.interval is None:
        return select
    return select.select(exp.alias_(bucket_of(shape.asked), BUCKET)).group_by(BUCKET)


def outside(query: Query, first: Keys) -> exp.Expr:
    """Whether a call is of none of these groups."""
    within_them = inside(query, first)
    return exp.not_(exp.Coalesce(this=exp.paren(within_them), expressions=[exp.false()]))


def inside(query: Query, first: Keys) -> exp.Expr:
    """Whether a call is of one of these groups."""
    if len(query.group_by) == 1:  # a list of values is looked up, a chain of comparisons gone through
        return _one_of(Condition(query.group_by[0], "in", tuple(key for (key,) in first)))
    return exp.or_(*(_is_group(query, keys) for keys in first)) if first else exp.false()


def _is_group(query: Query, keys: Sequence[Slot | None]) -> exp.Expr:
    return exp.and_(*(_one_of(Condition(name, "in", (key,))) for name, key in zip(query.group_by, keys, strict=True)))


@dataclass(frozen=True, slots=True)
class PageShape:
    """Of a page of events. `before` are the slots of the start and the id of the last event of the page before,
    `came` those of the bounds of `ingested_at`."""

    filters: tuple[Condition, ...]
    start: Slot | None
    end: Slot | None
    before: tuple[Slot, Slot] | None
    limit: int
    came: tuple[Slot | None, Slot | None]
    columns: tuple[str, ...] = ()


def _page_shape(query: EventQuery, before: tuple[int, str] | None, slots: Slots) -> PageShape:
    start, end = _bounds(slots, query.from_us, query.to_us)
    after = None if before is None else (slots.moment(before[0]), slots.of(before[1]))
    came = _bounds(slots, query.ingested_from_us, query.ingested_to_us)
    return PageShape(_filters(query.filters, slots), start, end, after, query.limit, came)


def _bounds(slots: Slots, from_us: int | None, to_us: int | None) -> tuple[Slot | None, Slot | None]:
    start, end = (None if bound_us is None else slots.moment(bound_us) for bound_us in (from_us, to_us))
    return start, end


def events(query: EventQuery, before: tuple[int, str] | None) -> Statement:
    """A page of records and one more; `before` is the start and the id of the last event of the page before."""
    slots = Slots()
    columns = dict.fromkeys(("event_id", "started_at", *query.columns, "cost_usd"))
    return slots.statement(_events, replace(_page_shape(query, before, slots), columns=tuple(columns)))


def _events(shape: PageShape) -> exp.Select:
    return _page(exp.select(*(_column(name) for name in shape.columns)), shape)


def derivations(query: EventQuery, before: tuple[int, str] | None) -> Statement:
    """A page of what costs were derived from, as `events`; the columns are those of `repricing.DERIVATION`."""
    slots = Slots()
    return slots.statement(_derivations, _page_shape(query, before, slots))


def _derivations(shape: PageShape) -> exp.Select:
    special = {"event_id": _as_text(_column("event_id")), "amounts": _amounts()}
    columns = (exp.alias_(special.get(name) or _column(name), name, quoted=True) for name in DERIVATION)
    return _page(exp.select(*columns), shape)


@dataclass(frozen=True, slots=True)
class OutcomesShape:
    """Of `outcomes`. Dimensions have slots for tags; `conditions` are the filters, and the names that are wanted."""

    group_by: tuple[str, ...]
    conditions: tuple[Condition, ...]
    start: Slot
    end: Slot


def outcomes(query: OutcomeQuery) -> Statement:
    """One row a name and group: `outcome`, `key_N`, `outcomes`, `valued_outcomes`, `value_usd`; one row more than an
    answer may have."""
    slots = Slots()
    named = (Condition("name", "in", query.outcomes),) if query.outcomes else ()
    shape = OutcomesShape(
        tuple(_dimension(name, slots) for name in query.group_by),
        _filters((*query.filters, *named), slots),
        slots.moment(query.from_us),
        slots.moment(query.to_us),
    )
    return slots.statement(_outcomes, shape)


def _outcomes(shape: OutcomesShape) -> exp.Select:
    keys = [exp.alias_(field_of(name), key_name(index)) for index, name in enumerate(shape.group_by)]
    value, moment = _column("value_usd"), _column(OUTCOME_FACTS.moment)
    counted = {"outcomes": exp.Count(this=exp.Star()), "valued_outcomes": exp.Count(this=value)}
    sums = [exp.alias_(count, name) for name, count in counted.items()]
    select = exp.select(exp.alias_(_column("name"), OUTCOME), *keys, *sums)
    select = select.select(exp.alias_(exp.Sum(this=value.copy()), "value_usd")).from_(exp.to_table(OUTCOMES))
    within_time = (moment >= placed(shape.start), moment.copy() < placed(shape.end))
    select = select.where(*(_condition(condition) for condition in shape.conditions), *within_time)
    groups = (exp.column(name) for name in (OUTCOME, *(key_name(index) for index in range(len(shape.group_by)))))
    return select.group_by(*groups).limit(MOST_ROWS + 1)


def durations(query: Query) -> Statement:
    """One row a group: `key_N`, and the columns `durations.COUNTED`."""
    slots = Slots()
    return slots.statement(_durations, shape_of(query, slots))


def _durations(shape: Shape) -> exp.Select:
    counts: dict[str, exp.Expr] = {"calls": exp.Count(this=exp.Star())}
    for timing in TIMINGS:
        counts.update(_counted(timing))
    columns = (exp.alias_(count, name, quoted=True) for name, count in counts.items())
    return _by_group(shape, from_calls(exp.select(*key_columns(shape), *columns), shape))


def _counted(timing: Timing) -> Iterator[tuple[str, exp.Expr]]:
    took, nothing, longest = _column(timing.column), exp.Literal.number(0), exp.Literal.number(LONGEST_MS)
    edges = pairwise((*(exp.Literal.number(bound) for bound in BOUNDS_MS), longest))
    first = exp.and_(took >= nothing, took.copy() <= exp.Literal.number(BOUNDS_MS[0]))
    others = (exp.and_(took.copy() > above, took.copy() <= until.copy()) for above, until in edges)
    for name, inside in zip(timing.buckets, (first, *others), strict=True):
        yield name, _calls_with(inside)
    valid = exp.and_(took.copy() >= nothing.copy(), took.copy() <= longest.copy())
    microseconds = exp.Round(this=exp.Mul(this=took.copy(), expression=exp.Literal.number(1000)))
    yield timing.sum_us, exp.Sum(this=exp.cast(exp.Case(ifs=[exp.If(this=valid, true=microseconds)]), "BIGINT"))


@dataclass(frozen=True, slots=True)
class WriteOffsShape:
    """Of `cache_write_offs`: what was written since `start` is looked for in reads until `looked_until`."""

    asked: Shape
    start: Slot
    looked_until: Slot


def cache_write_offs(query: Query) -> Statement:
    """By group and bucket: calls that wrote to a cache, and those whose writing nobody read back in its lifetime, with
    their tokens and surcharge."""
    slots = Slots()
    start = slots.moment(query.from_us)
    until = slots.moment(query.to_us + CACHE_LIFETIME_SECONDS * 1_000_000)
    return slots.statement(_cache_write_offs, WriteOffsShape(shape_of(query, slots), start, until))


def _cache_write_offs(shape: WriteOffsShape) -> exp.Select:
    asked = shape.asked
    written = exp.Add(this=_known("cache_write_5m_tokens"), expression=_known("cache_write_1h_tokens"))
    wrote = written > exp.Literal.number(0)
    seen = exp.select("*", exp.alias_(_next_read_at(), "next_read_at")).from_(exp.to_table(CALLS))
    seen = seen.where(_column("started_at") >= placed(shape.start), _column("started_at") < placed(shape.looked_until))
    lost = exp.Case(ifs=[exp.If(this=_nobody_read_back(), true=exp.Literal.number(1))])
    parts = {
        "written_calls": exp.Count(this=exp.Star()),
        "written_off_calls": exp.Count(this=lost),
        "written_off_tokens": exp.Sum(this=exp.Mul(this=written.copy(), expression=lost.copy())),
        "written_off_usd": exp.Sum(this=exp.Mul(this=_column("cache_write_surcharge_usd"), expression=lost.copy())),
    }
    columns = [*key_columns(asked), *(exp.alias_(part, name, quoted=True) for name, part in parts.items())]
    select = exp.select(*columns).from_(seen.subquery("seen"))
    return _by_group(asked, select.where(wrote, *_conditions(asked)))


CACHE_LIFETIME_SECONDS: Final = 3600
SHORT_CACHE_LIFETIME_SECONDS: Final = 300
"""How long what was written can be read: an hour where that was paid for, five minutes otherwise."""

SHARED_BY: Final = ("provider", "model", "tenant", "feature", "prompt_version")
"""Calls that have these in common may read what another one wrote."""


def _next_read_at() -> exp.Expr:
    """When the next call of the same kind read from a cache."""
    read = _known("cache_read_tokens") > exp.Literal.number(0)
    return exp.Window(
        this=exp.Min(this=exp.Case(ifs=[exp.If(this=read, true=_column("started_at"))])),
        partition_by=[_column(name) for name in SHARED_BY],
        order=exp.Order(expressions=[exp.Ordered(this=_column(name)) for name in ("started_at", "event_id")]),
        spec=exp.WindowSpec(kind="ROWS", start="1", start_side="FOLLOWING", end="UNBOUNDED", end_side="FOLLOWING"),
    )


def _nobody_read_back() -> exp.Expr:
    long = _known("cache_write_1h_tokens") > exp.Literal.number(0)
    too_late = exp.Case(ifs=[exp.If(this=long, true=_later(CACHE_LIFETIME_SECONDS))])
    too_late = too_late.else_(_later(SHORT_CACHE_LIFETIME_SECONDS))
    next_read_at = exp.column("next_read_at")
    return exp.or_(next_read_at.is_(exp.null()), next_read_at.copy() > too_late)


def _later(seconds: int) -> exp.Expr:
    interval = exp.Interval(this=exp.Literal.string(str(seconds)), unit=exp.var("SECOND"))
    return exp.Add(this=_column("started_at"), expression=interval)


def _known(name: str) -> exp.Expr:
    """A count, 0 where it is not known."""
    return exp.Coalesce(this=_column(name), expressions=[exp.Literal.number(0)])


def _amounts() -> exp.Expr:
    """As `repricing.amounts_of`."""
    components = [exp.Dot(this=_column("cost"), expression=exp.to_identifier(name)) for name in COMPONENTS]
    beside = [_column("cache_read_saving_usd"), _column("cache_write_surcharge_usd")]
    known_or_not = [
        exp.Coalesce(this=_as_text(amount), expressions=[exp.Literal.string(NO_AMOUNT)])
        for amount in (*components, *beside)
    ]
    return exp.ConcatWs(expressions=[exp.Literal.string(" "), *known_or_not])


def _as_text(value: exp.Expr) -> exp.Expr:
    return exp.cast(value, exp.DataType.Type.VARCHAR)


def _page(select: exp.Select, shape: PageShape) -> exp.Select:
    started, event_id = (exp.column(name, CALLS, quoted=True) for name in ("started_at", "event_id"))
    conditions = [*_conditions(shape), *_came(*shape.came)]
    if shape.before is not None:
        conditions += _before(*shape.before)
    newest = [exp.Ordered(this=column, desc=True) for column in (started, event_id)]
    select = select.from_(exp.to_table(CALLS)).where(*conditions)
    return select.order_by(*newest).limit(shape.limit + 1)


def _came(start: Slot | None, end: Slot | None) -> Iterator[exp.Expr]:
    if start is not None:
        yield _column("ingested_at") >= placed(start)
    if end is not None:
        yield _column("ingested_at") < placed(end)


def _before(started_at: Slot, event_id: Slot) -> list[exp.Expr]:
    started, at = _column("started_at"), placed(started_at)
    same = exp.and_(started.eq(at), _column("event_id") < _value("event_id", event_id))
    return [started.copy() <= at.copy(), exp.or_(started.copy() < at.copy(), same)]
