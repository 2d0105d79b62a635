"""What people use today, on hourly spend by feature. Each says at which hours a feature's spend is out of line.

`spend[hour]` in USD, from the first hour on; the answer is a flag for each hour that uses nothing of later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.detection.histories import Minutes, minute_text
from taximeter.anomaly.panel import Value

Series = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

WEEK_HOURS: Final = 168
NORMAL_MAD: Final = 1.4826
"""Standard deviations in a median absolute deviation of a normal variable."""


def ewma(spend: Series, alpha: float = 0.05, deviations: float = 4.0) -> Flags:
    """Exponentially weighted mean and variance of the logarithm."""
    logs, mean, variance = np.log(spend + 1e-6), float(np.log(spend[0] + 1e-6)), 0.1
    flags = np.zeros(len(spend), bool)
    for hour, value in enumerate(logs):
        off = value - mean
        flags[hour] = off > deviations * variance**0.5
        if not flags[hour]:
            mean, variance = mean + alpha * off, (1 - alpha) * (variance + alpha * off * off)
    return flags


def hour_of_week_mad(spend: Series, deviations: float = 6.0, least: float = 1.5) -> Flags:
    """Median and median absolute deviation of the same hour of the weeks before, and its neighbours."""
    flags = np.zeros(len(spend), bool)
    for hour in range(2 * WEEK_HOURS, len(spend)):
        weeks = range(1, hour // WEEK_HOURS + 1)
        like = np.array(
            [
                spend[at]
                for week in weeks
                for at in range(hour - week * WEEK_HOURS - 1, hour - week * WEEK_HOURS + 2)
                if at >= 0
            ]
        )
        middle = np.median(like)
        spread = NORMAL_MAD * np.median(np.abs(like - middle)) + 1e-9
        flags[hour] = spend[hour] > max(middle + deviations * spread, least * middle)
    return flags


def z_score(spend: Series, deviations: float = 2.0) -> Flags:
    """More than two standard deviations above the mean of the last seven days."""
    flags = np.zeros(len(spend), bool)
    for hour in range(WEEK_HOURS, len(spend)):
        week = spend[hour - WEEK_HOURS : hour]
        flags[hour] = spend[hour] > week.mean() + deviations * week.std()
    return flags


def seasonal_esd(spend: Series, deviations: float = 3.5) -> Flags:
    """What is left of two weeks without their level and their hours of the day, by a robust extreme deviate."""
    flags = np.zeros(len(spend), bool)
    for hour in range(2 * WEEK_HOURS, len(spend)):
        window = spend[hour - 2 * WEEK_HOURS + 1 : hour + 1]
        hours = np.arange(len(window)) % 24
        seasonal = np.array([np.median(window[hours == each]) for each in range(24)])
        rest = window - seasonal[hours]
        spread = NORMAL_MAD * np.median(np.abs(rest - np.median(rest))) + 1e-9
        flags[hour] = (rest[-1] - np.median(rest)) / spread > deviations
    return flags


OTHERS: Final[Mapping[str, Callable[[Series], Flags]]] = {
    "EWMA": ewma,
    "hour of week, median and MAD": hour_of_week_mad,
    "z-score of 7 days": z_score,
    "STL / seasonal ESD": seasonal_esd,
}


def hourly_spend(held: Minutes) -> dict[str, Series]:
    """USD an hour, by feature."""
    minutes = len(held.begins) - 1
    minute = np.repeat(np.arange(minutes), np.diff(held.begins))
    usd = held.values[: len(minute), Value.INPUT_USD] + held.values[: len(minute), Value.OUTPUT_USD]
    names = np.array([feature for feature, _, _ in held.cells])[held.cell[: len(minute)]]
    return {
        feature: np.bincount(minute[names == feature] // 60, usd[names == feature], minlength=minutes // 60).astype(
            float
        )
        for feature in sorted({feature for feature, _, _ in held.cells})
    }


def alerts_of(held: Minutes, detector: Callable[[Series], Flags]) -> list[dict[str, Any]]:
    """An alert for every hour that is out of line, at its end."""
    return [
        {
            "time": minute_text(held.first + (hour + 1) * 60),
            "type": "spend",
            "scope": {"feature": feature},
            "severity": "warning",
        }
        for feature, spend in hourly_spend(held).items()
        for hour in np.flatnonzero(detector(spend)).tolist()
    ]
