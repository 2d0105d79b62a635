"""The bodies of the calculator's routes. Money, shares and percentages are decimal strings, counts are integers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = str | int | float
"""A decimal string, or a number, which is read as it was written."""


class CalculatorWish(BaseModel):
    """A workload, the model chosen for it, and others to stand beside it."""

    model_config = ConfigDict(extra="forbid")
    model: str = Field(examples=["gpt-4o", "azure/gpt-4o"], description="MODEL or PROVIDER/MODEL")
    compare: list[str] = Field(default_factory=list, examples=[["gpt-4o-mini", "claude-sonnet-4-5"]])
    input_tokens: int = Field(examples=[1000], description="of one call, with what is cached")
    output_tokens: int = Field(examples=[500], description="of one call")
    calls_per_day: int = Field(examples=[100000])
    cached_share: Share | None = Field(default=None, description="of the input, read from a cache; 0 to 1")
    batch_share: Share | None = Field(default=None, description="of the calls, made by batch; 0 to 1")
    at: str | None = Field(default=None, description="prices of that moment; now when left out")
    prices: str | None = Field(default=None, description="the text of a price file, in place of the server's own")


class WorkloadShape(BaseModel):
    input_tokens: int
    output_tokens: int
    calls_per_day: int
    cached_share: str
    batch_share: str
    days_per_month: int
    days_per_year: int


class AmountsShape(BaseModel):
    """USD; a month has 30 days, a year 365."""

    per_call_usd: str
    per_day_usd: str
    per_month_usd: str
    per_year_usd: str


class DifferenceShape(AmountsShape):
    """The model's amounts less those of the chosen one."""

    percent: str | None


class ComponentsShape(BaseModel):
    """USD; they add up to `per_call_usd`."""

    input: str
    cache_read: str
    cache_write: str
    output: str
    other: str


class ModelLine(BaseModel):
    """One model. Without a price `cost` is null and `unpriced_reason` says why."""

    model: str
    provider: str
    tier_class: Literal["general", "balanced", "throughput"] | None
    context_window_tokens: int | None
    exceeds_context_window: bool | None
    price_checked_on: str | None = Field(description="the day on which its price was last checked, where known")
    price_rule: str | None
    unpriced_reason: str | None
    cost: AmountsShape | None
    components_per_call: ComponentsShape | None
    difference: DifferenceShape | None


class Calculation(BaseModel):
    """The chosen model first, then the others as they were named."""

    at: str
    price_version: str
    workload: WorkloadShape
    models: list[ModelLine]


class WhatIfWish(BaseModel):
    """Which recorded calls, and what would have been different."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    filters: dict[str, Any] = Field(default_factory=dict, examples=[{"feature": "chat"}])
    from_: str | None = Field(default=None, alias="from", description="RFC 3339, a date, 30d, ...; included")
    to: str | None = Field(default=None, description="as `from`; not included")
    timezone: str | None = Field(default=None, description="IANA name; where a date begins")
    model: str | None = Field(default=None, description="another model, as MODEL or PROVIDER/MODEL")
    service_tier: str | None = Field(default=None, description="another tier: batch, flex, priority, default, ...")
    cached_share: Share | None = Field(default=None, description="of every call's input, read from a cache; 0 to 1")
    token_ratio: Share | None = Field(default=None, description="tokens of `model` for each recorded token; 1")
    at: str | None = Field(default=None, description="all calls at the prices of that moment, not of their own")
    prices: str | None = Field(default=None, description="the text of a price file, in place of the server's own")


class HypothesisShape(BaseModel):
    model: str | None
    provider: str | None
    service_tier: str | None
    cached_share: str | None
    token_ratio: str
    at: str | None
    own_prices: bool


class ActualShape(BaseModel):
    cost_usd: str
    unpriced_calls: int


class SupposedShape(ActualShape):
    unpriced_reasons: dict[str, int]


class ComparedShape(BaseModel):
    """The calls with a price both ways."""

    calls: int
    actual_cost_usd: str
    what_if_cost_usd: str
    difference_usd: str
    difference_percent: str | None


class TallyShape(BaseModel):
    calls: int
    estimated_calls: int
    actual: ActualShape
    what_if: SupposedShape
    compared: ComparedShape


class ModelTally(TallyShape):
    """The calls that this model really answered."""

    provider: str | None
    model: str | None


class PerMonthShape(BaseModel):
    """`compared`, as of 30 days."""

    actual_cost_usd: str
    what_if_cost_usd: str
    difference_usd: str


class WhatIfAnswer(TallyShape):
    """What the calls cost, and what they would have cost. The totals are the sums of `by_model`."""

    model_config = ConfigDict(populate_by_name=True)
    from_: str = Field(alias="from")
    to: str
    price_version: str
    hypothesis: HypothesisShape
    assumptions: list[str]
    compared_per_month: PerMonthShape
    by_model: list[ModelTally]


class CalculatorUseShape(BaseModel):
    """One use of the calculator. It is no call and no spend."""

    number: int
    at: str
    kind: Literal["calculator", "what_if"]
    asked_by: str = Field(description="the page (session), the command line (local), a key, or anyone")
    user_selections: dict[str, Any]
    calculated_monthly_cost: str | None = Field(description="USD; null when the chosen model has no price")
    comparison_delta: dict[str, str | None] = Field(description="by model: USD a month more than the chosen one")


class CalculatorUseList(BaseModel):
    """Newest first; the number of the first one is how many there have been."""

    uses: list[CalculatorUseShape]
