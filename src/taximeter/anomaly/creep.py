"""Prompts that grow little by little: a steady rise of input tokens per call over days, where a deploy is one step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import MINUTES_A_DAY
from taximeter.anomaly.history import KEPT_HOURS, History, Hourly
from taximeter.anomaly.incidents import Incident
from taximeter.anomaly.panel import Scope
from taximeter.anomaly.rules import Thresholds
from taximeter.anomaly.windows import Watch

Floats = NDArray[np.floating[Any]]

CREEP_DAYS: Final = 14
SHORTEST_RISE: Final = 3
LONGEST_RISE: Final = 12
"""Days over which the rise must reach: fewer are a deploy, more are looked at in pieces."""

FEWEST_CALLS: Final = 60.0
"""A day with fewer calls says nothing about tokens per call."""

LEAST_NOISE: Final = 0.018
"""Standard deviation of a day's mean (its logarithm): what users ask varies by about this."""

STEADINESS: Final = 1.25
"""How much worse a single step must explain the days than a steady rise does."""

BEYOND_DEPLOYS: Final = 1.25
"""What has grown by this factor no harmless deploy explains: there a step need only explain the days no better."""

CREEP_SCORE: Final = 4.5

SHORT_RISE_DAYS: Final = 5
LONG_RISE_DAYS: Final = 10
DEPLOY: Final = 1.03
"""A rise of so few days, or of so many, must be larger by this factor: a harmless deploy that fell into it cannot be
told from it. Of few days it is most, and into many one has fallen most likely."""

FEWEST_DAYS: Final = 8
"""Days that must be known to tell a rise from the level before it."""

PLATEAU_DAYS: Final = 7
"""A rise that has not been seen for so many days is over: its end is the new level."""


class Creeps:
    """The rises that were told and are not over."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Incident, float, int]] = {}
        """Row → incident, level before it, the minute in which it was last seen to rise."""

    def under_way(self) -> list[Incident]:
        return [incident for incident, _, _ in self._open.values()]

    def accept(self, incident: Incident, minute: int) -> None:
        """The new level is normal: the incident ends."""
        for row, (held, _, _) in list(self._open.items()):
            if held is incident:
                incident.ended = minute
                del self._open[row]

    def look(
        self,
        history: History,
        scopes: Sequence[Scope],
        eligible: NDArray[np.bool_],
        minute: int,
        thresholds: Thresholds,
    ) -> Iterator[tuple[Literal["opened", "escalated", "closed"], Incident]]:
        rise = rises(alike_tokens_per_call(history, history.done // 4, len(scopes)))
        for row in np.flatnonzero(telling(rise, thresholds) & eligible).tolist():
            incident, base, _ = self._open.get(row, (None, 0.0, 0))
            if incident is None:
                incident, base = _crept(rise, row, scopes[row], minute), float(rise.base[row])
                yield "opened", incident
            self._open[row] = incident, base, minute
        for row, (incident, base, seen) in list(self._open.items()):
            growth = float(rise.lately[row]) - base
            if minute - seen > PLATEAU_DAYS * MINUTES_A_DAY:
                incident.ended = minute
                del self._open[row]
                yield "closed", incident
            elif incident.severity == "warning" and growth >= np.log(thresholds.creep_critical):
                incident.severity, incident.ratio = "critical", float(np.exp(growth))
                yield "escalated", incident


@dataclass(frozen=True, slots=True)
class Rise:
    """Per row. `growth` is the rise until today as a logarithm, `base` the level before it, `days` its length."""

    growth: Floats
    base: Floats
    days: NDArray[np.integer[Any]]
    score: Floats
    steady: NDArray[np.bool_]
    lately: Floats
    """What the last two days have both reached: one day alone may be dear for another reason."""


def telling(rise: Rise, thresholds: Thresholds) -> NDArray[np.bool_]:
    """Which rises are large, certain and steady enough to be told."""
    between = (rise.days > SHORT_RISE_DAYS) & (rise.days < LONG_RISE_DAYS)
    least = thresholds.creep_warning * np.where(between, 1.0, DEPLOY)
    return np.asarray((rise.growth >= np.log(least)) & (rise.score >= CREEP_SCORE) & rise.steady)


def _crept(rise: Rise, row: int, scope: Scope, minute: int) -> Incident:
    return Incident(
        kind="slow_creep",
        watch=Watch.COST,
        scope=scope,
        rows=[row],
        severity="warning",
        start=minute - int(rise.days[row]) * MINUTES_A_DAY,
        detected=minute,
        ratio=float(np.exp(rise.growth[row])),
        score=float(rise.score[row]),
    )


def tokens_per_call(history: History, hour: int, rows: int) -> Floats:
    """Logarithm of input tokens per call in the 24 hours ending at `hour`, and in those before: [row, day], oldest
    first; NaN where there are too few calls."""
    calls, tokens = _by_hour(history, hour, rows)
    return _log_quotient(tokens.sum(2), calls.sum(2), calls.sum(2))


def alike_tokens_per_call(history: History, hour: int, rows: int) -> Floats:
    """The same, as if every day had its calls at the same hours. At night other things are asked than by day: a day off
    or a gap, whose calls came at other hours, must not look like longer prompts."""
    calls, tokens = _by_hour(history, hour, rows)
    average = (tokens.sum((1, 2)) / np.maximum(calls.sum((1, 2)), 1))[:, None]
    usual = (tokens.sum(1) + FEWEST_CALLS * average) / (calls.sum(1) + FEWEST_CALLS)
    expected = (calls * usual[:, None, :]).sum(2)
    return _log_quotient(tokens.sum(2) * average, expected, calls.sum(2))


def _by_hour(history: History, hour: int, rows: int) -> tuple[Floats, Floats]:
    """Calls and their input tokens: [row, day, hour of the day]."""
    hours = (np.arange(hour - CREEP_DAYS * 24, hour) % KEPT_HOURS).reshape(CREEP_DAYS, 24)
    return tuple(np.asarray(history.hourly[what, :rows][:, hours], float) for what in (Hourly.CALLS, Hourly.INPUT))  # type: ignore[return-value]


def _log_quotient(tokens: Floats, per: Floats, calls: Floats) -> Floats:
    known = (calls >= FEWEST_CALLS) & (tokens > 0)
    return np.where(known, np.log(np.divide(tokens, per, out=np.ones_like(tokens), where=known)), np.nan)


def rises(logs: Floats) -> Rise:
    """The best steady rise that ends today, for every row."""
    known = np.isfinite(logs)
    filled = np.where(known, logs, 0.0)
    weight = known.astype(float)
    days = np.arange(logs.shape[1])
    last = logs.shape[1] - 1
    best_error = np.full(len(logs), np.inf)
    growth, base, length = np.zeros(len(logs)), np.zeros(len(logs)), np.zeros(len(logs), int)
    leverage = np.ones(len(logs))
    for rise in range(SHORTEST_RISE, LONGEST_RISE + 1):
        ramp = np.maximum(0, days - (last - rise)) / rise
        slope, level, error, lever = _fit(filled, weight, ramp)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        growth, base = np.where(better, slope, growth), np.where(better, level, base)
        length, leverage = np.where(better, rise, length), np.where(better, lever, leverage)
    step_error = np.min(
        [_fit(filled, weight, (days > last - step).astype(float))[2] for step in range(1, LONGEST_RISE + 1)], axis=0
    )
    number = weight.sum(1)
    noise = np.sqrt(np.maximum(best_error / np.maximum(number - 3, 1), LEAST_NOISE**2))
    score = growth * np.sqrt(np.maximum(leverage, 1e-9)) / noise
    floor = number * LEAST_NOISE**2 / 4
    steadiness = np.where(growth >= np.log(BEYOND_DEPLOYS), 1.0, STEADINESS)
    steady = step_error + floor >= steadiness * (best_error + floor)
    lately = np.where(known[:, -2:], logs[:, -2:], -np.inf).min(1)
    return Rise(growth, base, length, np.where(number >= FEWEST_DAYS, score, 0.0), steady, lately)


def _fit(values: Floats, weight: Floats, shape: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """values ≈ level + slope x shape, by least squares over the known days: slope, level, squared error, leverage."""
    number = np.maximum(weight.sum(1), 1)
    mean_shape = (weight * shape).sum(1) / number
    mean = (weight * values).sum(1) / number
    off = (shape[None, :] - mean_shape[:, None]) * weight
    spread = (off * (shape[None, :] - mean_shape[:, None])).sum(1)
    slope = (off * values).sum(1) / np.maximum(spread, 1e-12)
    level = mean - slope * mean_shape
    error = (weight * (values - level[:, None] - slope[:, None] * shape[None, :]) ** 2).sum(1)
    return slope, level, error, spread
