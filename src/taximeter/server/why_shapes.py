"""The bodies of `POST /api/v1/why`. Money is decimal text."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class WhyWish(BaseModel):
    """Two periods to compare."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    from_: str | None = Field(default=None, alias="from", description="RFC 3339 or 24h, 30d, today; 24 hours ago")
    to: str | None = Field(default=None, description="as `from`; now")
    against: str | dict[str, str] | None = Field(
        default=None, description="previous (default), week_before, or {from, to}", examples=["week_before"]
    )
    filters: dict[str, Any] = Field(default_factory=dict, examples=[{"feature": "chat"}])
    timezone: str | None = Field(default=None, description="IANA name; where a date begins")
    dimensions: list[str] | None = Field(default=None, description="where contributors are looked for")
    limit: int | None = Field(default=None, description="contributors in the answer")


class SpanShape(BaseModel):
    from_: str = Field(alias="from")
    to: str


class AgainstShape(SpanShape):
    scaled_by: str = Field(description="what its usage was multiplied by, to be as long as the period")


class FactorShape(BaseModel):
    """volume, feature_mix, model_mix, retries, input_tokens, output_tokens, cache, price or fees."""

    factor: str
    change_usd: str


class ContributorShape(BaseModel):
    """A value of a dimension; its factors sum to its change."""

    dimension: str
    value: str | None
    before_usd: str
    after_usd: str
    change_usd: str
    share: float = Field(description="its part of the whole change; above 1 when others went the other way")
    factors: list[FactorShape]


class WhyCoverage(BaseModel):
    """Calls without a price: they have no part in the answer."""

    unpriced_calls_before: int
    unpriced_calls: int


class WhyAnswer(BaseModel):
    """The factors sum to the change, to the last digit; contributors are the best explanation first."""

    period: SpanShape
    against: AgainstShape
    before_usd: str
    after_usd: str
    change_usd: str
    factors: list[FactorShape]
    contributors: list[ContributorShape]
    coverage: WhyCoverage
