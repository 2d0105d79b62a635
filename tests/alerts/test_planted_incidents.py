"""Every kind of trouble, planted once: each channel of its route is told once, with the cause in the first line, and
once more when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from night import FIRST, MINUTE_US, SECOND_US, Habit, Heard, Night, Receivers, night, receivers

from taximeter.anomaly.finding import Expectation, Finding
from taximeter.clock import to_unix_us
from taximeter.store.metadata import LimitCrossing

LATEST_US: Final = 60 * SECOND_US
"""A notification is made so soon after its rule's own waiting time, at the latest."""

SPENDING: Final = ("slack", "pager", "hook")
METER: Final = ("pager", "mail")
pytestmark = pytest.mark.timeout(600)

ROUTES: Final = [{"match": {"family": "meter"}, "channels": list(METER)}, {"channels": list(SPENDING)}]


def settings_for(told: Receivers, **more: Any) -> dict[str, Any]:
    return {"alerts": {"channels": told.settings, "routes": ROUTES}, **more}


# ── what detection finds ───────────────────────────────────────────────────────────────────────────────────

USUAL: Final = Habit(calls=3.0)
LEARNT_MINUTES: Final = 1440 + 360
NOW: Final = FIRST + LEARNT_MINUTES
LASTS_MINUTES: Final = 8


@dataclass(frozen=True)
class Planted:
    """A habit of a feature from `after_minutes` on, and what is to be told of it."""

    after_minutes: int
    habit: Habit
    first_line: str


DETECTED: Final[Mapping[str, Planted]] = {
    "chat": Planted(0, replace(USUAL, calls=20.0), "CRITICAL More calls than usual: feature chat, $"),
    "search": Planted(4, replace(USUAL, input_tokens=6000), "CRITICAL Calls cost more than usual: feature search, $"),
    "docs": Planted(8, replace(USUAL, cached=0.02), "CRITICAL The cache hit rate fell: feature docs, $"),
    "triage": Planted(
        12, replace(USUAL, model="gpt-5-pro"), "CRITICAL An unexpected model answers: feature triage, model gpt-5-pro"
    ),
    "mail": Planted(16, replace(USUAL, retries=8), "CRITICAL A storm of retries: feature mail, $"),
}


def calls_of(on: Night, minutes: Iterator[int] | range) -> list[bytes]:
    return [
        line
        for minute in minutes
        for feature, planted in DETECTED.items()
        for line in on.calls.minute(feature, _habit(planted, minute), minute)
    ]


def _habit(planted: Planted, minute: int) -> Habit:
    begins = NOW + planted.after_minutes
    return planted.habit if begins <= minute < begins + LASTS_MINUTES else USUAL


@dataclass(frozen=True)
class Played:
    """What was told, and when the webhook was; what was found."""

    heard: list[Heard]
    hook: list[Mapping[str, Any]]
    findings: list[Finding]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A day and six hours of calls, then five incidents, four minutes apart, and what became of them."""
    folder = tmp_path_factory.mktemp("night")
    allowed = {feature: {USUAL.model: None} for feature in DETECTED}
    anomalies = {"dimensions": [], "allowed_models": allowed}
    with receivers(folder) as told, night(folder, settings_for(told, anomalies=anomalies), NOW) as on:
        on.put(calls_of(on, range(FIRST, NOW)))
        on.turn(detection=True)
        at = NOW
        for until in [*range(NOW + 1, NOW + 21), *range(NOW + 24, NOW + 49, 6)]:
            on.put(calls_of(on, range(at, until)))
            on.clock.us, at = until * MINUTE_US + 5 * SECOND_US, until
            on.turn(detection=True)
        return Played(told.heard(), told.hook.bodies, [one.finding for one in on.metadata.findings.list()])


@pytest.mark.parametrize("feature", DETECTED)
@pytest.mark.parametrize("place", SPENDING)
def test_what_detection_finds_is_told_once_on_each_channel_and_is_over_by_itself(
    played: Played, feature: str, place: str
) -> None:
    first_line = DETECTED[feature].first_line
    about = [one for one in played.heard if one.place == place and first_line in one.first_line]
    assert [one.event for one in about] == ["opened", "resolved"]
    assert about[0].first_line.startswith(first_line)
    assert about[0].key == about[1].key


def test_nothing_else_is_told_and_nothing_lasts(played: Played) -> None:
    assert len(played.heard) == len(DETECTED) * len(SPENDING) * 2
    assert all(finding.ended_at_us is not None for finding in played.findings)


def test_a_finding_is_told_within_a_minute_of_its_detection(played: Played) -> None:
    detected = {one.finding_id: one.detected_at_us for one in played.findings}
    opened = [body for body in played.hook if body["event"] == "opened"]
    assert len(opened) == len(DETECTED)
    for body in opened:
        waited_us = to_unix_us(datetime.fromisoformat(body["at"])) - detected[body["details"]["finding_id"]]
        assert 0 <= waited_us <= LATEST_US


# ── what other sources see ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Trouble:
    """How it begins, how it ends (by itself, when nothing is done), and what is told. `waits_minutes` is how long
    its rule waits, `lasts_minutes` how long it stays a trouble after it ended."""

    begin: Callable[[Night], None]
    first_line: str
    end: Callable[[Night], None] = lambda _on: None
    places: Sequence[str] = SPENDING
    waits_minutes: int = 0
    lasts_minutes: int = 10


def calls(on: Night, habit: Habit = USUAL) -> None:
    on.put(list(on.calls.minute("chat", habit, on.clock.us // MINUTE_US - 1)))


def crossing(kind: str, percent: int, spent: str) -> Callable[[Night], None]:
    def begin(on: Night) -> None:
        on.metadata.limits.note_crossings(
            [
                LimitCrossing(
                    slot="chat-daily|2026-11-24",
                    kind=kind,
                    percent=percent,
                    name="chat-daily",
                    value="",
                    measure="cost_usd",
                    mode="hard",
                    at_us=on.clock.us,
                    amount=50 * 10**9,
                    spent=int(Decimal(spent) * 10**9),
                )
            ]
        )

    return begin


def creeping(on: Night, *, ended: bool = False) -> None:
    found = Finding(
        finding_id="creep",
        kind="slow_creep",
        scope={"feature": "chat"},
        severity="warning",
        started_at_us=on.clock.us - 20 * 1440 * MINUTE_US,
        detected_at_us=on.clock.us,
        updated_at_us=on.clock.us,
        ended_at_us=on.clock.us if ended else None,
        expectation=Expectation("input tokens per call", 1400, 1000, 950, 1050, "the days before"),
        summary="feature chat: prompt length",
    )
    on.metadata.findings.keep([found])


RULES: Final[list[dict[str, Any]]] = [
    {"name": "burn", "measure": "cost_usd", "over": "10m", "each": ["feature"], "critical": "> 0.001", "for": "2m"},
    {"name": "heartbeat", "measure": "calls", "over": "10m", "warning": "> 1000000", "no_data": "alert"},
]
OTHERS: Final[Mapping[str, tuple[Trouble, list[dict[str, Any]]]]] = {
    "threshold": (
        Trouble(calls, "CRITICAL A bound is crossed: feature chat", waits_minutes=2, lasts_minutes=16),
        RULES[:1],
    ),
    "no_data": (Trouble(lambda _on: None, "WARNING No calls are coming in", calls, lasts_minutes=5), RULES[1:]),
    "unpriced_model": (
        Trouble(
            lambda on: calls(on, replace(USUAL, model="mystery")),
            "WARNING Calls without a price: provider openai, model mystery",
            lasts_minutes=65,
        ),
        [],
    ),
    "limit_reached": (
        Trouble(crossing("threshold", 100, "50"), "CRITICAL A limit is reached: limit chat-daily", lasts_minutes=20),
        [],
    ),
    "limit_warning": (
        Trouble(
            crossing("threshold", 80, "41.5"), "WARNING A limit is used up in part: limit chat-daily", lasts_minutes=20
        ),
        [],
    ),
    "burn_rate": (
        Trouble(crossing("burn_fast", 0, "20"), "CRITICAL A budget burns too fast: limit chat-daily", lasts_minutes=20),
        [],
    ),
    "slow_creep": (
        Trouble(creeping, "WARNING Calls have grown over weeks: feature chat", lambda on: creeping(on, ended=True)),
        [],
    ),
    "pipeline_loss": (
        Trouble(
            lambda on: on.fails(losses={"disk_full": 3}),
            "CRITICAL Records were lost: reason disk_full",
            places=METER,
            lasts_minutes=65,
        ),
        [],
    ),
    "store_unavailable": (
        Trouble(
            lambda on: on.fails(problems=("the store does not take events: disk full",)),
            "CRITICAL The store does not take events",
            lambda on: on.fails(problems=()),
            places=METER,
        ),
        [],
    ),
    "job_failed": (
        Trouble(
            lambda on: on.fails(failing_jobs={"roll-ups": "disk full"}),
            "WARNING Periodic work of the meter fails: job roll-ups",
            lambda on: on.fails(failing_jobs={}),
            places=METER,
        ),
        [],
    ),
    "delivery_failed": (
        Trouble(
            lambda on: on.fails(dead_letters=2),
            "CRITICAL Notifications do not get through",
            lambda on: on.fails(dead_letters=0),
            places=METER,
        ),
        [],
    ),
    "delivery_late": (
        Trouble(
            lambda on: on.fails(late_letters={"pager": 2}),
            "CRITICAL Notifications do not get through: channel pager",
            lambda on: on.fails(late_letters={}),
            places=METER,
        ),
        [],
    ),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receivers]:
    with receivers(tmp_path_factory.mktemp("receivers")) as opened:
        yield opened


@pytest.mark.parametrize("kind", OTHERS)
def test_it_is_told_once_on_each_channel_of_its_route_and_is_over_by_itself(
    kind: str, told: Receivers, tmp_path: Path
) -> None:
    trouble, rules = OTHERS[kind]
    told.forget()
    with night(tmp_path, settings_for(told, rules=rules)) as on:
        trouble.begin(on)
        began_us = on.clock.us
        on.pass_minutes(trouble.waits_minutes + 1)
        trouble.end(on)
        on.pass_minutes(trouble.lasts_minutes, step_seconds=150)
        letters = on.metadata.alerting.letters()
    for place in trouble.places:
        about = [one for one in told.heard() if one.place == place]
        assert [one.event for one in about] == ["opened", "resolved"]
        assert about[0].first_line.startswith(trouble.first_line)
        assert about[0].key == about[1].key
    assert len(told.heard()) == 2 * len(trouble.places)
    due_us = began_us + trouble.waits_minutes * MINUTE_US
    assert all(0 <= one.created_at_us - due_us <= LATEST_US for one in letters if one.event == "opened")


def spike(number: int, on: Night) -> Finding:
    return Finding(
        finding_id=f"spike-{number}",
        kind="volume_spike",
        scope={"feature": "chat", "user_id": f"u{number}"},
        severity="critical",
        started_at_us=on.clock.us,
        detected_at_us=on.clock.us,
        updated_at_us=on.clock.us,
        expectation=Expectation("calls", 60, 10, 5, 15, "the days before"),
        excess_usd_per_hour=Decimal("12.40"),
        summary="60 calls in 10 minutes",
    )


def test_five_hundred_findings_in_a_minute_are_one_incident_and_one_page(told: Receivers, tmp_path: Path) -> None:
    told.forget()
    with night(tmp_path, settings_for(told)) as on:
        for number in range(500):
            on.metadata.findings.keep([spike(number, on)])
            if number % 25 == 24:
                on.clock.us += 3 * SECOND_US
                on.turn()
        assert len(on.metadata.alerting.incidents()) == 1
        assert sorted((one.place, one.event) for one in told.heard()) == [(p, "opened") for p in sorted(SPENDING)]
