"""The API's bodies, as models: OpenAPI is made from them, and the page's types from OpenAPI.

Money is a decimal string, counts are integers, moments are RFC 3339. What is not known is null or left out.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from taximeter.core.cost import COMPONENTS
from taximeter.core.event import Kind
from taximeter.store.events.columns import COLUMNS
from taximeter.store.events.comparison import COMPARISONS
from taximeter.store.events.intervals import INTERVALS

Scalar = str | int | float | bool | None


class Problem(BaseModel):
    """What went wrong. `code` is stable; further facts may stand beside these."""

    model_config = ConfigDict(extra="allow")
    code: str
    message: str
    hint: str | None = None


class ErrorAnswer(BaseModel):
    error: Problem


class Between(BaseModel):
    """A time of one's own to compare with."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    from_: str = Field(alias="from", description="included")
    to: str = Field(description="not included")


class Question(BaseModel):
    """What to add up. Names of fields and measures are in the manual (docs/api.md)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    measures: list[str] = Field(examples=[["cost_usd", "calls"]])
    group_by: list[str] = Field(default_factory=list, examples=[["user_id", "feature"]])
    filters: dict[str, Any] = Field(
        default_factory=dict, examples=[{"feature": "chat", "user_id": {"in": ["u1", "u2"]}}]
    )
    from_: str | None = Field(default=None, alias="from", description="RFC 3339, included")
    to: str | None = Field(default=None, description="RFC 3339, not included")
    interval: str | None = Field(default=None, description=", ".join(INTERVALS))
    timezone: str | None = Field(default=None, description="IANA name; where days and months begin")
    fiscal_start_month: int | None = Field(default=None, description="1 to 12; where quarters and years begin")
    order_by: str | None = Field(default=None, description="a column; with a minus in front the largest first")
    limit: int | None = Field(default=None, description="groups of their own; the others are one row")
    offset: int | None = Field(default=None, description="groups before the first one")
    compare: str | Between | None = Field(default=None, description=", ".join(COMPARISONS) + ", or two bounds")
    totals: bool | None = Field(default=None, description="false: none of percentiles and of what else does not add up")


class Coverage(BaseModel):
    """How complete the numbers are."""

    unpriced_calls: int
    unpriced_tokens: int
    estimated_calls: int
    late_calls: int


class Compared(BaseModel):
    """The same for another time. With a limit, its groups are those of the answer it stands beside."""

    from_: str = Field(alias="from")
    to: str
    rows: list[dict[str, Scalar]]
    totals: dict[str, Scalar]
    coverage: Coverage


class Answer(BaseModel):
    """The total of every additive measure is the sum of its rows."""

    rows: list[dict[str, Scalar]]
    totals: dict[str, Scalar]
    coverage: Coverage
    groups: int | None = Field(default=None, description="with a limit: how many groups there are in all")
    comparison: Compared | None = None


class SqlStatement(BaseModel):
    """A SELECT over `calls`, in the dialect of DuckDB."""

    model_config = ConfigDict(extra="forbid")
    sql: str = Field(examples=["SELECT model, sum(cost_usd) AS cost_usd FROM calls GROUP BY model"])


class SqlColumn(BaseModel):
    name: str
    type: str


class SqlAnswer(BaseModel):
    """Decimals are text, moments RFC 3339."""

    columns: list[SqlColumn]
    rows: list[list[Any]]


class VerificationWish(BaseModel):
    model_config = ConfigDict(extra="forbid")
    repair: bool = False


class DifferingUnit(BaseModel):
    """An hour or a day whose roll-up was not what the events say."""

    level: str
    start: str


class VerificationAnswer(BaseModel):
    """How many units were compared, by level, and which differ."""

    checked: dict[str, int]
    differing: list[DifferingUnit]


class DeletionWish(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user_id: str = Field(min_length=1)


class DeletionAnswer(BaseModel):
    """What was deleted, and what still names the user."""

    events: int
    outcomes: int
    remaining_rows: int


class NamedQuestion(BaseModel):
    """A question with a name. `needs` are fields that have to be filtered by."""

    name: str
    about: str
    asks: dict[str, Any]
    needs: list[str]


class QuestionList(BaseModel):
    questions: list[NamedQuestion]


class NamedAnswer(Answer):
    """The answer to a named question."""

    question: NamedQuestion


_TYPES: dict[Kind, Any] = {
    "text": str | None,
    "timestamp": str | None,
    "count": int | None,
    "milliseconds": float | None,
    "flag": bool,
    "money": str | None,
    "texts": dict[str, str],
    "units": dict[str, int | str],
    "json": Any,
}

_ABOUT = {column.name: column.about for column in COLUMNS}

CostComponents = create_model(
    "CostComponents",
    __doc__="USD, as decimal strings; they add up to `cost_usd`.",
    **dict.fromkeys(COMPONENTS, (str | None, None)),  # type: ignore[call-overload]
)

Call = create_model(
    "Call",
    __doc__="One attempt of one call, with every field: null is what is not known.",
    __config__=ConfigDict(extra="allow"),
    **{
        **{f.name: (_TYPES[f.kind], Field(description=f.about)) for f in COLUMNS},
        "attempt": (int, Field(description=_ABOUT["attempt"])),
        "event_id": (str, Field(description=COLUMNS[0].about)),
        "started_at": (str, Field(description=COLUMNS[1].about)),
        "status": (str, ...),
        "provider": (str, ...),
        "source": (str, ...),
        "cost_usd": (str | None, Field(description="USD, exact; null when unpriced")),
        "cost": (CostComponents | None, Field(description=_ABOUT["cost"])),
    },  # type: ignore[call-overload]
)


class CallPage(BaseModel):
    """Calls, newest first, and the cursor of the next page."""

    events: list[Call]  # type: ignore[valid-type]
    next: str | None


class Me(BaseModel):
    """Who is signed in."""

    kind: Literal["key", "local", "session", "anyone"]
    name: str
    scope: str
    key_id: str | None


class KeyWish(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=200)
    scope: Literal["gateway", "ingest", "read", "admin"]
    attributes: dict[str, str] = Field(default_factory=dict, description="bound to every call made with it")
    attributes_win: bool = Field(
        default=True, description="they win over what the caller says; otherwise they fill in what it leaves out"
    )


class NewKey(BaseModel):
    """A new key. `key` is shown this once."""

    id: str
    name: str
    scope: str
    key: str


class KeyInfo(BaseModel):
    """A key without its secret; `prefix` is its beginning."""

    id: str
    name: str
    scope: str
    prefix: str
    attributes: dict[str, str]
    attributes_win: bool
    created_at: str
    revoked_at: str | None
    last_used_at: str | None


class KeyList(BaseModel):
    keys: list[KeyInfo]


class SignInLink(BaseModel):
    url: str


class Status(BaseModel):
    """How the server is."""

    version: str
    role: str
    price_version: str
    schema_version: int | None
    started_at: str
    collector: dict[str, Any] | None
    sender: dict[str, Any] | None
    spool: dict[str, Any] | None
    gateway: dict[str, Any] | None
    jobs: dict[str, dict[str, Any]] = Field(description="the periodic work, by name")
    losses: dict[str, int]
    unpriced_calls: int | None
    storage_bytes: int
    providers: list[str]
    problems: list[str]
