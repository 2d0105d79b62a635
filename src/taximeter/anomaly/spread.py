"""How much calls and cost scatter around what is expected, learnt for every row and window from normal minutes.

Counts scatter more than chance alone would have it: users come in sessions, days differ. The variance of a window's
count is taken as mean + dispersion x mean², and the dispersion of each window is learnt, starting from a guess that
is worth some days. The relative variance of cost per call is per-call variance / calls + drift.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import SLOT_MINUTES
from taximeter.anomaly.windows import WINDOWS, Seen

Floats = NDArray[np.floating[Any]]

MEMORY_WINDOWS: Final = 1000
"""Windows after which what was learnt has half faded: some ten days of the short ones."""

RECENT_MINUTES: Final = 36 * 60
"""What was learnt lately has half faded after these. Where a row's calls have multiplied and it is surely less than
what weeks have taught, it is believed: while a launch grows, what deviates is the expectation."""

MULTIPLIED: Final = 2.0
"""A row's calls have multiplied when they are so many times those of the lowest week that is remembered."""

SURELY: Final = 2.0
"""Standard errors that the lately learnt must be less by."""

GUESS_WINDOWS: Final = 20.0
"""What the first guess is worth, in windows."""

CLIP_SCORE: Final = 4.0
"""A deviation counts at most as so many standard deviations: an unnoticed incident must not blind its own detector."""

SHORTFALL: Final = 2.0
"""A window with fewer calls than expected tells at most this multiple of the dispersion. Only an excess is ever told,
and the expectation is the larger one where two are possible: how far a day off falls short says nothing of it."""

FEWEST_EXPECTED: Final = 0.5
"""Windows with fewer expected calls than this say nothing of dispersion."""

SHORT_WINDOW: Final = 1
LONG_WINDOW: Final = 7
"""Places in WINDOWS of the two by which per-call variance and drift of cost are told apart: 3 and 60 minutes."""

COST_VARIANCE_GUESS: Final = 1.0
COST_DRIFT_GUESS: Final = 0.01
"""Squared coefficient of variation of one call's cost, and of the slow drift of the mean (10 %)."""

SKEW: Final = 1.5
"""Answers are longer-tailed than a gamma variable of the same variance: it is taken to be this much larger."""

LEAST_DRIFT: Final = 0.01


class Spread:
    def __init__(self) -> None:
        self._squares = np.zeros((0, len(WINDOWS)))
        self._means = np.zeros((0, len(WINDOWS)))
        self._recent = np.zeros((3, 0, len(WINDOWS)))
        """Lately: what is `_squares`, the same of chance alone, what is `_means`."""
        self.dispersion = np.zeros((0, len(WINDOWS)))
        self._cost = np.zeros((0, 2, 3))
        self.cost_variance = np.zeros(0)
        self.cost_drift = np.zeros(0)

    def grow(self, rows: int) -> None:
        more = rows - len(self._squares)
        if more <= 0:
            return
        more = max(more, 64)
        zeros = np.zeros((more, len(WINDOWS)))
        self._squares, self._means = np.concatenate([self._squares, zeros]), np.concatenate([self._means, zeros])
        self._recent = np.concatenate([self._recent, np.zeros((3, more, len(WINDOWS)))], axis=1)
        self.dispersion = np.concatenate([self.dispersion, guessed_dispersion(np.zeros(more))])
        self._cost = np.concatenate([self._cost, np.zeros((more, 2, 3))])
        self.cost_variance = np.concatenate([self.cost_variance, np.full(more, SKEW * COST_VARIANCE_GUESS)])
        self.cost_drift = np.concatenate([self.cost_drift, np.full(more, COST_DRIFT_GUESS)])

    def learn(self, slot: int, sums: Floats, known: NDArray[np.bool_]) -> None:
        """Take in the windows that end with a slot, `sums[what, row, window]`; of the longer ones, those that begin
        where the last one that was taken in ended. Only rows that are `known`: before the week's rhythm is, deviations
        are those of the expectation."""
        for place, window in enumerate(WINDOWS):
            if slot % -(-window // SLOT_MINUTES) == 0:
                self._learn_volume(place, sums[Seen.CALLS, :, place], sums[Seen.EXPECTED, :, place] * known)
        for number, place in enumerate((SHORT_WINDOW, LONG_WINDOW)):
            if slot % -(-WINDOWS[place] // SLOT_MINUTES) == 0:
                self._learn_cost(number, *(sums[what, :, place] for what in _COST))

    def _learn_volume(self, place: int, calls: Floats, expected: Floats) -> None:
        rows = len(calls)
        telling = expected >= FEWEST_EXPECTED
        variance = expected + self.dispersion[:rows, place] * expected**2
        off = np.minimum(np.abs(calls - expected), CLIP_SCORE * np.sqrt(variance))
        # Weighted by how much a window says of the dispersion, not of chance: expected / (1 + expected).
        weight = telling * expected / (1 + expected)
        relative = np.divide(off**2 - expected, expected**2, out=np.zeros(rows), where=telling)
        at_most = np.where(calls < expected, SHORTFALL * self.dispersion[:rows, place], np.inf)
        relative = np.minimum(relative, at_most)
        fade = 0.5 ** (telling / MEMORY_WINDOWS)
        self._squares[:rows, place] = self._squares[:rows, place] * fade + weight * relative
        self._means[:rows, place] = self._means[:rows, place] * fade + weight
        chance = np.divide(1, expected, out=np.zeros(rows), where=telling)
        recent = self._recent[:, :rows, place]
        recent *= 0.5 ** (telling * -(-WINDOWS[place] // SLOT_MINUTES) * SLOT_MINUTES / RECENT_MINUTES)
        recent += np.stack([weight * relative, weight * chance, weight])

    def settle(self, calls_an_hour: Floats, lowest: Floats) -> None:
        """What was learnt and what was guessed, together. `lowest`: the fewest calls an hour of any week before."""
        rows = len(calls_an_hour)
        guess = guessed_dispersion(calls_an_hour)
        learnt = (self._squares[:rows] + guess * GUESS_WINDOWS) / (self._means[:rows] + GUESS_WINDOWS)
        multiplied = calls_an_hour >= MULTIPLIED * np.maximum(lowest, 1e-12)
        learnt = np.where(multiplied[:, None], np.minimum(learnt, self._at_most(rows)), learnt)
        self.dispersion[:rows] = np.maximum(learnt, np.maximum(LEAST_OF_GUESS * guess, LEAST_DISPERSION))
        self._settle_cost(rows)

    def _at_most(self, rows: int) -> Floats:
        """What the dispersion is at most, by what was learnt lately: a variance of n windows is off by sqrt(2 / n)."""
        squares, chance, number = self._recent[:, :rows]
        safe = np.maximum(number, 1e-9)
        error = np.sqrt(2 / safe) * (np.maximum(squares, 0) + chance) / safe
        return np.asarray(np.where(number > 0, squares / safe + SURELY * error, np.inf))

    def _learn_cost(self, number: int, calls: Floats, cost: Floats, expected: Floats) -> None:
        rows = len(calls)
        known = (expected > 0) & (calls > 0)
        ratio = np.divide(cost, expected, out=np.ones(rows), where=known)
        count = np.maximum(calls, 1)
        variance = self.cost_variance[:rows] / count + self.cost_drift[:rows]
        square = np.minimum((ratio - 1) ** 2, CLIP_SCORE**2 * variance)
        held = self._cost[:rows, number]
        held *= 0.5 ** (known / MEMORY_WINDOWS)[:, None]
        held += np.stack([known * calls * square, known * calls, known], axis=1)

    def _settle_cost(self, rows: int) -> None:
        """Two windows, two unknowns: mean of calls x square = variance + drift x mean of calls."""
        held = self._cost[:rows]
        worth = np.maximum(held[:, :, 2], 1e-9)
        square, calls = held[:, :, 0] / worth, held[:, :, 1] / worth
        apart = np.maximum(calls[:, 1] - calls[:, 0], 1e-9)
        drift = np.clip((square[:, 1] - square[:, 0]) / apart, LEAST_DRIFT, 0.1)
        variance = np.maximum(square[:, 0] - drift * calls[:, 0], 0.2)
        trust = held[:, 1, 2] / (held[:, 1, 2] + GUESS_WINDOWS)
        self.cost_drift[:rows] = COST_DRIFT_GUESS + trust * (drift - COST_DRIFT_GUESS)
        self.cost_variance[:rows] = SKEW * (COST_VARIANCE_GUESS + trust * (variance - COST_VARIANCE_GUESS))


_COST: Final = (Seen.PRICED, Seen.COST, Seen.COST_EXPECTED)

SESSION_MINUTES: Final = 12.0
"""For about so long a user's calls come together."""

LEAST_OF_GUESS: Final = 0.25
"""What is learnt is never less than this part of the guess: calm weeks are followed by others."""

LEAST_DISPERSION: Final = 0.004
"""A deviation of 6 %: days differ as much."""


def guessed_dispersion(calls_an_hour: Floats) -> Floats:
    """Small features have few users, whose sessions make them restless; long windows average over sessions."""
    hourly = np.maximum(calls_an_hour, 1.0)[:, None]
    sessions = 1.2 * (hourly / 5) ** -0.6
    return np.asarray(0.02 + sessions * np.minimum(1.0, SESSION_MINUTES / np.array(WINDOWS)))
