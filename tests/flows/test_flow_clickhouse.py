"""The whole product over ClickHouse: its engine behind our own HTTP server, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from standing import Standing, eventually

from taximeter.simulator.running import RunningSimulator

ENGINE = Path(__file__).parents[1] / "contracts" / "clickhouse_engine.py"


@pytest.fixture
def engine_port(tmp_path: Path) -> Iterator[int]:
    program = [sys.executable, str(ENGINE), str(tmp_path / "engine")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@pytest.mark.timeout(400)
def test_calls_are_counted_in_clickhouse(engine_port: int, simulator: RunningSimulator, tmp_path: Path) -> None:
    settings = f"store: {{events: 'clickhouse://127.0.0.1:{engine_port}/meter'}}\n"
    with Standing(tmp_path / "standing", simulator.url, settings) as standing:
        say_hello(standing)
        say_hello(standing)
        assert eventually(standing.calls, lambda calls: calls == 2) == 2
        assert len({event["event_id"] for event in standing.events()}) == 2
    assert not (standing.data / "events.duckdb").exists()


def say_hello(standing: Standing) -> None:
    standing.gpt().chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
