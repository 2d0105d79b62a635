"""Random histories and random questions about them, for every store of events."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.cost import COMPONENTS
from taximeter.core.event import STATUSES
from taximeter.core.ids import uuid7
from taximeter.core.money import format_usd
from taximeter.store.events.comparison import Period
from taximeter.store.events.filters import Condition, Operator
from taximeter.store.events.intervals import INTERVALS
from taximeter.store.events.query import TIME, EventQuery, Order, Query
from taximeter.store.events.vocabulary import MEASURES

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

CLOCK_CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"),
    "America/New_York": ("2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"),  # by half an hour
    "America/Santiago": ("2026-09-06T04:00:00Z", "2026-04-05T03:00:00Z"),  # at midnight
    "Africa/Cairo": ("2026-04-23T22:00:00Z", "2026-10-29T21:00:00Z"),  # at midnight
    "Asia/Kathmandu": ("2026-06-01T00:00:00Z",),  # none; its offset is 5:45
    "UTC": ("2026-02-28T23:00:00Z",),
}
"""Moments around which the histories of a zone lie."""

NAMES = ("chat", "search", "Ünïcode", "it's", 'say "hi"', "a\\b", "", "%", "x'; DROP TABLE events; --")
names = st.none() | st.sampled_from(NAMES)
MODELS = ("gpt-4o", "GPT-4o-mini-2024-07-18", "openai/gpt-4o-2024-08-06", "anthropic.claude-3-5-sonnet-v2:0", "o3")
models = names | st.sampled_from(MODELS)
tokens = st.none() | st.integers(0, 5_000)
amounts = st.none() | st.just("0") | st.decimals(0, 1_000, places=12).map(format_usd)
savings = st.none() | st.decimals(-1_000, 1_000, places=12).map(format_usd)
milliseconds = st.none() | st.integers(0, 900_000).map(lambda n: n / 1000)


@st.composite
def records(draw: st.DrawFn, around_us: int) -> dict[str, Any]:
    """A stored record as it is in JSON, with what is not known left out."""
    started_us = around_us + draw(st.integers(-3 * HOUR_US, 3 * HOUR_US) | st.integers(-40 * DAY_US, 40 * DAY_US))
    cost = draw(amounts)
    record = {
        "event_id": uuid7(started_us // 1000, draw(st.binary(min_size=10, max_size=10))),
        "started_at": rfc3339(started_us),
        "ingested_at": rfc3339(started_us + draw(st.sampled_from((0, 300_000_000, 300_000_001)))),
        "source": "api",
        "provider": "openai",
        "status": draw(st.sampled_from(STATUSES)),
        "attempt": draw(st.integers(1, 3)),
        "http_status": draw(st.sampled_from((None, 200, 429))),
        "request_model": draw(models),
        "response_model": draw(models),
        "feature": draw(names),
        "user_id": draw(names),
        "tenant": draw(names),
        "prompt_version": draw(names),
        "tags": draw(st.none() | st.dictionaries(st.sampled_from(("plan", "it's")), st.sampled_from(NAMES))),
        "input_tokens": draw(tokens),
        "cache_read_tokens": draw(tokens),
        "output_tokens": draw(tokens),
        "duration_ms": draw(milliseconds),
        "time_to_first_token_ms": draw(milliseconds),
        "usage_estimated": draw(st.none() | st.just(True)),
        "cost_usd": cost,
        "cost": cost and {**dict.fromkeys(COMPONENTS, "0"), draw(st.sampled_from(COMPONENTS)): cost},
        "cache_read_saving_usd": draw(savings) if cost else None,
        "cache_write_surcharge_usd": draw(savings) if cost else None,
        "unpriced_reason": None if cost else "unknown_model",
    }
    return {name: value for name, value in record.items() if value is not None}


ADDITIVE = [name for name, measure in MEASURES.items() if [part.kind for part in measure.parts] == ["sum"]]
"""Measures whose total is the sum of the rows."""

TEXTS = ("feature", "user_id", "model", "model_family", "request_model", "tags.plan", "tags.it's")
DIMENSIONS = (*TEXTS, "status", "http_status", "attempt", "usage_estimated")


SUMS = [name for name, measure in MEASURES.items() if all(part.kind == "sum" for part in measure.parts)]
"""Measures that a roll-up has."""

USER_TEXTS = ("user_id", "tenant")
ROLLED_TEXTS = ("feature", "model", "model_family", "request_model", "status", "provider")
ALONE_TEXTS = tuple((name, "model", "response_model") for name in ("prompt_version", "tenant"))


@st.composite
def rolled_queries(draw: st.DrawFn, timezone: str, around_us: int) -> Query:
    """Queries that roll-ups may answer, over times that hold whole hours and days."""
    texts = draw(st.sampled_from((ROLLED_TEXTS, USER_TEXTS, USER_TEXTS, ("team",), *ALONE_TEXTS)))
    group_by = tuple(draw(st.lists(st.sampled_from(texts), max_size=2, unique=True)))
    interval = draw(st.none() | st.sampled_from(("hour", "day", "week", "month")))
    from_us = around_us - draw(st.integers(1, 45 * DAY_US) | st.integers(0, 3).map(lambda n: n * HOUR_US))
    operator: Operator = draw(st.sampled_from(("in", "not")))
    of_some = Condition(texts[0], operator, tuple(draw(st.lists(names, max_size=2))))
    filters = (draw(st.just(of_some) | st.just(Condition("unpriced_reason", "exists", (draw(st.booleans()),)))),)
    wanted = draw(st.lists(st.sampled_from(draw(st.sampled_from((SUMS, sorted(MEASURES))))), unique=True))
    order = draw(st.none() | st.builds(Order, st.sampled_from((*ADDITIVE, *group_by)), st.booleans()))
    return Query(
        from_us=from_us,
        to_us=from_us + draw(st.integers(1, 90 * DAY_US) | st.integers(1, 9).map(lambda n: n * HOUR_US)),
        measures=(draw(st.sampled_from(ADDITIVE)), *wanted) if order is None or not wanted else tuple(wanted),
        group_by=group_by,
        filters=filters if draw(st.booleans()) else (),
        interval=interval,  # type: ignore[arg-type]
        timezone=timezone,
        limit=draw(st.none() | st.integers(1, 3)),
        order_by=order,
        compare=draw(st.none() | st.just(Period(from_us - 20 * DAY_US, from_us + HOUR_US))),
        whole_totals=draw(st.booleans()),
    )


@st.composite
def queries_until_now(draw: st.DrawFn, now_us: int) -> Query:
    """Queries by user from the start of a day or week until about now: of what sums may be kept so far."""
    midnight_us = now_us - now_us % DAY_US
    from_us = midnight_us - draw(st.integers(0, 8)) * DAY_US
    to_us = now_us + draw(st.sampled_from((0, 1, HOUR_US, 8 * DAY_US)) | st.integers(-HOUR_US, HOUR_US))
    measures = draw(st.lists(st.sampled_from((*ADDITIVE, "latency_ms_p95")), min_size=1, max_size=3, unique=True))
    return Query(
        from_us=from_us,
        to_us=max(to_us, from_us + 1),
        measures=tuple(measures),
        group_by=draw(st.sampled_from((("user_id",), ("user_id", "team"), ()))),
        filters=draw(st.sampled_from(((), (Condition("user_id", "in", NAMES[:2]),)))),
        interval=draw(st.sampled_from((None, "day"))),
        limit=draw(st.none() | st.just(1)),
    )


@st.composite
def alone_queries(draw: st.DrawFn, around_us: int) -> Query:
    """Queries by several dimensions, each of them alone."""
    from_us = around_us - draw(st.integers(1, 45 * DAY_US))
    dimensions = st.lists(st.sampled_from(("prompt_version", "tenant", "feature")), min_size=1, unique=True)
    filters = conditions() | st.just(Condition("unpriced_reason", "exists", (draw(st.booleans()),)))
    return Query(
        from_us=from_us,
        to_us=from_us + draw(st.integers(1, 90 * DAY_US)),
        measures=(draw(st.sampled_from(ADDITIVE)), *draw(st.lists(st.sampled_from(SUMS), unique=True))),
        group_by=tuple(draw(dimensions)),
        filters=tuple(draw(st.lists(filters, max_size=1))),
        limit=draw(st.none() | st.integers(1, 3)),
    )


@st.composite
def costliest_queries(draw: st.DrawFn, around_us: int) -> Query:
    """Queries for what the values of one dimension cost in two times."""
    query = draw(alone_queries(around_us))
    then_us = query.from_us - draw(st.integers(0, 20 * DAY_US))
    return replace(
        query,
        measures=("cost_usd",),
        group_by=(draw(st.sampled_from(("user_id", "user_id", "tenant", "feature", "model", "tags.plan"))),),
        compare=Period(then_us, then_us + draw(st.integers(1, 30 * DAY_US))),
    )


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    kind = draw(st.sampled_from(("texts", "contains", "exists", "numbers", "flag")))
    if kind == "texts":
        operator = draw(st.sampled_from(("in", "not")))
        return Condition(draw(st.sampled_from(TEXTS)), operator, tuple(draw(st.lists(names, max_size=3))))  # type: ignore[arg-type]
    if kind == "contains":
        operator = draw(st.sampled_from(("contains", "not_contains")))
        return Condition(draw(st.sampled_from(TEXTS)), operator, (draw(st.sampled_from(("a", "'", "", "ï", "%"))),))  # type: ignore[arg-type]
    if kind == "exists":
        return Condition(draw(st.sampled_from((*TEXTS, "input_tokens", "cost_usd"))), "exists", (draw(st.booleans()),))
    if kind == "flag":
        return Condition("usage_estimated", "in", (draw(st.booleans()),))
    field = draw(st.sampled_from(("input_tokens", "duration_ms", "cost_usd", "http_status")))
    comparisons: tuple[Operator, ...] = (">", ">=", "<", "<=", "in", "not")
    return Condition(field, draw(st.sampled_from(comparisons)), (draw(st.integers(0, 900).map(Decimal)),))


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, int, list[dict[str, Any]]]:
    """A zone, a moment that matters in it, and records around that moment."""
    timezone = draw(st.sampled_from(sorted(CLOCK_CHANGES)))
    around_us = moment_us(draw(st.sampled_from(CLOCK_CHANGES[timezone])))
    history = draw(st.lists(records(around_us), max_size=25, unique_by=lambda record: record["event_id"]))
    return timezone, around_us, history


@st.composite
def queries(draw: st.DrawFn, timezone: str, around_us: int) -> Query:
    group_by = tuple(draw(st.lists(st.sampled_from(DIMENSIONS), max_size=2, unique=True)))
    interval = draw(st.none() | st.sampled_from(INTERVALS))
    orders = [*ADDITIVE, *group_by, *((TIME,) if interval else ())]
    from_us = around_us - draw(st.integers(1, 45 * DAY_US) | st.integers(1, 2 * HOUR_US))
    return Query(
        from_us=from_us,
        to_us=from_us + draw(st.integers(1, 90 * DAY_US)),
        measures=(draw(st.sampled_from(ADDITIVE)), *draw(st.lists(st.sampled_from(sorted(MEASURES)), unique=True))),
        group_by=group_by,
        filters=tuple(draw(st.lists(conditions(), max_size=2))),
        interval=interval,
        timezone=timezone,
        fiscal_start_month=draw(st.integers(1, 12)),
        order_by=draw(st.none() | st.builds(Order, st.sampled_from(orders), st.booleans())),
        limit=(limit := draw(st.none() | st.integers(1, 3))),
        offset=draw(st.integers(0, 2)) if limit else 0,
        compare=draw(st.none() | st.just(Period(from_us - 20 * DAY_US, from_us + HOUR_US))),
    )


@st.composite
def event_queries(draw: st.DrawFn, around_us: int) -> EventQuery:
    return EventQuery(
        filters=tuple(draw(st.lists(conditions(), max_size=2))),
        from_us=draw(st.none() | st.just(around_us - DAY_US)),
        to_us=draw(st.none() | st.just(around_us)),
        limit=draw(st.integers(1, 10)),
    )


def moment_us(text: str) -> int:
    return to_unix_us(datetime.fromisoformat(text))
