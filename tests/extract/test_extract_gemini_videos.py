"""Videos by Veo: what was asked for, and what came of it -> usage -> cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.usage import Usage
from taximeter.extract import Flavour, Jobs, Reading, RequestFacts, flavour_for
from taximeter.extract.jobs import MOST_JOBS
from taximeter.pricing import Priceable, load_price_book
from taximeter.pricing.priceable import parse_instant

NOON = parse_instant("2026-11-30T12:00:00Z")
VERTEX = "projects/p/locations/us-central1/publishers/google/models"
PROMPT = {"instances": [{"prompt": "a taxi at night"}]}
URI = "https://generativelanguage.googleapis.com/v1beta/files/abc123:download?alt=media"
SAMPLE = {"video": {"uri": URI}}
IN_BUCKET = {"gcsUri": "gs://bucket/1/sample_0.mp4", "mimeType": "video/mp4"}
INLINE = {"bytesBase64Encoded": "AAAAIGZ0eXBpc29t", "mimeType": "video/mp4"}


def flavour_of(method: str, path: str, *, polled: bool = True) -> Flavour:
    found = flavour_for("gemini", method, path, polled=polled)
    assert found is not None
    return found


def asked(model: str, parameters: Any, instances: Any = PROMPT["instances"]) -> RequestFacts:
    body = {"instances": instances, "parameters": parameters}
    return flavour_of("POST", f"/v1/{VERTEX}/{model}:predictLongRunning").read_request(body)


def gemini_operation(model: str, **response: Any) -> dict[str, Any]:
    """As the Gemini API tells it."""
    kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
    told = {"@type": kind, "generateVideoResponse": response}
    return {"name": f"models/{model}/operations/vz341u0pmdlc", "done": True, "response": told}


def vertex_operation(model: str, **response: Any) -> dict[str, Any]:
    """As Vertex AI tells it."""
    kind = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
    told = {"@type": kind, "raiMediaFilteredCount": 0, **response}
    return {"name": f"{VERTEX}/{model}/operations/9d2fc0b5-5bdf", "done": True, "response": told}


def fetched(operation: dict[str, Any], facts: RequestFacts | None) -> Reading:
    flavour = flavour_of("GET", "/v1beta/models/veo/operations/vz341u0pmdlc")
    return flavour.fetching("veo/operations/vz341u0pmdlc", facts).read_answer(200, operation)


def cost(provider: str, model: str, usage: Usage) -> Decimal | None:
    found = load_price_book().price(Priceable(provider, model, NOON, usage))
    assert isinstance(found, Cost | Unpriced)
    return found.total if isinstance(found, Cost) else None


S, S1080, S4K = "video_seconds", "video_seconds_1080p", "video_seconds_2160p"
LOUD, LOUD1080, LOUD4K = S + "_with_audio", S1080 + "_with_audio", S4K + "_with_audio"

MADE: list[tuple[str, dict[str, Any], int, dict[str, int], str | None, str | None]] = [
    # model, parameters, videos in the answer, units, USD at the Gemini API, USD at Vertex AI
    ("veo-3.1-generate-preview", {}, 1, {LOUD: 8}, "3.2", "3.2"),
    ("veo-3.1-generate-001", {"durationSeconds": 4}, 1, {LOUD: 4}, "1.6", "1.6"),
    ("veo-3.1-generate-001", {"durationSeconds": None, "resolution": None}, 1, {LOUD: 8}, "3.2", "3.2"),
    ("veo-3.1-generate-001", {"durationSeconds": "6", "resolution": "720p"}, 1, {LOUD: 6}, "2.4", "2.4"),
    ("veo-3.1-generate-001", {"resolution": "1080p"}, 1, {LOUD1080: 8}, "3.2", "3.2"),
    ("veo-3.1-generate-001", {"resolution": "4k", "sampleCount": 2}, 2, {LOUD4K: 16}, "9.6", "9.6"),
    ("veo-3.1-generate-001", {"resolution": "4K", "generateAudio": False}, 1, {S4K: 8}, None, "3.2"),
    ("veo-3.1-generate-001", {"resolution": "1440p"}, 1, {"video_seconds_1440p_with_audio": 8}, None, None),
    ("veo-3.1-fast-generate-preview", {}, 1, {LOUD: 8}, "0.8", "0.8"),
    ("veo-3.1-fast-generate-001", {"resolution": "1080p"}, 1, {LOUD1080: 8}, "0.96", "0.96"),
    ("veo-3.1-fast-generate-001", {"generateAudio": False}, 3, {S: 24}, None, "1.92"),
    ("veo-3.1-lite-generate-001", {}, 1, {LOUD: 8}, "0.4", "0.4"),
    ("veo-3.0-generate-001", {"generateAudio": True}, 4, {LOUD: 32}, "12.8", "12.8"),
    ("veo-3.0-generate-001", {"generateAudio": False, "durationSeconds": 8}, 1, {S: 8}, None, "1.6"),
    ("veo-3.0-fast-generate-001", {"resolution": "1080p"}, 1, {LOUD1080: 8}, "0.96", "0.96"),
    ("veo-2.0-generate-001", {"durationSeconds": 5, "sampleCount": 2}, 2, {S: 10}, "3.5", "5"),
    ("veo-2.0-generate-001", {"generateAudio": True}, 1, {S: 8}, "2.8", "4"),
    ("veo-9.0-generate-001", {}, 1, {LOUD: 8}, None, None),
]


@pytest.mark.parametrize(("model", "parameters", "videos", "units", "usd", "vertex_usd"), MADE)
def test_a_video_costs_its_seconds_by_its_size_and_its_sound(
    model: str, parameters: dict[str, Any], videos: int, units: dict[str, int], usd: str | None, vertex_usd: str | None
) -> None:
    facts = asked(model, parameters)
    assert (facts.operation, facts.model) == ("video_generation", model)
    untold = "generateAudio" not in parameters and not model.startswith("veo-2")
    for operation, estimated in (
        (gemini_operation(model, generatedSamples=[SAMPLE] * videos), False),
        (vertex_operation(model, videos=[IN_BUCKET] * videos), untold),
    ):
        read = fetched(operation, facts)
        assert (read.finished, read.usage_estimated, read.usage) == (True, estimated, Usage(units=units))
        assert (read.response_model, read.response_id, read.error_type) == (model, operation["name"], None)
    assert cost("google", model, Usage(units=units)) == (None if usd is None else Decimal(usd))
    assert cost("google-vertex", model, Usage(units=units)) == (None if vertex_usd is None else Decimal(vertex_usd))


ONLY_THESE = [
    ({"generatedSamples": [SAMPLE, {"video": {"encodedVideo": "AAAA", "encoding": "video/mp4"}}]}, 2),
    ({"generatedSamples": [SAMPLE], "raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["unsafe"]}, 1),
    ({"generatedSamples": [SAMPLE, {"video": {}}, {"video": None}, "odd", None]}, 1),
    ({"videos": [IN_BUCKET, INLINE]}, 2),
    ({"videos": [IN_BUCKET], "raiMediaFilteredCount": 3}, 1),
]


@pytest.mark.parametrize(("response", "videos"), ONLY_THESE)
def test_only_videos_that_are_there_cost(response: dict[str, Any], videos: int) -> None:
    model = "veo-3.1-generate-001"
    for operation in (gemini_operation(model, **response), vertex_operation(model, **response)):
        assert fetched(operation, asked(model, {"sampleCount": 4})).usage == Usage(units={LOUD: 8 * videos})


NAME = "models/veo-3.1-generate-001/operations/vz341u0pmdlc"
NOTHING_MADE: list[tuple[dict[str, Any], str | None]] = [
    ({"name": NAME}, None),
    ({"name": NAME, "done": False}, None),
    ({"name": NAME, "done": "true", "response": {"videos": [IN_BUCKET]}}, None),
    ({"name": NAME, "metadata": {"@type": "x"}, "response": {"videos": [IN_BUCKET]}}, None),
    ({"name": NAME, "done": True, "error": {"code": 3, "message": "the prompt violates a policy"}}, "error"),
    ({"name": NAME, "done": True, "error": {"code": 8, "status": "RESOURCE_EXHAUSTED"}}, "RESOURCE_EXHAUSTED"),
    (gemini_operation("veo-3.1-generate-001", raiMediaFilteredCount=1, raiMediaFilteredReasons=["unsafe"]), None),
    (gemini_operation("veo-3.1-generate-001", raiMediaFilteredReasons=["unsafe"]), None),
    (vertex_operation("veo-3.1-generate-001", raiMediaFilteredCount=2, videos=[]), None),
]


@pytest.mark.parametrize(("operation", "error"), NOTHING_MADE)
@pytest.mark.parametrize("remembered", [True, False])
def test_what_failed_was_held_back_or_is_being_made_is_not_counted(
    operation: dict[str, Any], error: str | None, remembered: bool
) -> None:
    flavour = flavour_of("GET", "/v1beta/" + NAME)
    read = fetched(operation, asked("veo-3.1-generate-001", {}) if remembered else None)
    assert (read.usage.known, read.error_type, flavour.tells(read)) == (False, error, False)


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_fetch_that_fails_is_not_counted(status: int) -> None:
    flavour = flavour_of("GET", "/v1beta/" + NAME)
    for payload in (None, {"error": {"code": status, "status": "NOPE"}}, gemini_operation("veo-3.1-generate-001")):
        assert not flavour.tells(flavour.read_answer(status, payload))


UNKNOWN_SHAPES: list[Any] = [{}, {"clips": [1]}, {"videos": "many"}, {"videos": [{"mimeType": "video/mp4"}]}, None, []]


@pytest.mark.parametrize("response", UNKNOWN_SHAPES)
def test_what_came_of_it_in_an_unknown_shape_is_counted_without_a_price(response: Any) -> None:
    flavour = flavour_of("GET", "/v1beta/" + NAME)
    read = flavour.read_answer(200, {"name": NAME, "done": True, "response": response})
    assert (flavour.tells(read), read.usage.known, read.usage_estimated, read.not_billed) == (True, False, False, False)
    assert cost("google", "veo-3.1-generate-001", read.usage) is None


@pytest.mark.parametrize("payload", [None, [], "x", 7, {"done": True}, {"name": 7, "done": True, "response": {}}])
def test_what_is_no_operation_is_not_counted(payload: Any) -> None:
    flavour = flavour_of("GET", "/v1beta/" + NAME)
    assert not flavour.tells(flavour.read_answer(200, payload))


def test_what_is_fetched_is_found_only_by_those_who_see_to_it_that_it_counts_once() -> None:
    for method, path in (
        ("GET", "/v1beta/" + NAME),
        ("POST", f"/v1/{VERTEX}/veo-2.0-generate-001:fetchPredictOperation"),
    ):
        unasked = flavour_for("gemini", method, path)
        assert unasked is None or not unasked.billed
        assert flavour_of(method, path).polled


def test_an_operation_on_a_model_of_ones_own_is_no_video() -> None:
    flavour = flavour_of("GET", "/v1/projects/p/locations/l/models/123/operations/456")
    uploaded = {"name": "projects/p/locations/l/models/123/operations/456", "done": True, "response": {"model": "m"}}
    assert not flavour.tells(flavour.read_answer(200, uploaded))


FORGOTTEN = [("veo-3.1-generate-001", LOUD), ("veo-3.0-fast-generate-001", LOUD), ("veo-2.0-generate-001", S)]


@pytest.mark.parametrize(("model", "unit"), FORGOTTEN)
def test_what_nobody_remembers_is_taken_as_documented_and_marked(model: str, unit: str) -> None:
    read = fetched(vertex_operation(model, videos=[IN_BUCKET, IN_BUCKET]), None)
    assert (read.usage, read.usage_estimated, read.response_model) == (Usage(units={unit: 16}), True, model)


OPEN: list[tuple[dict[str, Any], list[Any], dict[str, int]]] = [
    ({"durationSeconds": "long"}, [{}], {LOUD: 8}),
    ({"durationSeconds": -8, "resolution": "1080p"}, [{}], {LOUD1080: 8}),
    ({"durationSeconds": 1e9}, [{}], {LOUD: 8}),
    ({"resolution": "huge", "durationSeconds": 4}, [{}], {LOUD: 4}),
    ({"resolution": {"p": 1080}}, [{}], {LOUD: 8}),
    ({"resolution": 1080, "generateAudio": False}, [{}], {S: 8}),
    ({}, [{"video": {"gcsUri": "gs://b/v.mp4"}, "prompt": "longer"}], {LOUD: 7}),
    ({"durationSeconds": 8}, [{"video": {"uri": URI}}], {LOUD: 8}),
]


@pytest.mark.parametrize(("parameters", "instances", "units"), OPEN)
def test_what_the_request_leaves_open_is_an_estimate(
    parameters: dict[str, Any], instances: list[Any], units: dict[str, int]
) -> None:
    model = "veo-3.1-generate-001"
    read = fetched(gemini_operation(model, generatedSamples=[SAMPLE]), asked(model, parameters, instances))
    assert (read.usage, read.usage_estimated) == (Usage(units=units), True)


@pytest.mark.parametrize("body", [None, [], "x", {"parameters": []}, {"parameters": {"durationSeconds": None}}])
def test_a_request_that_may_be_anything_asks_for_a_video(body: Any) -> None:
    flavour = flavour_of("POST", "/v1beta/models/veo-3.1-generate-001:predictLongRunning")
    assert (flavour.read_request(body).operation, flavour.begins_job) == ("video_generation", True)


BEGUN = [
    (200, {"name": NAME}, "veo-3.1-generate-001/operations/vz341u0pmdlc", None),
    (200, {"name": f"{VERTEX}/veo-2.0-generate-001/operations/9d2f"}, "veo-2.0-generate-001/operations/9d2f", None),
    (200, {}, None, None),
    (429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, None, "RESOURCE_EXHAUSTED"),
    (502, None, None, "http_502"),
]


@pytest.mark.parametrize(("status", "answer", "job", "error"), BEGUN)
def test_asking_is_free_and_names_the_job(status: int, answer: Any, job: str | None, error: str | None) -> None:
    flavour = flavour_of("POST", "/v1beta/models/veo-3.1-generate-001:predictLongRunning")
    read = flavour.read_answer(status, answer)
    assert (read.not_billed, read.usage.known, read.usage_id, read.error_type) == (True, False, job, error)


def test_a_job_has_one_name_however_its_project_is_written_and_whoever_tells_it() -> None:
    get = flavour_of("GET", "/v1beta/models/veo-3.1-generate-001/operations/9d2f")
    post = flavour_of("POST", f"/v1/{VERTEX}/veo-3.1-generate-001:fetchPredictOperation")
    asks = post.read_request({"operationName": f"{VERTEX}/veo-3.1-generate-001/operations/9d2f"})
    told = post.read_answer(200, {"name": f"{VERTEX.replace('/p/', '/4711/')}/veo-3.1-generate-001/operations/9d2f"})
    assert get.usage_id == asks.usage_id == told.usage_id == "veo-3.1-generate-001/operations/9d2f"
    assert post.read_request({}).usage_id is None


def test_a_job_is_remembered_under_its_provider_until_newer_ones_push_it_out() -> None:
    jobs, facts = Jobs(), asked("veo-3.1-generate-001", {"durationSeconds": 4})
    jobs.begun("google", facts, Reading(usage_id="first"))
    assert (jobs.asked("google", "first"), jobs.asked("google-vertex", "first")) == (facts, None)
    jobs.begun("google", facts, Reading(usage_id="refused", error_type="http_429"))
    jobs.begun("google", RequestFacts(operation="chat"), Reading(usage_id="chat"))
    assert (jobs.asked("google", "refused"), jobs.asked("google", "chat")) == (None, None)
    for number in range(MOST_JOBS):
        jobs.begun("google", facts, Reading(usage_id=str(number)))
    assert (jobs.asked("google", "first"), jobs.asked("google", "0")) == (None, facts)


FILMS = [
    (
        "/v1beta/models/gemini-omni-1.1-flash:generateContent",
        {
            "usageMetadata": {
                "promptTokenCount": 12,
                "candidatesTokenCount": 9_040,
                "candidatesTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 40},
                    {"modality": "VIDEO", "tokenCount": 9_000},
                ],
            }
        },
    ),
    (
        "/v1beta/interactions",
        {
            "status": "completed",
            "usage": {
                "total_input_tokens": 12,
                "total_output_tokens": 9_040,
                "output_tokens_by_modality": [
                    {"modality": "text", "tokens": 40},
                    {"modality": "video", "tokens": 9_000},
                ],
            },
        },
    ),
]


@pytest.mark.parametrize(("path", "answer"), FILMS, ids=["generated", "an interaction"])
def test_a_film_among_what_a_model_says_is_counted_as_pictures(path: str, answer: dict[str, object]) -> None:
    usage = flavour_of("POST", path).read_answer(200, answer).usage
    assert (usage.input_tokens, usage.output_tokens, usage.output_image_tokens) == (12, 9_040, 9_000)
