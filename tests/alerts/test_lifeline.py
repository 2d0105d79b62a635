"""When what is to be told cannot be kept: one page, past the outbox, and one word when that is over."""

from __future__ import annotations

import pytest
from night import HandClock

from taximeter.alerts.channels.port import DeliveryError
from taximeter.alerts.lifeline import Lifeline
from taximeter.alerts.message import Message
from taximeter.alerts.policy import root_of
from taximeter.alerts.states import SECOND_US
from taximeter.config.alerting import AlertSettings
from taximeter.errors import StoreError


class Place:
    def __init__(self) -> None:
        self.took: list[tuple[str, str]] = []
        self.away = False

    def deliver(self, message: Message, notification_id: str) -> None:
        if self.away:
            raise DeliveryError("away")
        assert notification_id.startswith(f"{message.dedup_key}/")
        self.took.append((message.event, message.first_line))


class Rig:
    """An evaluation that fails when it is told to."""

    def __init__(self) -> None:
        self.clock = HandClock(29_800_000)
        self.pager, self.slack = Place(), Place()
        self.fails = False
        self.error: Exception = StoreError("database or disk is full")
        routes = [{"match": {"family": "meter"}, "channels": ["pager"]}, {"channels": ["slack"]}]
        settings = AlertSettings.model_validate({"channels": {"pager": {}, "slack": {}}, "routes": routes})
        channels = {"pager": self.pager, "slack": self.slack}
        self.lifeline = Lifeline(self._evaluate, channels, root_of(settings), self.clock, "key")

    def _evaluate(self) -> None:
        if self.fails:
            raise self.error

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(0, seconds, 5):
            self.clock.us += 5 * SECOND_US
            if self.fails:
                with pytest.raises(type(self.error)):
                    self.lifeline.turn()
            else:
                self.lifeline.turn()


PAGE = "CRITICAL The store does not take events: alerts cannot be kept"


def test_an_hour_without_the_store_is_one_page_to_those_who_hear_of_the_meter() -> None:
    rig = Rig()
    rig.fails = True
    rig.pass_seconds(3600)
    assert rig.pager.took == [("opened", PAGE)]
    rig.fails = False
    rig.pass_seconds(60)
    assert rig.pager.took == [("opened", PAGE), ("resolved", f"Over: {PAGE}")]
    assert rig.slack.took == []


def test_an_evaluation_that_fails_for_whatever_reason_is_told() -> None:
    rig = Rig()
    rig.fails, rig.error = True, ArithmeticError("no number")
    rig.pass_seconds(120)
    assert rig.pager.took == [("opened", PAGE)]


def test_a_store_that_is_away_for_less_than_a_minute_wakes_nobody() -> None:
    rig = Rig()
    for _ in range(10):
        rig.fails = True
        rig.pass_seconds(45)
        rig.fails = False
        rig.pass_seconds(5)
    assert rig.pager.took == []


def test_a_channel_that_is_away_too_is_told_once_it_is_back() -> None:
    rig = Rig()
    rig.fails = rig.pager.away = True
    rig.pass_seconds(300)
    rig.pager.away = False
    rig.pass_seconds(300)
    assert [event for event, _line in rig.pager.took] == ["opened"]
