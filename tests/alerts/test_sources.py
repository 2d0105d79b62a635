"""What findings, crossed limits and the meter's own trouble are observed as."""

from __future__ import annotations

import pytest

from taximeter.alerts.sources import CROSSING_TOLD_US, Crossings, Meter, MeterHealth, of_crossing, of_finding
from taximeter.anomaly.finding import Expectation, Finding
from taximeter.store.metadata.limits import LimitCrossing

NOW_US = 1_795_000_000_000_000
HOUR_US = 3_600_000_000


def crossing(kind: str, percent: int, mode: str, value: str = "") -> LimitCrossing:
    return LimitCrossing(
        slot="s",
        kind=kind,
        percent=percent,
        name="chat-daily",
        value=value,
        measure="cost_usd",
        mode=mode,
        amount=50_000_000_000,
        spent=40_500_000_000,
        at_us=NOW_US,
    )


@pytest.mark.parametrize(
    ("one", "kind", "severity"),
    [
        (crossing("threshold", 80, "soft"), "limit_warning", "warning"),
        (crossing("threshold", 100, "soft"), "limit_reached", "warning"),
        (crossing("threshold", 100, "hard"), "limit_reached", "critical"),
        (crossing("burn_fast", 0, "soft"), "burn_rate", "critical"),
        (crossing("burn_slow", 0, "hard"), "burn_rate", "warning"),
    ],
)
def test_a_crossed_limit_by_what_it_means(one: LimitCrossing, kind: str, severity: str) -> None:
    observation = of_crossing(one, {})
    assert (observation.kind, observation.severity) == (kind, severity)
    assert "40.5 of 50 cost_usd" in observation.summary


def test_many_who_reach_one_limit_are_told_apart_and_named() -> None:
    first, second = (
        of_crossing(crossing("threshold", 100, "hard", value), {"user_id": value}) for value in ("u1", "u2")
    )
    assert first.key != second.key
    assert "of u1" in first.summary


def test_only_what_was_crossed_just_now_is_asked_for() -> None:
    asked: list[int] = []

    def since(at_us: int) -> list[LimitCrossing]:
        asked.append(at_us)
        return []

    Crossings(since).observe(NOW_US)
    assert asked == [NOW_US - CROSSING_TOLD_US]


def test_lost_records_are_told_for_an_hour_after_the_last_one() -> None:
    losses = {"disk_full": 0}
    meter = Meter(lambda: MeterHealth(losses=losses))
    assert meter.observe(NOW_US) == []
    losses["disk_full"] = 3
    (told,) = meter.observe(NOW_US + 1) or []
    assert (told.kind, told.summary) == ("pipeline_loss", "3 records lost: disk_full")
    assert len(meter.observe(NOW_US + HOUR_US // 2) or []) == 1
    losses["torn"] = 1
    assert (meter.observe(NOW_US + HOUR_US // 2) or [])[1].summary == "1 record lost: torn"
    assert meter.observe(NOW_US + 2 * HOUR_US) == []


@pytest.mark.parametrize(
    ("actual", "unit", "seen"),
    [
        (1, "calls", "1 call"),
        (420, "calls", "420 calls"),
        (0, "calls", "0 calls"),
        (1, "retries per call", "1 retries per call"),
    ],
)
def test_what_a_finding_saw_is_told_as_one_would_say_it(actual: float, unit: str, seen: str) -> None:
    finding = Finding(
        finding_id="f",
        kind="volume_spike",
        scope={"feature": "chat"},
        severity="warning",
        started_at_us=NOW_US,
        detected_at_us=NOW_US,
        updated_at_us=NOW_US,
        expectation=Expectation(unit, actual, 2.0, 1.0, 3.0, "4 Tuesdays"),
    )
    assert of_finding(finding).facts["shown"][0] == ("Seen", seen)


def test_everything_that_ails_the_meter_is_said() -> None:
    health = MeterHealth(problems=["the spool cannot write"], failing_jobs={"rollups": "disk"}, dead_letters=2)
    kinds = [one.kind for one in Meter(lambda: health).observe(NOW_US) or []]
    assert kinds == ["store_unavailable", "job_failed", "delivery_failed"]
