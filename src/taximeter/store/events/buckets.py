"""Calendar buckets of a time zone.

Engines disagree about time zones and are slow at them, so the zone's clock changes within the range are looked up
here, and the statement gets them as plain offsets: the same arithmetic in every dialect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from sqlglot import expressions as exp

from taximeter.clock import to_datetime
from taximeter.store.events.instants import start_of_day
from taximeter.store.events.intervals import Calendar, Interval
from taximeter.store.events.slots import moment_of

_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which the zone's clock does not change: [from_us, to_us)."""

    from_us: int
    to_us: int
    offset_seconds: int


@lru_cache(maxsize=256)
def spans(timezone: str, from_us: int, to_us: int) -> tuple[Span, ...]:
    """The stretches of constant offset that a range consists of, in order."""
    zone = ZoneInfo(timezone)
    found: list[Span] = []
    start_us, offset = from_us, _offset_seconds(zone, from_us)
    at_us = from_us
    while at_us < to_us - 1:
        next_us = min(at_us + _DAY_US, to_us - 1)
        if _offset_seconds(zone, next_us) != offset:
            change_us = _change_us(zone, at_us, next_us)
            found.append(Span(start_us, change_us, offset))
            start_us, offset, next_us = change_us, _offset_seconds(zone, change_us), change_us
        at_us = next_us
    return (*found, Span(start_us, to_us, offset))


def _change_us(zone: ZoneInfo, before_us: int, after_us: int) -> int:
    """The first moment with another offset than `before_us` has, knowing that `after_us` has one."""
    offset = _offset_seconds(zone, before_us)
    while after_us - before_us > 1:
        middle_us = (before_us + after_us) // 2
        if _offset_seconds(zone, middle_us) == offset:
            before_us = middle_us
        else:
            after_us = middle_us
    return after_us


def _offset_seconds(zone: ZoneInfo, moment_us: int) -> int:
    offset = to_datetime(moment_us).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def pieces(calendar: Calendar, from_us: int, to_us: int) -> tuple[Span, ...]:
    """The spans that decide about the buckets of a range: from an hour earlier, so that a clock change just before the
    range still cuts its first hour short."""
    return spans(calendar.timezone, max(from_us - _HOUR_US, 0), to_us)


def clock_changes(calendar: Calendar, from_us: int, to_us: int) -> tuple[Span, ...]:
    """The pieces of a range as far as they decide about its buckets: the range's own bounds are 0."""
    found = pieces(calendar, from_us, to_us)
    bounds = pairwise((0, *(span.from_us for span in found[1:]), 0))
    return tuple(Span(*bound, span.offset_seconds) for bound, span in zip(bounds, found, strict=True))


def bucket(moment: exp.Expr, calendar: Calendar, offsets: Sequence[Span]) -> exp.Expr:
    """The expression of an event's bucket, given that of its start (UTC) and the clock changes of the zone.

    For minutes and hours it is the bucket's start in UTC; for days and longer the local date it begins with.
    """
    starts = [_start(moment, calendar, span, first=span is offsets[0]) for span in offsets]
    if len(starts) == 1:
        return starts[0]
    case = exp.Case(default=starts[-1])
    for span, start in zip(offsets[:-1], starts[:-1], strict=True):
        case = case.when(exp.LT(this=moment.copy(), expression=moment_of(span.to_us)), start)
    return case


def _start(moment: exp.Expr, calendar: Calendar, span: Span, *, first: bool) -> exp.Expr:
    local = _shifted(moment.copy(), span.offset_seconds)
    if calendar.interval in _FISCAL:
        return _fiscal_start(local, calendar)
    start = _truncated(local, calendar.interval)
    if calendar.interval in _LOCAL:
        return start
    in_utc = _shifted(start, -span.offset_seconds)
    if first:
        return in_utc
    # An hour that the clock change cuts short begins with the change.
    return exp.Greatest(this=in_utc, expressions=[moment_of(span.from_us)], ignore_nulls=True)


_FISCAL: Final = ("quarter", "year")
_LOCAL: Final = ("day", "week", "month", *_FISCAL)


def _fiscal_start(local: exp.Expr, calendar: Calendar) -> exp.Expr:
    """As if the fiscal year began in January: months are moved back, cut, and moved forward again."""
    months = calendar.fiscal_start_month - 1
    moved = _shifted(_truncated(local, "month"), -months, "MONTH")
    return _shifted(_truncated(moved, calendar.interval), months, "MONTH")


def _truncated(local: exp.Expr, interval: Interval) -> exp.Expr:
    return exp.TimestampTrunc(this=local, unit=exp.var(interval.upper()))


def _shifted(moment: exp.Expr, amount: int, unit: str = "SECOND") -> exp.Expr:
    if amount == 0:
        return moment
    interval = exp.Interval(this=exp.Literal.string(str(abs(amount))), unit=exp.var(unit))
    shifted = exp.Add if amount > 0 else exp.Sub
    return shifted(this=moment, expression=interval)


def start_text(key: datetime, interval: Interval, timezone: str) -> str:
    """The bucket's start as RFC 3339 with the zone's offset, from what `bucket` evaluated to."""
    zone = ZoneInfo(timezone)
    start = start_of_day(key.date(), zone) if interval in _LOCAL else key.replace(tzinfo=UTC)
    text = start.astimezone(zone).isoformat()
    return text.removesuffix("+00:00") + "Z" if timezone == "UTC" else text
