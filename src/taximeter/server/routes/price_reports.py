"""Reports on prices: calls without one, what caching did to the bill, where providers name other amounts."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from taximeter.reports.caching import caching
from taximeter.reports.differences import differences
from taximeter.reports.unpriced import unpriced
from taximeter.server.routes.dependencies import Reader, TheParts
from taximeter.server.shapes import Coverage, Scalar

router: Final = APIRouter(tags=["prices"])


class RangeWish(BaseModel):
    """Which calls are meant."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    from_: str | None = Field(default=None, alias="from", description="RFC 3339, a date or 30d; included")
    to: str | None = Field(default=None, description="as `from`, not included; now when left out")
    filters: dict[str, Any] = Field(default_factory=dict, examples=[{"feature": "chat"}])
    timezone: str | None = Field(default=None, description="IANA name; where a date begins")


class CachingWish(RangeWish):
    group_by: list[str] | None = Field(default=None, description="feature and model when left out")
    interval: str | None = Field(default=None, description="one row for each of these")


class DifferencesWish(RangeWish):
    tolerance: str | int | float | None = Field(
        default=None, description="a share of the amount; 0.01 when left out. A smaller difference is none"
    )


class UnpricedRow(BaseModel):
    """Unpriced calls; `at_most_usd` is a bound on what their tokens may cost, null when there is none."""

    provider: str | None
    model: str | None
    service_tier: str | None
    unpriced_reason: str | None
    unpriced_calls: int
    input_tokens: int
    output_tokens: int
    unpriced_tokens: int
    first_seen: str | None
    last_seen: str | None
    at_most_usd: str | None


class UnpricedAnswer(BaseModel):
    rows: list[UnpricedRow]
    totals: dict[str, Scalar]


class CachingAnswer(BaseModel):
    """Rows have the dimensions, the measures of caching, and `written_calls`, `written_off_calls`,
    `written_off_tokens`, `written_off_usd`."""

    rows: list[dict[str, Scalar]]
    totals: dict[str, Scalar]
    coverage: Coverage
    assumptions: list[str]


class DifferenceRow(BaseModel):
    """Calls of a model with an amount of their provider's; amounts are over those that have a computed one too."""

    provider: str | None
    model: str | None
    calls: int
    unpriced_calls: int
    computed_cost_usd: str
    reported_cost_usd: str
    difference_usd: str
    difference_percent: str | None
    differing_calls: int
    largest_difference_usd: str
    largest_event_id: str | None


class DifferencesAnswer(BaseModel):
    tolerance: str
    price_version: str
    rows: list[DifferenceRow]


@router.post("/prices/unpriced", response_model=UnpricedAnswer)
def unpriced_calls(wish: RangeWish, parts: TheParts, _caller: Reader) -> Response:
    """Calls without a price by provider, model, tier and reason: how many, since when, how many tokens."""
    return JSONResponse(unpriced(_asked(wish), parts.kept(), parts.prices(), parts.clock.now_us()))


@router.post("/prices/caching", response_model=CachingAnswer)
def what_caching_did(wish: CachingWish, parts: TheParts, _caller: Reader) -> Response:
    """What prompt caching saved, how often it hit, and what was written for nobody."""
    return JSONResponse(caching(_asked(wish), parts.kept(), parts.clock.now_us()))


@router.post("/prices/differences", response_model=DifferencesAnswer)
def differing_amounts(wish: DifferencesWish, parts: TheParts, _caller: Reader) -> Response:
    """How the amounts that providers name themselves differ from the computed ones, by model."""
    return JSONResponse(differences(_asked(wish), parts.kept(), parts.prices(), parts.clock.now_us()))


def _asked(wish: BaseModel) -> dict[str, Any]:
    return wish.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
