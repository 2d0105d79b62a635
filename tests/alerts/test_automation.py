"""The escalation of the runbooks by itself: what it is decided by is in the stored calls, and what it does is undone by
whoever likes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from night import FIRST, MINUTE_US, Habit, Night, night
from vendors import Vendor, vendor

from taximeter.alerts.actions import Wish, limit_for, prefix_of
from taximeter.alerts.automation import Course, StepName, decided
from taximeter.anomaly.finding import Expectation, Finding, FindingKind
from taximeter.config.alerting import AutomationSettings
from taximeter.errors import StoreError, UsageError
from taximeter.store.metadata import Annotation

ALL_ON: Final = {"rate_limit_after": "15m", "roll_back_after": "15m", "caching_off_after": "1h"}
WANTED: Final = AutomationSettings.model_validate(ALL_ON)
CHAT: Final = {"feature": "chat"}

DECISIONS: Final[Mapping[str, tuple[StepName, Course, str | None, int | None]]] = {
    "calls that grow are held to one and a half of the usual": (
        "rate_limit",
        Course(grows=True, calls_a_minute=12.4),
        "Calls still grew 15m after it opened.",
        19,
    ),
    "somebody who never called before may still call": (
        "rate_limit",
        Course(grows=True, calls_a_minute=0.0),
        "Calls still grew 15m after it opened.",
        1,
    ),
    "calls that do not grow are let be": ("rate_limit", Course(calls_a_minute=12.4), None, None),
    "the version before is named": (
        "roll_back",
        Course(version_before="prompt version v41 (now v42)"),
        "No cause was found in 15m: roll back to prompt version v41 (now v42).",
        None,
    ),
    "a cause that was marked is enough": ("roll_back", Course(version_before="v41", cause_marked=True), None, None),
    "nothing is named where nothing changed": ("roll_back", Course(), None, None),
    "a cold cache is switched off": (
        "caching_off",
        Course(best_cache_hit_rate=0.314),
        "The cache hit rate stayed below 50% for 1h (31% at best): switch caching off for feature chat, since writing "
        "to caches costs more than reading saves.",
        None,
    ),
    "half is not below half": ("caching_off", Course(best_cache_hit_rate=0.5), None, None),
    "no calls are no cold cache": ("caching_off", Course(), None, None),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_what_is_done_follows_from_how_it_goes(name: str) -> None:
    step, course, text, rate = DECISIONS[name]
    found = decided(step, CHAT, course, WANTED)
    assert (None if found is None else (found.text, found.calls_a_minute)) == (None if text is None else (text, rate))


# ── with real calls, limits, outbox and a channel ──────────────────────────────────────────────────────────

CALM: Final = Habit(calls=6.0)


@contextmanager
def on_call(folder: Path, **automation: str) -> Iterator[tuple[Night, Vendor]]:
    """An hour of calm calls, then now."""
    with vendor() as hook:
        alerts = {"channels": {"hook": {"kind": "webhook", "url": hook.url}}, "automation": automation}
        with night(folder, {"alerts": alerts, "anomalies": {"enabled": False}}, FIRST) as on:
            on.put([line for minute in range(FIRST - 60, FIRST) for line in minute_of(on, CALM, "v41", minute)])
            yield on, hook


def minute_of(on: Night, habit: Habit, version: str, minute: int) -> Iterator[bytes]:
    for line in on.calls.minute("chat", habit, minute):
        yield json.dumps({**json.loads(line), "prompt_version": version}).encode()


def found(on: Night, kind: FindingKind) -> None:
    on.metadata.findings.keep(
        [
            Finding(
                finding_id="f",
                kind=kind,
                scope=CHAT,
                severity="critical",
                started_at_us=on.clock.us,
                detected_at_us=on.clock.us,
                updated_at_us=on.clock.us,
                expectation=Expectation("calls", 60, 10, 5, 15, "the days before"),
                excess_usd_per_hour=Decimal("12.40"),
                summary="60 calls in 10 minutes",
            )
        ]
    )


TURN_MINUTES: Final = 5


def goes_on(on: Night, minutes: int, calls: Callable[[int], float], habit: Habit = CALM) -> None:
    """Minutes of calls with a new prompt version, so many in each, and a turn after every five of them."""
    for first in range(0, minutes, TURN_MINUTES):
        at = on.clock.us // MINUTE_US - first
        on.put(
            [
                line
                for number in range(first, first + TURN_MINUTES)
                for line in minute_of(on, replace(habit, calls=calls(number)), "v42", at + number)
            ]
        )
        on.clock.us += TURN_MINUTES * MINUTE_US
        on.turn()


def told_by_itself(hook: Vendor) -> list[Any]:
    return [body for body in hook.bodies if body["event"] == "automated"]


def test_calls_that_keep_growing_are_held_down_once_and_whoever_likes_takes_it_back(tmp_path: Path) -> None:
    with on_call(tmp_path, rate_limit_after="15m") as (on, hook):
        found(on, "volume_spike")
        on.turn()
        goes_on(on, 20, lambda minute: 10 + 2 * minute)
        (told,) = told_by_itself(hook)
        (incident,) = on.metadata.alerting.incidents()
        (held,) = [one for one in on.limits.defined() if one.limit.name.startswith(prefix_of(incident.incident_id))]
        definition = held.limit.as_definition()
        assert (definition["scope"], definition["measure"], definition["window"]) == (
            {"feature": ["chat"]},
            "requests",
            "minute",
        )
        assert 7 <= int(definition["limit"]) <= 11
        assert told["first_line"].startswith("By itself: CRITICAL More calls than usual: feature chat")
        assert f"held to {definition['limit']} a minute" in told["summary"]
        assert told["summary"].endswith(f"taximeter alerts act {incident.incident_id} --undo {held.limit.name}")
        assert [step["name"] for step in incident.content["steps"]] == ["rate_limit"]
        on.limits.remove(held.limit.name, "ann")
        goes_on(on, 5, lambda minute: 60 + 2 * minute)
        assert on.limits.defined() == []
        assert len(told_by_itself(hook)) == 1


def test_a_rate_that_somebody_set_for_an_incident_stays_what_it_is(tmp_path: Path) -> None:
    with on_call(tmp_path, rate_limit_after="15m") as (on, hook):
        found(on, "volume_spike")
        on.turn()
        (incident,) = on.metadata.alerting.incidents()
        on.limits.set(limit_for(incident.incident_id, Wish(kind="rate", scope=CHAT, calls=3)), "ann")
        goes_on(on, 20, lambda minute: 10 + 2 * minute)
        assert len(told_by_itself(hook)) == 1
        by = {one.version.changed_by: one.limit.as_definition()["limit"] for one in on.limits.defined() if one.version}
        assert int(by["ann"]) == 3
        assert len(by) == 2


def test_calls_that_stay_as_they_are_are_let_be(tmp_path: Path) -> None:
    with on_call(tmp_path, rate_limit_after="15m") as (on, hook):
        goes_on(on, 5, lambda _minute: 40)
        found(on, "volume_spike")
        on.turn()
        goes_on(on, 20, lambda _minute: 40)
        assert told_by_itself(hook) == []
        assert on.limits.defined() == []


def test_the_prompt_version_before_is_named_when_nobody_marked_a_cause(tmp_path: Path) -> None:
    with on_call(tmp_path, roll_back_after="15m") as (on, hook):
        found(on, "cost_per_request")
        on.turn()
        goes_on(on, 15, lambda _minute: 6)
        (told,) = told_by_itself(hook)
        assert told["summary"] == "No cause was found in 15m: roll back to prompt version v41 (now v42)."


def test_a_mark_of_another_feature_is_no_cause(tmp_path: Path) -> None:
    with on_call(tmp_path, roll_back_after="15m") as (on, hook):
        found(on, "cost_per_request")
        on.turn()
        mark = Annotation(
            annotation_id="m",
            at_us=on.clock.us + 1,
            text="search 7 deployed",
            author="ann",
            labels={"feature": "search"},
        )
        on.metadata.alerting.annotate(mark)
        goes_on(on, 20, lambda _minute: 6)
        (told,) = told_by_itself(hook)
        assert "roll back to prompt version v41" in told["summary"]


def test_no_version_is_named_when_a_cause_was_marked(tmp_path: Path) -> None:
    with on_call(tmp_path, roll_back_after="15m") as (on, hook):
        found(on, "cost_per_request")
        on.turn()
        goes_on(on, 5, lambda _minute: 6)
        mark = Annotation(annotation_id="m", at_us=on.clock.us, text="a new tool list", author="ann", labels={})
        on.metadata.alerting.annotate(mark)
        goes_on(on, 20, lambda _minute: 6)
        assert told_by_itself(hook) == []


@pytest.mark.parametrize(("cached", "advised"), [(0.2, True), (0.7, False)])
def test_a_cache_that_stays_cold_is_advised_to_be_switched_off(tmp_path: Path, cached: float, advised: bool) -> None:
    with on_call(tmp_path, caching_off_after="20m") as (on, hook):
        found(on, "cache_hit_rate")
        on.turn()
        goes_on(on, 20, lambda _minute: 6, replace(CALM, cached=cached))
        told = [body["summary"] for body in told_by_itself(hook)]
        assert [text.startswith("The cache hit rate stayed below 50% for 20m (2") for text in told] == [True] * advised


def test_a_limit_that_cannot_be_set_is_told_and_one_that_cannot_be_kept_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Exception] = [StoreError("locked"), UsageError("no such scope")]

    def refuses(*_: object) -> None:
        raise answers.pop(0)

    monkeypatch.setattr("taximeter.server.limit_desk.LimitDesk.set", refuses)
    with on_call(tmp_path, rate_limit_after="15m") as (on, hook):
        found(on, "volume_spike")
        on.turn()
        goes_on(on, 15, lambda minute: 10 + 2 * minute)
        assert len(answers) == 1
        assert told_by_itself(hook) == []
        goes_on(on, 5, lambda minute: 60 + 2 * minute)
        (told,) = told_by_itself(hook)
        assert "no limit could be set: no such scope" in told["summary"]
