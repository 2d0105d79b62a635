"""How busy the product is: waves of a minute for the eye, and the hours and days of a working week."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from taximeter.simulator.traffic.product import FEATURES

_NIGHT: Final = (0.10, 0.07, 0.05, 0.05, 0.06, 0.10, 0.22, 0.45)
_DAY: Final = (0.75, 0.95, 1.00, 0.97, 0.80, 0.88, 0.97, 0.95)
_EVENING: Final = (0.88, 0.72, 0.52, 0.40, 0.32, 0.26, 0.20, 0.14)
_HOURS: Final = (*_NIGHT, *_DAY, *_EVENING)
_DAYS: Final = (0.95, 1.0, 0.98, 0.96, 0.82, 0.30, 0.24)
_REPORT_HOUR: Final = 2
"""The hour (UTC) in which the nightly reports run."""


def wave(elapsed_seconds: float) -> float:
    """The factor on the live rate: between about 0.4 and 1.6, with a period one can see on a page."""
    return 1 + 0.4 * math.sin(elapsed_seconds / 14) + 0.2 * math.sin(elapsed_seconds / 3.7)


def weights_at(moment: datetime) -> tuple[float, ...]:
    """How much each of `FEATURES` is used at a moment of the week, relative to its weight at the busiest hour."""
    bustle = _HOURS[moment.hour] * _DAYS[moment.weekday()]
    return tuple(
        feature.weight * (1 - feature.office + feature.office * bustle)
        if feature.name != "nightly-report"
        else feature.weight * (12.0 if moment.hour == _REPORT_HOUR else 0.0)
        for feature in FEATURES
    )


def _mean_load() -> float:
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    loads = [sum(weights_at(monday + timedelta(hours=hour))) for hour in range(24 * 7)]
    return sum(loads) / len(loads)


MEAN_LOAD: Final = _mean_load()
"""The mean over a week of what `weights_at` sums to."""
