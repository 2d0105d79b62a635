"""What must hold whatever is observed: nothing is told twice, nothing is forgotten, every incident ends."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter.alerts.alert import Observation
from taximeter.alerts.desk import EMPTY, Desk, Policy, acknowledged, evaluated
from taximeter.alerts.notify import Notification
from taximeter.alerts.routing import Route
from taximeter.alerts.states import SECOND_US, Patience
from taximeter.errors import NotFoundError

MINUTE_US = 60 * SECOND_US
START_US = 1_790_000_000 * SECOND_US
POLICY = Policy(Route(name="all", channels=("slack", "pager")), {"patient": Patience(wait_us=3 * MINUTE_US)})

observations = st.lists(
    st.builds(
        Observation,
        rule=st.sampled_from(["hasty", "patient"]),
        kind=st.sampled_from(["volume_spike", "retry_storm", "pipeline_loss"]),
        labels=st.dictionaries(
            st.sampled_from(["feature", "team", "user_id"]), st.sampled_from(["a", "b"]), max_size=2
        ),
        severity=st.sampled_from(["warning", "critical"]),
        summary=st.just(""),
    ),
    max_size=4,
)
EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "60"))


def played(minutes: list[list[Observation]]) -> tuple[Desk, list[Notification]]:
    desk, told = EMPTY, []
    for minute, observed in enumerate(minutes):
        desk, now = evaluated(desk, observed, POLICY, START_US + minute * MINUTE_US)
        told += now
    return desk, told


@settings(max_examples=EXAMPLES)
@given(minutes=st.lists(observations, max_size=30))
def test_no_notification_is_made_twice(minutes: list[list[Observation]]) -> None:
    _desk, told = played(minutes)
    ids = [one.notification_id for one in told]
    assert len(ids) == len(set(ids))


@settings(max_examples=EXAMPLES)
@given(minutes=st.lists(observations, max_size=30))
def test_an_evaluation_that_a_crash_repeats_gives_the_same_notifications(minutes: list[list[Observation]]) -> None:
    desk, _told = played(minutes[:-1])
    last = minutes[-1] if minutes else []
    now_us = START_US + len(minutes) * MINUTE_US
    assert evaluated(desk, last, POLICY, now_us) == evaluated(desk, last, POLICY, now_us)


@settings(max_examples=EXAMPLES)
@given(minutes=st.lists(observations, max_size=30))
def test_when_all_is_quiet_every_incident_that_was_opened_is_told_to_be_over(minutes: list[list[Observation]]) -> None:
    desk, told = played([*minutes, *[[]] * 200])
    assert not any(incident.open for incident in desk.incidents)
    for channel in ("slack", "pager"):
        mine = [one for one in told if one.channel == channel]
        last = {one.incident_id: one.event for one in mine}
        assert set(last.values()) <= {"resolved"}


@settings(max_examples=EXAMPLES)
@given(minutes=st.lists(observations, min_size=1, max_size=30))
def test_every_firing_alert_is_in_exactly_one_open_incident(minutes: list[list[Observation]]) -> None:
    desk, _told = played(minutes)
    homes = [key for incident in desk.incidents if incident.open for key in incident.alerts]
    assert all(homes.count(alert.key) == 1 for alert in desk.alerts.values() if alert.firing)


def test_an_incident_that_is_not_there_cannot_be_acknowledged() -> None:
    with pytest.raises(NotFoundError, match="no open incident"):
        acknowledged(EMPTY, "nobody", "anna", START_US)
