"""Small traffic for detection: two features of a few users, with a rhythm of the day and of the week."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from taximeter.anomaly.calendar import SLOT_MINUTES, Calendar
from taximeter.anomaly.detection import Detection, Minute, Told

MONDAY: Final = 29_016_000 - 29_016_000 % 10080 + 4 * 1440
"""A Monday, 00:00 UTC, in minutes since the epoch."""

USERS: Final = ("u0", "u1", "u2")
FEATURES: Final = {"chat": 6.0, "search": 3.0}
"""Calls a minute, on average, of each user."""

MAIN, SPARE, STRANGE = "mini", "pro", "ultra"
ALLOWED: Final = {feature: {MAIN: 0, SPARE: 0} for feature in FEATURES}
PRICES: Final = {MAIN: 1.0, SPARE: 10.0, STRANGE: 50.0}


@dataclass(frozen=True, slots=True)
class Cell:
    """What a user does with a feature in a minute: rate of first attempts, and how these are."""

    feature: str
    user: str
    minute: int
    rate: float
    retries: float = 0.01
    input_tokens: float = 1000.0
    output_tokens: float = 200.0
    cached: float = 0.8
    spare: float = 0.01
    strange: float = 0.0


Change = Callable[[Cell], Cell]


def usual(feature: str, user: str, minute: int) -> Cell:
    hour, weekday = minute / 60 % 24, (minute - MONDAY) // 1440 % 7
    rhythm = (1 - 0.6 * np.cos(2 * np.pi * (hour - 3) / 24)) * (0.5 if weekday >= 5 else 1.0)
    return Cell(feature, user, minute, FEATURES[feature] * rhythm)


class Traffic:
    """Minutes of calls, drawn anew from the seed for each minute: the same whoever asks, and in which blocks."""

    def __init__(self, detection: Detection, change: Change = lambda cell: cell) -> None:
        self.detection, self.change = detection, change

    def minute(self, minute: int) -> Minute:
        rng = np.random.default_rng(minute)
        numbers, values = [], []
        for feature in FEATURES:
            for user in USERS:
                cell = self.change(usual(feature, user, minute))
                for model, share in _shares(cell):
                    first = rng.poisson(cell.rate * share * rng.gamma(50, 1 / 50))
                    again = rng.poisson(first * cell.retries)
                    calls = first + again
                    if calls:
                        tokens = cell.input_tokens * rng.gamma(calls, 1.0)
                        cached = tokens * min(1.0, cell.cached * rng.normal(1, 0.05))
                        output = cell.output_tokens * rng.gamma(calls, 1.0)
                        price = PRICES[model] * 1e-6
                        numbers.append(self.detection.panel.cell((feature, model, user), minute))
                        values.append((calls, again, tokens, cached, output, tokens * price, output * 4 * price))
        return Minute(minute, np.array(numbers, np.int32), np.array(values, float).reshape(len(numbers), 7))

    def run(self, first: int, last: int, block: int = SLOT_MINUTES) -> list[Told]:
        """Minutes from `first` to before `last`, in blocks that end with a slot."""
        told: list[Told] = []
        at = first
        while at < last:
            end = min(last, at + block, at - at % SLOT_MINUTES + SLOT_MINUTES)
            told += self.detection.run([self.minute(minute) for minute in range(at, end)])
            at = end
        return told


def _shares(cell: Cell) -> Sequence[tuple[str, float]]:
    return (MAIN, 1 - cell.spare - cell.strange), (SPARE, cell.spare), (STRANGE, cell.strange)


def detection() -> Detection:
    return Detection(Calendar("UTC"), allowed=ALLOWED, prices=PRICES)


def during(first: int, last: int, feature: str, user: str | None = None, **changes: float) -> Change:
    """`rate` is a factor, the rest replaces what is usual."""

    def change(cell: Cell) -> Cell:
        if not first <= cell.minute < last or cell.feature != feature or user not in (None, cell.user):
            return cell
        others: dict[str, Any] = {name: value for name, value in changes.items() if name != "rate"}
        return replace(cell, rate=cell.rate * changes.get("rate", 1.0), **others)

    return change
