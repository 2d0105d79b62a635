"""The whole product over ClickHouse: its engine behind our own HTTP server, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from standing import Standing, eventually

from taximeter.simulator.running import RunningSimulator


@pytest.mark.timeout(400)
def test_calls_are_counted_in_clickhouse(clickhouse: str, simulator: RunningSimulator, tmp_path: Path) -> None:
    settings = f"store: {{events: '{clickhouse}'}}\n"
    with Standing(tmp_path / "standing", simulator.url, settings) as standing:
        say_hello(standing)
        say_hello(standing)
        assert eventually(standing.calls, lambda calls: calls == 2) == 2
        assert len({event["event_id"] for event in standing.events()}) == 2
    assert not (standing.data / "events.duckdb").exists()


def say_hello(standing: Standing) -> None:
    standing.gpt().chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
