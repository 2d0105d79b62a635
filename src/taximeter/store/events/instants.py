"""Moments as people write them, read in a time zone."""

from __future__ import annotations

import re
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
    "now, today, this_week, this_month (their start in the zone)",
)


def time_zone(name: Any) -> ZoneInfo:
    """The IANA zone of that name. Raises UsageError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        # OSError: a name like "America" is a directory of the database.
        hint = "an IANA name, like Europe/Berlin or UTC"
        raise UsageError(f"there is no time zone {name!r}", hint=hint, field="timezone") from error


def parse_instant(text: Any, now_us: int, timezone: str, *, field: str) -> int:
    """Microseconds since the epoch of any form in `ALLOWED`. A date is the start of that day in the zone.

    Raises UsageError naming `field`.
    """
    moment = _moment(text.strip(), now_us, time_zone(timezone)) if isinstance(text, str) else None
    if moment is None:
        allowed = list(ALLOWED)
        raise UsageError(f"{field} is not a time: {text!r}", hint="; ".join(allowed), field=field, allowed=allowed)
    return min(max(to_unix_us(moment), EARLIEST_US), LATEST_US)


def _moment(text: str, now_us: int, zone: ZoneInfo) -> datetime | None:
    now = to_datetime(now_us)
    if text == "now":
        return now
    if ago := _RELATIVE.fullmatch(text):
        return _earlier(now, int(ago[1]) * _UNITS[ago[2]])
    today = now.astimezone(zone).date()
    starts = {
        "today": today,
        "this_week": today - timedelta(days=today.weekday()),
        "this_month": today.replace(day=1),
    }
    if text in starts:
        return start_of_day(starts[text], zone)
    return _written(text, zone)


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
