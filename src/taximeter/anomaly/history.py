"""What is remembered of the past, for every row: five weeks of slots of 15 minutes, of hours and of days.

Only good minutes are remembered: those of an incident, and those in which nothing arrived, are left out, and how
many minutes a slot rests on is remembered beside its sum.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import SLOTS_A_DAY

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.integer[Any]]

KEPT_DAYS: Final = 36
KEPT_SLOTS: Final = KEPT_DAYS * SLOTS_A_DAY
KEPT_HOURS: Final = KEPT_DAYS * 24
LEVEL_DAYS: Final = 7
"""A level is an average over whole weeks, so that the week's rhythm is not in it."""


class Hourly(IntEnum):
    """What is remembered by the hour, of good minutes. A MIX row remembers its calls and those of its feature."""

    CALLS = 0
    INPUT = 1
    OUTPUT = 2
    CACHE_INPUT = 3
    CACHED = 4
    FIRST = 5
    RETRIES = 6
    INPUT_USD = 7
    OUTPUT_USD = 8


class History:
    """Rings over absolute slots, hours and days (since the epoch, UTC)."""

    def __init__(self) -> None:
        self.count = np.zeros((0, KEPT_SLOTS), np.float32)
        self.minutes = np.zeros((0, KEPT_SLOTS), np.uint8)
        self.hourly = np.zeros((len(Hourly), 0, KEPT_HOURS), np.float32)
        self.done = -1
        """Slots before this one are remembered."""

    def grow(self, rows: int) -> None:
        more = rows - len(self.count)
        if more <= 0:
            return
        more = max(more, 64)
        self.count = np.concatenate([self.count, np.zeros((more, KEPT_SLOTS), np.float32)])
        self.minutes = np.concatenate([self.minutes, np.zeros((more, KEPT_SLOTS), np.uint8)])
        self.hourly = np.concatenate([self.hourly, np.zeros((len(Hourly), more, KEPT_HOURS), np.float32)], axis=1)

    def remember(self, slot: int, count: Floats, minutes: Floats, hourly: Floats) -> None:
        """Take in a slot: sums over its good minutes, and how many these were."""
        rows = len(count)
        place, hour = slot % KEPT_SLOTS, slot // 4 % KEPT_HOURS
        if slot % 4 == 0 or self.done < 0:
            self.hourly[:, :, hour] = 0
        self.count[:rows, place], self.minutes[:rows, place] = count, minutes
        self.count[rows:, place] = self.minutes[rows:, place] = 0
        self.hourly[:, :rows, hour] += hourly
        self.done = slot + 1

    def forget(self, row: int, first_slot: int) -> None:
        """What was remembered of a row's calls from `first_slot` on was not normal after all."""
        for slot in range(max(first_slot, self.done - SLOTS_A_DAY), self.done):
            self.count[row, slot % KEPT_SLOTS] = self.minutes[row, slot % KEPT_SLOTS] = 0

    def level(self, rows: int) -> Floats:
        """Calls a minute on each remembered day, as an average over the week around it: [row, day % KEPT_DAYS].

        Near the ends it is the nearest whole week; before a week is over, all days there are. 0 where nothing is known.
        """
        today = self.done // SLOTS_A_DAY
        days = np.arange(today - KEPT_DAYS + 2, today)
        places = (days % KEPT_DAYS)[:, None] * SLOTS_A_DAY + np.arange(SLOTS_A_DAY)
        count = self.count[:rows][:, places].sum(2, dtype=float)
        minutes = self.minutes[:rows][:, places].sum(2, dtype=float)
        known = minutes > 0
        first = np.where(known.any(1), known.argmax(1), len(days))
        total = np.concatenate([np.zeros((rows, 1)), count.cumsum(1)], axis=1)
        spent = np.concatenate([np.zeros((rows, 1)), minutes.cumsum(1)], axis=1)
        index = np.arange(len(days))
        last = max(len(days) - LEVEL_DAYS, 0)
        begins = np.clip(index[None, :] - LEVEL_DAYS // 2, np.minimum(first, last)[:, None], last)
        ends = np.minimum(begins + LEVEL_DAYS, len(days))
        sums = np.take_along_axis(total, ends, 1) - np.take_along_axis(total, begins, 1)
        over = np.take_along_axis(spent, ends, 1) - np.take_along_axis(spent, begins, 1)
        level = np.zeros((rows, KEPT_DAYS), np.float32)
        level[:, days % KEPT_DAYS] = sums / np.maximum(over, 1)
        newest = level[:, days[-1:] % KEPT_DAYS]
        level[:, [today % KEPT_DAYS]] = newest
        return level

    def calls_an_hour(self, rows: int) -> tuple[Floats, Floats]:
        """The level now, and the lowest of the weeks that are remembered."""
        level = self.level(rows) * 60
        lowest = np.where(level > 0, level, np.inf).min(1)
        now = level[:, self.done // SLOTS_A_DAY % KEPT_DAYS]
        return np.asarray(now), np.minimum(lowest, now)
