"""How many calls to expect: the shape of the local week times a level.

The shape of a slot is what its like in the last weeks had, each as a multiple of the average of the week around it,
shrunk towards the same time of similar days while counts are few. The level is a weighted median of what the last
hours and days had as a multiple of their shape. Only more than expected is of interest here, so wherever two readings
are possible (a clock change, a holiday, a quiet day that may be over) the larger one is expected.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import (
    EVE_BEGINS_SLOT,
    MINUTES_A_DAY,
    SATURDAY,
    SLOT_MINUTES,
    SLOTS_A_DAY,
    SLOTS_A_WEEK,
    SUNDAY,
    Calendar,
    day_kind,
)
from taximeter.anomaly.history import KEPT_DAYS, KEPT_SLOTS, History
from taximeter.anomaly.panel import Panel

Floats = NDArray[np.floating[Any]]

SHAPE_WEEKS: Final = 4
SIMILAR_DAYS: Final = 10
"""At most so many days of the same kind (a day of work, a Saturday, a Sunday) are asked for the time of day."""

KERNEL: Final = (1.0, 2.0, 1.0)
"""A slot is read together with its neighbours: minutes are noisy, days are smooth."""

SHRINK_CALLS: Final = 45.0
"""How many expected calls of its own weigh as much as the similar days: 1 / 0.15², as days of one kind differ by
about 15 % at the same time of day."""

CONTRADICTION: Final = 1.8
"""When the only two weeks differ by more than this factor, one of them was not normal; the larger one is expected."""

JUMP: Final = 2.0
"""Neighbouring slots that differ by more than this factor are the edge of a job, which may come a little early."""

LEVEL_HOURS: Final = 168
RECENT_HALF_LIFE_HOURS: Final = 12.0
LASTING_HALF_LIFE_HOURS: Final = 84.0
EVIDENCE_CALLS: Final = 20.0
"""An hour with so many expected calls tells half of what one hour can tell of the level. One with fewer than the hours
that have most of the calls tells less: next to a job that comes a little early or late nothing may be seen."""

YOUNG_DAYS: Final = 14
"""Until a row has seen two weeks its level is at least the average of its days: the first weekend, of which nobody knew
that it would be quiet, must not make the Monday after it look busy."""


MEDIAN_CALLS: Final = 10.0
"""Hours with so many expected calls are judged half by their median, half by their mean."""

LEAST_SHAPE: Final = 0.1
"""Part of the level that may come at any time: the quiet of two weeks is no law."""


class VolumeBaseline:
    """Expected calls a minute, slot by slot."""

    def __init__(self, calendar: Calendar, history: History, panel: Panel) -> None:
        self._calendar, self._history, self._panel = calendar, history, panel
        self._levels = np.zeros((0, KEPT_DAYS), np.float32)
        self._levels_of = -1
        self._seen = np.zeros((0, LEVEL_HOURS), np.float32)
        self._shaped = np.zeros((0, LEVEL_HOURS), np.float32)
        self._expected = np.zeros((0, LEVEL_HOURS), np.float32)
        self._shapes: dict[int, Floats] = {}
        self._shapes_off: dict[int, Floats] = {}
        self.level = np.zeros(0)
        self.basis_weeks = np.zeros(0, np.int8)

    # ── the shape ──────────────────────────────────────────────────────────────────────────────────────────────

    def shape(self, slot: int, rows: int) -> Floats:
        """Expected calls a minute at `slot`, as a multiple of the level; 0 where nothing is known."""
        held = self._shapes.get(slot, np.zeros(0))
        if len(held) < rows:
            # What is read already stays: it must not hang on when other rows appear.
            held = self._shapes[slot] = np.concatenate([held, self._shape(slot, rows)[len(held) :]])
            _drop_old(self._shapes, slot)
        return held[:rows]

    def _shape(self, slot: int, rows: int) -> Floats:
        self._learn_levels(rows)
        calendar, local = self._calendar, self._calendar.local(slot)
        shape = self._like(local, rows)
        if calendar.clock_changed_within(slot, SHAPE_WEEKS):
            shape = np.maximum(shape, self._read(_weekly(slot), self._similar(slot, utc=True), rows))
        if calendar.is_holiday(local):
            shape = np.maximum(shape, self._like(self._moved(local, SUNDAY), rows))
        if calendar.is_eve(local):
            shape = np.maximum(shape, self._like(self._moved(local, SATURDAY), rows))
        return shape

    def off(self, slot: int, rows: int) -> Floats:
        """Expected calls a minute at `slot`, if it were a Sunday, or the evening before one."""
        held = self._shapes_off.get(slot, np.zeros(0))
        if len(held) < rows:
            self._learn_levels(rows)
            local = self._calendar.local(slot)
            weekday = SATURDAY if local % SLOTS_A_DAY >= EVE_BEGINS_SLOT else SUNDAY
            held = self._shapes_off[slot] = self._like(self._moved(local, weekday), rows)
            _drop_old(self._shapes_off, slot)
        return np.asarray(np.maximum(held[:rows], LEAST_SHAPE) * self.level[:rows])

    def grow(self, rows: int) -> None:
        """Make room for rows of which nothing is known yet."""
        if rows > len(self._seen):
            more = np.zeros((max(rows - len(self._seen), 64), LEVEL_HOURS), np.float32)
            self._seen, self._shaped, self._expected = (
                np.concatenate([held, more]) for held in (self._seen, self._shaped, self._expected)
            )
        self.level = np.concatenate([self.level, np.zeros(rows - len(self.level))])
        self._levels = np.concatenate([self._levels, np.zeros((rows - len(self._levels), KEPT_DAYS), np.float32)])

    def _learn_levels(self, rows: int) -> None:
        day = self._history.done // SLOTS_A_DAY
        if day != self._levels_of:
            self._levels, self._levels_of = self._history.level(rows), day

    def _like(self, local: int, rows: int) -> Floats:
        """The shape of a local slot, by its own weekday and by similar days."""
        weekly = [self._calendar.utc(again) for again in _weekly(local)]
        return self._read(weekly, self._similar(local), rows)

    def _moved(self, local: int, weekday: int) -> int:
        """The next local slot of this time of day on a weekday: its weeks before are the nearest such days."""
        return local + (weekday - self._calendar.weekday(local)) % 7 * SLOTS_A_DAY

    def _similar(self, local: int, *, utc: bool = False) -> list[int]:
        kind = day_kind(self._calendar.weekday(local))
        days = (local - day * SLOTS_A_DAY for day in range(1, 15))
        alike = [day for day in days if day_kind(self._calendar.weekday(day)) == kind][:SIMILAR_DAYS]
        return alike if utc else [self._calendar.utc(day) for day in alike]

    def _read(self, weekly: list[int], similar: list[int], rows: int) -> Floats:
        own, known = self._normalised(weekly, rows)
        prior, prior_known = self._normalised(similar, rows)
        before, days_calls = _mean(prior, prior_known), prior_known.sum(1)
        # What is known of a user's days is little; the feature's days are the next best guess.
        trust = days_calls / (days_calls + SHRINK_CALLS)
        parent = self._panel.parent[:rows]
        alone = np.where(days_calls > 0, before * trust + (1 - trust) * self._any_day(similar, rows), 1.0)
        before = before * trust + np.where(parent >= 0, alone[parent], 1.0) * (1 - trust)
        mean = _robust_mean(own, known)
        calls = known.sum(1)
        return np.asarray((mean * calls + before * SHRINK_CALLS) / (calls + SHRINK_CALLS))

    def _any_day(self, similar: list[int], rows: int) -> Floats:
        """The time of day on the last days of whatever kind: a nightly job runs on Sundays, too. 1 where unknown."""
        latest = max(similar)
        values, known = self._normalised([latest - day * SLOTS_A_DAY for day in range(-6, 8)], rows)
        return np.where(known.any(1), _mean(values, known), 1.0)

    def _normalised(self, slots: list[int], rows: int) -> tuple[Floats, Floats]:
        """Of every slot (with its neighbours): calls as a multiple of the level then, and the calls expected of the
        level, which is 0 where the slot is not known. [row, slot]."""
        history = self._history
        usable = [slot for slot in slots if self._is_telling(slot)] or [history.done + 1]
        count = np.zeros((rows, len(usable)))
        minutes = np.zeros((rows, len(usable)))
        for step, weight in zip((-1, 0, 1), KERNEL, strict=True):
            places = [(slot + step) % KEPT_SLOTS for slot in usable]
            if all(self._is_kept(slot + step) for slot in usable):
                count += weight * history.count[:rows][:, places]
                minutes += weight * history.minutes[:rows][:, places]
        days = [slot // SLOTS_A_DAY % KEPT_DAYS for slot in usable]
        expected = self._levels[:rows][:, days] * minutes
        kept = np.array([self._is_kept(slot) for slot in usable])
        expected = expected * kept * (minutes >= SLOT_MINUTES)
        return np.divide(count, expected, out=np.zeros_like(count), where=expected > 0), expected / sum(KERNEL) * 3

    def _is_kept(self, slot: int) -> bool:
        return self._history.done - KEPT_SLOTS + SLOTS_A_DAY < slot < self._history.done

    def _is_telling(self, slot: int) -> bool:
        return self._is_kept(slot) and not self._calendar.is_unlike_itself(self._calendar.local(slot))

    # ── the level ──────────────────────────────────────────────────────────────────────────────────────────────

    def remember(self, slot: int, count: Floats, minutes: Floats) -> None:
        """A slot that is over, for the level: its good calls beside the shape that it was expected to have, and how
        many calls that meant then."""
        rows, hour = len(count), slot // 4 % LEVEL_HOURS
        if slot % 4 == 0:
            self._seen[:, hour] = self._shaped[:, hour] = self._expected[:, hour] = 0
        if self._calendar.is_unlike_itself(self._calendar.local(slot)):
            return
        shaped = minutes * self.shape(slot, rows)
        self._seen[:rows, hour] += count
        self._shaped[:rows, hour] += shaped
        self._expected[:rows, hour] += shaped * self._usual(rows)

    def _usual(self, rows: int) -> Floats:
        """Calls a minute, on average of the last week."""
        self._learn_levels(rows)
        return self._levels[:rows, self._history.done // SLOTS_A_DAY % KEPT_DAYS]

    def learn_level(self, rows: int) -> None:
        """Median of the last hours and of the last days, each as a multiple of its shape; the larger one."""
        seen, shaped = self._seen[:rows], self._shaped[:rows]
        ratio = np.divide(seen, shaped, out=np.zeros_like(seen), where=shaped > 0)
        # What an hour tells is by what was expected of it then: before a job was known, the hours without it were not.
        usual, expected = self._usual(rows), self._expected[:rows]
        rush = (expected**2).sum(1) / np.maximum(expected.sum(1), 1e-12)
        weight = expected**2 / (expected**2 + EVIDENCE_CALLS**2) * np.minimum(1, expected / (rush[:, None] + 1e-12))
        age = ((self._history.done - 1) // 4 - np.arange(LEVEL_HOURS)) % LEVEL_HOURS
        order = ratio.argsort(1)
        # Of few calls the median is biased; there the mean is safer than its outliers are dangerous.
        typical = (expected * weight).sum(1) / np.maximum(weight.sum(1), 1e-12)
        trust = typical / (typical + MEDIAN_CALLS)

        def level(half_life: float) -> Floats:
            fading = 0.5 ** (age / half_life)
            middle = _weighted_median(ratio, weight * fading, order)
            mean = (seen * fading).sum(1) / np.maximum((shaped * fading).sum(1), 1e-12)
            return np.asarray(trust * middle + (1 - trust) * mean)

        recent, lasting = level(RECENT_HALF_LIFE_HOURS), level(LASTING_HALF_LIFE_HOURS)
        level_now = np.where(weight.any(1), np.maximum(recent, lasting), usual)
        young = self._history.done * SLOT_MINUTES - self._panel.born[:rows] < YOUNG_DAYS * MINUTES_A_DAY
        self.level = np.where(young, np.maximum(level_now, usual), level_now)

    def expected(self, slot: int, rows: int) -> Floats:
        """Calls a minute in each of the minutes of a slot: [row, minute]."""
        before, here, after = (self.shape(slot + step, rows) for step in (-1, 0, 1))
        middle = (np.arange(SLOT_MINUTES) + 0.5) / SLOT_MINUTES - 0.5
        aside = np.where(middle[None, :] < 0, before[:, None], after[:, None])
        smooth = here[:, None] + np.abs(middle)[None, :] * (aside - here[:, None])
        most = np.maximum(np.maximum(before, after), here)
        least = np.minimum(np.minimum(before, after), here)
        shape = np.where((most > JUMP * least)[:, None], most[:, None], smooth)
        return np.asarray(np.maximum(shape, LEAST_SHAPE) * self.level[:rows, None])


HELD_SLOTS: Final = 40


def _drop_old(shapes: dict[int, Floats], slot: int) -> None:
    for old in [known for known in shapes if known < slot - HELD_SLOTS]:
        del shapes[old]


def _weekly(slot: int) -> list[int]:
    return [slot - week * SLOTS_A_WEEK for week in range(1, SHAPE_WEEKS + 1)]


def _mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray((values * weights).sum(1) / np.maximum(weights.sum(1), 1e-12))


def _robust_mean(values: Floats, weights: Floats) -> Floats:
    """The median of three or more, the mean of two that agree, the larger of two that do not. [row, value]."""
    known = weights > 0
    number = known.sum(1)
    last = np.sort(np.where(known, values, -1), axis=1)
    columns = values.shape[1]
    rows = np.arange(len(values))
    largest = last[:, -1]
    upper = last[rows, columns - 1 - np.maximum(number - 1, 0) // 2]
    lower = last[rows, columns - 1 - number // 2 * (number > 0)]
    middle = (upper + np.maximum(lower, 0)) / 2
    torn = (number == 2) & (largest > CONTRADICTION * np.maximum(last[rows, columns - np.maximum(number, 1)], 1e-12))
    return np.asarray(np.where(number == 0, 0.0, np.where(torn, largest, middle)))


def _weighted_median(values: Floats, weights: Floats, order: NDArray[np.integer[Any]]) -> Floats:
    sorted_weights = np.take_along_axis(weights, order, 1).cumsum(1)
    middle = (sorted_weights < 0.5 * sorted_weights[:, -1:]).sum(1)
    places = order[np.arange(len(values)), np.minimum(middle, values.shape[1] - 1)]
    return np.asarray(values[np.arange(len(values)), places])
