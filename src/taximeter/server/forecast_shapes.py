"""The bodies of `POST /api/v1/forecast`. Money is decimal text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from taximeter.server.shapes import Coverage

Span = Literal["day", "week", "month"]


class ForecastWish(BaseModel):
    """Which period, and of which calls."""

    model_config = ConfigDict(extra="forbid")
    span: Span = Field(default="month", description="what is under way: the day, the week (from Monday), the month")
    filters: dict[str, Any] = Field(default_factory=dict, examples=[{"feature": "chat"}])
    timezone: str | None = Field(default=None, description="IANA name; where it begins and ends")


class ForecastAnswer(BaseModel):
    """What is spent is exact. Without a forecast `reason` says why, and `forecast_usd` and its band are null."""

    model_config = ConfigDict(populate_by_name=True)
    span: Span
    timezone: str
    from_: str = Field(alias="from")
    to: str
    at: str
    spent_usd: str | None = Field(description="null: none of the calls has a price")
    forecast_usd: str | None
    low_usd: str | None
    high_usd: str | None
    confidence: str = Field(description="the share of cases in which the end lies in the band, if the past is like it")
    learnt_days: int = Field(description="whole days of the last 28 that it is learnt from")
    reason: str | None
    coverage: Coverage
