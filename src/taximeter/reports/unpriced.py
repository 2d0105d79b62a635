"""Calls without a price: which, since when, how much; and those that a newer price book may price.

unpriced({"from": "30d"}, store, book, now_us)      rows by provider, model, tier and reason
backfill_wish(store, book.version, now_us)          what to price again because a price may have come
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from taximeter.core.money import add, format_usd
from taximeter.core.usage import Usage
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.priceable import parse_instant
from taximeter.reports import asking
from taximeter.store.events import EventStore, parse_query

PRICEABLE_LATER: Final = (
    "unknown_model",
    "unknown_provider",
    "no_price_for_tier",
    "no_price_for_unit",
    "no_price_at_date",
    "pricing_failed",
)
"""Reasons that another price book may take away. The others lie in the call: it says nothing, or contradicts itself."""

ALWAYS: Final = "1970-01-02"
_BY: Final = ("provider", "model", "service_tier", "unpriced_reason")
_MEASURES: Final = ("unpriced_calls", "input_tokens", "output_tokens", "unpriced_tokens", "first_seen", "last_seen")


def unpriced(request: Mapping[str, Any], store: EventStore, book: PriceBook, now_us: int) -> dict[str, Any]:
    """`{"rows": [...], "totals": {...}}`, the most calls first, of those that a query's `filters`, `from` (always) and
    `to` (now) mean. `at_most_usd` bounds what the tokens of a row may cost; None when no bound is known.

    Raises UsageError, StoreError.
    """
    asking.only(request, asking.RANGE)
    given = {name: request[name] for name in asking.RANGE if request.get(name) is not None}
    filters = {**(given.get("filters") or {}), "cost_usd": {"exists": False}}
    question = {"from": ALWAYS, **given, "filters": filters, "measures": list(_MEASURES), "group_by": list(_BY)}
    answer = store.query(parse_query(question, now_us))
    bounds = [_at_most(row, book) for row in answer.rows]
    rows = [
        {**row, "at_most_usd": None if usd is None else format_usd(usd)}
        for row, usd in zip(answer.rows, bounds, strict=True)
    ]
    known = [usd for usd in bounds if usd is not None]
    at_most = format_usd(add(*known)) if len(known) == len(bounds) else None
    return {"rows": rows, "totals": {**answer.totals, "at_most_usd": at_most}}


def _at_most(row: Mapping[str, Any], book: PriceBook) -> Decimal | None:
    """What the tokens of a group may cost at most, at the prices of its last day: they add up, so their bound does."""
    usage = Usage(input_tokens=row["input_tokens"], output_tokens=row["output_tokens"])
    at_us = parse_instant(row["last_seen"])
    return book.highest_price(Priceable(row["provider"], row["model"], at_us, usage, service_tier=row["service_tier"]))


def backfill_wish(store: EventStore, price_version: str, now_us: int) -> dict[str, Any] | None:
    """The request of a run over the calls that were unpriced by another price book; None when there are none, or the
    last run has looked at the same ones with this book already. Raises StoreError."""
    filters = {"unpriced_reason": {"in": list(PRICEABLE_LATER)}, "price_version": {"not": price_version}}
    question = {"from": ALWAYS, "filters": filters, "measures": ["unpriced_calls", "first_seen"]}
    found = store.query(parse_query(question, now_us)).totals
    waiting = found["unpriced_calls"]
    if not waiting or waiting == _left_by_the_last(store, price_version):
        return None
    return {"from": found["first_seen"], "filters": filters, "note": f"prices changed: {price_version}"}


def _left_by_the_last(store: EventStore, price_version: str) -> int | None:
    """The calls that the last backfill with this book could not price."""
    for run in store.repricings(limit=LOOKED_BACK):
        if run.kind == "backfill" and run.state == "done":
            return None if run.price_version != price_version else run.outcome["examined"] - run.outcome["newly_priced"]
    return None


LOOKED_BACK: Final = 100
"""Runs among which the last backfill is looked for."""
