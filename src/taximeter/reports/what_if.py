"""What-if: what one's own calls would have cost under another model, tier, cache share, price book or date.

    what_if({"model": "gpt-4o-mini", "filters": {"feature": "chat"}, "from": "30d"}, book, store, now_us)

Every recorded call is priced again, one by one, by the price book that prices live calls. Sums would be quicker and
wrong: prices change with the hour, with the size of a request and by the unit, so the price of a sum is not the sum
of the prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import ZERO, add, exact, format_usd, multiply
from taximeter.errors import UsageError
from taximeter.pricing import PriceBook, priceable_from_record
from taximeter.reports import asking
from taximeter.reports.calculator import DAYS_PER_MONTH, divide, percent
from taximeter.reports.hypothesis import SAME_TOKENS, Hypothesis, as_if
from taximeter.reports.models import choose
from taximeter.store.events import EventQuery, EventStore, Query, parse_query
from taximeter.store.events.repricing import PRICED_BY

PAGE_CALLS: Final = 20_000
"""Calls that are read at a time."""

MOST_CALLS: Final = 1_000_000
"""Calls that one question may price again."""

READ: Final = (*(name for name in PRICED_BY if name != "reported_cost_usd"), "usage_estimated")
"""What is read of a call: everything that its price by a book may depend on."""

_KEYS: Final = ("model", "service_tier", "cached_share", "token_ratio", "at", "prices", *asking.RANGE)
_MONTH_US: Final = DAYS_PER_MONTH * 86_400_000_000


@dataclass(slots=True)
class Tally:
    """Calls and USD, as recorded and under the hypothesis. `compared` are the calls with a price both ways."""

    calls: int = 0
    actual_usd: Decimal = ZERO
    actual_unpriced_calls: int = 0
    what_if_usd: Decimal = ZERO
    what_if_unpriced: Counter[str] = field(default_factory=Counter)
    compared_calls: int = 0
    compared_actual_usd: Decimal = ZERO
    compared_what_if_usd: Decimal = ZERO
    estimated_calls: int = 0

    def count(self, actual: Decimal | None, cost: Cost | Unpriced, *, estimated: bool) -> None:
        """Add one call."""
        self.calls += 1
        self.estimated_calls += estimated
        if actual is None:
            self.actual_unpriced_calls += 1
        else:
            self.actual_usd = add(self.actual_usd, actual)
        if isinstance(cost, Unpriced):
            self.what_if_unpriced[cost.reason] += 1
            return
        usd = cost.total
        self.what_if_usd = add(self.what_if_usd, usd)
        if actual is not None:
            self.compared_calls += 1
            self.compared_actual_usd = add(self.compared_actual_usd, actual)
            self.compared_what_if_usd = add(self.compared_what_if_usd, usd)

    def add(self, other: Tally) -> None:
        """Add the calls of another tally."""
        self.calls += other.calls
        self.actual_usd = add(self.actual_usd, other.actual_usd)
        self.actual_unpriced_calls += other.actual_unpriced_calls
        self.what_if_usd = add(self.what_if_usd, other.what_if_usd)
        self.what_if_unpriced += other.what_if_unpriced
        self.compared_calls += other.compared_calls
        self.compared_actual_usd = add(self.compared_actual_usd, other.compared_actual_usd)
        self.compared_what_if_usd = add(self.compared_what_if_usd, other.compared_what_if_usd)
        self.estimated_calls += other.estimated_calls

    @property
    def difference_usd(self) -> Decimal:
        """What the hypothesis costs more (less: negative), over the calls with a price both ways."""
        return add(self.compared_what_if_usd, self.compared_actual_usd.copy_negate())

    def as_dict(self) -> dict[str, Any]:
        share = percent(self.difference_usd, self.compared_actual_usd)
        return {
            "calls": self.calls,
            "estimated_calls": self.estimated_calls,
            "actual": {"cost_usd": format_usd(self.actual_usd), "unpriced_calls": self.actual_unpriced_calls},
            "what_if": {
                "cost_usd": format_usd(self.what_if_usd),
                "unpriced_calls": self.what_if_unpriced.total(),
                "unpriced_reasons": dict(sorted(self.what_if_unpriced.items())),
            },
            "compared": {
                "calls": self.compared_calls,
                "actual_cost_usd": format_usd(self.compared_actual_usd),
                "what_if_cost_usd": format_usd(self.compared_what_if_usd),
                "difference_usd": format_usd(self.difference_usd),
                "difference_percent": None if share is None else format_usd(share),
            },
        }


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer. `by_model` is by the provider and the model that really answered; `total` is their sum."""

    from_us: int
    to_us: int
    hypothesis: Hypothesis
    price_version: str
    by_model: Mapping[tuple[str | None, str | None], Tally]
    total: Tally

    def per_month(self, usd: Decimal) -> Decimal:
        """An amount of the whole range as that of 30 days, to the stores' twelve digits."""
        return exact(divide(multiply(_MONTH_US, usd), self.to_us - self.from_us))

    def as_dict(self) -> dict[str, Any]:
        ranked = sorted(self.by_model.items(), key=lambda item: (-item[1].actual_usd, str(item[0])))
        compared = (self.total.compared_actual_usd, self.total.compared_what_if_usd, self.total.difference_usd)
        names = ("actual_cost_usd", "what_if_cost_usd", "difference_usd")
        return {
            "from": rfc3339(self.from_us),
            "to": rfc3339(self.to_us),
            "price_version": self.price_version,
            "hypothesis": self.hypothesis.as_dict(),
            "assumptions": list(self.hypothesis.assumptions()),
            **self.total.as_dict(),
            "compared_per_month": {n: format_usd(self.per_month(usd)) for n, usd in zip(names, compared, strict=True)},
            "by_model": [
                {"provider": provider, "model": model, **tally.as_dict()} for (provider, model), tally in ranked
            ],
        }


def what_if(
    request: Mapping[str, Any],
    book: PriceBook,
    store: EventStore,
    now_us: int,
    progress: asking.Progress = lambda _done, _calls: None,
) -> WhatIf:
    """The answer to a request in the form of `POST /api/v1/what-if`.

    Raises UsageError naming the `field` that is wrong or when there are more than `MOST_CALLS` calls,
    UnknownModelError for a model without any price, StoreError.
    """
    asking.only(request, _KEYS)
    book = asking.price_book(request, book)
    hypothesis = _hypothesis(request, book, now_us)
    calls = parse_query({name: request[name] for name in asking.RANGE if request.get(name) is not None}, now_us)
    by_model: dict[tuple[str | None, str | None], Tally] = {}
    for record in recorded(store, calls, progress):
        call = priceable_from_record(record)
        tally = by_model.setdefault((call.provider, call.model), Tally())
        cost_usd = record["cost_usd"]
        actual = None if cost_usd is None else Decimal(cost_usd)
        tally.count(actual, book.price(as_if(call, hypothesis)), estimated=bool(record.get("usage_estimated")))
    total = Tally()
    for tally in by_model.values():
        total.add(tally)
    return WhatIf(calls.from_us, calls.to_us, hypothesis, book.version, by_model, total)


def recorded(store: EventStore, calls: Query, progress: asking.Progress) -> Iterator[Mapping[str, Any]]:
    """The calls of a query, newest first, with the fields of `READ` and their cost."""
    expected = int(store.query(Query(**_bounds(calls), measures=("calls",))).totals["calls"])
    if expected > MOST_CALLS:
        raise UsageError(
            f"these are {expected} calls; at most {MOST_CALLS} can be priced again at a time",
            hint="ask for a shorter range, or with a filter",
            field="from",
        )
    done, cursor, more = 0, None, True
    while more:
        page = store.events(EventQuery(**_bounds(calls), limit=PAGE_CALLS, cursor=cursor, columns=READ))
        yield from page.events
        done += len(page.events)
        progress(done, expected)
        cursor = page.next
        more = cursor is not None


def _bounds(calls: Query) -> dict[str, Any]:
    return {"filters": calls.filters, "from_us": calls.from_us, "to_us": calls.to_us}


def _hypothesis(request: Mapping[str, Any], book: PriceBook, now_us: int) -> Hypothesis:
    name = asking.text(request, "model")
    ratio = asking.ratio(request, "token_ratio")
    if name is None and ratio != SAME_TOKENS:
        raise UsageError("token_ratio is between the recorded models and another one: name it", field="model")
    return Hypothesis(
        model=choose(book, name, field="model") if name is not None else None,
        service_tier=asking.text(request, "service_tier"),
        cached_share=asking.share(request, "cached_share"),
        token_ratio=ratio,
        at_us=asking.instant(request, "at", now_us) if request.get("at") is not None else None,
        own_prices=request.get("prices") is not None,
    )
