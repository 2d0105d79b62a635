"""Why did spend change: two periods of the store, decomposed, with the contributors of every dimension.

Calls without a price have no part in it; how many there are is said beside it. A period to compare with that is not
as long as the first is scaled to its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from taximeter.anomaly.contributors import Explained, ranked
from taximeter.anomaly.explain import Cell, Key, decompose
from taximeter.clock import rfc3339, to_datetime, to_unix_us
from taximeter.core.money import ZERO, add, format_usd
from taximeter.errors import UsageError
from taximeter.reports.asking import names, only
from taximeter.store.events import EventStore, Query
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
"""Values of one dimension, by model, that are looked at in each period, by cost."""

BEHIND: Final[Key] = ()
"""The key of everything behind a limit."""

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
        if not self.contributors:
            return "nothing changed"
        people = [f"{one.dimension} {one.value or '(not said)'} {one.share:.0%}" for one, _ in self.contributors]
        largest = max(self.factors, key=lambda name: abs(self.factors[name]))
        return f"mostly {largest.replace('_', ' ')}; {', '.join(people)}"


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

Cells = Mapping[Key, Cell]


def why(question: WhyQuestion, store: EventStore) -> Reason:
    """Raises StoreError, and UsageError when features and models make too many groups."""
    unpriced = (_unpriced(question, store, question.against), _unpriced(question, store, question.period))
    asked = _priced(question) if any(unpriced) else question
    before, after = _both(asked, store, MIX)
    by_dimension = {name: _by_values(asked, store, name) for name in question.dimensions}
    best = ranked(
        {name: _spend(cells[0]) for name, cells in by_dimension.items()},
        {name: _spend(cells[1]) for name, cells in by_dimension.items()},
    )
    moved = [one for one in best if one.change_usd][: question.limit]
    return Reason(
        question,
        _cost(before),
        _cost(after),
        decompose(before, after, MIX),
        [(one, _factors_of(one, by_dimension[one.dimension])) for one in moved],
        unpriced,
    )


def _priced(question: WhyQuestion) -> WhyQuestion:
    """Of the calls that have a price alone. Roll-ups do not know which those are, so it reads the events."""
    return replace(question, filters=(*question.filters, _PRICED))


def _both(
    question: WhyQuestion,
    store: EventStore,
    group_by: tuple[str, ...],
    limit: int | None = None,
    further: tuple[Condition, ...] = (),
) -> tuple[Cells, Cells]:
    before = _cells(question, store, question.against, group_by, limit, further)
    after = _cells(question, store, question.period, group_by, limit, further)
    return {key: cell.scaled(question.scale) for key, cell in before.items()}, after


def _cells(
    question: WhyQuestion,
    store: EventStore,
    span: Span,
    group_by: tuple[str, ...],
    limit: int | None = None,
    further: tuple[Condition, ...] = (),
) -> dict[Key, Cell]:
    """The cells of one period. With a limit, those that cost most, and `BEHIND` for all others together."""
    answer = store.query(
        Query(
            from_us=span.from_us,
            to_us=span.to_us,
            measures=_MEASURES,
            group_by=group_by,
            filters=(*question.filters, *further),
            timezone=question.timezone,
            limit=limit,
        )
    )
    return {BEHIND if row.get("other") else tuple(row[name] for name in group_by): _cell(row) for row in answer.rows}


def _cell(row: Mapping[str, Any]) -> Cell:
    def number(*measures: str) -> Decimal:
        return add(*(Decimal(row[name] or 0) for name in measures))

    return Cell(
        calls=number("calls"),
        retries=number("retries"),
        input_tokens=number("input_tokens"),
        cache_read_tokens=number("cache_read_tokens"),
        cache_write_tokens=number("cache_write_5m_tokens", "cache_write_1h_tokens"),
        output_tokens=number("output_tokens"),
        input_usd=number("cost_input_usd"),
        cache_read_usd=number("cost_cache_read_usd"),
        cache_write_usd=number("cost_cache_write_usd"),
        output_usd=number("cost_output_usd"),
        other_usd=number("cost_other_usd"),
    )


def _by_values(question: WhyQuestion, store: EventStore, name: str) -> tuple[Cells, Cells]:
    """The costly values of a dimension in both periods, each by model: whatever is among the first in one of the
    periods is looked up in the other one too."""
    group_by = (name,) if name == "model" else (name, "model")
    before, after = _both(question, store, group_by, MOST_VALUES)
    if BEHIND not in before and BEHIND not in after:
        return before, after
    values = tuple({key[0]: None for key in (*before, *after) if key != BEHIND})
    return _both(question, store, group_by, further=(Condition(name, "in", values),))


def _spend(cells: Cells) -> dict[str | None, Decimal]:
    spend: dict[str | None, Decimal] = {}
    for key, cell in cells.items():
        spend[key[0]] = add(spend.get(key[0], ZERO), cell.cost_usd)
    return spend


def _factors_of(one: Explained, cells: tuple[Cells, Cells]) -> dict[str, Decimal]:
    before, after = ({key[1:]: cell for key, cell in side.items() if key[0] == one.value} for side in cells)
    return decompose(before, after, () if one.dimension == "model" else ("model",))


def _cost(cells: Cells) -> Decimal:
    return add(*(cell.cost_usd for cell in cells.values()))


def _unpriced(question: WhyQuestion, store: EventStore, span: Span) -> int:
    query = Query(from_us=span.from_us, to_us=span.to_us, measures=("unpriced_calls",), filters=question.filters)
    return int(store.query(query).totals["unpriced_calls"])
