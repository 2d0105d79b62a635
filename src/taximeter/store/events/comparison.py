"""With which time a time is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from taximeter.clock import to_datetime, to_unix_us
from taximeter.errors import UsageError
from taximeter.store.events.instants import EARLIEST_US, months_later, parse_instant

_WEEK_US: Final = 7 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Period:
    """The time [from_us, to_us)."""

    from_us: int
    to_us: int


def parse_comparison(wanted: Any, period: Period, zone: ZoneInfo, now_us: int) -> Period | None:
    """The time to compare `period` with, from its JSON form: a name of `COMPARISONS` or `{"from", "to"}`.

    Named times are moved by the clock on the wall, so that a day of 23 hours is compared with a whole day.
    Raises UsageError for anything else, and for a time before the calendar begins.
    """
    if wanted is None:
        return None
    if isinstance(wanted, Mapping) and wanted.keys() == {"from", "to"}:
        bounds = [parse_instant(wanted[name], now_us, zone.key, field=f"compare.{name}") for name in ("from", "to")]
        return _not_empty(Period(*bounds))
    named = COMPARISONS.get(wanted) if isinstance(wanted, str) else None
    if named is None:
        allowed = [*COMPARISONS, '{"from": ..., "to": ...}']
        raise UsageError(
            f"unknown comparison {wanted!r}", hint="allowed: " + ", ".join(allowed), field="compare", allowed=allowed
        )
    return _not_empty(named(period, zone))


def _not_empty(period: Period) -> Period:
    cut = Period(max(period.from_us, EARLIEST_US), max(period.to_us, EARLIEST_US))
    if cut.from_us >= cut.to_us:
        raise UsageError("there is no time to compare with: its beginning is not before its end", field="compare")
    return cut


def previous_period(period: Period, zone: ZoneInfo) -> Period:
    """The time just before, as long: whole months for whole months, whole days for whole days, else elapsed time."""
    start, end = _local(period.from_us, zone), _local(period.to_us, zone)
    if start == _midnight(start) and end == _midnight(end):
        if start.day == end.day == 1:
            months = (end.year - start.year) * 12 + end.month - start.month
            return Period(_us(_months_later(start, -months), zone), period.from_us)
        return Period(_us(start - (end - start), zone), period.from_us)
    return Period(2 * period.from_us - period.to_us, period.from_us)


def same_weekday(period: Period, zone: ZoneInfo) -> Period:
    """The same days of the week, as many weeks ago as it takes for the two times not to overlap."""
    weeks = -((period.from_us - period.to_us) // _WEEK_US)
    return _moved(period, zone, lambda moment: moment - timedelta(weeks=weeks))


def previous_month(period: Period, zone: ZoneInfo) -> Period:
    return _moved(period, zone, lambda moment: _months_later(moment, -1))


def previous_year(period: Period, zone: ZoneInfo) -> Period:
    return _moved(period, zone, lambda moment: _months_later(moment, -12))


COMPARISONS: Final[Mapping[str, Callable[[Period, ZoneInfo], Period]]] = {
    "previous_period": previous_period,
    "same_weekday": same_weekday,
    "previous_month": previous_month,
    "previous_year": previous_year,
}


def _moved(period: Period, zone: ZoneInfo, move: Callable[[datetime], datetime]) -> Period:
    try:
        return Period(*(_us(move(_local(moment, zone)), zone) for moment in (period.from_us, period.to_us)))
    except (OverflowError, ValueError):  # before the year 1
        return Period(EARLIEST_US, EARLIEST_US)


def _local(moment_us: int, zone: ZoneInfo) -> datetime:
    """The clock on the wall, `fold` kept: an hour that comes twice stays the one it is."""
    return to_datetime(moment_us).astimezone(zone).replace(tzinfo=None)


def _us(local: datetime, zone: ZoneInfo) -> int:
    return to_unix_us(local.replace(tzinfo=zone).astimezone(UTC))


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=local.fold)


def _months_later(local: datetime, months: int) -> datetime:
    return datetime.combine(months_later(local.date(), months), local.timetz())
