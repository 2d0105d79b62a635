"""What is learnt of how far calls scatter."""

from __future__ import annotations

import numpy as np
import pytest

from taximeter.anomaly.spread import Spread
from taximeter.anomaly.windows import WINDOWS, Seen

EXPECTED = 10_000.0
WEEKS_OF_SLOTS = 3 * 672


def deviation(ratio_of_day: tuple[float, ...]) -> float:
    """The relative standard deviation that is learnt of an hour's calls, when the days of a week are like this."""
    spread = Spread()
    spread.grow(1)
    for slot in range(WEEKS_OF_SLOTS):
        sums = np.zeros((len(Seen), 1, len(WINDOWS)))
        swing = 1.1 if slot // 4 % 2 else 0.9
        sums[Seen.CALLS], sums[Seen.EXPECTED] = EXPECTED * swing * ratio_of_day[slot // 96 % 7], EXPECTED
        spread.learn(slot, sums, np.ones(1, bool))
        if slot % 4 == 0:
            spread.settle(np.array([EXPECTED]), np.array([EXPECTED]))
    return float(np.sqrt(spread.dispersion[0, WINDOWS.index(60)]))


def test_days_that_fall_short_teach_little_of_how_far_calls_exceed() -> None:
    usual, with_days_off = deviation((1.0,) * 7), deviation((1.0,) * 6 + (0.3,))
    assert usual == pytest.approx(0.1, abs=0.01)
    assert with_days_off < 1.3 * usual


def after_two_weeks_of_growth(days: int, *, multiplied: bool) -> float:
    """The deviation that is learnt when too little was expected for two weeks, and the right number since."""
    spread = Spread()
    spread.grow(1)
    for slot in range((14 + days) * 96):
        sums = np.zeros((len(Seen), 1, len(WINDOWS)))
        swing = 1.1 if slot // 4 % 2 else 0.9
        sums[Seen.CALLS], sums[Seen.EXPECTED] = EXPECTED * swing * (1.5 if slot < 14 * 96 else 1.0), EXPECTED
        spread.learn(slot, sums, np.ones(1, bool))
    spread.settle(np.array([EXPECTED]), np.array([EXPECTED / (4 if multiplied else 1)]))
    return float(np.sqrt(spread.dispersion[0, WINDOWS.index(21)]))


def test_after_a_launch_its_growth_is_soon_forgotten_otherwise_what_weeks_have_taught_is_kept() -> None:
    assert after_two_weeks_of_growth(1, multiplied=True) > 0.3
    assert after_two_weeks_of_growth(6, multiplied=True) < 0.2
    assert after_two_weeks_of_growth(6, multiplied=False) > 0.3


def test_days_that_exceed_teach_that_calls_may_exceed_so_far_again() -> None:
    assert deviation((1.0,) * 6 + (1.6,)) > 0.2
