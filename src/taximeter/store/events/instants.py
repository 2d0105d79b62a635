"""Moments as people write them, read in a time zone."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from taximeter.clock import to_datetime, to_unix_us
from taximeter.errors import UsageError

_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_RELATIVE: Final = re.compile(r"(\d{1,6})([smhdw])")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

EARLIEST_US: Final = 0
LATEST_US: Final = to_unix_us(datetime(2200, 1, 1, tzinfo=UTC))
"""Bounds are cut to these: nobody metered a call outside of them, and calendars get strange there."""

ALLOWED: Final = (
    "2026-11-20T09:30:00Z (RFC 3339)",
    "2026-11-20 (midnight in the zone)",
    "30d, 24h, 15m, 90s, 2w (that long ago)",
    "now, today, yesterday, and this_ or last_ with week, month, quarter or year (their start in the zone)",
)


def time_zone(name: Any) -> ZoneInfo:
    """The IANA zone of that name. Raises UsageError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        # OSError: a name like "America" is a directory of the database.
        hint = "an IANA name, like Europe/Berlin or UTC"
        raise UsageError(f"there is no time zone {name!r}", hint=hint, field="timezone") from error


def parse_instant(text: Any, now_us: int, timezone: str, *, field: str, fiscal_start_month: int = 1) -> int:
    """Microseconds since the epoch of any form in `ALLOWED`. A date is the start of that day in the zone; quarters
    and years are fiscal ones. Raises UsageError naming `field`.
    """
    zone = time_zone(timezone)
    moment = _moment(text.strip(), now_us, zone, fiscal_start_month) if isinstance(text, str) else None
    if moment is None:
        allowed = list(ALLOWED)
        raise UsageError(f"{field} is not a time: {text!r}", hint="; ".join(allowed), field=field, allowed=allowed)
    return min(max(to_unix_us(moment), EARLIEST_US), LATEST_US)


def _moment(text: str, now_us: int, zone: ZoneInfo, fiscal_start_month: int) -> datetime | None:
    now = to_datetime(now_us)
    if text == "now":
        return now
    if ago := _RELATIVE.fullmatch(text):
        return _earlier(now, int(ago[1]) * _UNITS[ago[2]])
    starts = _named_days(now.astimezone(zone).date(), fiscal_start_month)
    if text in starts:
        return start_of_day(starts[text], zone)
    return _written(text, zone)


def _named_days(today: date, fiscal_start_month: int) -> dict[str, date]:
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    into_year = (today.month - fiscal_start_month) % 12
    quarter, year = months_later(first, -(into_year % 3)), months_later(first, -into_year)
    return {
        "today": today,
        "yesterday": today - timedelta(days=1),
        "this_week": monday,
        "last_week": monday - timedelta(days=7),
        "this_month": first,
        "last_month": months_later(first, -1),
        "this_quarter": quarter,
        "last_quarter": months_later(quarter, -3),
        "this_year": year,
        "last_year": months_later(year, -12),
    }


def months_later(day: date, months: int) -> date:
    """The same day of another month, or the last one of a month that is shorter."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _earlier(now: datetime, ago: timedelta) -> datetime:
    return now - min(ago, now - to_datetime(EARLIEST_US))


def _written(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        if _DATE.fullmatch(text):
            return start_of_day(date.fromisoformat(text), zone)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a calendar day, in UTC. Where the clock jumps over midnight, the moment of the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
