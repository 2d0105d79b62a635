"""What comes by the clock is no news: jobs of the night and of the week, days that move with the clock, hours without
data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from taximeter.anomaly.calendar import SLOT_MINUTES, Calendar
from taximeter.anomaly.detection import Detection, Minute, Told

pytestmark = pytest.mark.timeout(900)
"""Weeks of minutes take their time on a busy machine."""

DAY: Final = 1440
WEEK: Final = 7 * DAY
BERLIN: Final = ZoneInfo("Europe/Berlin")
MONDAY: Final = int(datetime(2025, 3, 17, tzinfo=UTC).timestamp()) // 60
"""Two weeks before clocks go forward in Berlin."""

Rhythm = Callable[[int], float]
"""Minute since the epoch → calls that are expected in it."""


def told_of(rhythm: Rhythm, days: int) -> list[Told]:
    """What was told of one user of one feature who calls in this rhythm."""
    detection = Detection(Calendar("Europe/Berlin"), prices={"mini": 1.0})
    return run(detection, rhythm, MONDAY, MONDAY + days * DAY)


def run(detection: Detection, rhythm: Rhythm, first: int, last: int) -> list[Told]:
    rng = np.random.default_rng(5)
    told: list[Told] = []
    for begins in range(first, last, SLOT_MINUTES):
        block = []
        for minute in range(begins, begins + SLOT_MINUTES):
            calls = int(rng.poisson(rhythm(minute)))
            cell = [detection.panel.cell(("report", "mini", "u0"), minute)] if calls else []
            values = [(calls, 0, calls * 1000.0, 0, calls * 200.0, calls * 0.001, calls * 0.002)] if calls else []
            block.append(Minute(minute, np.array(cell, np.int32), np.array(values, float).reshape(len(cell), 7)))
        told += detection.run(block)
    return told


def on_the_wall(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, BERLIN)


def jobs(minute: int) -> float:
    """Next to nothing; forty minutes every night at two, an hour and a half every Monday at six."""
    local = on_the_wall(minute)
    clock = local.hour * 60 + local.minute
    nightly, weekly = 120 <= clock < 160, local.weekday() == 0 and 360 <= clock < 450
    return 40.0 if nightly or weekly else 0.025


def office(minute: int) -> float:
    """Hours of work on the wall clock, next to nothing else."""
    local = on_the_wall(minute)
    return 12.0 if local.weekday() < 5 and 9 <= local.hour < 18 else 0.4


def with_missing_hours(minute: int) -> float:
    """Nothing arrived on the second Wednesday from ten to three and in the night after it."""
    since = minute - MONDAY - WEEK - 2 * DAY
    return 0.0 if 540 <= since < 840 or 1200 <= since < 1500 else 6.0


@pytest.mark.parametrize(
    ("rhythm", "days", "known_after"),
    [(jobs, 15, 8), (office, 16, 8), (with_missing_hours, 11, 3)],
    ids=["jobs of the night and the week", "a change of clocks", "missing hours"],
)
def test_what_is_known_is_no_news(rhythm: Rhythm, days: int, known_after: int) -> None:
    """Clocks change on day 13: that night, and the Monday after it, are in the second case."""
    news = [one for one in told_of(rhythm, days) if one.news == "opened"]
    assert [one for one in news if one.minute >= MONDAY + known_after * DAY] == []


def evenings_out(minute: int) -> float:
    """Calls until midnight, on Fridays and Saturdays until four in the morning."""
    local = on_the_wall(minute)
    hour = local.hour + local.minute / 60
    late = (local.weekday() + (hour >= 12)) % 7 in (5, 6)
    if hour >= 12:
        return 20.0 - 0.9 * max(0.0, hour - 18) * (0 if late else 3)
    return 18.0 * max(0.0, 1 - hour / 5) if late else 3.0 + 1.5 * max(0.0, hour - 6)


@pytest.fixture(scope="module")
def known_evenings() -> Detection:
    """Until the evening of the third Tuesday."""
    detection = Detection(Calendar("Europe/Berlin"), prices={"mini": 1.0})
    run(detection, evenings_out, MONDAY, TUESDAY_EVENING)
    return detection


TUESDAY_EVENING: Final = MONDAY + 15 * DAY + 16 * 60
"""18:00 in Berlin, by summer time."""


def test_a_day_off_that_nobody_announced_is_no_news(known_evenings: Detection) -> None:
    def a_wednesday_off(minute: int) -> float:
        """The evening and the night are those of a weekend."""
        return evenings_out(minute + 4 * DAY)

    told = run(copy.deepcopy(known_evenings), a_wednesday_off, TUESDAY_EVENING, TUESDAY_EVENING + 15 * 60)
    assert [one for one in told if one.news == "opened"] == []


def test_as_many_calls_after_a_usual_evening_are_news(known_evenings: Detection) -> None:
    one_in_the_morning = TUESDAY_EVENING + 7 * 60

    def a_script_that_loops(minute: int) -> float:
        return evenings_out(minute + (4 * DAY if minute >= one_in_the_morning else 0))

    told = run(copy.deepcopy(known_evenings), a_script_that_loops, TUESDAY_EVENING, TUESDAY_EVENING + 9 * 60)
    first = next(one for one in told if one.news == "opened")
    assert (first.incident.kind, first.incident.scope) == ("volume_spike", (("feature", "report"),))
    assert first.minute - one_in_the_morning <= 30
