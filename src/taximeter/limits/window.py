"""Windows: stretches of time with a start, an end and a next reset, in the zone of their limit.

Everything is a function of the instant asked about. An instant always lies in the same window, so a clock that jumps
back and forth finds the windows it left: none is begun twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from taximeter.clock import EPOCH, to_unix_us
from taximeter.config.limits import Window

SECOND_US: Final = 1_000_000
FOREVER_US: Final = 2**62
"""The end of what does not end."""

SLICES: Final = 60
"""A rolling window moves in so many steps: what leaves it leaves at most one step late, never early."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_us` up to, not including, `end_us`; microseconds since the epoch, UTC."""

    start_us: int
    end_us: int

    def __contains__(self, at_us: int) -> bool:
        return self.start_us <= at_us < self.end_us


def span_at(window: Window, at_us: int) -> Span:
    """The window that an instant lies in. Of a rolling one: the step, in which what is spent now is booked."""
    if window.kind in ("lifetime", "now"):
        return Span(0, FOREVER_US)
    if window.kind == "rolling":
        step_us = step_of(window)
        start_us = at_us // step_us * step_us
        return Span(start_us, start_us + step_us)
    return _SPANS[window.kind](window, at_us)


def step_of(window: Window) -> int:
    """Length of one step of a rolling window, microseconds."""
    return max(window.seconds * SECOND_US // SLICES, 1)


def reach_of(window: Window, span: Span) -> int:
    """How far back spending counts in `span`, microseconds since the epoch: its start, but for a rolling window."""
    return span.start_us - window.seconds * SECOND_US if window.kind == "rolling" else span.start_us


def resets_at(window: Window, span: Span) -> int | None:
    """When the amount is there anew: the end of the window. None when it never is.

    A rolling window gives room bit by bit; this is when all that is spent in this step has left it.
    """
    if window.kind in ("lifetime", "now"):
        return None
    return span.end_us + window.seconds * SECOND_US if window.kind == "rolling" else span.end_us


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _local(window: Window, at_us: int) -> datetime:
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(_zone(window.zone))


def _fixed(length_us: int) -> Callable[[Window, int], Span]:
    """Minutes and hours begin on the zone's own full ones, which lie apart from UTC's in some.

    Those of standard time, all year: where summer time is half an hour, an hour would turn in its middle otherwise.
    """

    def span(window: Window, at_us: int) -> Span:
        local = _local(window, at_us)
        offset = (local.utcoffset() or timedelta()) - (local.dst() or timedelta())
        offset_us = offset // timedelta(microseconds=1)
        start_us = (at_us + offset_us) // length_us * length_us - offset_us
        return Span(start_us, start_us + length_us)

    return span


def _instant(window: Window, year: int, month: int, day: int) -> int:
    """The first instant of a local date."""
    return to_unix_us(datetime(year, month, day, tzinfo=_zone(window.zone)).astimezone(UTC))


def _days(window: Window, at_us: int, days_back: int, length_days: int) -> Span:
    local = _local(window, at_us).date()
    first = local - timedelta(days=days_back)
    last = first + timedelta(days=length_days)
    return Span(_instant(window, first.year, first.month, first.day), _instant(window, last.year, last.month, last.day))


def _day(window: Window, at_us: int) -> Span:
    return _days(window, at_us, 0, 1)


def _week(window: Window, at_us: int) -> Span:
    return _days(window, at_us, _local(window, at_us).weekday(), 7)


def _month(window: Window, at_us: int) -> Span:
    local = _local(window, at_us)
    start = _first_day(window, local.year, local.month)
    if at_us < start:
        return Span(_first_day(window, *_month_before(local.year, local.month)), start)
    return Span(start, _first_day(window, *_month_after(local.year, local.month)))


def _first_day(window: Window, year: int, month: int) -> int:
    return _instant(window, year, month, min(window.start_day, _length_of(year, month)))


def _length_of(year: int, month: int) -> int:
    following = datetime(*_month_after(year, month), 1, tzinfo=UTC)
    return (following - timedelta(days=1)).day


def _month_after(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


def _month_before(year: int, month: int) -> tuple[int, int]:
    return (year - 1, 12) if month == 1 else (year, month - 1)


_SPANS: Final[dict[str, Callable[[Window, int], Span]]] = {
    "minute": _fixed(60 * SECOND_US),
    "hour": _fixed(3600 * SECOND_US),
    "day": _day,
    "week": _week,
    "month": _month,
}
