"""How far normal minutes have gone astray, row by row: the model of the noise is never quite right, so a row whose
quiet days show high scores must show higher ones to be worth a word."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import MINUTES_A_DAY
from taximeter.anomaly.windows import WINDOWS, Watch

Floats = NDArray[np.floating[Any]]

KEPT_DAYS: Final = 14
MARGIN: Final = 0.5
"""Standard scores that a finding must be above the third highest day: higher ones may have been incidents."""

HIGHEST: Final = 9.0
"""A threshold is never raised above this."""

WATCHES: Final = (Watch.VOLUME, Watch.COST, Watch.CACHE)


class Peaks:
    def __init__(self) -> None:
        self._days = np.zeros((len(WATCHES), 0, len(WINDOWS), KEPT_DAYS), np.float32)
        self._limit = np.zeros((len(WATCHES), 0, len(WINDOWS)), np.float32)
        self._today = -1

    def grow(self, rows: int) -> None:
        more = rows - self._limit.shape[1]
        if more > 0:
            more = max(more, 64)
            self._days = np.concatenate(
                [self._days, np.zeros((len(WATCHES), more, len(WINDOWS), KEPT_DAYS), np.float32)], 1
            )
            self._limit = np.concatenate([self._limit, np.zeros((len(WATCHES), more, len(WINDOWS)), np.float32)], 1)

    def begin(self, minute: int) -> None:
        day = minute // MINUTES_A_DAY
        if day == self._today:
            return
        self._today = day
        ordered = np.sort(self._days, axis=-1)
        third = ordered[..., -3]
        self._limit = np.where(third > 0, np.minimum(third + MARGIN, HIGHEST), 0).astype(np.float32)
        self._days[..., day % KEPT_DAYS] = 0

    def limit(self, watch: Watch, rows: Any, places: Any) -> Floats:
        """The scores that these rows must exceed in these windows."""
        return np.asarray(self._limit[watch_place(watch), rows, places])

    def note(self, watch: Watch, rows: Any, places: Any, scores: Floats) -> None:
        """Scores that were not worth a word."""
        days = self._days[watch_place(watch), :, :, self._today % KEPT_DAYS]
        np.maximum.at(days, (rows, places), scores.astype(np.float32))


def watch_place(watch: Watch) -> int:
    return WATCHES.index(watch)
