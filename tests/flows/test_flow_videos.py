"""A video that the SDK and the gateway both see is in the store once, with what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google import genai
from google.genai.types import GenerateVideosConfig, GenerateVideosOperation, GenerateVideosSource, HttpOptions
from standing import Standing, eventually

import taximeter
from taximeter.simulator.running import RunningSimulator

MODEL = "veo-3.1-generate-001"
SOURCE = GenerateVideosSource(prompt="a taxi at night")
WANTED = GenerateVideosConfig(number_of_videos=2, duration_seconds=6, resolution="1080p", generate_audio=False)


@contextmanager
def reporting_to(standing: Standing, data: Path) -> Iterator[None]:
    taximeter.init(url=standing.url, key=standing.key("ingest"), data=data)
    yield
    taximeter.shutdown()


def client_at(url: str) -> genai.Client:
    return taximeter.instrument(genai.Client(vertexai=True, api_key="k", http_options=HttpOptions(base_url=url)))


def made_through(url: str) -> GenerateVideosOperation:
    with client_at(url) as client:
        operation = client.models.generate_videos(model=MODEL, source=SOURCE, config=WANTED)
        assert [bool(client.operations.get(operation).done) for _ in range(4)] == [False, True, True, True]
    return operation


def in_the_store(standing: Standing) -> list[dict[str, Any]]:
    eventually(lambda: standing.calls(), lambda calls: calls >= 2)
    return [event for event in standing.events() if not event["not_billed"]]


def of_two_videos(event: dict[str, Any], operation: GenerateVideosOperation) -> bool:
    assert (event["units"], event["cost_usd"], event["response_id"]) == (
        {"video_seconds_1080p": 12},
        "2.4",
        operation.name,
    )
    return True


def gateway_before(simulator: RunningSimulator) -> str:
    vertex = f"  vertex: {{base_url: {simulator.url}, api_key: sk-real, key_header: authorization}}\n"
    return vertex + 'server: {auth: "off"}\n'


def test_the_sdk_through_its_gateway(simulator: RunningSimulator, tmp_path: Path) -> None:
    with Standing(tmp_path / "server", simulator.url, gateway_before(simulator)) as standing:
        with reporting_to(standing, tmp_path):
            operation = made_through(standing.url + "/vertex")
        (made,) = in_the_store(standing)
        assert of_two_videos(made, operation)
        assert (made["source"], standing.calls()) == ("gateway", 2)


def test_the_sdk_by_itself_and_somebody_else_through_the_gateway(simulator: RunningSimulator, tmp_path: Path) -> None:
    with Standing(tmp_path / "server", simulator.url, gateway_before(simulator)) as standing:
        with reporting_to(standing, tmp_path):
            operation = made_through(simulator.url)
        (made,) = in_the_store(standing)
        with genai.Client(
            vertexai=True, api_key="k", http_options=HttpOptions(base_url=standing.url + "/vertex")
        ) as client:
            assert [bool(client.operations.get(operation).done) for _ in range(2)] == [True, True]
            other = client.models.generate_videos(model=MODEL, source=SOURCE)  # stored behind what was fetched
        assert eventually(standing.calls, lambda calls: calls >= 3) == 3, other.name
        assert in_the_store(standing) == [made]
        assert of_two_videos(made, operation)
        assert made["source"] == "sdk"
