"""A model's prices for people: all hosts that a name may mean, every rate, the layer and rule that gave it."""

from __future__ import annotations

from typing import Any

from taximeter.clock import rfc3339
from taximeter.pricing import catalogue
from taximeter.pricing.book import PriceBook
from taximeter.pricing.priceable import Priceable


def shown(
    book: PriceBook,
    model: str,
    at_us: int,
    *,
    provider: str | None = None,
    tier: str | None = None,
    region: str | None = None,
    team: str | None = None,
    tenant: str | None = None,
) -> list[dict[str, Any]]:
    """One row for each host: what was asked, and its rates as `PriceListing.as_dict` gives them.

    Without a provider the model is looked up as in `catalogue.find`; there is one row without rates when nobody has it.
    """
    found: list[tuple[str | None, str]] = [(known.provider, known.name) for known in catalogue.find(book, model)]
    if provider or not found:
        found = [(provider, model)]
    rows = []
    for host, name in found:
        call = Priceable(host, name, at_us, service_tier=tier, region=region, team=team, tenant=tenant)
        asked = {"provider": host, "asked_model": name, "at": rfc3339(at_us), "tier": tier, "region": region}
        rows.append({**asked, "team": team, "tenant": tenant, **book.listing(call).as_dict()})
    return rows
