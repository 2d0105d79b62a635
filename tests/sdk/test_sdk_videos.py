"""Google's videos with `google-genai` itself: asked for once, fetched any number of times, counted once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai.types import (
    GenerateVideosConfig,
    GenerateVideosOperation,
    GenerateVideosSource,
    HttpOptions,
)
from replay import Answer, Provider, Written

import taximeter
from taximeter.extract import Jobs
from taximeter.sdk import fetched
from taximeter.sdk.guard import GUARD
from taximeter.sdk.instruments import google_genai
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

# The asynchronous client derives a class that its HTTP library would rather not have derived.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

MODEL = "veo-3.1-fast-generate-001"
SOURCE = GenerateVideosSource(prompt="a taxi at night")
WANTED = GenerateVideosConfig(number_of_videos=2, resolution="1080p", duration_seconds=6, generate_audio=False)
ASKING: dict[str, object] = {
    "instances": [{"prompt": "a taxi"}],
    "parameters": {"durationSeconds": 4, "resolution": "4k"},
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(seed=3)) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    fetched._counted.clear()


def client_at(url: str, vertexai: bool) -> genai.Client:
    return taximeter.instrument(genai.Client(vertexai=vertexai, api_key="k", http_options=HttpOptions(base_url=url)))


def asked_at_gemini(client: genai.Client) -> GenerateVideosOperation:
    """As versions of the library ask that know how to; this one has forgotten it."""
    answer = client._api_client.request("post", f"models/{MODEL}:predictLongRunning", ASKING)
    return GenerateVideosOperation.model_validate({"name": json.loads(answer.body or "")["name"]})


def at_vertex(url: str) -> GenerateVideosOperation:
    with client_at(url, vertexai=True) as client:
        operation = client.models.generate_videos(model=MODEL, source=SOURCE, config=WANTED)
        assert [bool(client.operations.get(operation).done) for _ in range(4)] == [False, True, True, True]
    return operation


def at_vertex_asynchronously(url: str) -> GenerateVideosOperation:
    async def make() -> GenerateVideosOperation:
        async with client_at(url, vertexai=True).aio as client:
            operation = await client.models.generate_videos(model=MODEL, source=SOURCE, config=WANTED)
            done = [bool((await client.operations.get(operation)).done) for _ in range(4)]
            assert done == [False, True, True, True]
            return operation

    return asyncio.run(make())


def at_gemini(url: str) -> GenerateVideosOperation:
    with client_at(url, vertexai=False) as client:
        operation = asked_at_gemini(client)
        assert [bool(client.operations.get(operation).done) for _ in range(4)] == [False, True, True, True]
    return operation


def at_gemini_asynchronously(url: str) -> GenerateVideosOperation:
    client = client_at(url, vertexai=False)
    operation = asked_at_gemini(client)

    async def fetch() -> list[bool]:
        async with client.aio as asynchronous:
            return [bool((await asynchronous.operations.get(operation)).done) for _ in range(4)]

    assert asyncio.run(fetch()) == [False, True, True, True]
    return operation


SILENT, LOUD = {"video_seconds_1080p": 12}, {"video_seconds_2160p_with_audio": 4}
WAYS: list[tuple[Callable[[str], GenerateVideosOperation], str, dict[str, int]]] = [
    (at_vertex, "google-vertex", SILENT),
    (at_vertex_asynchronously, "google-vertex", SILENT),
    (at_gemini, "google", LOUD),
    (at_gemini_asynchronously, "google", LOUD),
]


@pytest.mark.parametrize(("make", "provider", "units"), WAYS)
def test_a_video_counts_once_by_what_was_asked_for(
    make: Callable[[str], GenerateVideosOperation],
    provider: str,
    units: dict[str, int],
    simulator: RunningSimulator,
    written: Written,
) -> None:
    with taximeter.attribute(user="u1", feature="trailer"):
        operation = make(simulator.url)
    asked, made = written.events
    assert (asked["not_billed"], asked["operation"], asked["request_model"]) == (True, "video_generation", MODEL)
    assert "units" not in asked
    assert (made["units"], made["response_id"], made["provider"]) == (units, operation.name, provider)
    assert (made["request_model"], made["response_model"], made["status"]) == (MODEL, MODEL, "ok")
    assert (made["user_id"], made["feature"], made["operation"]) == ("u1", "trailer", "video_generation")
    assert "usage_estimated" not in made
    assert asked["event_id"] != made["event_id"]


def test_whoever_fetches_it_elsewhere_tells_of_the_same_event(
    simulator: RunningSimulator, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = at_vertex(simulator.url)
    monkeypatch.setattr(fetched, "_jobs", Jobs())  # another process remembers nothing of this one
    fetched._counted.clear()
    with client_at(simulator.url, vertexai=True) as client:
        client.operations.get(operation)
    _, made, guessed = written.events
    assert made["event_id"] == guessed["event_id"]
    assert (guessed["units"], guessed["usage_estimated"]) == ({"video_seconds_with_audio": 16}, True)


def test_what_is_not_instrumented_is_left_alone(simulator: RunningSimulator, written: Written) -> None:
    options = HttpOptions(base_url=simulator.url)
    with genai.Client(vertexai=True, api_key="k", http_options=options) as client:
        client.operations.get(client.models.generate_videos(model=MODEL, source=SOURCE))
    assert written.lines == []


# ── what Google may say ─────────────────────────────────────────────────────────────────────────────────────

NAME = f"models/{MODEL}/operations/vz341u0pmdlc"
FAILED = {"name": NAME, "done": True, "error": {"code": 3, "message": "no"}}
HELD_BACK = {
    "name": NAME,
    "done": True,
    "response": {"generateVideoResponse": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["no"]}},
}


FILM = {"video": {"encodedVideo": "AAAAIGZ0eXBpc29t", "encoding": "video/mp4"}}


def test_what_was_counted_is_not_read_again(
    provider: Provider, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[object]()

    def parsed(body: str) -> object:
        read.append(body)
        return json.loads(body)

    monkeypatch.setattr(google_genai, "parsed", parsed)
    made = {"name": NAME, "done": True, "response": {"generateVideoResponse": {"generatedSamples": [FILM]}}}
    provider.answers = [said({"name": NAME}), said(made)]
    with client_at(provider.url, vertexai=False) as client:
        for _ in range(4):
            client.operations.get(GenerateVideosOperation.model_validate({"name": NAME}))
    assert (len(read), written.event["units"]) == (2, {"video_seconds_with_audio": 8})


def said(told: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(told).encode())


@pytest.mark.parametrize("told", [{"name": NAME}, FAILED, HELD_BACK])
def test_a_video_that_is_not_there_is_not_counted(told: dict[str, Any], provider: Provider, written: Written) -> None:
    provider.answers = [said(told)]
    with client_at(provider.url, vertexai=False) as client:
        for _ in range(3):
            client.operations.get(GenerateVideosOperation.model_validate({"name": NAME}))
    assert written.lines == []


def test_a_fetch_that_fails_is_no_call(provider: Provider, written: Written) -> None:
    provider.answers = [said({"error": {"code": 404, "message": "no", "status": "NOT_FOUND"}}, 404)]
    with client_at(provider.url, vertexai=False) as client, pytest.raises(genai.errors.ClientError):
        client.operations.get(GenerateVideosOperation.model_validate({"name": NAME}))
    assert written.lines == []


def test_a_video_that_is_refused_is_an_error_that_costs_nothing(provider: Provider, written: Written) -> None:
    provider.answers = [said({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}, 429)]
    with client_at(provider.url, vertexai=True) as client, pytest.raises(genai.errors.ClientError):
        client.models.generate_videos(model=MODEL, source=SOURCE)
    event = written.event
    assert (event["status"], event["not_billed"], event["error_type"]) == ("error", True, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_only_a_limit_that_must_not_be_overspent_refuses_what_is_charged_for_later(
    mode: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    limit = {"name": "all", "scope": "global", "measure": "total_tokens", "limit": 1, "window": "month", "mode": mode}
    taximeter.init(data=tmp_path, limits=[limit])
    refused = nullcontext() if mode == "soft" else pytest.raises(taximeter.LimitExceeded)
    with client_at(simulator.url, vertexai=True) as client, refused:
        assert client.models.generate_videos(model=MODEL, source=SOURCE).name
    taximeter.shutdown()
    assert not GUARD.failures


def test_of_what_goes_through_our_gateway_the_gateway_counts_the_fetches(provider: Provider, tmp_path: Path) -> None:
    operation = {"name": f"projects/p/locations/l/publishers/google/{NAME}"}
    done = {**operation, "done": True, "response": {"videos": [{"gcsUri": "gs://bucket/1.mp4"}]}}
    provider.answers = [said(operation), said(operation), said(done)]
    taximeter.init(data=tmp_path, url=provider.url, key="k")
    with client_at(provider.url + "/vertex", vertexai=True) as client:
        asked = client.models.generate_videos(model=MODEL, source=SOURCE)
        assert [bool(client.operations.get(asked).done) for _ in range(3)] == [False, True, True]
    taximeter.shutdown()
    (first, headers, _), *fetches = provider.requests
    assert first.endswith(":predictLongRunning")
    assert "x-taximeter-event-id" in headers
    assert all("x-taximeter-event-id" not in headers for _, headers, _ in fetches)
    assert (Written(tmp_path).lines, provider.shipped) == ([], [])
    assert not GUARD.failures
