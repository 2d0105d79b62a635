"""Google's videos through the gateway: asked for once, fetched any number of times, counted once."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from gateway_rig import KEY, Reply, Rig, running, whole
from google import genai
from google.genai.types import (
    GenerateVideosConfig,
    GenerateVideosOperation,
    GenerateVideosSource,
    HttpOptions,
)

from taximeter.extract import flavour_for
from taximeter.gateway import GatewaySettings, Provider
from taximeter.gateway.polled import Poll
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

MODEL = "veo-3.1-generate-001"
VERTEX = "projects/p/locations/us-central1/publishers/google/models"
SOURCE = GenerateVideosSource(prompt="a taxi at night")
VIDEO = {"gcsUri": "gs://bucket/1.mp4", "mimeType": "video/mp4"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(seed=3)) as simulator:
        yield simulator


@contextmanager
def before(url: str) -> Iterator[Rig]:
    """A gateway before Google at a URL."""

    def google(_: int) -> Sequence[Provider]:
        return [Provider(name, "gemini", url, "k") for name in ("google", "google-vertex")]

    with running(more_providers=google) as rig:
        yield rig


@contextmanager
def scripted(**settings: Any) -> Iterator[Rig]:
    """A gateway before a Google that says what it is told to."""

    def google(port: int) -> Sequence[Provider]:
        return [Provider(name, "gemini", f"http://127.0.0.1:{port}", "k") for name in ("google", "google-vertex")]

    with running(more_providers=google, **settings) as rig:
        yield rig


def vertex_client(rig: Rig) -> genai.Client:
    return genai.Client(vertexai=True, api_key=KEY, http_options=HttpOptions(base_url=f"{rig.url}/google-vertex"))


def gemini_client(rig: Rig) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=HttpOptions(base_url=f"{rig.url}/google"))


def fetch(client: genai.Client, operation: GenerateVideosOperation, times: int) -> list[bool]:
    """Whether it was done, each time."""
    return [bool(client.operations.get(operation).done) for _ in range(times)]


def parted(events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What asked, which is free, and what was made."""
    return [one for one in events if one.get("not_billed")], [one for one in events if not one.get("not_billed")]


def test_a_video_at_vertex_counts_once_by_what_was_asked_for(simulator: RunningSimulator) -> None:
    wanted = GenerateVideosConfig(number_of_videos=2, resolution="1080p", generate_audio=False, duration_seconds=6)
    with before(simulator.url) as rig, vertex_client(rig) as client:
        operation = client.models.generate_videos(model=MODEL, source=SOURCE, config=wanted)
        assert fetch(client, operation, 4) == [False, True, True, True]
        (asked,), (made,) = parted(rig.log.of(None))
        assert rig.gateway.failures == {}
    assert (asked["operation"], asked["request_model"], asked["provider"]) == (
        "video_generation",
        MODEL,
        "google-vertex",
    )
    assert "units" not in asked
    assert (made["units"], made["response_model"], made["request_model"]) == ({"video_seconds_1080p": 12}, MODEL, MODEL)
    assert (made["operation"], made["status"], made["api_key_id"]) == ("video_generation", "ok", "key_1")
    assert (made["response_id"], made.get("usage_estimated")) == (operation.name, None)


def asked_at_gemini(rig: Rig, **parameters: Any) -> GenerateVideosOperation:
    """As clients ask that know how to; the library has forgotten it."""
    asking = {"instances": [{"prompt": "a taxi"}], "parameters": parameters}
    answer = rig.ask(f"/google/v1beta/models/{MODEL}:predictLongRunning", asking).json
    return GenerateVideosOperation.model_validate({"name": answer["name"]})


def test_a_video_at_gemini_counts_once_by_what_was_asked_for(simulator: RunningSimulator) -> None:
    with before(simulator.url) as rig, gemini_client(rig) as client:
        operation = asked_at_gemini(rig, durationSeconds="4", resolution="4k")
        assert fetch(client, operation, 4) == [False, True, True, True]
        _, (made,) = parted(rig.log.of(None))
        assert rig.gateway.failures == {}
    assert (made["units"], made["response_id"]) == ({"video_seconds_2160p_with_audio": 4}, operation.name)
    assert made["provider"] == "google"


def test_a_gateway_that_was_not_asked_takes_it_as_documented_for_the_same_event(simulator: RunningSimulator) -> None:
    with before(simulator.url) as rig, before(simulator.url) as other:
        operation = asked_at_gemini(rig, durationSeconds=4)
        for one in (rig, other):
            with gemini_client(one) as client:
                fetch(client, operation, 3)
        _, (made,) = parted(rig.log.of(None))
        _, (guessed,) = parted(other.log.of(None))
    assert (made["units"], made.get("usage_estimated")) == ({"video_seconds_with_audio": 4}, None)
    assert (guessed["units"], guessed["usage_estimated"]) == ({"video_seconds_with_audio": 8}, True)
    assert made["event_id"] == guessed["event_id"]


# ── what Google may say ─────────────────────────────────────────────────────────────────────────────────────

NAME = f"{VERTEX}/{MODEL}/operations/9d2fc0b5"
DONE = {"name": NAME, "done": True, "response": {"raiMediaFilteredCount": 0, "videos": [VIDEO]}}
FAILED = {"name": NAME, "done": True, "error": {"code": 3, "message": "no"}}
HELD_BACK = {"name": NAME, "done": True, "response": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["no"]}}


def says(rig: Rig, told: Any, status: int = 200, **headers: str) -> None:
    body = json.dumps(told).encode()
    rig.plays(whole(gzip.compress(body) if headers else body, status, **headers))


def fetched(rig: Rig, told: Any, status: int = 200, **headers: str) -> Reply:
    says(rig, told, status, **headers)
    path = f"/google-vertex/v1/{VERTEX}/{MODEL}:fetchPredictOperation"
    return rig.ask(path, {"operationName": NAME}, x_taximeter_user="fetcher")


@pytest.mark.parametrize("last", [FAILED, HELD_BACK, {"name": NAME}])
def test_a_video_that_is_not_there_is_not_counted(last: dict[str, Any]) -> None:
    with scripted() as rig:
        for told in ({"name": NAME}, last, last):
            assert fetched(rig, told).json == told
        fetched(rig, {"error": {"code": 503, "status": "UNAVAILABLE"}}, 503)
        assert (rig.log.lines, rig.gateway.failures) == ([], {})


def test_a_fetch_is_no_call_and_counts_for_whoever_fetches() -> None:
    with scripted() as rig:
        for _ in range(3):
            assert fetched(rig, DONE, content_encoding="gzip").status == 200
        (event,) = rig.log.lines
    assert (event["user_id"], event["usage_estimated"]) == ("fetcher", True)
    assert event["units"] == {"video_seconds_with_audio": 8}


def test_what_came_of_it_in_an_unknown_shape_is_an_event_without_usage() -> None:
    with scripted() as rig:
        for _ in range(2):
            fetched(rig, {"name": NAME, "done": True, "response": {"clips": ["gs://bucket/1.mp4"]}})
        (event,) = rig.log.lines
    assert (event["response_model"], event["status"]) == (MODEL, "ok")
    assert event.keys().isdisjoint({"units", "not_billed", "input_tokens"})


def test_what_was_stored_before_the_start_is_not_counted_again() -> None:
    with scripted(known_answers=lambda provider, name: (provider, name) == ("google-vertex", NAME)) as rig:
        fetched(rig, DONE)
        assert rig.log.lines == []


def test_of_a_video_that_is_refused_nothing_is_remembered() -> None:
    with scripted() as rig:
        says(rig, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, 429)
        rig.ask(f"/google-vertex/v1/{VERTEX}/{MODEL}:predictLongRunning", {"instances": [{"prompt": "x"}]})
        (event,) = rig.log.of(None)
    assert (event["status"], event["not_billed"], event["error_type"]) == ("error", True, "RESOURCE_EXHAUSTED")


def test_the_videos_themselves_pass_uncounted() -> None:
    film = b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 4096
    with scripted() as rig:
        rig.plays(whole(film, content_type="video/mp4"))
        assert rig.ask("/google/v1beta/files/abc123:download?alt=media", method="GET").body == film
        assert (rig.log.lines, rig.gateway.failures) == ([], {})


INLINE = base64.b64encode(random.Random(5).randbytes(1_200_000)).decode()


@pytest.mark.parametrize("packed", [{}, {"content_encoding": "gzip"}], ids=["plain", "gzip"])
def test_of_videos_that_are_in_the_answer_itself_nothing_is_kept_and_they_count(packed: dict[str, str]) -> None:
    videos = [{"bytesBase64Encoded": INLINE, "mimeType": "video/mp4"}] * 3
    large = {**DONE, "response": {"videos": videos, "raiMediaFilteredCount": 1}}
    with scripted(settings=GatewaySettings(tap_limit_bytes=2_000_000)) as rig:
        fetched(rig, large, 200, **packed)
        (event,) = rig.log.lines
        assert rig.gateway.failures == {}
    assert (event["units"], event["response_id"]) == ({"video_seconds_with_audio": 24}, NAME)


@pytest.mark.parametrize("size_bytes", [1, 7, 1_000, 5_000, 1_000_000])
def test_however_it_comes_in_pieces_the_rest_of_it_is_read(size_bytes: int) -> None:
    film = INLINE[:9_000]
    told = {**DONE, "response": {"videos": [{"gcsUri": "", "bytesBase64Encoded": film}, {"encodedVideo": film}]}}
    body = json.dumps({"metadata": {"counts": [1, 2] * 900}, **told}, indent=2).encode()
    flavour = flavour_for("gemini", "POST", f"/v1/{VERTEX}/{MODEL}:fetchPredictOperation", polled=True)
    assert flavour is not None
    poll = Poll(flavour.fetching(NAME, None), "", {"provider": "google-vertex"}, 10_000_000)
    poll.begin("application/json", None)
    for at in range(0, len(body), size_bytes):
        poll.feed(body[at : at + size_bytes])
    read = poll.reading()
    assert read is not None
    assert (read.usage.units, read.response_id) == ({"video_seconds_with_audio": 16}, NAME)


def test_an_answer_that_is_too_large_to_be_read_is_told_and_passes() -> None:
    large = {**DONE, "metadata": ["a", 1] * 10_000}
    with scripted(settings=GatewaySettings(tap_limit_bytes=50_000)) as rig:
        assert fetched(rig, large).json == large
        assert fetched(rig, large, content_encoding="gzip").status == 200
        assert (rig.log.lines, rig.gateway.failures) == ([], {"poll_unread": 2})
