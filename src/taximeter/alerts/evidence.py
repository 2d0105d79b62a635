"""The first steps of a runbook, taken by themselves when an alert fires: each asks one question and answers in a line.

Questions are about the alert's scope, from its start until now, against the hours before. One that cannot be answered
says so: an alert is never held up by its evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from taximeter.alerts.alert import Alert
from taximeter.alerts.chart import BUCKET_US, BUCKETS
from taximeter.alerts.incidents import family_of
from taximeter.alerts.message import counted
from taximeter.alerts.runbook import Runbook, Step, for_kind
from taximeter.alerts.states import SECOND_US
from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.attribution import SHORT_NAMES
from taximeter.errors import StoreError, UsageError
from taximeter.store.events import EventStore, parse_query
from taximeter.store.events.query import TIME
from taximeter.store.events.vocabulary import FILTERABLE
from taximeter.store.metadata import Annotation

BEFORE_US: Final = 3600 * SECOND_US
"""What an alert's time is compared with: so long before its start."""

LEAST_US: Final = 600 * SECOND_US
"""An alert that has just begun is looked at over at least so long."""

DEPLOYED_US: Final = 2 * 3600 * SECOND_US
"""Deployments so long before the start may be the cause."""

BOT_SHARE: Final = 0.5
"""A user with more than this share of the calls may be a program."""

MOST_ROWS: Final = 5


class Marks(Protocol):
    """Where deployments are looked up."""

    def annotations(self, from_us: int, to_us: int, limit: int = 100) -> list[Annotation]: ...


Explain = Callable[[Mapping[str, Any]], str]
"""Why spend changed, in a line: from the body of `POST /api/v1/why`. Raises StoreError, UsageError."""


@dataclass(frozen=True, slots=True)
class Question:
    """What evidence is about: `scope` are the alert's labels that calls can be filtered by."""

    store: EventStore
    marks: Marks
    explain: Explain
    scope: Mapping[str, str]
    from_us: int
    now_us: int

    def ask(
        self, measures: Sequence[str], group_by: Sequence[str] = (), *, before: bool = False, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Rows for the alert's time, or for the time before it."""
        bounds = (self.from_us - BEFORE_US, self.from_us) if before else (self.from_us, self.now_us)
        return self._rows(
            *bounds, measures=list(measures), group_by=list(group_by), **({"limit": limit} if limit else {})
        )

    def minutes(self, measure: str, from_us: int) -> list[tuple[int, Any]]:
        """A measure by minute, from an instant until now."""
        rows = self._rows(from_us, self.now_us, measures=[measure], interval="minute")
        return [(to_unix_us(datetime.fromisoformat(row[TIME])), row[measure]) for row in rows]

    def hours(self, measure: str, from_us: int) -> dict[int, Any]:
        """A measure by UTC hour with calls, from an instant until now."""
        rows = self._rows(from_us, self.now_us, measures=[measure], interval="hour")
        return {to_unix_us(datetime.fromisoformat(row[TIME])): row[measure] for row in rows}

    def between(self, measure: str, from_us: int, to_us: int) -> Any:
        """A measure between two instants; None when there were no calls."""
        rows = self._rows(from_us, to_us, measures=[measure])
        return rows[0][measure] if rows else None

    def total(self, measure: str, from_us: int, to_us: int) -> int:
        """A count between two instants."""
        return int(self.between(measure, from_us, to_us) or 0)

    def _rows(self, from_us: int, to_us: int, **request: Any) -> list[dict[str, Any]]:
        bounded = {**request, "filters": dict(self.scope), "from": rfc3339(from_us), "to": rfc3339(to_us)}
        return self.store.query(parse_query(bounded, self.now_us)).rows

    def one(self, *measures: str, before: bool = False) -> Mapping[str, Any]:
        """The totals; zeros when there was nothing."""
        rows = self.ask(measures, before=before)
        return rows[0] if rows else dict.fromkeys(measures, 0)


def contributors(question: Question) -> str:
    """Who is behind the change, and what it consists of."""
    return question.explain(
        {
            "from": rfc3339(question.from_us),
            "to": rfc3339(question.now_us),
            "against": {"from": rfc3339(question.from_us - BEFORE_US), "to": rfc3339(question.from_us)},
            "filters": dict(question.scope),
            "limit": 3,
        }
    )


def deployments(question: Question) -> str:
    """What was deployed, or marked otherwise, shortly before."""
    marks = question.marks.annotations(question.from_us - DEPLOYED_US, question.now_us)
    told = [f"{mark.text} ({rfc3339(mark.at_us)[11:16]} UTC)" for mark in marks[:MOST_ROWS]]
    return ", ".join(told) if told else "none marked in the two hours before"


def errors_and_retries(question: Question) -> str:
    now = question.one("calls", "errors", "retries")
    before = question.one("calls", "errors", "retries", before=True)
    return f"{_shares(now)}; before: {_shares(before)}"


def _shares(row: Mapping[str, Any]) -> str:
    calls = row["calls"] or 0
    if not calls:
        return "no calls"
    errors, retries = ((row[name] or 0) / calls for name in ("errors", "retries"))
    return f"{errors:.1%} errors, {retries:.1%} retries of {counted(calls, 'call')}"


def cache_hit_rate(question: Question) -> str:
    now, before = (question.one("cache_hit_rate", before=then)["cache_hit_rate"] for then in (False, True))
    return f"{_percent(now)} of the input from caches; before: {_percent(before)}"


def _percent(share: float | None) -> str:
    return "nothing" if share is None else f"{share:.0%}"


def bot_like_users(question: Question) -> str:
    """Whether one user makes most of the calls."""
    rows = question.ask(("calls",), ("user_id",))
    total = sum(row["calls"] for row in rows)
    first = max(rows, key=lambda row: row["calls"], default=None)
    if first is None or not total:
        return "no calls"
    share = first["calls"] / total
    who = first["user_id"] or "calls that name no user"
    verdict = "looks like a program" if share > BOT_SHARE and len(rows) > 1 else "no single user stands out"
    return f"{verdict}: {who} made {share:.0%} of {counted(total, 'call')} by {counted(len(rows), 'user')}"


def prompt_versions(question: Question) -> str:
    return _values(question, "prompt_version")


def service_versions(question: Question) -> str:
    return _values(question, "service_version")


def models(question: Question) -> str:
    return _values(question, "model")


def _values(question: Question, dimension: str) -> str:
    """Which values a dimension has now, and had before, with what a call of each costs."""
    now, before = (_costs(question, dimension, before=then) for then in (False, True))
    new = [value for value in now if value not in before]
    told = ", ".join(f"{value} ${cost}" for value, cost in now.items()) or "no calls"
    return f"{told} a call" + (f"; new: {', '.join(new)}" if new and before else "")


def _costs(question: Question, dimension: str, *, before: bool) -> dict[str, str]:
    rows = question.ask(("calls", "cost_per_call"), (dimension,), before=before, limit=MOST_ROWS)
    named = (row for row in rows if not row.get("other"))
    return {row[dimension] or "(not said)": short_usd(row["cost_per_call"]) for row in named}


def short_usd(amount: str | None) -> str:
    """Four significant digits, never as a power of ten."""
    return "?" if amount is None else f"{Decimal(f'{Decimal(amount):.4g}'):f}"


def context_size(question: Question) -> str:
    now, before = (_tokens_per_call(question, before=then) for then in (False, True))
    return f"{now} input tokens a call; before: {before}"


def _tokens_per_call(question: Question, *, before: bool) -> str:
    row = question.one("input_tokens", "calls", before=before)
    return f"{round((row['input_tokens'] or 0) / row['calls']):,}" if row["calls"] else "no"


def unpriced_models(question: Question) -> str:
    rows = question.ask(("unpriced_calls",), ("provider", "model"), limit=MOST_ROWS)
    told = [f"{row['provider']}/{row['model']} {row['unpriced_calls']:,}" for row in rows if row["unpriced_calls"]]
    return ", ".join(told) or "all calls have a price"


CHARTED: Final[Mapping[str, str]] = {
    "volume_spike": "calls",
    "no_data": "calls",
    "error_rate": "errors",
    "retry_storm": "retries",
    "slow_creep": "input_tokens",
    "unpriced_model": "unpriced_calls",
}
"""Kind of trouble → what its chart shows; of all others the cost."""


def charted(question: Question, alert: Alert) -> Mapping[str, Any] | None:
    """The last hours of what an alert is about, bar by bar; None when there was nothing, or it cannot be asked now."""
    measure = CHARTED.get(alert.kind, "cost_usd")
    last_us = question.now_us // BUCKET_US
    first_us = (last_us + 1 - BUCKETS) * BUCKET_US
    try:
        rows = question.minutes(measure, first_us)
        before = question.hours(measure, first_us // HOUR_US * HOUR_US - USUAL_DAYS * DAY_US)
    except (StoreError, UsageError):
        return None
    values = [0.0] * BUCKETS
    for at_us, value in rows:
        values[BUCKETS - 1 - (last_us - at_us // BUCKET_US)] += float(value or 0)
    if not any(values):
        return None
    since = BUCKETS - 1 - (last_us - alert.started_at_us // BUCKET_US)
    caption = f"{measure} in 5 minutes, the last 3 hours; at most {max(values):,.6g}"
    usual = [usual_of(before, first_us + place * BUCKET_US) for place in range(BUCKETS)]
    return {"caption": caption, "values": values, "since": max(0, min(since, BUCKETS - 1)), "usual": usual}


HOUR_US: Final = 3600 * SECOND_US
DAY_US: Final = 24 * HOUR_US
USUAL_DAYS: Final = 7
FEWEST_DAYS: Final = 5
"""What is usual is told from so many of the days before."""


def usual_of(hours: Mapping[int, Any], at_us: int) -> tuple[float, float] | None:
    """The least and the most that a bar had, on average over the hour, at this hour of the days before; None where too
    few of them are known: those before the first call are not, and an hour whose amount is unknown is not."""
    hour_us, first_us = at_us // HOUR_US * HOUR_US, min(hours, default=at_us)
    days = (hour_us - day * DAY_US for day in range(1, USUAL_DAYS + 1))
    known = [hours.get(day_us, 0) for day_us in days if day_us >= first_us]
    bars = [float(amount) * BUCKET_US / HOUR_US for amount in known if amount is not None]
    return (min(bars), max(bars)) if len(bars) >= FEWEST_DAYS else None


Answer = Callable[[Question], str]
STEPS: Final[Mapping[str, tuple[str, Answer]]] = {
    "contributors": ("Who is behind it", contributors),
    "deployments": ("Deployments", deployments),
    "errors_and_retries": ("Errors and retries", errors_and_retries),
    "cache_hit_rate": ("Cache hit rate", cache_hit_rate),
    "bot_like_users": ("Bot-like users", bot_like_users),
    "prompt_versions": ("Prompt versions", prompt_versions),
    "service_versions": ("Service versions", service_versions),
    "models": ("Models", models),
    "context_size": ("Context size", context_size),
    "unpriced_models": ("Without a price", unpriced_models),
}
"""Name in a runbook → what people call it, and the question."""


def answers(question: Question, steps: Iterable[Step]) -> list[tuple[str, str]]:
    """What the steps found out, in their order."""
    return [_answered(question, step) for step in steps]


def _answered(question: Question, step: Step) -> tuple[str, str]:
    title, answer = STEPS.get(step.name, (step.name, None))
    try:
        if step.query is not None:
            return title, _of_query(question, step.query)
        return title, answer(question) if answer is not None else "there is no such step"
    except (StoreError, UsageError) as error:
        return title, f"could not be found out: {error}"


def _of_query(question: Question, query: Mapping[str, Any]) -> str:
    group_by = [SHORT_NAMES.get(name, name) for name in query.get("group_by") or ()]
    rows = question.ask(query.get("measures") or ["calls"], group_by, limit=query.get("limit", MOST_ROWS))
    return "; ".join(_row(row, group_by) for row in rows[:MOST_ROWS]) or "no calls"


def _row(row: Mapping[str, Any], group_by: Sequence[str]) -> str:
    named = " ".join(str(row[name] or "(not said)") for name in group_by)
    measured = ", ".join(f"{name} {value}" for name, value in row.items() if name not in (*group_by, "other"))
    return f"{named}: {measured}" if named else measured


def scope_in(alert: Alert) -> dict[str, str]:
    """The labels of an alert that calls can be filtered by."""
    return {name: value for name, value in alert.labels.items() if name in FILTERABLE}


@dataclass(frozen=True, slots=True)
class Investigator:
    """Takes the first steps for an alert: what `Watch` calls when an incident opens."""

    store: EventStore
    marks: Marks
    explain: Explain
    books: Mapping[str, Runbook]
    now_us: Callable[[], int]

    def __call__(self, alert: Alert) -> Mapping[str, Any]:
        now_us = self.now_us()
        from_us = min(alert.started_at_us, now_us - LEAST_US)
        question = Question(self.store, self.marks, self.explain, scope_in(alert), from_us, now_us)
        chart = None if family_of(alert.kind) == "meter" else charted(question, alert)
        book = for_kind(self.books, alert.kind, alert.facts.get("runbook"))
        if book is None:
            return {"chart": chart}
        return {
            "chart": chart,
            "runbook": book.name,
            "action": alert.facts.get("action") or book.action,
            "evidence": answers(question, book.steps),
        }
