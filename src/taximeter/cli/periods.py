"""`--since 30d`, `--until 2026-11-01T12:00`: what people write for a moment → an instant."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from taximeter.errors import UsageError

_AGO: Final = re.compile(r"(\d{1,6})\s*(m|h|d|w)")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_HINT: Final = "use 15m, 24h, 30d, 2w, now, today, yesterday, month, or a date such as 2026-11-01 or 2026-11-01T12:00"


def zone(name: str) -> tzinfo:
    """The time zone of an IANA name. Raises UsageError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone '{name}'", hint="use an IANA name such as UTC or Europe/Berlin"
        ) from None


def moment(text: str, now: datetime, where: tzinfo) -> datetime:
    """The instant that `text` means: so long ago, a named day, or a date; dates without an offset are in `where`.

    Raises UsageError.
    """
    written = text.strip()
    ago = _AGO.fullmatch(written)
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    today = datetime.combine(now.astimezone(where).date(), time(), where)
    named = {
        "now": now,
        "today": today,
        "yesterday": datetime.combine(today.date() - timedelta(days=1), time(), where),
        "month": today.replace(day=1),
    }
    return named.get(written) or _date(written, where)


def _date(text: str, where: tzinfo) -> datetime:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is not a moment", hint=_HINT) from None
    return read if read.tzinfo else read.replace(tzinfo=where)
