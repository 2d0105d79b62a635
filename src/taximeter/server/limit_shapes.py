"""Bodies of the routes of limits. Amounts are decimal strings for money and whole numbers otherwise."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Amount = str | int


class LimitValue(BaseModel):
    """How a limit stands for one value of its `each` ("" without)."""

    value: str
    scope: dict[str, str]
    amount: Amount
    spent: Amount
    held: Amount = Field(description="by calls under way")
    remaining: Amount
    percent: int = Field(description="of the amount that is spent, whole")
    window_start: str | None
    resets_at: str | None
    per_hour: Amount | None = Field(description="what is spent in an hour, going by the last hours")
    burning: str | None = Field(description="fast or slow: spent so fast that it will not last")
    exhausted_at: str | None = Field(description="when it will be used up at this pace, if before its reset")
    may_exceed: Amount | None = Field(
        description="what calls under way through this process may come to beyond what is held of them, at most; null: "
        "nobody knows"
    )


class LimitShape(BaseModel):
    """A limit: its definition (docs/limits.md), where it is from, and how it stands."""

    model_config = ConfigDict(extra="allow")
    name: str
    measure: str
    limit: Amount
    mode: str
    provisioned: bool = Field(description="from the configuration file, which alone may change it")
    version: int | None
    changed_at: str | None
    changed_by: str | None
    values: list[LimitValue] = Field(default_factory=list)


class LimitList(BaseModel):
    limits: list[LimitShape]
    admission: dict[str, int | str | None] = Field(description="counters since the start; `counters_away` says why")


class LimitVersionShape(BaseModel):
    """One version of a limit; `definition` null: removed."""

    version: int
    definition: dict[str, Any] | None
    changed_at: str
    changed_by: str


class LimitHistory(BaseModel):
    """Every version, newest first."""

    versions: list[LimitVersionShape]


class LimitCrossed(BaseModel):
    """A threshold that was crossed, once a window. `kind`: threshold, burn_fast, burn_slow."""

    kind: str
    name: str
    value: str
    percent: int
    measure: str
    mode: str
    amount: Amount
    spent: Amount
    at: str


class LimitCrossings(BaseModel):
    crossings: list[LimitCrossed]


class CallBoundShape(BaseModel):
    """What a call can come to at most, in tokens (`taximeter.limits.bounds`)."""

    model_config = ConfigDict(extra="forbid")
    input_tokens: int = Field(ge=0)
    output_tokens: int | None = Field(default=None, ge=0, description="its allowance; null: it states none")
    choices: int = Field(default=1, ge=1)
    fixed_output: int = Field(default=0, ge=0)
    least_output: int = Field(default=256, ge=0)
    allowance_key: str | None = Field(default=None, description="where it can be given a smaller one")
    leased: bool = False
    caches_for_an_hour: bool = False
    unbounded: str | None = Field(default=None, description="why nothing can be said")
    usual_allowance: int = Field(default=32_768, ge=0, description="given to a request that states none")
    searches: int = Field(default=0, ge=0, description="units of search, of a reranking")


class CallKindShape(BaseModel):
    model_config = ConfigDict(extra="forbid")
    provider: str | None = None
    model: str | None = None
    tier: str | None = None
    team: str | None = None
    tenant: str | None = None
    with_audio: bool = False
    caches_for_an_hour: bool = False
    others: tuple[str, ...] = Field(default=(), description="models that may answer instead")
    region: str | None = Field(default=None, description="where it is served, when its address tells that")


class AdmissionWish(BaseModel):
    """A call that wants to be made. Its event, with the same id, ends what is held for it."""

    model_config = ConfigDict(extra="forbid")
    event_id: str = Field(max_length=64)
    started_at: str = Field(description="RFC 3339")
    subject: dict[str, str] = Field(description="user_id, team, feature, ..., model, tags.NAME")
    kind: CallKindShape
    size_bytes: int = Field(default=0, ge=0)
    bound: CallBoundShape


class AdmissionAnswer(BaseModel):
    """`verdict`: admitted (with the allowance and model to use instead, where not null), wait, refused."""

    model_config = ConfigDict(extra="allow")
    verdict: str
    allowance: int | None = None
    model: str | None = None
    refused: dict[str, Any] | None = None


class SimulationWish(BaseModel):
    """`limit` is a definition, or the name of a limit."""

    model_config = ConfigDict(extra="forbid")
    limit: dict[str, Any] | str
    since: str = Field(default="30d", description="RFC 3339, or 24h, 30d")


class RefusedOfValue(BaseModel):
    """What would have been refused of one value of `each` ("" without)."""

    value: str
    calls: int
    cost_usd: str
    first_at: str


class RefusedCall(BaseModel):
    at: str
    value: str
    event_id: str
    cost_usd: str


class SimulationAnswer(BaseModel):
    model_config = ConfigDict(extra="allow")
    limit: dict[str, Any]
    replayed_calls: int
    concerned_calls: int
    refused_calls: int
    refused_cost_usd: str
    left_out: bool = Field(description="whether there were more calls than are replayed")
    refused_by_value: list[RefusedOfValue] = Field(description="most calls first")
    first_refusals: list[RefusedCall]
