"""The sample history: the same for the same moment, and what there is to be found in it."""

from __future__ import annotations

from collections import Counter
from statistics import mean
from typing import Any

import pytest

from taximeter.pricing.priceable import parse_instant
from taximeter.simulator.traffic.story import (
    DAY_US,
    DAYS,
    GROWING,
    LOOP_CALLS,
    LOOPING_USER,
    OVERLOADED,
    OVERLOADED_AGO_US,
    story,
)

NOW_US = parse_instant("2026-11-26T13:07:00Z")


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    return list(story(NOW_US))


def ago_days(event: dict[str, Any]) -> float:
    return (NOW_US - parse_instant(event["started_at"])) / DAY_US


def test_the_same_moment_has_the_same_story(told: list[dict[str, Any]]) -> None:
    assert list(story(NOW_US)) == told


def test_it_is_over_now_and_as_old_as_it_says(told: list[dict[str, Any]]) -> None:
    ages = [ago_days(event) for event in told]
    assert 0 <= min(ages) < 0.1
    assert DAYS - 0.5 < max(ages) <= DAYS + 0.01


def test_no_event_is_there_twice(told: list[dict[str, Any]]) -> None:
    assert len({event["event_id"] for event in told}) == len(told)


def test_one_user_looped_yesterday_and_on_no_other_day(told: list[dict[str, Any]]) -> None:
    loop = [event for event in told if event["user_id"] == LOOPING_USER]
    assert len(loop) == LOOP_CALLS
    assert all(0.8 < ago_days(event) < 1 for event in loop)


def test_prompts_of_one_feature_grow(told: list[dict[str, Any]]) -> None:
    sizes = [
        (ago_days(event), event["input_tokens"])
        for event in told
        if event["feature"] == GROWING and "input_tokens" in event
    ]
    first = mean(size for age, size in sizes if age > DAYS - 7)
    last = mean(size for age, size in sizes if age < 7)
    assert last > 1.6 * first


def test_a_provider_was_overloaded_for_hours(told: list[dict[str, Any]]) -> None:
    begins, ends = (at_us / DAY_US for at_us in OVERLOADED_AGO_US)
    states = Counter(
        (ends <= ago_days(event) < begins, event["status"])
        for event in told
        if event["provider"] == OVERLOADED and event["user_id"] != LOOPING_USER
    )
    assert states[True, "error"] > states[True, "ok"]
    assert states[False, "error"] < 0.1 * states[False, "ok"]
