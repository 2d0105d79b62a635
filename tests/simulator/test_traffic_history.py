"""The invented past: the same when asked again, made of valid events, with the rhythm of a working week."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from taximeter.core.event import FIELD_NAMES, usage_of
from taximeter.core.ids import parse_event_id
from taximeter.core.outcome import OUTCOME_FIELDS
from taximeter.core.usage import violations
from taximeter.simulator.traffic.history import CALLS_PER_DAY, DAYS, SLOT_US, history, outcome_of
from taximeter.simulator.traffic.product import FEATURES, GOALS, USERS

FRIDAY_NOON_US = 1_795_176_000_000_000


@pytest.fixture(scope="module")
def fortnight() -> list[dict[str, Any]]:
    return list(history(FRIDAY_NOON_US))


def test_it_is_a_few_tens_of_thousands_of_events_with_ids_of_their_own(fortnight: list[dict[str, Any]]) -> None:
    assert abs(len(fortnight) / (DAYS * CALLS_PER_DAY) - 1) < 0.05
    assert len({event["event_id"] for event in fortnight}) == len(fortnight)


def test_the_same_past_comes_out_again_and_a_later_one_only_continues_it() -> None:
    past, again = list(history(FRIDAY_NOON_US, 1)), list(history(FRIDAY_NOON_US + SLOT_US - 1, 1))
    assert past == again
    later = list(history(FRIDAY_NOON_US + SLOT_US, 1))
    known = {event["event_id"] for event in past}
    new = [event for event in later if event["event_id"] not in known]
    assert all(event["started_at"] >= past[-1]["started_at"] for event in new)


def test_every_event_is_well_formed_and_says_that_it_is_invented(fortnight: list[dict[str, Any]]) -> None:
    for event in fortnight[::7]:
        assert event.keys() <= {*FIELD_NAMES}
        assert violations(usage_of(event)) == []
        assert parse_event_id(event["event_id"]) == event["event_id"]
        assert event["tags"] == {"sample": "history"}


def test_weekends_are_quiet_and_reports_run_at_night(fortnight: list[dict[str, Any]]) -> None:
    days = Counter(event["started_at"][:10] for event in fortnight)
    assert days["2026-11-15"] < days["2026-11-17"] * 0.75
    report_hours = {event["started_at"][11:13] for event in fortnight if event["feature"] == "nightly-report"}
    assert report_hours == {"02"}


def test_all_features_and_users_occur_and_a_few_users_spend_most(fortnight: list[dict[str, Any]]) -> None:
    users = Counter(event["user_id"] for event in fortnight)
    assert {event["feature"] for event in fortnight} == {feature.name for feature in FEATURES}
    assert len(users) == USERS
    assert sum(count for _, count in users.most_common(4)) > len(fortnight) / 3


def test_calls_reach_the_goal_of_their_feature_as_often_as_it_says(fortnight: list[dict[str, Any]]) -> None:
    reached = [(event, outcome) for event in fortnight if (outcome := outcome_of(event)) is not None]
    assert len({outcome["outcome_id"] for _, outcome in reached}) == len(reached)
    for name, goal in GOALS.items():
        answered = sum(event["feature"] == name and event["status"] == "ok" for event in fortnight)
        outcomes = [outcome for event, outcome in reached if event["feature"] == name]
        assert abs(len(outcomes) / answered - (goal.share if goal else 0)) < 0.03
        assert {outcome["name"] for outcome in outcomes} == ({goal.name} if goal else set())
    for event, outcome in reached:
        assert outcome.keys() <= {"record", *(field.name for field in OUTCOME_FIELDS)}
        assert (outcome["user_id"], outcome["occurred_at"]) == (event["user_id"], event["started_at"])
        assert outcome_of(event) == outcome
