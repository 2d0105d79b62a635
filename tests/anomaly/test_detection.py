"""What is told, and what is not, of two weeks of normal traffic and an hour that differs."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from detection_traffic import MAIN, MONDAY, STRANGE, Cell, Change, Traffic, detection, during

from taximeter.anomaly.detection import Detection, Told

pytestmark = pytest.mark.timeout(900)
"""Weeks of minutes take their time on a busy machine."""

LEARNT_DAYS = 15
NOON = MONDAY + LEARNT_DAYS * 1440 + 12 * 60


@pytest.fixture(scope="module")
def experienced() -> Detection:
    """Two weeks and a morning of normal traffic."""
    learnt = detection()
    Traffic(learnt).run(MONDAY, NOON)
    return learnt


def told_of(learnt: Detection, change: Change, minutes: int = 90, block: int = 15) -> list[Told]:
    return Traffic(copy.deepcopy(learnt), change).run(NOON, NOON + minutes, block)


def first_of(told: list[Told]) -> Told:
    assert [one for one in told if one.news == "opened"], "nothing was told"
    return next(one for one in told if one.news == "opened")


CHAT = (("feature", "chat"),)

INCIDENTS = {
    "all users of a feature call three times as often": (
        during(NOON + 5, NOON + 60, "chat", rate=3.5), "volume_spike", CHAT, "critical", 5,
    ),
    "a feature's calls double for long": (
        during(NOON + 5, NOON + 80, "chat", rate=2.0), "volume_spike", CHAT, "warning", 30,
    ),
    "one user's script loops": (
        during(NOON + 5, NOON + 60, "chat", "u1", rate=6.0),
        "volume_spike", (*CHAT, ("user_id", "u1")), "critical", 6,
    ),
    "every call is repeated three times": (
        during(NOON + 5, NOON + 60, "chat", retries=3.0), "retry_storm", CHAT, "critical", 3,
    ),
    "one user's client has no back-off": (
        during(NOON + 5, NOON + 60, "chat", "u2", retries=3.0),
        "retry_storm", (*CHAT, ("user_id", "u2")), "critical", 6,
    ),
    "prompts are three times as long": (
        during(NOON + 5, NOON + 60, "chat", input_tokens=3000.0, output_tokens=600.0),
        "cost_per_request", CHAT, "critical", 8,
    ),
    "the prefix is never found in the cache": (
        during(NOON + 5, NOON + 60, "chat", cached=0.1), "cache_hit_rate", CHAT, "critical", 5,
    ),
    "the router falls back to the dear model": (
        during(NOON + 5, NOON + 60, "chat", spare=0.8), "model_drift", (*CHAT, ("model", "pro")), "critical", 5,
    ),
    "a model that nobody allowed answers": (
        during(NOON + 5, NOON + 60, "search", strange=0.2),
        "model_drift", (("feature", "search"), ("model", STRANGE)), "warning", 8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INCIDENTS)
def test_it_is_told_at_the_scope_that_explains_it(experienced: Detection, name: str) -> None:
    change, kind, scope, severity, minutes = INCIDENTS[name]
    told = told_of(experienced, change)
    first = first_of(told)
    assert (first.incident.kind, first.incident.scope) == (kind, scope)
    assert 1 <= first.minute - NOON - 4 <= minutes
    assert first.incident.severity == severity


@pytest.mark.parametrize("name", INCIDENTS)
def test_one_incident_is_one_finding_from_its_beginning_to_its_end(experienced: Detection, name: str) -> None:
    change, kind, _, _, _ = INCIDENTS[name]
    told = told_of(experienced, change, minutes=120)
    assert [one.incident.kind for one in told if one.news == "opened"] == [kind]
    closed = [one for one in told if one.news == "closed"]
    assert len(closed) == 1
    assert closed[0].incident.ended is not None


def test_a_storm_of_all_features_of_a_model_is_told_of_the_model_from_its_first_minute(experienced: Detection) -> None:
    def change(cell: Cell) -> Cell:
        return replace(cell, retries=1.1) if NOON + 5 <= cell.minute < NOON + 45 else cell

    told = told_of(experienced, change)
    first = first_of(told)
    assert (first.incident.kind, first.incident.scope) == ("retry_storm", (("model", MAIN),))
    assert len([one for one in told if one.news == "opened"]) == 1


HARMLESS = {
    "a normal hour": lambda cell: cell,
    "a burst of three minutes": during(NOON + 5, NOON + 8, "chat", rate=2.0),
    "a quarter more for hours": during(NOON, NOON + 90, "chat", rate=1.25),
    "a hiccup of the provider": during(NOON + 5, NOON + 15, "chat", retries=0.06),
    "a slightly cooler cache": during(NOON, NOON + 90, "chat", cached=0.68),
    "a prompt that grew by a sixth": during(NOON, NOON + 90, "chat", input_tokens=1160.0),
    "an hour without data": during(NOON + 5, NOON + 65, "chat", rate=0.0),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_not_told(experienced: Detection, name: str) -> None:
    assert told_of(experienced, HARMLESS[name], minutes=120) == []


@pytest.mark.parametrize("block", [1, 4])
def test_minute_by_minute_tells_the_same_as_slot_by_slot(experienced: Detection, block: int) -> None:
    def change(cell: Cell) -> Cell:
        for one in (
            during(NOON + 3, NOON + 40, "chat", rate=3.5),
            during(NOON + 20, NOON + 50, "search", retries=3.0),
            during(NOON + 10, NOON + 33, "search", strange=0.3),
        ):
            cell = one(cell)
        return cell

    def words(told: list[Told]) -> list[tuple[object, ...]]:
        return [(one.news, one.minute, one.incident.kind, one.incident.scope, one.incident.severity) for one in told]

    slots = words(told_of(experienced, change, minutes=90))
    assert len(slots) >= 6
    assert words(told_of(experienced, change, minutes=90, block=block)) == slots


def test_a_minute_that_is_looked_at_before_its_last_calls_have_come_is_learnt_once(experienced: Detection) -> None:
    once, again = copy.deepcopy(experienced), copy.deepcopy(experienced)
    Traffic(once).run(NOON, NOON + 75)
    for last in range(NOON + 14, NOON + 75, 15):
        Traffic(again).run(last - 14, last)
        again.run([Traffic(again).minute(last)], part=1.0)
        Traffic(again).run(last, last + 1)
    assert again.spread.dispersion.tolist() == once.spread.dispersion.tolist()


def test_after_an_incident_the_same_day_of_the_next_week_is_expected_as_before(experienced: Detection) -> None:
    learnt = copy.deepcopy(experienced)
    Traffic(learnt, during(NOON + 5, NOON + 125, "chat", rate=4.0)).run(NOON, NOON + 360)
    row = learnt.panel.row_of[CHAT]
    calm = copy.deepcopy(experienced)
    Traffic(calm).run(NOON, NOON + 360)
    assert learnt.baseline.level[row] == pytest.approx(calm.baseline.level[row], rel=0.05)
