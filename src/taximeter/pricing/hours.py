"""Instants around an instant: when the windows of a day begin and end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
MINUTES_OF_DAY: Final = 1440
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIRST_DAY: Final = 3
"""The epoch began on a Thursday."""


def minute_of_day(at_us: int) -> int:
    """The minute of the UTC day, 0 to 1439."""
    return at_us // MINUTE_US % MINUTES_OF_DAY


def weekday(at_us: int) -> str:
    """The day of the week in UTC, as in `WEEKDAYS`."""
    return WEEKDAYS[(at_us // DAY_US + _FIRST_DAY) % 7]


def within(minute: int, start: int, end: int) -> bool:
    """Whether a minute lies in a window of the day, which may go over midnight; `end` is outside."""
    return start <= minute < end if start < end else minute >= start or minute < end


def around_us(at_us: int, minutes: Iterable[int]) -> Iterable[int]:
    """The given minutes of the UTC day on the days before, of and after an instant."""
    today = at_us - at_us % DAY_US
    for minute in minutes:
        yield from (today + day * DAY_US + minute * MINUTE_US for day in (-1, 0, 1))
