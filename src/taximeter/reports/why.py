"""Why did spend change: two periods of the store, decomposed, with the contributors of every dimension.

Calls without a price have no part in it; how many there are is said beside it. A period to compare with that is not
as long as the first is scaled to its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, TypeVar

from taximeter.anomaly.contributors import Explained, Spend, ranked
from taximeter.anomaly.explain import Cell, Key, decompose
from taximeter.clock import rfc3339, to_datetime, to_unix_us
from taximeter.core.money import ZERO, add, format_usd
from taximeter.errors import UsageError
from taximeter.reports.asking import names, only
from taximeter.store.events import EventStore, Query, alone
from taximeter.store.events.comparison import Period
from taximeter.store.events.filters import Condition, parse_filters
from taximeter.store.events.instants import parse_instant, time_zone
from taximeter.store.events.vocabulary import dimension

MIX: Final = ("feature", "model")
"""The dimensions whose shifts are causes of their own, the outermost first."""

DIMENSIONS: Final = (
    "feature",
    "model",
    "user_id",
    "prompt_version",
    "service_version",
    "team",
    "tenant",
    "environment",
    "endpoint",
    "api_key_id",
)
"""Where contributors are looked for, unless the request says."""

MOST_VALUES: Final = 500
"""Values of one dimension that are looked at in each period, by cost."""

MOST_CONTRIBUTORS: Final = 20
"""Contributors in an answer."""

PREVIOUS: Final = "previous"
WEEK_BEFORE: Final = "week_before"

_KEYS: Final = ("from", "to", "against", "filters", "timezone", "dimensions", "limit")
_MEASURES: Final = (
    "cost_usd",
    "calls",
    "retries",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "cost_input_usd",
    "cost_cache_read_usd",
    "cost_cache_write_usd",
    "cost_output_usd",
    "cost_other_usd",
)
_PRICED: Final = Condition("unpriced_reason", "exists", (False,))
_EXACT: Final = Context(prec=50, rounding=ROUND_HALF_EVEN)
ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Span:
    """From (included) and to (not included), microseconds since the epoch, UTC."""

    from_us: int
    to_us: int

    @property
    def length_us(self) -> int:
        return self.to_us - self.from_us

    def as_dict(self) -> dict[str, str]:
        return {"from": rfc3339(self.from_us), "to": rfc3339(self.to_us)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyQuestion:
    """`period` is explained against `against`. `scaled_by`: what usage of `against` is multiplied by, instead of what
    makes it as long as `period`."""

    period: Span
    against: Span
    scaled_by: Decimal | None = None
    filters: tuple[Condition, ...] = ()
    timezone: str = "UTC"
    dimensions: tuple[str, ...] = DIMENSIONS
    limit: int = MOST_CONTRIBUTORS
    least_share: float | None = None
    """Of the whole change: whose part is smaller is no contributor."""

    def is_telling(self, one: Explained) -> bool:
        return bool(one.change_usd) and (self.least_share is None or one.share >= self.least_share)

    @property
    def scale(self) -> Decimal:
        """What usage of `against` is multiplied by."""
        if self.scaled_by is not None:
            return self.scaled_by
        same = self.period.length_us == self.against.length_us
        return ONE if same else _EXACT.divide(Decimal(self.period.length_us), Decimal(self.against.length_us))


@dataclass(frozen=True, slots=True)
class Reason:
    """The change of spend: what it consists of, and who is behind it. `factors` sum to the change exactly; so do
    the factors of each contributor to its own."""

    question: WhyQuestion
    before_usd: Decimal
    after_usd: Decimal
    factors: Mapping[str, Decimal]
    contributors: Sequence[tuple[Explained, Mapping[str, Decimal]]]
    unpriced_calls: tuple[int, int]

    def as_dict(self) -> dict[str, Any]:
        """The answer of the API: money as decimal text, the largest factors first."""
        return {
            "period": self.question.period.as_dict(),
            "against": {**self.question.against.as_dict(), "scaled_by": f"{self.question.scale:.6f}"},
            "before_usd": format_usd(self.before_usd),
            "after_usd": format_usd(self.after_usd),
            "change_usd": format_usd(self.after_usd - self.before_usd),
            "factors": _listed(self.factors),
            "contributors": [
                {
                    "dimension": one.dimension,
                    "value": one.value,
                    "before_usd": format_usd(one.before_usd),
                    "after_usd": format_usd(one.after_usd),
                    "change_usd": format_usd(one.change_usd),
                    "share": one.share,
                    "factors": _listed(factors),
                }
                for one, factors in self.contributors
            ],
            "coverage": {"unpriced_calls_before": self.unpriced_calls[0], "unpriced_calls": self.unpriced_calls[1]},
        }

    def in_a_line(self) -> str:
        """`mostly volume; user_id u1 96%, feature chat 90%`."""
        people = [f"{one.dimension} {one.value or '(not said)'} {one.share:.0%}" for one, _ in self.contributors]
        largest = max(self.factors, key=lambda name: abs(self.factors[name]))
        if not people and not self.factors[largest]:
            return "nothing changed"
        return "; ".join([f"mostly {largest.replace('_', ' ')}", *([", ".join(people)] if people else [])])


def _listed(factors: Mapping[str, Decimal]) -> list[dict[str, str]]:
    largest_first = sorted(factors.items(), key=lambda item: -abs(item[1]))
    return [{"factor": name, "change_usd": format_usd(part)} for name, part in largest_first if part]


# -- the question -----------------------------------------------------------------------------------------------


def parse_why(request: Mapping[str, Any], now_us: int) -> WhyQuestion:
    """A question from its JSON form: `{from, to, against, filters, timezone, dimensions, limit}`.

    `against` is `previous` (the same length just before, the default), `week_before` (the same hours a week earlier
    in the zone) or `{from, to}`. Raises UsageError naming the field.
    """
    only(request, _KEYS)
    zone = time_zone(request.get("timezone") or "UTC").key
    period = _span(request, now_us, zone, "")
    dimensions = tuple(dimension(name, field="dimensions") for name in names(request, "dimensions"))
    return WhyQuestion(
        period=period,
        against=_against(request.get("against") or PREVIOUS, period, now_us, zone),
        filters=parse_filters(request.get("filters") or {}),
        timezone=zone,
        dimensions=dimensions or DIMENSIONS,
        limit=_most(request.get("limit")),
    )


def _span(request: Mapping[str, Any], now_us: int, zone: str, within: str) -> Span:
    from_us = parse_instant(request.get("from") or "24h", now_us, zone, field=f"{within}from")
    to_us = parse_instant(request.get("to") or "now", now_us, zone, field=f"{within}to")
    if from_us >= to_us:
        raise UsageError("the range is empty: from is not before to", field=f"{within}from")
    return Span(from_us, to_us)


def _against(wanted: Any, period: Span, now_us: int, zone: str) -> Span:
    if wanted == PREVIOUS:
        return Span(period.from_us - period.length_us, period.from_us)
    if wanted == WEEK_BEFORE:
        return Span(_week_before(period.from_us, zone), _week_before(period.to_us, zone))
    if isinstance(wanted, Mapping):
        only(wanted, ("from", "to"))
        return _span(wanted, now_us, zone, "against.")
    allowed = [PREVIOUS, WEEK_BEFORE, "{from, to}"]
    raise UsageError(f"against cannot be {wanted!r}", hint="; ".join(allowed), field="against", allowed=allowed)


def _week_before(moment_us: int, zone: str) -> int:
    """The same time on the clock of the zone, seven days earlier."""
    local = to_datetime(moment_us).astimezone(time_zone(zone))
    return to_unix_us(local - timedelta(days=7))


def _most(given: Any) -> int:
    if given is None:
        return MOST_CONTRIBUTORS
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST_VALUES:
        raise UsageError(f"limit must be a whole number from 1 to {MOST_VALUES}", field="limit")
    return given


# -- the answer -------------------------------------------------------------------------------------------------

Told = TypeVar("Told")

Cells = Mapping[Key, Cell]
Pair = tuple[Cells, Cells]
"""What is compared with, scaled to the length of the period, and the period."""


def why(question: WhyQuestion, store: EventStore) -> Reason:
    """Raises StoreError, and UsageError when features and models make too many groups.

    Who is behind the change is told from what each value cost; what the change of a value consists of is asked for
    those that are in the answer, where it is not known by then.
    """
    asked = question
    with ThreadPoolExecutor(1, "taximeter-why") as beside:
        others = {
            name: beside.submit(_spend_on, question, store, name)
            for name in question.dimensions
            if name not in (*MIX, *alone.DIMENSIONS)
        }
        mix, unpriced = _mix(asked, store)
        if any(unpriced):
            asked = _priced(question)
            mix, _ = _mix(asked, store)
        known = {"feature": mix, "model": (_by_model(mix[0]), _by_model(mix[1])), **_alone(asked, store)}
        spend = {
            name: tuple(map(_spend, known[name])) if name in known else others[name].result()
            for name in question.dimensions
        }
    totals_usd = _cost(mix[0]), _cost(mix[1])
    best = ranked(
        {name: before for name, (before, _) in spend.items()},
        {name: after for name, (_, after) in spend.items()},
        totals_usd,
    )
    moved = list(filter(question.is_telling, best))[: question.limit]
    factors = list(_with_factors(asked, store, moved, known))
    return Reason(question, *totals_usd, decompose(*mix, MIX), factors, unpriced)


def _mix(question: WhyQuestion, store: EventStore) -> tuple[Pair, tuple[int, int]]:
    """By feature and model, and how many calls of both periods have no price."""
    answers = _of_both(question, lambda span: store.query(_query(question, span, _MEASURES, MIX)))
    before, after = ({tuple(row[name] for name in MIX): _cell(row) for row in answer.rows} for answer in answers)
    unpriced_before, unpriced = (answer.coverage["unpriced_calls"] for answer in answers)
    return (_scaled(before, question.scale), after), (unpriced_before, unpriced)


def _of_both(question: WhyQuestion, ask: Callable[[Span], Told]) -> tuple[Told, Told]:
    """Of what is compared with, and of the period; both are asked at once, since one answer does not keep a machine's
    cores busy."""
    with ThreadPoolExecutor(1, "taximeter-why") as beside:
        before = beside.submit(ask, question.against)
        after = ask(question.period)
        return before.result(), after


def _scaled(cells: Cells, scale: Decimal) -> Cells:
    return cells if scale == ONE else {key: cell.scaled(scale) for key, cell in cells.items()}


def _priced(question: WhyQuestion) -> WhyQuestion:
    """Of the calls that have a price alone."""
    return replace(question, filters=(*question.filters, _PRICED))


def _query(
    question: WhyQuestion,
    span: Span,
    measures: tuple[str, ...],
    group_by: tuple[str, ...] = (),
    further: tuple[Condition, ...] = (),
) -> Query:
    return Query(
        from_us=span.from_us,
        to_us=span.to_us,
        measures=measures,
        group_by=group_by,
        filters=(*question.filters, *further),
        timezone=question.timezone,
    )


def _both(question: WhyQuestion, store: EventStore, group_by: tuple[str, ...], further: tuple[Condition, ...]) -> Pair:
    before, after = (
        {tuple(row[name] for name in group_by): _cell(row) for row in answer.rows}
        for answer in _of_both(question, lambda span: store.query(_query(question, span, _MEASURES, group_by, further)))
    )
    return _scaled(before, question.scale), after


def _cell(row: Mapping[str, Any]) -> Cell:
    def number(measure: str) -> Decimal:
        return Decimal(row[measure] or 0)

    return Cell(
        calls=number("calls"),
        retries=number("retries"),
        input_tokens=number("input_tokens"),
        cache_read_tokens=number("cache_read_tokens"),
        cache_write_tokens=add(number("cache_write_5m_tokens"), number("cache_write_1h_tokens")),
        output_tokens=number("output_tokens"),
        input_usd=number("cost_input_usd"),
        cache_read_usd=number("cost_cache_read_usd"),
        cache_write_usd=number("cost_cache_write_usd"),
        output_usd=number("cost_output_usd"),
        other_usd=number("cost_other_usd"),
    )


def _cost(cells: Cells) -> Decimal:
    return add(*(cell.cost_usd for cell in cells.values()))


# -- who is behind it -------------------------------------------------------------------------------------------


def _alone(question: WhyQuestion, store: EventStore) -> dict[str, Pair]:
    """Dimensions that can be asked about together, by value and model. A value that is among the first in one of the
    periods alone is looked up in the other one too."""
    wanted = tuple(name for name in question.dimensions if name in alone.DIMENSIONS and name not in MIX)
    if not wanted:
        return {}
    before, after = _of_both(question, lambda span: _cells_alone(question, store, span, wanted, MOST_VALUES))
    known: dict[str, Pair] = {}
    for name in wanted:
        if before[name].others or after[name].others:
            values = tuple({key[0]: None for key in (*before[name].cells, *after[name].cells)})
            known[name] = _both(question, store, (name, "model"), (Condition(name, "in", values),))
        else:
            known[name] = _scaled(before[name].cells, question.scale), after[name].cells
    return known


@dataclass(slots=True)
class _Known:
    """Of a dimension: the cells of its costly values, and whether there are `others`."""

    cells: dict[Key, Cell] = field(default_factory=dict)
    others: bool = False


def _cells_alone(
    question: WhyQuestion, store: EventStore, span: Span, names: tuple[str, ...], limit: int
) -> Mapping[str, _Known]:
    known = {name: _Known() for name in names}
    for row in store.alone(replace(_query(question, span, ("cost_usd", *_MEASURES), names), limit=limit)):
        of_dimension = known[row["dimension"]]
        if row.get("other"):
            of_dimension.others = True
        else:
            of_dimension.cells[row["value"], row["model"]] = _cell(row)
    return known


def _spend(cells: Cells) -> Spend:
    spend: dict[str | None, Decimal] = {}
    for key, cell in cells.items():
        spend[key[0]] = add(spend.get(key[0], ZERO), cell.cost_usd)
    return spend


def _spend_on(question: WhyQuestion, store: EventStore, name: str) -> tuple[Spend, Spend]:
    """What the costly values of a dimension cost in both periods. Calls without a price add nothing, and are not left
    out by a filter that the sums of users' days do not know."""
    against = Period(question.against.from_us, question.against.to_us)
    asked = replace(_query(question, question.period, ("cost_usd",), (name,)), compare=against, limit=MOST_VALUES)
    costs = store.costliest(asked)
    before = {one.value: _scaled_usd(one.before_usd, question.scale) for one in costs if one.before_usd is not None}
    return before, {one.value: one.after_usd for one in costs if one.after_usd is not None}


def _scaled_usd(amount: Decimal, scale: Decimal) -> Decimal:
    return amount if scale == ONE else Cell(other_usd=amount).scaled(scale).cost_usd


def _with_factors(
    question: WhyQuestion, store: EventStore, moved: Sequence[Explained], known: Mapping[str, Pair]
) -> Iterator[tuple[Explained, Mapping[str, Decimal]]]:
    """Each with what its change consists of. The amounts are those of its cells, to the last digit."""
    values: dict[str, list[str | None]] = {}
    for one in moved:
        values.setdefault(one.dimension, []).append(one.value)
    cells = {
        name: known.get(name) or _both(question, store, (name, "model"), (Condition(name, "in", tuple(some)),))
        for name, some in values.items()
    }
    for one in moved:
        before, after = (_of_value(side, one) for side in cells[one.dimension])
        exact = replace(one, before_usd=_cost(before), after_usd=_cost(after))
        yield exact, decompose(before, after, () if one.dimension == "model" else ("model",))


def _by_model(cells: Cells) -> Cells:
    by_model: dict[Key, Cell] = {}
    for (_, model), cell in cells.items():
        by_model[(model,)] = by_model.get((model,), Cell()) + cell
    return by_model


def _of_value(cells: Cells, one: Explained) -> Cells:
    return {key[1:]: cell for key, cell in cells.items() if key[0] == one.value}
