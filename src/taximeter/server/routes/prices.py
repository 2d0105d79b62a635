"""What a model costs at a time, and what an amount rests on.

A trail is the list of what made a rate: `{"layer", "rule", "source", "checked", "from", "to", "factor"}`, with a
factor where it multiplied what was there before.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from taximeter.core.money import format_usd
from taximeter.errors import NotFoundError, UsageError
from taximeter.pricing import priceable_from_record
from taximeter.pricing.price_file import instant_us
from taximeter.pricing.showing import shown
from taximeter.server.routes.dependencies import Reader, TheParts
from taximeter.store.events import parse_event_query

router: Final = APIRouter(tags=["prices"])


class Rate(BaseModel):
    """USD for `per` of a unit; beyond `over_tokens` input tokens where that is not null."""

    model_config = ConfigDict(extra="allow")
    rate: str
    over_tokens: int | None
    usd: str
    per: int
    unit: str
    trail: list[dict[str, Any]]


class ShownPrice(BaseModel):
    """All rates of a model at a host. `from` and `until` bound the period in which nothing of it changes."""

    model_config = ConfigDict(extra="allow")
    provider: str | None
    asked_model: str
    at: str
    unpriced_reason: str | None
    price_version: str
    price_rule: str | None
    model: str | None
    rates: list[Rate]


class ShownPrices(BaseModel):
    prices: list[ShownPrice]


class PriceLine(BaseModel):
    """`amount_usd` = `billed` x `usd` / `per`."""

    component: str
    name: str
    quantity: str
    billed: str
    unit: str
    rate: str | None
    usd: str | None
    per: int
    amount_usd: str | None
    over_tokens: int | None
    model: str | None
    trail: list[dict[str, Any]]


class ExplainedCost(BaseModel):
    """A call's cost with every rate applied, by today's price book; `stored` is what was written down with the call."""

    model_config = ConfigDict(extra="allow")
    cost_usd: str | None
    cost: dict[str, str] | None
    unpriced_reason: str | None
    price_version: str
    price_rule: str | None
    cache_saving_usd: str | None
    lines: list[PriceLine]
    stored: dict[str, Any]


@router.get("/prices", response_model=ShownPrices)
def prices(
    parts: TheParts,
    _caller: Reader,
    model: Annotated[str, Query(description="gpt-4o, or azure/gpt-4o")],
    provider: str | None = None,
    at: Annotated[str | None, Query(description="a day (UTC) or RFC 3339; now when left out")] = None,
    tier: Annotated[str | None, Query(description="batch, flex, priority, fast")] = None,
    region: str | None = None,
    team: str | None = None,
    tenant: str | None = None,
) -> Response:
    """Every rate of a model at a time, and the layer and rule that gave it."""
    at_us = parts.clock.now_us() if at is None else instant_us(at)
    if at_us is None:
        raise UsageError(f"at: not a day or an instant: {at!r}", hint="such as 2026-08-17", field="at")
    where = {"provider": provider, "tier": tier, "region": region, "team": team, "tenant": tenant}
    return JSONResponse({"prices": shown(parts.prices(), model, at_us, **where)})


@router.get("/prices/explain", response_model=ExplainedCost)
def explain(parts: TheParts, _caller: Reader, event_id: str) -> Response:
    """What a stored call costs by today's price book, rate by rate."""
    found = parts.kept().events(parse_event_query({"filters": {"event_id": event_id}}, parts.clock.now_us())).events
    if not found:
        raise NotFoundError(f"there is no event {event_id}")
    record, book = found[0], parts.prices()
    call = priceable_from_record(record)
    saving = book.cache_saving(call)
    stored = {name: record.get(name) for name in ("cost_usd", "cost", "price_version", "price_rule", "unpriced_reason")}
    saved = None if saving is None else format_usd(saving)
    return JSONResponse({**book.explain(call).as_dict(), "cache_saving_usd": saved, "stored": stored})
