"""The only place that reads the time. Everything else is handed a `Clock`.

Wall time is integer microseconds since the Unix epoch, UTC, because that is the precision of an event's
`started_at` and integers neither drift nor round. Durations come from a monotonic counter.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    def now_us(self) -> int:
        """Wall time, microseconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a counter that never goes back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    monotonic = staticmethod(time.monotonic)


def to_datetime(unix_us: int) -> datetime:
    """The UTC datetime of microseconds since the epoch, exactly (no float in between)."""
    return EPOCH + timedelta(microseconds=unix_us)


def to_unix_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def rfc3339(unix_us: int) -> str:
    """`2026-11-20T09:30:00.000001Z`: UTC, always with six digits of microseconds."""
    seconds, micros = divmod(unix_us, 1_000_000)
    return f"{_to_the_second(seconds)}{str(1_000_000 + micros)[1:]}Z"  # half the time of `{micros:06d}`


@lru_cache(maxsize=64)
def _to_the_second(seconds: int) -> str:
    """Most moments that are written down share their second with the one before."""
    t = time.gmtime(seconds)
    return f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}."
