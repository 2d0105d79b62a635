"""The bodies of `POST /api/v1/reconcile`. Money is decimal text."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_FILES: Final = 20
MOST_CHARACTERS: Final = 16 << 20


class ReportFile(BaseModel):
    """A file of the provider: what its API or console gives."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=255, examples=["openai-costs.json"])
    text: str = Field(max_length=MOST_CHARACTERS, description="JSON, JSON lines or CSV, in any format that is imported")


class ReconcileWish(BaseModel):
    """Which bills are compared with what was metered; those of last month when nothing is said."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    provider: str | None = Field(default=None, description="one provider; all with a bill", examples=["openai"])
    month: str | None = Field(default=None, examples=["2026-10"], description="in UTC, as providers bill")
    from_: str | None = Field(default=None, alias="from", description="in place of a month: as in a query; included")
    to: str | None = Field(default=None, description="as `from`; not included")
    by: Literal["day", "model"] | None = Field(default=None, description="what a row is; a day")
    billed_usd: str | None = Field(default=None, description="in place of an imported bill: its whole amount")
    report: list[dict[str, Any]] = Field(
        default_factory=list,
        description="rows of the provider's bill and usage report, as imports read them; compared, and not stored",
    )
    files: list[ReportFile] = Field(
        default_factory=list,
        max_length=MOST_FILES,
        description="the provider's bill and usage report themselves; read, compared, and not stored",
    )
    tolerance: str | None = Field(default=None, description="a share of the bill; 0.01 when nothing is said")
    filters: dict[str, Any] = Field(default_factory=dict, description="which calls the bill is for")


class ReconciledAmounts(BaseModel):
    """`difference_usd` = `billed_usd` - `metered_usd` = `unmetered_usd` + `price_usd` + `unexplained_usd`."""

    model_config = ConfigDict(extra="allow")
    billed_usd: str
    metered_usd: str
    difference_usd: str
    difference_share: float | None = Field(description="of the bill; null where nothing was billed")
    unmetered_usd: str = Field(description="usage in the provider's report that was not metered, at prices of the book")
    price_usd: str = Field(description="what the bill is more than the usage in the provider's report comes to")
    unexplained_usd: str = Field(description="the difference of days without a usage report")
    calls: int = Field(description="metered")
    unpriced_calls: int
    estimated_calls: int


class ReconcileReason(BaseModel):
    """What may make a difference. `usd` and `calls` are how much of it is in question; null when it is not known."""

    code: str
    text: str
    usd: str | None
    calls: int | None


class ReconcileAnswer(BaseModel):
    """Each row names its `provider` and, under the name of `by`, its day or model. Rows sum to the totals."""

    from_: str = Field(alias="from")
    to: str
    by: Literal["day", "model"]
    tolerance: str
    within: bool | None = Field(description="no provider differs by more than the tolerance; null: nothing to compare")
    rows: list[ReconciledAmounts]
    totals: ReconciledAmounts
    reasons: list[ReconcileReason]
