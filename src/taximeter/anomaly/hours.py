"""What is taken for usual throughout an hour: it is learnt when the hour begins, and what appears in it changes nothing
of the rest. So a minute is judged alike whenever it is taken in, and with whichever others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import Calendar
from taximeter.anomaly.history import History
from taximeter.anomaly.models import Models, Standings
from taximeter.anomaly.panel import Panel
from taximeter.anomaly.ratios import Ratios, learn_ratios

HELD_HOURS: Final = 2
"""Minutes of the last hour may come again: calls come late."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Of rows, but for `models`, which are of cells as well."""

    ratios: Ratios
    models: Standings
    alike: NDArray[np.integer[Any]]
    """How many users are watched one by one, for a row that is one of them; 1 for other rows."""


class Hours:
    def __init__(self, panel: Panel, history: History, calendar: Calendar, models: Models) -> None:
        self._panel, self._history, self._calendar, self._models = panel, history, calendar, models
        self._held: dict[int, Hour] = {}

    def begin(self, minute: int) -> bool:
        """Learn what holds from now on, if `minute` is the first to be taken in of its hour."""
        hour = minute // 60
        if hour in self._held:
            return False
        ratios = learn_ratios(self._history, self._calendar, hour, self._panel.rows)
        models = self._models.standings(ratios.share, hour * 60)
        self._held[hour] = Hour(ratios, models, self._panel.alike(minute))
        for old in [held for held in self._held if held <= hour - HELD_HOURS]:
            del self._held[old]
        return True

    def of(self, minute: int) -> Hour:
        """What was taken for usual in a minute, or in the nearest one of which that is known."""
        hour = min(self._held, key=lambda held: abs(held - minute // 60))
        found = self._held[hour]
        if len(found.models.home) != len(self._panel.cells):
            ratios = found.ratios.grown(self._panel.rows)
            more = np.ones(self._panel.rows - len(found.alike), int)
            alike = np.concatenate([found.alike, more])
            found = self._held[hour] = Hour(ratios, self._models.standings(ratios.share, hour * 60), alike)
        return found
