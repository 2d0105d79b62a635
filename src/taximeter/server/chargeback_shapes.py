"""The bodies of `POST /api/v1/chargeback`. Money is decimal text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from taximeter.server.shapes import Coverage


class ChargebackWish(BaseModel):
    """Who is charged, and for which time; last month when nothing is said."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    by: str | None = Field(default=None, description="a field, or tags.NAME; chargeback.by of the configuration")
    month: str | None = Field(default=None, examples=["2026-10"])
    from_: str | None = Field(default=None, alias="from", description="in place of a month: as in a query; included")
    to: str | None = Field(default=None, description="as `from`; not included")
    timezone: str | None = Field(default=None, description="IANA name; where a month begins")
    fiscal_start_month: int | None = Field(default=None, description="1 to 12; where quarters and years begin")
    filters: dict[str, Any] = Field(default_factory=dict, examples=[{"environment": "prod"}])
    unattributed: Literal["line", "shared"] | None = Field(
        default=None, description="a line of its own, or shared among the others; as the configuration says"
    )


class Charged(BaseModel):
    """A line is charged `cost_usd` + `markup_usd` + `shared_usd`, rounded to cents as `amount_usd`."""

    model_config = ConfigDict(extra="allow")
    calls: int
    unpriced_calls: int
    cost_usd: str | None = Field(description="null: none of the calls has a price")
    markup_usd: str
    shared_usd: str = Field(description="what cannot be attributed: taken on, or (negative) given away")
    amount_usd: str


class ChargebackAnswer(BaseModel):
    """Each row names its payer under the name of `by`, null for what cannot be attributed. The amounts of the rows sum
    to that of the totals."""

    by: str
    from_: str = Field(alias="from")
    to: str
    timezone: str
    rows: list[Charged]
    totals: Charged
    coverage: Coverage
