"""What the gateway asks the store: was the usage of this answer told already?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from taximeter.clock import SystemClock, rfc3339
from taximeter.compose.gateway import known_answers
from taximeter.compose.keeping import collector_of
from taximeter.core.ids import uuid7
from taximeter.pricing import load_price_book
from taximeter.spool import Spool
from taximeter.store.events import DuckDBEvents

CLOCK = SystemClock()
TOLD = {"response_id": "resp_1", "input_tokens": 9, "output_tokens": 2}


@pytest.mark.parametrize(
    ("stored", "asked", "told"),
    [
        (TOLD, ("openai", "resp_1"), True),
        (TOLD, ("openai", "resp_2"), False),
        (TOLD, ("azure", "resp_1"), False),
        ({"response_id": "resp_1", "not_billed": True}, ("openai", "resp_1"), False),
    ],
)
def test_whether_an_answer_was_told(tmp_path: Path, stored: dict[str, Any], asked: tuple[str, str], told: bool) -> None:
    now_us = CLOCK.now_us()
    event = {"event_id": uuid7(now_us // 1000, b"0123456789"), "started_at": rfc3339(now_us), "source": "gateway"}
    spool = Spool(tmp_path / "spool", clock=CLOCK, writer="test")
    assert spool.extend([json.dumps({**event, "status": "ok", "provider": "openai", **stored}).encode()])
    spool.close()
    store = DuckDBEvents(tmp_path / "events.duckdb")
    try:
        collector = collector_of(tmp_path, load_price_book(None, tmp_path), store, CLOCK)
        while collector.step():
            pass
        assert known_answers(store, CLOCK)(*asked) is told
    finally:
        store.close()
