"""An event counts once, however often it is sent and whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from standing import Standing, eventually

from taximeter.clock import SystemClock, rfc3339
from taximeter.core.ids import uuid7


@pytest.fixture
def standing(tmp_path: Any) -> Iterator[Standing]:
    with Standing(tmp_path, "http://127.0.0.1:9") as running:
        yield running


def test_an_event_posted_three_times_counts_once_also_with_crashes_between(standing: Standing) -> None:
    now_us = SystemClock().now_us()
    event = {
        "event_id": uuid7(now_us // 1000, bytes(10)),
        "started_at": rfc3339(now_us),
        "provider": "openai",
        "request_model": "gpt-4o",
        "status": "ok",
        "input_tokens": 1000,
        "output_tokens": 500,
    }
    standing.key("ingest")
    first = standing.post("/v1/events", event, "ingest").json()
    standing.kill()
    standing.start()
    second = standing.post("/v1/events", event, "ingest").json()
    third = standing.post("/v1/events", [event, event], "ingest").json()
    standing.kill()
    standing.start()
    assert (first["accepted"], first["duplicates"]) == (1, 0)
    assert [said["accepted"] + said["duplicates"] for said in (second, third)] == [1, 2]
    assert eventually(standing.calls, bool) == 1
    totals = standing.query(measures=["calls", "input_tokens", "cost_usd"])["totals"]
    assert (totals["calls"], totals["input_tokens"], float(totals["cost_usd"])) == (1, 1000, 0.0075)


def test_the_invented_past_of_the_demo_adds_nothing_the_second_time(standing: Standing) -> None:
    from taximeter.simulator.traffic.history import history, outcome_of, post_history

    now_us = SystemClock().now_us()
    events = list(history(now_us, days=1))
    outcomes = [event for event in events if outcome_of(event) is not None]
    first = post_history(standing.url, standing.key("ingest"), now_us, days=1)
    again = post_history(standing.url, standing.key("ingest"), now_us, days=1)
    assert (first.duplicates, first.rejected, again.rejected) == (0, 0, 0)
    assert first.accepted == len(events) + len(outcomes) > len(events) > 0
    assert again.accepted + again.duplicates == first.accepted
    assert eventually(standing.calls, lambda n: n >= len(events)) == len(events)
    assert eventually(standing.outcomes, lambda n: n >= len(outcomes)) == len(outcomes)
    assert standing.calls() == len(events)
