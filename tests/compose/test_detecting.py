"""Detection beside a real store: what is told once, what survives a restart, what is not told."""

from __future__ import annotations

from typing import Any

import pytest
from stored_history import DAY, FIRST, MINUTE_US, NOW, Clock, History

from taximeter.compose import detecting
from taximeter.config.anomalies import AnomalySettings, OverrideSettings
from taximeter.reports.backtest import detection_for
from taximeter.reports.signals import Signals
from taximeter.store.events import EventStore

pytestmark = pytest.mark.timeout(900)
"""Weeks of minutes take their time on a busy machine."""


def test_a_spike_is_one_finding_from_its_beginning_over_a_restart_to_its_end(history: History) -> None:
    history.calls(NOW - 8, NOW + 10, factor=6)
    clock = Clock(NOW + 0.1)
    before = history.detecting(clock)
    before.turn()
    [found] = history.metadata.findings.open()
    assert (found.kind, dict(found.scope), found.severity) == ("volume_spike", {"feature": "chat"}, "critical")
    assert found.expectation.low < found.expectation.expected < found.expectation.high < found.expectation.actual
    assert found.excess_usd is not None
    assert found.excess_usd > 0

    clock.minute = NOW + 5.1
    before.turn()
    after = history.detecting(clock)
    after.turn()
    clock.minute = NOW + 10.1
    after.turn()
    assert [one.finding_id for one in history.metadata.findings.open()] == [found.finding_id]

    history.calls(NOW + 10, NOW + 40)
    clock.minute = NOW + 40.1
    after.turn()
    [ended] = history.metadata.findings.list()
    assert ended.finding.finding_id == found.finding_id
    assert ended.finding.ended_at_us is not None


def test_a_process_that_restarts_at_every_turn_tells_one_finding(history: History) -> None:
    history.calls(NOW - 8, NOW + 6, factor=6)
    for minute in (NOW - 1.5, NOW + 0.1, NOW + 3.3, NOW + 6.1):
        history.detecting(Clock(minute)).turn()
    [found] = history.metadata.findings.list()
    assert found.finding.open
    assert found.finding.detected_at_us <= (NOW + 1) * MINUTE_US


def test_an_incident_that_ended_while_nobody_looked_has_ended(history: History) -> None:
    history.calls(NOW - 8, NOW, factor=6)
    history.detecting(Clock(NOW + 0.1)).turn()
    assert len(history.metadata.findings.open()) == 1
    history.calls(NOW, NOW + 60)
    history.detecting(Clock(NOW + 60.1)).turn()
    assert history.metadata.findings.open() == []


def test_a_minute_under_way_is_enough_for_what_is_large(history: History) -> None:
    clock = Clock(NOW - 8)
    watching = history.detecting(clock)
    watching.turn()
    history.calls(NOW - 8, NOW - 6)
    clock.minute = NOW - 6
    watching.turn()
    assert history.metadata.findings.open() == []
    history.calls(NOW - 6, NOW - 5, factor=30)
    clock.minute = NOW - 5.5
    watching.turn()
    assert len(history.metadata.findings.open()) == 1


def test_calls_that_come_late_and_old_ones_that_are_imported_are_no_news(history: History) -> None:
    clock = Clock(NOW - 8)
    watching = history.detecting(clock)
    watching.turn()
    for minute in range(NOW - 8, NOW + 30, 2):
        clock.minute = minute + 2.1
        watching.turn()
        history.calls(minute, minute + 2)
    history.calls(FIRST - 3 * DAY, FIRST - 2 * DAY, factor=3)
    clock.minute = NOW + 31
    watching.turn()
    assert history.metadata.findings.list() == []


def test_hours_without_calls_and_clocks_that_are_wrong_are_no_news(history: History) -> None:
    clock = Clock(NOW - 8)
    watching = history.detecting(clock)
    watching.turn()
    for minute in range(NOW + 120, NOW + 160, 4):  # two hours without a call; then half of them told ahead and behind
        clock.minute = minute + 4.1
        history.calls(minute, minute + 4, factor=0.5)
        history.calls(minute + 7, minute + 11, factor=0.25)
        history.calls(minute - 11, minute - 7, factor=0.25)
        watching.turn()
    assert history.metadata.findings.list() == []


def test_what_an_operator_calls_nothing_ends_and_is_not_told_again(history: History) -> None:
    history.calls(NOW - 8, NOW + 30, factor=6)
    clock = Clock(NOW + 0.1)
    watching = history.detecting(clock)
    watching.turn()
    [found] = history.metadata.findings.open()
    watching.judge(found.finding_id, "false_alarm", "ann")
    clock.minute = NOW + 25
    watching.turn()
    [judged] = history.metadata.findings.list()
    assert (judged.verdict, judged.verdict_by, judged.finding.open) == ("false_alarm", "ann", False)


def test_a_scope_that_was_switched_off_is_not_told(history: History) -> None:
    history.calls(NOW - 8, NOW, factor=6)
    quiet = AnomalySettings(overrides=[OverrideSettings(scope={"feature": "chat"}, off=True)])
    history.detecting(Clock(NOW + 0.1), quiet).turn()
    assert history.metadata.findings.list() == []


def test_a_backtest_tells_what_would_have_been_told(history: History) -> None:
    history.calls(NOW - 8, NOW + 20, factor=6)
    history.calls(NOW + 20, NOW + 90)
    told = history.detecting(Clock(NOW + 90)).backtest((NOW - DAY) * MINUTE_US, (NOW + 90) * MINUTE_US)
    [found] = told["findings"]
    assert (found["kind"], found["scope"]) == ("volume_spike", {"feature": "chat"})
    assert 20 <= found["minutes"] <= 50
    assert told["by_kind"] == {"volume_spike": 1}


class Counted:
    """A store that counts the questions it is asked."""

    def __init__(self, store: EventStore) -> None:
        self._store, self.questions = store, 0

    def __getattr__(self, name: str) -> Any:
        self.questions += 1
        return getattr(self._store, name)


def test_when_nothing_comes_the_store_is_asked_nothing_and_what_comes_then_is_seen(history: History) -> None:
    history.calls(NOW - 8, NOW)
    clock, store = Clock(NOW + 0.1), Counted(history.store)
    watching = history.detecting(clock, store=store, alone=True)
    watching.turn()
    for minute in range(NOW + 1, NOW + 35):
        clock.minute = minute + 0.1
        watching.turn()
    before = store.questions
    for seconds in range(0, 3600, 30):
        clock.minute = NOW + 36 + seconds / 60
        watching.turn()
    assert store.questions == before

    for minute in range(NOW + 96, NOW + 104):
        history.calls(minute, minute + 1, factor=6)
        watching.stored()
        clock.minute = minute + 1.1
        watching.turn()
    [found] = history.metadata.findings.open()
    assert found.kind == "volume_spike"


def test_calls_of_the_minute_of_a_restart_are_counted_when_it_is_over(history: History) -> None:
    history.calls(NOW - 8, NOW - 3)
    history.calls(NOW - 3, NOW + 1, factor=8)
    clock = Clock(NOW - 2.5)
    watching = history.detecting(clock, alone=True)
    watching.turn()
    clock.minute = NOW + 1.1
    watching.turn()
    assert len(history.metadata.findings.open()) == 1


@pytest.mark.parametrize("begins", [0.5, 1.02, 7.5, 59.9])
def test_a_start_within_the_very_first_hour_of_calls_learns_from_there(history: History, begins: float) -> None:
    history.calls(FIRST, FIRST + 1)
    clock = Clock(FIRST + begins)
    watching = history.detecting(clock)
    for _ in range(5):
        watching.turn()
        clock.minute += 0.5
    assert watching.findings.open() == []


def test_hours_that_are_read_at_once_are_learnt_as_minute_by_minute(history: History) -> None:
    begins, ends = NOW - 200, NOW
    history.calls(begins + 100, ends, user_id="late")
    history.calls(begins + 170, ends, factor=3, feature="new", request_model="other")
    signals = Signals(history.store, detection_for(AnomalySettings()).panel.dimensions)
    signals.choose_spenders(ends * MINUTE_US)

    def learnt(at_once: int) -> tuple[list[Any], list[Any]]:
        detection, told = detection_for(AnomalySettings()), []
        for first in range(begins, ends, at_once):
            for block in signals.blocks(detection.panel, first, min(first + at_once, ends) - 1):
                told += [(one.news, one.minute, one.incident.scope) for one in detection.run(block)]
        span = slice(detection.panel.column(begins), detection.panel.column(ends))
        seen = {
            str(scope): (int(detection.panel.born[row]), detection.windows.all[:, row, span].tolist())
            for row, scope in enumerate(detection.panel.scopes)
        }
        return sorted(seen.items()), told

    assert learnt(at_once=200) == learnt(at_once=1)


def test_when_much_begins_at_once_it_is_told_turn_by_turn(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detecting, "MOST_LOOKED_UP", 1)
    history.calls(FIRST, NOW - 8, feature="search")
    for feature in ("chat", "search"):
        history.calls(NOW - 8, NOW, factor=6, feature=feature)
    clock = Clock(NOW + 0.1)
    watching = history.detecting(clock)
    told = []
    for _ in range(2):
        watching.turn()
        told.append(sorted(one.scope["feature"] for one in history.metadata.findings.open()))
        clock.minute += 0.1
    assert [len(told[0]), told[1]] == [1, ["chat", "search"]]
    assert all(one.contributors for one in history.metadata.findings.open())

    for feature in ("chat", "search"):
        history.calls(NOW, NOW + 60, feature=feature)
    clock.minute = NOW + 60.1
    watching.turn()
    ended = [one.finding for one in history.metadata.findings.list()]
    assert [(one.open, bool(one.contributors)) for one in ended] == [(False, True)] * 2
