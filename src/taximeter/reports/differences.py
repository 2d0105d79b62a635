"""Where providers name an amount themselves: how it differs from the one that is computed here.

    differences({"from": "30d", "tolerance": "0.01"}, store, book, now_us)

Both amounts of a call are looked at, whichever of them counts as its cost. A difference beyond the tolerance is a
finding: a price that changed, a tier or a fee that nobody told us of, a discount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from taximeter.core.cost import Unpriced
from taximeter.core.money import ZERO, add, format_usd
from taximeter.errors import UsageError
from taximeter.pricing import PriceBook
from taximeter.reports import asking
from taximeter.reports.calculator import percent
from taximeter.reports.repricing import call_of
from taximeter.store.events import EventQuery, EventStore, parse_query

PAGE_CALLS: Final = 5_000
MOST_CALLS: Final = 1_000_000
"""Calls that one report may look at."""

DEFAULT_TOLERANCE: Final = Decimal("0.01")
ROUNDING_USD: Final = Decimal("0.000001")
"""Providers round to the sixth digit: so much is no difference."""

_KEYS: Final = (*asking.RANGE, "tolerance")


@dataclass(slots=True)
class Compared:
    """Calls of one model with an amount of their provider's. Sums (USD) are over those that have a computed one too."""

    calls: int = 0
    unpriced_calls: int = 0
    computed_usd: Decimal = ZERO
    reported_usd: Decimal = ZERO
    differing_calls: int = 0
    largest_usd: Decimal = ZERO
    largest_event_id: str | None = None

    def count(self, event_id: str, computed: Decimal | None, reported: Decimal, tolerance: Decimal) -> None:
        """Add a call; `computed` None is unpriced."""
        self.calls += 1
        if computed is None:
            self.unpriced_calls += 1
            return
        self.computed_usd = add(self.computed_usd, computed)
        self.reported_usd = add(self.reported_usd, reported)
        difference = abs(reported - computed)
        if difference > max(ROUNDING_USD, tolerance * max(computed, reported)):
            self.differing_calls += 1
            if difference > self.largest_usd:
                self.largest_usd, self.largest_event_id = difference, event_id

    def as_dict(self) -> dict[str, Any]:
        difference = self.reported_usd - self.computed_usd
        share = percent(difference, self.computed_usd)
        return {
            "calls": self.calls,
            "unpriced_calls": self.unpriced_calls,
            "computed_cost_usd": format_usd(self.computed_usd),
            "reported_cost_usd": format_usd(self.reported_usd),
            "difference_usd": format_usd(difference),
            "difference_percent": None if share is None else format_usd(share),
            "differing_calls": self.differing_calls,
            "largest_difference_usd": format_usd(self.largest_usd),
            "largest_event_id": self.largest_event_id,
        }


def differences(request: Mapping[str, Any], store: EventStore, book: PriceBook, now_us: int) -> dict[str, Any]:
    """`{"tolerance", "price_version", "rows": [{"provider", "model", ...}]}`, the models with the most differing calls
    first. `tolerance` is a share of the amount; a difference within it, or of a rounding, is none.

    Raises UsageError, StoreError.
    """
    asking.only(request, _KEYS)
    given = asking.share(request, "tolerance")
    tolerance = DEFAULT_TOLERANCE if given is None else given
    compared: dict[tuple[str | None, str | None], Compared] = {}
    for event_id, started_at, _amounts, _rule, _reason, *priced_by in _reported(request, store, now_us):
        call = call_of(started_at, *priced_by)
        assert call.reported_usd is not None
        cost = book.computed(call)
        computed = None if isinstance(cost, Unpriced) else cost.total
        found = compared.setdefault((call.provider, call.model), Compared())
        found.count(event_id, computed, call.reported_usd, tolerance)
    ranked = sorted(compared.items(), key=lambda item: (-item[1].differing_calls, str(item[0])))
    return {
        "tolerance": format_usd(tolerance),
        "price_version": book.version,
        "rows": [{"provider": provider, "model": model, **found.as_dict()} for (provider, model), found in ranked],
    }


def _reported(request: Mapping[str, Any], store: EventStore, now_us: int) -> Any:
    """The derivations of the calls that have an amount of their provider's, and were billed."""
    given = {name: request[name] for name in asking.RANGE if request.get(name) is not None}
    filters = {**(given.get("filters") or {}), "reported_cost_usd": {"exists": True}, "not_billed": False}
    calls = parse_query({**given, "filters": filters, "measures": ["calls"]}, now_us)
    expected = store.query(calls).totals["calls"]
    if expected > MOST_CALLS:
        hint = "ask for a shorter range, or with a filter"
        raise UsageError(f"these are {expected} calls; at most {MOST_CALLS} can be compared", hint=hint, field="from")
    cursor, more = None, True
    while more:
        bounds: dict[str, Any] = {"filters": calls.filters, "from_us": calls.from_us, "to_us": calls.to_us}
        page = store.derivations(EventQuery(**bounds, limit=PAGE_CALLS, cursor=cursor))
        yield from page.rows
        cursor = page.next
        more = cursor is not None
