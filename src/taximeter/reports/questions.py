"""The questions that are asked most, each under a name: a query that is ready, or a small computation over one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from taximeter.core.attribution import SHORT_NAMES
from taximeter.errors import NotFoundError, UsageError
from taximeter.reports.baseline import hourly_baseline
from taximeter.reports.outcomes import unit_economics
from taximeter.store.events import Answer, OutcomeQuery, Query, parse_query
from taximeter.store.events.filters import parse_filters

USAGE: Final = ("cost_usd", "calls", "input_tokens", "output_tokens", "total_tokens")
NARROWING: Final = (
    "from",
    "to",
    "timezone",
    "fiscal_start_month",
    "filters",
    "group_by",
    "interval",
    "order_by",
    "limit",
    "offset",
    "compare",
)
"""What whoever asks may say besides the name, with the meaning it has in a query."""


class Asked(Protocol):
    """What a question needs of an events store."""

    def query(self, query: Query, /) -> Answer: ...

    def outcomes(self, query: OutcomeQuery, /) -> list[dict[str, Any]]: ...


Derivation = Callable[[Asked, Mapping[str, Any], int], dict[str, Any]]
"""An answer made of queries, from the request and the time now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`asks` is the query unless told otherwise. `needs` are fields that have to be filtered by."""

    name: str
    about: str
    asks: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    narrowing: tuple[str, ...] = NARROWING
    derived: Derivation | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "about": self.about, "asks": dict(self.asks), "needs": list(self.needs)}


QUESTIONS: Final = (
    Question(
        name="usage-by-user",
        about="tokens and cost of every user",
        asks={"measures": [*USAGE, "cost_per_call"], "group_by": ["user_id"], "from": "30d", "limit": 1000},
    ),
    Question(
        name="user-this-month",
        about="what one user has used this month, by feature and model",
        asks={"measures": [*USAGE], "group_by": ["feature", "model"], "from": "this_month"},
        needs=("user_id",),
    ),
    Question(
        name="top-users",
        about="the users who cost most",
        asks={"measures": [*USAGE], "group_by": ["user_id"], "from": "30d", "limit": 10},
    ),
    Question(
        name="top-cost-drivers",
        about="the features and models that cost most",
        asks={"measures": [*USAGE], "group_by": ["feature", "model"], "from": "30d", "limit": 10},
    ),
    Question(
        name="feature-model-by-hour",
        about="cost of each feature and model in every hour of the last 24",
        asks={"measures": [*USAGE], "group_by": ["feature", "model"], "from": "24h", "interval": "hour", "limit": 100},
    ),
    Question(
        name="hourly-cost-baseline",
        about="the cost of each of the last 24 hours against the 7 days before it, with its z-score",
        asks={"measures": ["cost_usd"], "interval": "hour", "from": "24h"},
        narrowing=("to", "timezone", "filters"),
        derived=hourly_baseline,
    ),
    Question(
        name="cost-per-call",
        about="what a call costs on average, and what 1,000 output tokens do, by feature and model",
        asks={
            "measures": ["cost_per_call", "cost_per_1000_output_tokens_usd", "cost_usd", "calls"],
            "group_by": ["feature", "model"],
            "from": "30d",
            "order_by": "-cost_per_call",
            "limit": 100,
        },
    ),
    Question(
        name="cache-hit-rate",
        about="the share of input tokens, and of calls, that were served from a prompt cache, by feature and model",
        asks={
            "measures": ["cache_hit_rate", "cache_hit_calls_rate", "cache_read_tokens", "input_tokens", "calls"],
            "group_by": ["feature", "model"],
            "from": "30d",
            "order_by": "-input_tokens",
            "limit": 100,
        },
    ),
    Question(
        name="input-share",
        about="how much of the cost is input, cached or not, by feature and model",
        asks={
            "measures": ["input_cost_share", "cost_usd", "cost_input_usd", "cost_output_usd"],
            "group_by": ["feature", "model"],
            "from": "30d",
            "order_by": "-cost_usd",
            "limit": 100,
        },
    ),
    Question(
        name="retry-share",
        about="how much of the cost is lost to retries, by feature and model",
        asks={
            "measures": ["retry_cost_share", "retry_cost_usd", "retries", "retry_rate", "cost_usd", "calls"],
            "group_by": ["feature", "model"],
            "from": "30d",
            "order_by": "-retry_cost_usd",
            "limit": 100,
        },
    ),
    Question(
        name="outcomes",
        about="what outcomes are worth, against the cost of the calls of the same feature",
        asks={"measures": ["cost_usd", "calls", "unpriced_calls"], "group_by": ["feature"], "from": "30d"},
        narrowing=("from", "to", "timezone", "fiscal_start_month", "filters", "group_by"),
        derived=unit_economics,
    ),
)
_BY_NAME: Final = {question.name: question for question in QUESTIONS}


def find_question(name: str) -> Question:
    """Raises NotFoundError, with the names there are."""
    found = _BY_NAME.get(name)
    if found is None:
        known = list(_BY_NAME)
        raise NotFoundError(f"there is no question {name!r}", hint="there are: " + ", ".join(known), allowed=known)
    return found


def answer_question(name: str, given: Mapping[str, Any], store: Asked, now_us: int) -> dict[str, Any]:
    """The answer in the shape of a query's, with the question before it.

    Raises NotFoundError for an unknown name, UsageError for a wrong or missing part of the request.
    """
    question = find_question(name)
    _only(given, question)
    _has(given, question.needs)
    asked = {**question.asks, **given}
    if question.derived is not None:
        return {"question": question.as_dict(), **question.derived(store, asked, now_us)}
    return {"question": question.as_dict(), **store.query(parse_query(asked, now_us)).as_dict()}


def _only(given: Mapping[str, Any], question: Question) -> None:
    for field in given:
        if field not in question.narrowing:
            allowed = list(question.narrowing)
            hint = "allowed: " + ", ".join(allowed)
            raise UsageError(f"{question.name} takes no {field!r}", hint=hint, field=field, allowed=allowed)


def _has(given: Mapping[str, Any], needs: Sequence[str]) -> None:
    if not needs:
        return
    filtered = {condition.field for condition in parse_filters(given.get("filters") or {})}
    for field in needs:
        if field not in filtered:
            short = {full: name for name, full in SHORT_NAMES.items()}.get(field, field)
            raise UsageError(f"whose? say it with a filter on {field}", hint=f"such as {short}=...", field=field)
