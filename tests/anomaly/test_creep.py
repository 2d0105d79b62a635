"""Which courses of prompt lengths are told as a creep: two weeks of days, as growth since the first one in per cent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from taximeter.anomaly.creep import CREEP_DAYS, rises, telling
from taximeter.anomaly.rules import Thresholds

WOBBLE = (0.4, -0.7, 0.2, 0.9, -0.3, -0.6, 0.8, 0.1, -0.9, 0.5, -0.2, 0.6, -0.4, 0.3)
"""What users ask varies from day to day, in per cent."""


def steadily(per_cent_a_day: float, days: int) -> list[float]:
    return [((1 + per_cent_a_day / 100) ** day - 1) * 100 for day in range(1, days + 1)]


def is_told(growth: Sequence[float]) -> bool:
    level = np.concatenate([np.zeros(CREEP_DAYS - len(growth)), growth]) + np.array(WOBBLE)
    return bool(telling(rises(np.log1p(level / 100)[None, :]), Thresholds())[0])


TOLD = {
    "two per cent a day for eight days": steadily(2, 8),
    "two and a half per cent a day for six days": steadily(2.6, 6),
    "five per cent a day for four days": steadily(5, 4),
    "ten per cent a day for three days": steadily(10, 3),
    "a third within eight days, a half of it at once": [6.2, 18.5, 19.7, 22.1, 20.9, 23.4, 28.4, 32.3],
}

HARMLESS = {
    "nothing but what users ask": [],
    "a deploy": [20.0] * 4,
    "a deploy a week ago": [35.0] * 7,
    "two per cent a day for five days": steadily(2, 5),
    "three days of a rise that a deploy fell into": [8.4, 12.4, 13.0, 16.0],
    "ten days of a rise that a deploy fell into": [0.0, 3.4, 7.6, 9.0, 10.7, 9.5, 10.6, 12.0, 14.0, 16.2, 16.8],
    "a rise that went back": [*steadily(4, 4), 2.0, 0.0],
}


@pytest.mark.parametrize("name", TOLD)
def test_a_steady_rise_is_told(name: str) -> None:
    assert is_told(TOLD[name])


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_deploy_can_be_is_not(name: str) -> None:
    assert not is_told(HARMLESS[name])


def test_a_rise_has_reached_what_it_had_on_two_days() -> None:
    """The second day may be dear for another reason."""
    days = [*steadily(3, 9), 35.0, 130.0]
    lately = rises(np.log1p(np.concatenate([np.zeros(CREEP_DAYS - len(days)), days]) / 100)[None, :]).lately
    assert np.expm1(lately[0]) == pytest.approx(0.35)
