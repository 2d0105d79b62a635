"""Days off that nobody announced: a feature of people has the hours of a weekend in the middle of the week.

At one in the morning these are several times the usual ones, and no incident. What tells the two apart is the hours
before: an incident comes out of a usual evening, a day off out of one like a Saturday's. Where a feature has too few
calls to say, another one that surely has a day off speaks for it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import SLOT_MINUTES
from taximeter.anomaly.detectors import Suspicion
from taximeter.anomaly.panel import Panel, Role
from taximeter.anomaly.rules import Thresholds
from taximeter.anomaly.spread import Spread
from taximeter.anomaly.tails import negative_binomial_tail
from taximeter.anomaly.volume import VolumeBaseline
from taximeter.anomaly.windows import WINDOWS, Seen, Windows

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Rows = NDArray[np.integer[Any]]

BEFORE_MINUTES: Final = (90, 180)
"""How far back before a deviation the hours are compared. The longer time says more, the shorter one is enough where an
evening has begun like any other; a deviation that would be told after an hour is not most of either."""

SURELY: Final = 3.0
"""Logarithm of how many times likelier a day off must have made the hours before than a usual day: twenty times."""

ELSEWHERE: Final = 10.0
"""The same of another feature, which is so sure that it speaks for those of which the hours before say little."""

SLOT_WINDOW: Final = min(range(len(WINDOWS)), key=lambda place: abs(WINDOWS[place] - SLOT_MINUTES))
"""The place in WINDOWS of the one that is about as long as a slot."""


class DaysOff:
    def __init__(self, baseline: VolumeBaseline, panel: Panel, windows: Windows, spread: Spread) -> None:
        self._baseline, self._panel, self._windows, self._spread = baseline, panel, windows, spread

    def explain(self, minute: int, suspicion: Suspicion, thresholds: Thresholds, known: Flags) -> bool:
        """Whether what a row had is no news on a day off, and the hours before it were those of one.

        `known`: rows whose week is known.
        """
        row, window = suspicion.row, suspicion.window
        if not known[row] or self._is_news(minute, row, window, thresholds):
            return False
        own = int(self._panel.parent[row]) if self._panel.parent[row] >= 0 else row
        likelier = self._likelier(np.array([own]), minute - window)[0]
        if likelier >= SURELY:
            return True
        others = np.flatnonzero(self._panel.of_role(Role.GROUP) & known)
        return bool(likelier >= 0 and (self._likelier(others[others != own], minute) >= ELSEWHERE).any())

    def _is_news(self, minute: int, row: int, window: int, thresholds: Thresholds) -> bool:
        """Whether that is too much on a day off, too."""
        seen = float(self._windows.last(row, minute, window)[Seen.CALLS].sum())
        slots = np.arange(minute - window + 1, minute + 1) // SLOT_MINUTES
        expected = sum(float(self._baseline.off(slot, self._panel.rows)[row]) for slot in slots.tolist())
        score = negative_binomial_tail(seen, expected, self._spread.dispersion[row, WINDOWS.index(window)])
        return seen >= thresholds.volume_warning * expected and bool(score >= thresholds.score)

    def _likelier(self, rows: Rows, until_minute: int) -> Floats:
        """How much likelier a day off is to have had the slots before a minute than a usual day, as a logarithm."""
        first = max(self._panel.oldest, until_minute - max(BEFORE_MINUTES))
        slots = range(-(-first // SLOT_MINUTES), until_minute // SLOT_MINUTES)
        if not slots:
            return np.zeros(len(rows))
        begins = self._panel.column(slots[0] * SLOT_MINUTES)
        span = slice(begins, begins + len(slots) * SLOT_MINUTES)
        seen, usual = (
            self._windows.all[what, rows, span].reshape(len(rows), len(slots), SLOT_MINUTES).sum(2)
            for what in (Seen.CALLS, Seen.EXPECTED)
        )
        off = np.stack([self._baseline.off(slot, self._panel.rows)[rows] * SLOT_MINUTES for slot in slots], axis=1)
        dispersion = self._spread.dispersion[rows, SLOT_WINDOW][:, None]
        likelier = _log_likelihood(seen, off, dispersion) - _log_likelihood(seen, usual, dispersion)
        spans = [likelier[:, -minutes // SLOT_MINUTES :].sum(1) for minutes in BEFORE_MINUTES]
        return np.asarray(np.max(spans, axis=0))


def _log_likelihood(seen: Floats, expected: Floats, dispersion: Floats) -> Floats:
    """Of counts that scatter by chance and by `dispersion`, as logarithms of normal variables do."""
    variance = 1 / (expected + 1) + dispersion
    off = np.log((seen + 1) / (expected + 1))
    return np.asarray(-(off**2) / (2 * variance) - np.log(variance) / 2)
