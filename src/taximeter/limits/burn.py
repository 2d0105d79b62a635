"""How fast a limit is being used up, and when it will be: burn rates over several windows, as site reliability
engineering has them.

A burn rate of 1 uses the amount up exactly at the window's end. Fast burning is a rate of 14.4 over 1/720 of the window
(an hour of a month) and, so that it ends when the burning does, over a twelfth of that; slow burning is a rate of 6
over 1/120 (six hours of a month) and over a twelfth of it. (Google, The Site Reliability Workbook, chapter 5.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from taximeter.limits.window import SECOND_US

Burning = Literal["fast", "slow"]

FAST_RATE: Final = 14.4
SLOW_RATE: Final = 6.0
FAST_SHARE: Final = 720
SLOW_SHARE: Final = 120
SHORT_SHARE: Final = 12

LEAST_LONG_US: Final = 5 * 60 * SECOND_US
"""Shorter windows are not looked at: a few calls would decide."""

SAMPLES_OF_SHORT: Final = 2
"""Samples taken within the shortest window."""


@dataclass(slots=True)
class Samples:
    """What was spent at some instants, in rising order; thinned to what burn rates need."""

    at_us: list[int] = field(default_factory=list)
    spent: list[int] = field(default_factory=list)

    def add(self, at_us: int, spent: int, length_us: int) -> None:
        """Take a sample, of a limit whose window has this length."""
        long_us, short_us = windows(length_us, FAST_SHARE)
        slow_us, _ = windows(length_us, SLOW_SHARE)
        if self.at_us and at_us - self.at_us[-1] < short_us // SAMPLES_OF_SHORT:
            return
        if self.spent and spent < self.spent[-1]:  # another window has begun
            self.at_us.clear()
            self.spent.clear()
        self.at_us.append(at_us)
        self.spent.append(spent)
        keep = max(bisect_right(self.at_us, at_us - max(slow_us, long_us)) - 1, 0)
        del self.at_us[:keep], self.spent[:keep]

    def spent_since(self, from_us: int, spent_now: int) -> tuple[int, int] | None:
        """What was spent since an instant, and since when exactly; None when that is not known."""
        place = bisect_right(self.at_us, from_us) - 1
        if place < 0:
            return None
        return spent_now - self.spent[place], self.at_us[place]


def windows(length_us: int, share: int) -> tuple[int, int]:
    """The long and the short window of a burn rate, for a limit's window of this length."""
    long_us = max(length_us // share, LEAST_LONG_US)
    return long_us, long_us // SHORT_SHARE


def rate_over(samples: Samples, over_us: int, now_us: int, spent: int, amount: int, length_us: int) -> float | None:
    """The burn rate over the last `over_us`; None when not so much is known."""
    since = samples.spent_since(now_us - over_us, spent)
    if since is None or now_us <= since[1]:
        return None
    used, from_us = since
    return used * length_us / (amount * (now_us - from_us))


def burning(samples: Samples, now_us: int, spent: int, amount: int, length_us: int) -> Burning | None:
    """Whether it burns, fast or slowly; None when it does not, or too little is known."""
    levels: Sequence[tuple[Burning, int, float]] = (("fast", FAST_SHARE, FAST_RATE), ("slow", SLOW_SHARE, SLOW_RATE))
    for name, share, threshold in levels:
        rates = [rate_over(samples, one, now_us, spent, amount, length_us) for one in windows(length_us, share)]
        if all(rate is not None and rate >= threshold for rate in rates):
            return name
    return None


def per_hour(samples: Samples, now_us: int, spent: int) -> int | None:
    """What is spent in an hour, going by all that is known; None before there are two samples."""
    if not samples.at_us or now_us <= samples.at_us[0]:
        return None
    return (spent - samples.spent[0]) * 3600 * SECOND_US // (now_us - samples.at_us[0])


def exhausts_at(left: int, an_hour: int | None, now_us: int) -> int | None:
    """When what is left will be used up at this pace; None when it will not."""
    if left <= 0:
        return now_us
    return now_us + left * 3600 * SECOND_US // an_hour if an_hour else None
