"""What was told and goes on is told once, until it has grown by a further step."""

from __future__ import annotations

import numpy as np
import pytest

from taximeter.anomaly.calendar import SLOT_MINUTES, Calendar
from taximeter.anomaly.courses import Courses
from taximeter.anomaly.detection import Detection, Minute
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


def test_a_new_model_that_gets_a_few_calls_now_and_then_is_told_once() -> None:
    detection = Detection(Calendar(), prices={"mini": 1.0, "next": 1.0})
    rng = np.random.default_rng(3)
    appears, ends = BEGINS + 2 * DAY, BEGINS + 2 * DAY + 20 * 60
    told = []
    for begins in range(BEGINS, ends, SLOT_MINUTES):
        block = []
        for minute in range(begins, begins + SLOT_MINUTES):
            calls = {"mini": rng.poisson(1.0), "next": rng.poisson(0.06) if minute >= appears else 0}
            made = {model: number for model, number in calls.items() if number}
            cells = [detection.panel.cell(("chat", model, None), minute) for model in made]
            values = [(n, 0, n * 1000.0, 0, n * 200.0, n * 0.001, n * 0.002) for n in made.values()]
            block.append(Minute(minute, np.array(cells, np.int32), np.array(values, float).reshape(len(cells), 7)))
        told += [one for one in detection.run(block) if one.news != "closed"]
    assert [(one.news, one.incident.kind, one.incident.scope) for one in told] == [
        ("opened", "model_drift", (("feature", "chat"), ("model", "next")))
    ]
