"""When a rule would have fired: what it observes is what it would have observed then, minute by minute."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from taximeter.alerts.alert import Observation
from taximeter.alerts.backtest import DAY_US, MINUTE_US, MOST_QUESTIONS, SHARES, Minutes, adds_up, step_us, tried
from taximeter.alerts.thresholds import Threshold, observed, threshold
from taximeter.clock import rfc3339
from taximeter.config.alerting import RuleSettings
from taximeter.core.ids import uuid7
from taximeter.errors import UsageError
from taximeter.store.events import DuckDBEvents

START_US = 29_800_800 * MINUTE_US
HOURS = 3
END_US = START_US + HOURS * 60 * MINUTE_US
ids = (uuid7(START_US // 1000, n.to_bytes(10, "big")) for n in itertools.count())


def call(at_us: int, feature: str, cost: str | None, **more: Any) -> dict[str, Any]:
    told = {"cost_usd": cost, "cost": {"input": cost}} if cost is not None else {"unpriced_reason": "unknown_model"}
    return {
        "event_id": next(ids),
        "started_at": rfc3339(at_us),
        "provider": "openai",
        "status": "ok",
        "feature": feature,
        **told,
        **more,
    }


def history() -> Iterator[dict[str, Any]]:
    """Three hours of three features: one steady with gaps, one that burns for half an hour, one without prices."""
    chance = random.Random(3)
    for minute in range(HOURS * 60):
        at_us = START_US + minute * MINUTE_US + chance.randrange(MINUTE_US)
        tokens = {"input_tokens": chance.randrange(1000), "duration_ms": chance.randrange(2000)}
        if minute % 40 < 28:
            status = chance.choice(["ok", "ok", "error"])
            yield call(at_us, "chat", chance.choice(["0.5", "0.25", "0"]), **{**tokens, "status": status})
        if 60 <= minute < 90:
            yield call(at_us, "burn", "3", **tokens, attempt=2)
        if minute % 7 == 0:
            yield call(at_us, "novel", None, **tokens)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("backtest") / "events.duckdb", query_timeout_seconds=600)
    opened.append([json.dumps(one).encode() for one in history()], {})
    yield opened
    opened.close()


def rule(**written: Any) -> Threshold:
    return threshold(RuleSettings.model_validate({"name": "r", "measure": "cost_usd", "over": "10m", **written}))


RULES: dict[str, dict[str, Any]] = {
    "a sum": {"warning": "> 1", "critical": "> 20"},
    "each feature": {"each": ["feature"], "warning": ">= 0"},
    "one feature": {"where": {"feature": "burn"}, "warning": "> 0"},
    "what is not known": {"where": {"feature": "novel"}, "warning": ">= 0"},
    "nothing comes": {"where": {"feature": "chat"}, "over": "5m", "no_data": "alert", "warning": "> 1000"},
    "left as it was": {"where": {"feature": "chat"}, "over": "5m", "no_data": "keep", "warning": "> 0"},
    "few calls": {"measure": "calls", "warning": "< 3"},
    "against the time before": {"each": ["feature"], "against": "previous", "warning": "> 1%"},
    "against last week": {"against": "week_before", "warning": "> 0%"},
    **{f"share {name}": {"measure": name, "each": ["feature"], "warning": ">= 0"} for name in SHARES},
}


def told(found: list[Observation] | None) -> Any:
    return None if found is None else sorted((one.key, one.severity, one.summary, str(one.facts)) for one in found)


@pytest.mark.parametrize("name", RULES)
def test_minutes_that_are_added_up_say_what_the_rule_would_have_said(name: str, store: DuckDBEvents) -> None:
    one = rule(**RULES[name])
    assert adds_up(one)
    minutes = Minutes(one, store, START_US, END_US)
    for minute in (1, 10, 29, 40, 75, 91, 101, 180):
        now_us = START_US + minute * MINUTE_US
        assert told(minutes.look(now_us)) == told(observed(one, store, now_us)), f"minute {minute}"


def test_it_would_have_fired_once_from_its_wait_to_its_end(store: DuckDBEvents) -> None:
    burning = rule(where={"feature": "burn"}, warning="> 2", critical="> 20", **{"for": "5m"})
    found = tried(burning, store, START_US, END_US)
    (firing,) = found.firings
    assert (firing.labels, firing.severity) == ({}, "critical")
    assert (firing.from_us - START_US) // MINUTE_US == 61 + 5
    assert firing.to_us is not None
    assert (firing.to_us - START_US) // MINUTE_US == 90 + 10 - 1 + 2, "the last call left the window, and two minutes"
    assert firing.summary.startswith("r: cost_usd over 10 minutes is 21")


def test_each_group_fires_for_itself_and_what_lasts_has_no_end(store: DuckDBEvents) -> None:
    found = tried(rule(each=["feature"], warning="> 1"), store, START_US, START_US + 85 * MINUTE_US)
    assert {one.labels["feature"] for one in found.firings} == {"chat", "burn"}
    assert [one.to_us for one in found.firings if one.labels == {"feature": "burn"}] == [None]
    assert found.as_dict()["count"] == len(found.firings)


def test_what_does_not_add_up_is_asked_at_moments_that_are_counted(store: DuckDBEvents) -> None:
    slow = rule(measure="latency_ms_p95", over="30m", warning="> 100")
    assert not adds_up(slow)
    found = tried(slow, store, START_US + 60 * MINUTE_US, START_US + 75 * MINUTE_US)
    assert found.step_us == MINUTE_US
    assert len(found.firings) == 1
    assert step_us(2 * DAY_US) * MOST_QUESTIONS >= 2 * DAY_US


@pytest.mark.parametrize("days", [0, -1, 32])
def test_the_time_it_is_tried_on_has_a_length_and_an_end(days: int, store: DuckDBEvents) -> None:
    with pytest.raises(UsageError):
        tried(rule(warning="> 1"), store, END_US - days * DAY_US, END_US)
