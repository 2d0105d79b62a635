"""The end of a server with more in its spool than it can store before people lose patience."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taximeter.clock import SystemClock, rfc3339
from taximeter.compose.keeping import collector_of
from taximeter.compose.process import DRAIN_SECONDS, drain
from taximeter.core.ids import uuid7
from taximeter.ingest import collector as collecting
from taximeter.pricing import load_price_book
from taximeter.spool import Spool
from taximeter.store.events import DuckDBEvents, parse_event_query

EVENTS = 20
NOW_US = SystemClock().now_us()


class SlowClock(SystemClock):
    """Two seconds pass between two looks at it."""

    seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += 2.0
        return self.seconds


def event(number: int) -> bytes:
    record = {
        "event_id": uuid7(NOW_US // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(NOW_US + number),
        "source": "api",
        "status": "ok",
    }
    return json.dumps(record).encode()


def test_what_is_left_at_the_end_is_collected_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "BATCH_LINES", 1)
    spool = Spool(tmp_path / "spool", clock=SystemClock(), writer="test")
    assert spool.extend([event(number) for number in range(EVENTS)])
    spool.close()
    store = DuckDBEvents(tmp_path / "events.duckdb")

    def stored_by_a_start(clock: SystemClock) -> int:
        drain(collector_of(tmp_path, load_price_book(None, Path("/nowhere")), store, clock), clock)
        return len(store.events(parse_event_query({"limit": 1000}, NOW_US)).events)

    assert 0 < stored_by_a_start(SlowClock()) <= DRAIN_SECONDS / 2
    assert stored_by_a_start(SystemClock()) == EVENTS
    store.close()
