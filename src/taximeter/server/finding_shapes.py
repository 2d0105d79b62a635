"""The bodies of the routes of findings. Moments are RFC 3339, money is decimal text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ExpectationShape(BaseModel):
    """What was seen beside what was expected, in `unit`; 90 % lie between `low` and `high`. `basis`: from what."""

    unit: str
    actual: float
    expected: float
    low: float
    high: float
    basis: str


class ContributorShape(BaseModel):
    dimension: str
    value: str | None
    share: float
    change_usd: str


class FindingShape(BaseModel):
    """One incident at the scope that explains it. `ended_at` is null while it lasts; an empty scope is all calls."""

    finding_id: str
    kind: str
    scope: dict[str, str]
    severity: str
    started_at: str
    detected_at: str
    updated_at: str
    ended_at: str | None
    expectation: ExpectationShape
    excess_usd: str | None
    excess_usd_per_hour: str | None
    contributors: list[ContributorShape]
    summary: str
    evidence: dict[str, Any]
    verdict: str | None
    verdict_by: str | None


class FindingList(BaseModel):
    findings: list[FindingShape]


class SeriesPoint(BaseModel):
    """A minute, ten or an hour of the finding's scope."""

    time: str
    calls: int
    cost_usd: str | None
    input_tokens: int
    cache_read_tokens: int
    output_tokens: int
    retries: int


class FindingPage(BaseModel):
    """A finding and what its calls were from two hours before it began."""

    finding: FindingShape
    interval: Literal["minute", "hour", "day"]
    series: list[SeriesPoint]


class VerdictWish(BaseModel):
    """`confirmed`: it was trouble. `new_level`: it is normal from now on. `false_alarm`: it was nothing."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["confirmed", "new_level", "false_alarm"]


class BacktestWish(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: str = Field(default="30d", alias="from", description="as for queries")
    to: str = "now"


class BacktestFinding(BaseModel):
    kind: str
    scope: dict[str, str]
    severity: str
    started_at: str
    detected_at: str
    ended_at: str | None
    minutes: int
    excess_usd: str | None
    summary: str


class BacktestAnswer(BaseModel):
    """What detection would have told, and how to make it quieter."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from")
    to: str
    learnt_from: str
    findings: list[BacktestFinding]
    by_kind: dict[str, int]
    per_week: float
    excess_usd: str
    advice: list[str]
