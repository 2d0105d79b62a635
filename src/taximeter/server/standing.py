"""What a process says of itself: its status, its counts, its problems; and the picture that live watchers get."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from taximeter.clock import Clock, rfc3339
from taximeter.store.events import EventStore, parse_event_query, parse_query

LAST_CALLS: Final = 20
LIVE_MEASURES: Final = ("cost_usd", "calls", "input_tokens", "output_tokens", "errors", "unpriced_calls")


@dataclass(frozen=True, slots=True)
class LivePicture:
    """`{"at", "calls", "last_minute", "today", "month"}`: the last calls and running totals (days are UTC days)."""

    store: EventStore
    clock: Clock

    def __call__(self) -> Mapping[str, Any]:
        now_us = self.clock.now_us()
        page = self.store.events(parse_event_query({"limit": LAST_CALLS, "from": "1d"}, now_us))
        return {
            "at": rfc3339(now_us),
            "calls": page.events,
            "last_minute": self._totals("1m", now_us),
            "today": self._totals("today", now_us),
            "month": self._totals("this_month", now_us),
        }

    def _totals(self, since: str, now_us: int) -> Mapping[str, Any]:
        return self.store.query(parse_query({"measures": list(LIVE_MEASURES), "from": since}, now_us)).totals


def unpriced_calls(store: EventStore, clock: Clock) -> int:
    """Calls of the last 30 days without a known cost."""
    answer = store.query(parse_query({"measures": ["unpriced_calls"], "from": "30d"}, clock.now_us()))
    return int(answer.totals["unpriced_calls"])


def storage_bytes(data: Path) -> int:
    """Bytes of everything in the data directory. Files may go while we look."""
    total = 0
    for file in data.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total
