"""A collector, a program that others wrote, takes what is told over OTLP and passes it on, to the last of it."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest
from collector_here import collecting
from export_rig import World
from receivers import OtlpReceiver, SpanReceiver, listening
from server_rig import eventually
from test_exporters_contract import Server, close_to, opened, stored, told
from test_spans import stored as stored_calls
from test_spans import tracing

pytestmark = [
    pytest.mark.timeout(600),  # an environment is made when it first runs
    pytest.mark.skipif(sys.platform != "linux", reason="the collector is a program for Linux"),
]


def test_a_collector_takes_the_metrics_and_passes_them_on(here: World, agent: Path, tmp_path: Path) -> None:
    receiver, chance = OtlpReceiver(), Random(9)
    rounded = close_to(receiver)
    with listening(receiver.take) as behind, collecting(agent, tmp_path, behind) as url:
        server = Server(here, {"otel": opened("otlp", url=url + "/v1/metrics")})
        for _ in range(2):
            here.traffic(chance, 300)
            assert server.turn() == {"otel": "sent"}
            eventually(lambda: rounded(told(receiver)) == rounded(stored(here)))
            assert rounded(told(receiver)) == rounded(stored(here))
    assert told(receiver)["calls"] == 600
    assert {kind for attributes in receiver.usage for name, kind in attributes if name == "gen_ai.token.type"} == {
        "input", "output",
    }  # fmt: skip


def test_a_collector_takes_the_spans_and_passes_them_on(here: World, agent: Path, tmp_path: Path) -> None:
    receiver = SpanReceiver()
    with listening(receiver.take) as behind, collecting(agent, tmp_path, behind) as url:
        one = tracing(here, url + "/v1/traces")
        here.traffic(Random(9), 600)
        here.clock.at_us += 1_000_000
        one.turn()
        assert eventually(lambda: len(receiver.spans) == 600)
    assert receiver.sums() == stored_calls(here)
    assert {span.name for _, span in receiver.spans.values()} == {"chat gpt-4o", "chat gpt-4o-mini", "chat o3"}
