"""Rules of one's own over real calls: bounds, groups, comparison, no data, and what is unknown."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from taximeter.alerts.thresholds import observed, threshold
from taximeter.clock import rfc3339, to_unix_us
from taximeter.config.alerting import RuleSettings
from taximeter.core.ids import uuid7
from taximeter.errors import UsageError
from taximeter.store.events import DuckDBEvents

NOW_US = to_unix_us(datetime.fromisoformat("2026-11-24T02:00:00Z"))
MINUTE_US, WEEK_US = 60_000_000, 7 * 86_400_000_000
ids = (uuid7(NOW_US // 1000, n.to_bytes(10, "big")) for n in itertools.count())


def call(minutes_ago: float, feature: str, cost: str | None, week: int = 0) -> dict[str, Any]:
    told = {"cost_usd": cost} if cost is not None else {"unpriced_reason": "unknown_model"}
    return {
        "event_id": next(ids),
        "started_at": rfc3339(NOW_US - int(minutes_ago * MINUTE_US) - week * WEEK_US),
        "provider": "openai",
        "status": "ok",
        "feature": feature,
        **told,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("thresholds") / "events.duckdb", query_timeout_seconds=600)
    calls = [
        call(1, "chat", "30"),
        call(2, "chat", "31"),
        call(11, "chat", "20"),
        call(5, "code", "5"),
        call(5, "code", "2", week=1),
        call(5, "new", "5"),
        call(5, "novel", None),
    ]
    opened.append([json.dumps(one).encode() for one in calls], {})
    yield opened
    opened.close()


CASES: dict[str, tuple[dict[str, Any], list[tuple[dict[str, str], str]]]] = {
    "the gravest bound that holds": ({"warning": "> 50", "critical": "> 60"}, [({}, "critical")]),
    "only the lesser one holds": ({"warning": "> 50", "critical": "> 600"}, [({}, "warning")]),
    "each value is an alert of its own": (
        {"each": ["feature"], "warning": ">= 5"},
        [({"feature": "chat"}, "warning"), ({"feature": "code"}, "warning"), ({"feature": "new"}, "warning")],
    ),
    "filters": ({"where": {"feature": "code"}, "warning": "< 6"}, [({}, "warning")]),
    "nothing holds": ({"warning": "> 1000"}, []),
    "an amount that is not known holds no bound": ({"where": {"feature": "novel"}, "warning": "< 1"}, []),
    "against the time before": (
        {"each": ["feature"], "against": "previous", "warning": "> 300%"},
        [({"feature": "chat"}, "warning")],
    ),
    "against a week earlier, and nothing to compare with is no rise": (
        {"each": ["feature"], "against": "week_before", "warning": "> 200%"},
        [({"feature": "code"}, "warning")],
    ),
    "labels of the rule go along": (
        {"warning": "> 50", "labels": {"team": "core"}},
        [({"team": "core"}, "warning")],
    ),
    "no calls are well by default": ({"where": {"feature": "none"}, "warning": "> 0"}, []),
    "no calls can be an alert": (
        {"where": {"feature": "none"}, "critical": "> 0", "no_data": "alert"},
        [({}, "critical")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_rule_observes(name: str, store: DuckDBEvents) -> None:
    written, expected = CASES[name]
    rule = threshold(RuleSettings.model_validate({"name": "r", "measure": "cost_usd", "over": "10m", **written}))
    found = observed(rule, store, NOW_US)
    assert found is not None
    assert sorted(((dict(one.labels), one.severity) for one in found), key=str) == expected


def test_no_calls_can_leave_things_as_they_were(store: DuckDBEvents) -> None:
    written = {"name": "r", "measure": "calls", "where": {"feature": "none"}, "warning": "> 0", "no_data": "keep"}
    assert observed(threshold(RuleSettings.model_validate(written)), store, NOW_US) is None


def test_the_summary_says_value_comparison_and_bound(store: DuckDBEvents) -> None:
    written = {"name": "burn", "measure": "cost_usd", "over": "10m", "against": "previous", "critical": ">= 300%"}
    (one,) = observed(threshold(RuleSettings.model_validate(written)), store, NOW_US) or []
    assert one.summary == "burn: cost_usd over 10 minutes is 71, previous 20 (>= 300%)"


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ("90s", "90 seconds"),
        ("1m", "1 minute"),
        ("90m", "90 minutes"),
        ("1h", "1 hour"),
        ("24h", "24 hours"),
        ("36h", "36 hours"),
        ("7d", "7 days"),
    ],
)
def test_the_time_that_is_added_up_is_told_in_its_largest_unit(over: str, words: str, store: DuckDBEvents) -> None:
    written = {"name": "burn", "measure": "cost_usd", "over": over, "critical": "> 0"}
    (one,) = observed(threshold(RuleSettings.model_validate(written)), store, NOW_US) or []
    assert one.summary.startswith(f"burn: cost_usd over {words} is ")
    assert f" in {words}, rule burn" in one.facts["amount"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown measure": ({"measure": "euros", "warning": "> 1"}, "measure"),
    "an unknown dimension": ({"each": ["colour"], "warning": "> 1"}, "each"),
    "an unknown filter": ({"where": {"colour": "red"}, "warning": "> 1"}, "filters"),
    "a bound that is none": ({"warning": "about 5"}, "warning"),
    "percent of nothing": ({"critical": "> 150%"}, "critical"),
    "a comparison without percent": ({"critical": "> 150", "against": "previous"}, "critical"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_refused_by_its_field(name: str) -> None:
    written, field = WRONG[name]
    with pytest.raises(UsageError) as refused:
        threshold(RuleSettings.model_validate({"name": "r", "measure": "cost_usd", **written}))
    assert refused.value.facts["field"] == field


@pytest.mark.parametrize("name", ["first_seen", "last_seen"])
def test_a_rule_wants_a_number(name: str) -> None:
    with pytest.raises(UsageError, match="is an instant"):
        threshold(RuleSettings(name="x", measure=name, warning="> 5"))
