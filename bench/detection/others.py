"""What people use today, on hourly spend by feature. Each says at which hours a feature's spend is out of line.

They are given what helps them: the operator's clock, what a feature spent as a multiple of its last week (so that
growth is no news), nothing before a feature began, and a least size in proportion and in money. The answer is a flag
for each hour that uses nothing of later ones. The z-score is left as it is usually advised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from bench.detection.histories import Minutes, minute_text
from taximeter.anomaly.panel import Value

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Hours = NDArray[np.integer[Any]]

WEEK_HOURS: Final = 168
LIKE_WEEKS: Final = 5
NORMAL_MAD: Final = 1.4826
"""Standard deviations in a median absolute deviation of a normal variable."""

LEAST_RATIO: Final = 1.5
"""As for the product: a smaller excess is not worth a word."""

LEAST_SHARE: Final = 0.003
"""Nor is an hour with less than this part of what the whole deployment spends in one."""

LEAST_SPREAD: Final = 0.1
"""Of two to five weeks the spread is known poorly: it is taken to be at least this part of their middle."""


@dataclass(frozen=True)
class Spend:
    """USD an hour, from the first hour that had any, and which hour of the week that was on the operator's clock."""

    usd: Floats
    hour_of_week: Hours

    @property
    def relative(self) -> Floats:
        """As a multiple of the average of the last week, or of what there was until then."""
        sums = np.concatenate([[0.0], self.usd.cumsum()])
        hours = np.arange(len(self.usd)) + 1
        before = np.maximum(hours - WEEK_HOURS, 0)
        return np.asarray(self.usd * (hours - before) / np.maximum(sums[hours] - sums[before], 1e-12))


def _like_hours(spend: Spend) -> Iterator[tuple[int, Floats]]:
    """Every hour of which there are two or more like it in the weeks before, and those as multiples of their weeks."""
    relative = spend.relative
    for hour_of_week in range(WEEK_HOURS):
        alike = np.flatnonzero(spend.hour_of_week == hour_of_week)
        for number in range(2, len(alike)):
            yield int(alike[number]), relative[alike[max(0, number - LIKE_WEEKS) : number]]


def hour_of_week_mad(spend: Spend, deviations: float = 8.0) -> Flags:
    """Median and median absolute deviation of the same hour of the weeks before."""
    flags, relative = np.zeros(len(spend.usd), bool), spend.relative
    for hour, like in _like_hours(spend):
        middle = np.median(like)
        spread = max(NORMAL_MAD * float(np.median(np.abs(like - middle))), LEAST_SPREAD * float(middle))
        flags[hour] = relative[hour] > max(middle + deviations * spread, LEAST_RATIO * middle)
    return flags


def ewma(spend: Spend, alpha: float = 0.05, deviations: float = 4.0) -> Flags:
    """Exponentially weighted mean and variance of the logarithm, beside that of the same hour of the weeks before."""
    flags, relative = np.zeros(len(spend.usd), bool), spend.relative
    mean, variance = 0.0, 0.05
    for hour, like in sorted(_like_hours(spend), key=lambda one: one[0]):
        off = float(np.log((relative[hour] + LEAST_SPREAD) / (np.median(like) + LEAST_SPREAD))) - mean
        flags[hour] = off > max(deviations * variance**0.5, np.log(LEAST_RATIO))
        if not flags[hour]:
            mean, variance = mean + alpha * off, (1 - alpha) * (variance + alpha * off * off)
    return flags


def z_score(spend: Spend, deviations: float = 2.0) -> Flags:
    """More than two standard deviations above the mean of the last seven days."""
    flags = np.zeros(len(spend.usd), bool)
    for hour in range(WEEK_HOURS, len(spend.usd)):
        week = spend.usd[hour - WEEK_HOURS : hour]
        flags[hour] = spend.usd[hour] > week.mean() + deviations * week.std()
    return flags


def seasonal_esd(spend: Spend, deviations: float = 6.0) -> Flags:
    """What is left of two weeks without their level and their hours of the day, by a robust extreme deviate."""
    flags, relative, hour_of_day = np.zeros(len(spend.usd), bool), spend.relative, spend.hour_of_week % 24
    for hour in range(2 * WEEK_HOURS, len(spend.usd)):
        span = slice(hour - 2 * WEEK_HOURS + 1, hour + 1)
        window, hours = relative[span], hour_of_day[span]
        ordered = window[np.argsort(hours, kind="stable")]
        seasonal = np.array(
            [np.median(part) for part in np.split(ordered, np.bincount(hours, minlength=24).cumsum())[:-1]]
        )
        rest = window - seasonal[hours]
        middle = np.median(rest)
        spread = NORMAL_MAD * np.median(np.abs(rest - middle)) + 1e-9
        large = window[-1] > LEAST_RATIO * seasonal[hours[-1]]
        flags[hour] = large and (rest[-1] - middle) / spread > deviations
    return flags


OTHERS: Final[Mapping[str, Callable[[Spend], Flags]]] = {
    "EWMA": ewma,
    "hour of week, median and MAD": hour_of_week_mad,
    "z-score of 7 days": z_score,
    "STL / seasonal ESD": seasonal_esd,
}


def hourly_usd(held: Minutes) -> dict[str, Floats]:
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


def hours_of_week(first_minute: int, hours: int, timezone: str) -> Hours:
    """On the clock of a zone, Monday 00:00 is 0."""
    zone = ZoneInfo(timezone)
    local = (datetime.fromtimestamp((first_minute + 60 * hour) * 60, UTC).astimezone(zone) for hour in range(hours))
    return np.array([moment.weekday() * 24 + moment.hour for moment in local])


def alerts_of(
    first_minute: int, usd: Mapping[str, Floats], clock: Hours, detector: Callable[[Spend], Flags]
) -> list[dict[str, Any]]:
    """An alert for every hour that is out of line, at its end. `clock`: the hour of the week of each."""
    least_usd = LEAST_SHARE * sum(spent.mean() for spent in usd.values())
    return [
        {
            "time": minute_text(first_minute + (hour + 1) * 60),
            "type": "spend",
            "scope": {"feature": feature},
            "severity": "warning",
        }
        for feature, spent in usd.items()
        for hour in _out_of_line(spent, clock, detector, least_usd)
    ]


def _out_of_line(usd: Floats, clock: Hours, detector: Callable[[Spend], Flags], least_usd: float) -> list[int]:
    begins = int(np.argmax(usd > 0))
    flags = detector(Spend(usd[begins:], clock[begins:]))
    hours: list[int] = (np.flatnonzero(flags & (usd[begins:] > least_usd)) + begins).tolist()
    return hours
