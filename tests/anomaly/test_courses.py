"""What was told and goes on is told once, until it has grown by a further step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from taximeter.anomaly.calendar import SLOT_MINUTES, Calendar
from taximeter.anomaly.courses import Courses
from taximeter.anomaly.detection import Detection, Minute, Told
from taximeter.anomaly.detectors import Suspicion
from taximeter.anomaly.windows import Watch

DAY = 1440
BEGINS = 29_016_000 - 29_016_000 % DAY
TOLD = BEGINS + 100


def share(surely: float, row: int = 3) -> Suspicion:
    return Suspicion("model_drift", Watch.MIX, row, 5, surely + 0.1, 9.0, "warning", surely)


@pytest.mark.parametrize(
    ("surely", "row", "minutes_later", "is_the_same"),
    [
        (0.1, 3, 60, True),
        (0.19, 3, 60, True),
        (0.2, 3, 60, False),
        (0.1, 4, 60, False),
        (0.1, 3, 2 * DAY, False),
    ],
    ids=["as told", "a little more", "twice as much", "elsewhere", "when it is known no longer"],
)
def test_what_goes_on_is_the_same_until_it_has_doubled(
    surely: float, row: int, minutes_later: int, is_the_same: bool
) -> None:
    courses = Courses()
    courses.settle(Watch.MIX, 3, 0.1, until_minute=TOLD + DAY, quiet_until_minute=TOLD)
    assert courses.has(share(surely, row), TOLD + minutes_later) is is_the_same


def test_what_it_grows_to_while_it_is_learnt_belongs_to_it() -> None:
    courses = Courses()
    courses.settle(Watch.MIX, 3, 0.1, until_minute=TOLD + 14 * DAY, quiet_until_minute=TOLD + DAY)
    courses.has(share(0.6), TOLD + 60)
    assert courses.has(share(0.9), TOLD + 2 * DAY)


def told_of(share: Callable[[float], float], days: float, dear: float) -> list[Told]:
    """What is told of a model that comes to a feature on its third day: `share(day since)` of the calls, at `dear`
    times the price of the other one."""
    detection = Detection(Calendar(), prices={"mini": 1.0, "next": dear})
    rng = np.random.default_rng(3)
    appears = BEGINS + 2 * DAY
    told = []
    for begins in range(BEGINS, appears + int(days * DAY), SLOT_MINUTES):
        block = []
        for minute in range(begins, begins + SLOT_MINUTES):
            part = share((minute - appears) / DAY) if minute >= appears else 0.0
            calls = {"mini": rng.poisson(1 - part), "next": rng.poisson(part)}
            made = {model: number for model, number in calls.items() if number}
            cells = [detection.panel.cell(("chat", model, None), minute) for model in made]
            values = [(n, 0, n * 1000.0, 0, n * 200.0, n * 0.001, n * 0.002) for n in made.values()]
            block.append(Minute(minute, np.array(cells, np.int32), np.array(values, float).reshape(len(cells), 7)))
        told += [one for one in detection.run(block) if one.incident.kind == "model_drift" and one.news != "closed"]
    return told


def test_a_new_model_that_gets_a_few_calls_now_and_then_is_told_once() -> None:
    told = told_of(lambda _day: 0.06, 0.8, dear=1.0)
    assert [(one.news, one.incident.scope) for one in told] == [("opened", (("feature", "chat"), ("model", "next")))]


def in_steps(day: float) -> float:
    """None for two hours after the first day, so that what was told is over before the next step."""
    return 0.06 if day < 0.9 else 0.0 if day < 1 else 0.3 if day < 2 else 0.97


@pytest.mark.parametrize(("dear", "once"), [(1.2, True), (5.0, False)], ids=["about as cheap", "five times as dear"])
def test_a_feature_that_moves_to_another_model_in_steps_is_told_once_unless_that_is_dear(
    dear: float, once: bool
) -> None:
    opened = [one for one in told_of(in_steps, 2.2, dear) if one.news == "opened"]
    assert (len(opened) == 1) is once
