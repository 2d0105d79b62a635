"""What to expect of a call: cost at unchanged prices and mix, share of input from a cache, retries, share of a model.

Each is a quotient of two sums, learnt by the local hour of the day from the last two weeks and shrunk towards the
day's average while calls are few; never divided by the volume that is expected.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import Calendar, day_kind
from taximeter.anomaly.history import KEPT_HOURS, History, Hourly

Floats = NDArray[np.floating[Any]]

RATIO_DAYS: Final = 14
HOURS_AROUND: Final = (-1, 0, 1)
SHRINK_CALLS: Final = 60.0
"""How many calls of its own hour of the day weigh as much as the average of all hours."""

RECENT_HOURS: Final = 48
"""The level of cost per call is that of the last two days: a deploy moves it for good, and slow growth is another
detector's."""

CLIPPED: Final = (0.6, 1.6)
"""An hour's quotient counts at most as these multiples of the median hour: what went wrong unnoticed stays small."""

HOME_SHARE: Final = 0.1
"""A model with this share of a feature's calls is at home there; a rare fallback is not, nor what appeared today."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """Per row, for the hour under way. Calls without any history have 0 in `calls`."""

    calls: Floats
    """Calls that the expectations rest on."""
    input_price: Floats
    output_price: Floats
    """USD per token, cache and rare models included, as on average of the last two weeks."""
    cost: Floats
    """USD per call at these prices."""
    cached: Floats
    """Share of input tokens read from a cache."""
    retries: Floats
    """Retries per first attempt."""
    share: Floats
    """Of MIX rows: share of the feature's first attempts that the model has."""

    def grown(self, rows: int) -> Ratios:
        """With rows of which nothing is known yet."""

        def padded(held: Floats) -> Floats:
            return np.concatenate([held, np.zeros(rows - len(held))])

        return Ratios(**{field.name: padded(getattr(self, field.name)) for field in fields(self)})


def learn_ratios(history: History, calendar: Calendar, hour: int, rows: int) -> Ratios:
    """`hour` counts from the epoch, UTC; hours before it are known."""
    hourly = history.hourly[:, :rows]
    past = np.arange(hour - RATIO_DAYS * 24, hour) % KEPT_HOURS
    sums = hourly[:, :, past].sum(2, dtype=float)
    alike = _same_hours(calendar, hour)
    mine = hourly[:, :, _same_hours(calendar, hour, same_kind=True)].sum(2, dtype=float)
    input_price, output_price = _prices(sums)
    return Ratios(
        calls=sums[Hourly.CALLS],
        input_price=input_price,
        output_price=output_price,
        cost=_cost(hourly, past, alike, input_price, output_price),
        cached=_shrunk(mine[Hourly.CACHED], mine[Hourly.CACHE_INPUT], sums[Hourly.CACHED], sums[Hourly.CACHE_INPUT]),
        retries=_quotient(sums[Hourly.RETRIES], sums[Hourly.FIRST]),
        share=_quotient(sums[Hourly.CALLS], sums[Hourly.FIRST]),
    )


def _same_hours(calendar: Calendar, hour: int, *, same_kind: bool = False) -> list[int]:
    """Places of this hour of the day in the last two weeks; of days of the same kind only, or of all."""
    local = calendar.local(hour * 4)
    days = [local - 96 * day for day in range(1, RATIO_DAYS + 1)]
    if same_kind:
        kind = day_kind(calendar.weekday(local))
        days = [day for day in days if day_kind(calendar.weekday(day)) == kind]
    return [(calendar.utc(day) // 4 + around) % KEPT_HOURS for day in days for around in HOURS_AROUND]


def _prices(sums: Floats) -> tuple[Floats, Floats]:
    return (
        _quotient(sums[Hourly.INPUT_USD], sums[Hourly.INPUT]),
        _quotient(sums[Hourly.OUTPUT_USD], sums[Hourly.OUTPUT]),
    )


def _cost(hourly: Floats, past: Any, alike: list[int], input_price: Floats, output_price: Floats) -> Floats:
    """Level of the last days times the habit of this hour of the day."""
    cost = hourly[Hourly.INPUT] * input_price[:, None] + hourly[Hourly.OUTPUT] * output_price[:, None]
    calls = hourly[Hourly.CALLS]
    usual = _clipped_mean(cost[:, past], calls[:, past])
    recent = _clipped_mean(cost[:, past[-RECENT_HOURS:]], calls[:, past[-RECENT_HOURS:]])
    enough = calls[:, past[-RECENT_HOURS:]].sum(1)
    level = (recent * enough + usual * SHRINK_CALLS) / (enough + SHRINK_CALLS)
    mine, weight = _clipped_mean(cost[:, alike], calls[:, alike]), calls[:, alike].sum(1)
    habit = np.divide(mine, usual, out=np.ones_like(usual), where=usual > 0)
    habit = (habit * weight + SHRINK_CALLS) / (weight + SHRINK_CALLS)
    return np.asarray(level * habit)


def _clipped_mean(sums: Floats, calls: Floats) -> Floats:
    """Sums per call, with the hours clipped around their median. [row, hour] → [row]."""
    known = calls > 0
    each = np.divide(sums, calls, out=np.zeros_like(sums), where=known)
    middle = _median_of_known(each, known)[:, None]
    clipped = np.clip(each, CLIPPED[0] * middle, CLIPPED[1] * middle)
    mean = _quotient((clipped * calls).sum(1), calls.sum(1))
    # Few calls an hour scatter so much that clipping would be a bias: there the plain mean is better.
    sparse = calls.sum(1) < _CALLS_AN_HOUR_TO_CLIP * np.maximum(known.sum(1), 1)
    return np.where(sparse, _quotient(sums.sum(1), calls.sum(1)), mean)


_CALLS_AN_HOUR_TO_CLIP: Final = 10.0


def _median_of_known(values: Floats, known: NDArray[np.bool_]) -> Floats:
    ordered = np.sort(np.where(known, values, np.inf), axis=1)
    middle = np.maximum(known.sum(1) - 1, 0) // 2
    found = ordered[np.arange(len(values)), middle]
    return np.where(np.isfinite(found), found, 0.0)


def _shrunk(part: Floats, whole: Floats, all_part: Floats, all_whole: Floats) -> Floats:
    """A share of this hour of the day, shrunk to that of all hours: the weight of the latter is a day's average hour,
    a tenth of it."""
    average = _quotient(all_part, all_whole)
    weight = all_whole / (RATIO_DAYS * 24) / 10 + 1e-9
    return np.asarray((part + weight * average) / (whole + weight))


def _quotient(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0))
