"""Every provider's own client library reads what the simulator says, and the ledger has what the library was told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import anthropic
import boto3
import cohere
import groq
import httpx
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from google import genai
from google.genai.errors import APIError
from google.genai.types import (
    GenerateContentConfig,
    GenerateVideosConfig,
    GenerateVideosOperation,
    GenerateVideosSource,
    HttpOptions,
    ThinkingConfig,
)
from mistralai.client import Mistral
from mistralai.client.errors import MistralError

from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

HELLO = "hello big world"
MESSAGES: list[Any] = [{"role": "user", "content": HELLO}]
CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
TITAN = "amazon.titan-text-lite-v1"


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    settings = Settings(seed=11, output_tokens_median=20, reasoning_tokens_median=30, retry_after_seconds=0.01)
    with RunningSimulator(settings) as running:
        yield running


def row_after(simulator: RunningSimulator, call: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """What a call returned, and the one row that it left in the ledger."""
    before = booked(simulator)
    result = call()
    for _ in range(400):
        if len(booked(simulator)) > len(before):
            break
        time.sleep(0.005)
    (row,) = booked(simulator)[len(before) :]
    return result, row


def booked(simulator: RunningSimulator) -> list[dict[str, Any]]:
    rows: Any = simulator.ledger["rows"]
    return list(rows)


def gemini(simulator: RunningSimulator) -> genai.Client:
    return genai.Client(api_key="k", http_options=HttpOptions(base_url=simulator.url))


@contextmanager
def bedrock(simulator: RunningSimulator, **headers: str) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=simulator.url,
        aws_access_key_id="AKIASIMULATOR",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def add(request: Any, **_: Any) -> None:
        for name, value in headers.items():
            request.headers[name] = value

    client.meta.events.register("before-sign", add)
    with closing(client):
        yield client


# ── Gemini ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_gemini_generates_content(simulator: RunningSimulator) -> None:
    with gemini(simulator) as client:
        answer, row = row_after(
            simulator, lambda: client.models.generate_content(model="gemini-2.5-flash", contents=HELLO)
        )
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, row["provider"], row["call_id"]) == (3, "google", answer.response_id)
    assert usage.candidates_token_count == len(answer.text.split())
    assert usage.candidates_token_count + usage.thoughts_token_count == row["output_tokens"]
    assert usage.thoughts_token_count == row["reasoning_tokens"] > 0


def test_gemini_streams_with_the_usage_so_far(simulator: RunningSimulator) -> None:
    config = GenerateContentConfig(thinking_config=ThinkingConfig(thinking_budget=0))
    with gemini(simulator) as client:
        chunks, row = row_after(
            simulator,
            lambda: list(
                client.models.generate_content_stream(model="gemini-2.5-flash", contents=HELLO, config=config)
            ),
        )
    written = [chunk.usage_metadata.candidates_token_count for chunk in chunks]
    assert written == [*range(1, row["output_tokens"] + 1), row["output_tokens"]]


def test_gemini_streams_an_array_to_those_who_do_not_ask_for_events(simulator: RunningSimulator) -> None:
    url = simulator.url + "/v1beta/models/gemini-2.5-pro:streamGenerateContent?key=k"
    body = {"contents": [{"parts": [{"text": HELLO}]}]}
    answer, row = row_after(simulator, lambda: httpx.post(url, json=body))
    chunks = answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] == 3 + row["output_tokens"]


def test_gemini_counts_for_nothing_and_embeds_without_saying_what_it_used(simulator: RunningSimulator) -> None:
    with gemini(simulator) as client:
        before = booked(simulator)
        assert client.models.count_tokens(model="gemini-2.5-flash", contents=HELLO).total_tokens == 3
        assert booked(simulator) == before
        answer, row = row_after(
            simulator, lambda: client.models.embed_content(model="gemini-embedding-001", contents=["one", "two words"])
        )
    assert len(answer.embeddings) == 2
    assert (row["operation"], row["input_tokens"], row["output_tokens"]) == ("embeddings", 3, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "status"), [("rate_limit", 429), ("server_error", 500), ("overloaded", 503)])
def test_gemini_fails_as_google_does(simulator: RunningSimulator, fault: str, status: int, stream: bool) -> None:
    config = GenerateContentConfig(http_options=HttpOptions(headers={"X-Simulator-Fault": fault}))
    asked: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": HELLO, "config": config}
    with gemini(simulator) as client:
        ask = client.models.generate_content_stream if stream else client.models.generate_content
        with pytest.raises(APIError) as caught:
            list(ask(**asked))
    assert (caught.value.code, bool(caught.value.status)) == (status, True)


# ── Bedrock ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_bedrock_converses(simulator: RunningSimulator) -> None:
    messages = [{"role": "user", "content": [{"text": HELLO}]}]
    with bedrock(simulator) as client:
        answer, row = row_after(
            simulator,
            lambda: client.converse(modelId=CLAUDE, messages=messages, inferenceConfig={"maxTokens": 5}),
        )
    assert (answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]) == (3, row["output_tokens"])
    assert (row["provider"], row["model"]) == ("aws", CLAUDE)
    assert answer["ResponseMetadata"]["RequestId"] == row["request_id"]


def test_bedrock_streams_a_conversation_and_caches_up_to_a_point(simulator: RunningSimulator) -> None:
    system = [{"text": "manual " * 1200}, {"cachePoint": {"type": "default"}}]
    messages = [{"role": "user", "content": [{"text": HELLO}]}]

    def ask() -> list[Any]:
        with bedrock(simulator) as client:
            return list(client.converse_stream(modelId=CLAUDE, messages=messages, system=system)["stream"])

    (_, first), (events, second) = row_after(simulator, ask), row_after(simulator, ask)
    assert (first["cache_write_5m_tokens"], second["cache_read_tokens"]) == (1200, 1200)
    usage = events[-1]["metadata"]["usage"]
    assert (usage["inputTokens"], usage["cacheReadInputTokens"]) == (3, 1200)
    assert usage["outputTokens"] == second["output_tokens"]


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CLAUDE, {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": MESSAGES}),
        (TITAN, {"inputText": HELLO}),
    ],
)
def test_bedrock_invokes_models_in_their_vendors_dialect(
    simulator: RunningSimulator, model: str, body: dict[str, Any]
) -> None:
    raw = json.dumps(body)
    with bedrock(simulator) as client:
        whole, row = row_after(simulator, lambda: client.invoke_model(modelId=model, body=raw))
        assert json.loads(whole["body"].read())
        counted = whole["ResponseMetadata"]["HTTPHeaders"]
        assert counted["x-amzn-bedrock-input-token-count"] == "3"
        assert counted["x-amzn-bedrock-output-token-count"] == str(row["output_tokens"])
        chunks, row = row_after(
            simulator, lambda: list(client.invoke_model_with_response_stream(modelId=model, body=raw)["body"])
        )
    metrics = json.loads(chunks[-1]["chunk"]["bytes"])["amazon-bedrock-invocationMetrics"]
    assert (metrics["inputTokenCount"], metrics["outputTokenCount"]) == (3, row["output_tokens"])


def test_the_anthropic_client_for_bedrock_streams(simulator: RunningSimulator) -> None:
    client = anthropic.AnthropicBedrock(
        base_url=simulator.url, aws_region="eu-west-1", aws_access_key="AKIA", aws_secret_key="s"
    )
    with client:
        events, row = row_after(
            simulator,
            lambda: list(client.messages.create(model=CLAUDE, max_tokens=5, messages=MESSAGES, stream=True)),
        )
    assert [event.usage.output_tokens for event in events if event.type == "message_delta"] == [row["output_tokens"]]


@pytest.mark.parametrize(
    ("fault", "code"), [("rate_limit", "ThrottlingException"), ("server_error", "InternalServerException")]
)
def test_bedrock_fails_as_aws_does(simulator: RunningSimulator, fault: str, code: str) -> None:
    with bedrock(simulator, **{"X-Simulator-Fault": fault}) as client, pytest.raises(ClientError) as caught:
        client.converse(modelId=CLAUDE, messages=[{"role": "user", "content": [{"text": HELLO}]}])
    assert caught.value.response["Error"]["Code"] == code


def test_a_bedrock_stream_may_end_in_an_exception(simulator: RunningSimulator) -> None:
    messages = [{"role": "user", "content": [{"text": HELLO}]}]
    with (
        bedrock(simulator, **{"X-Simulator-Fault": "stream_error"}) as client,
        closing(client.converse_stream(modelId=CLAUDE, messages=messages)["stream"]) as stream,
        pytest.raises(EventStreamError, match="modelStreamErrorException"),
    ):
        list(stream)


# ── Mistral, Groq, Cohere, Ollama, Azure, Vertex ────────────────────────────────────────────────────────────


def test_mistral_tells_the_usage_of_a_stream_unasked(simulator: RunningSimulator) -> None:
    with Mistral(api_key="k", server_url=simulator.url + "/mistral") as client:
        whole, row = row_after(simulator, lambda: client.chat.complete(model="mistral-small-latest", messages=MESSAGES))
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (3, row["output_tokens"])
        assert (row["provider"], row["call_id"]) == ("mistral", whole.id)
        chunks, row = row_after(
            simulator, lambda: list(client.chat.stream(model="mistral-small-latest", messages=MESSAGES))
        )
    assert chunks[-1].data.usage.completion_tokens == row["output_tokens"]


def test_groq_tells_the_usage_of_a_stream_in_a_place_of_its_own(simulator: RunningSimulator) -> None:
    with groq.Groq(api_key="k", base_url=simulator.url + "/groq", max_retries=0) as client:
        whole, row = row_after(
            simulator, lambda: client.chat.completions.create(model="openai/gpt-oss-120b", messages=MESSAGES)
        )
        assert (whole.usage.completion_tokens, row["provider"]) == (row["output_tokens"], "groq")
        chunks, row = row_after(
            simulator,
            lambda: list(client.chat.completions.create(model="llama-3.3-70b", messages=MESSAGES, stream=True)),
        )
    assert chunks[-1].x_groq.usage.completion_tokens == row["output_tokens"]


def test_cohere_bills_less_than_the_model_reads(simulator: RunningSimulator) -> None:
    with httpx.Client() as http:
        client = cohere.ClientV2("k", base_url=simulator.url, httpx_client=http)
        whole, row = row_after(simulator, lambda: client.chat(model="command-a-03-2025", messages=MESSAGES))
        assert (whole.usage.billed_units.input_tokens, row["input_tokens"], row["call_id"]) == (3, 3, whole.id)
        assert whole.usage.tokens.input_tokens > 3
        events, row = row_after(
            simulator, lambda: list(client.chat_stream(model="command-a-03-2025", messages=MESSAGES))
        )
        assert events[-1].delta.usage.billed_units.output_tokens == row["output_tokens"]
        _, row = row_after(
            simulator,
            lambda: client.embed(
                model="embed-v4.0", texts=["a", "b c"], input_type="search_query", embedding_types=["float"]
            ),
        )
        assert (row["operation"], row["input_tokens"]) == ("embeddings", 3)


def test_cohere_v1_chats_in_lines(simulator: RunningSimulator) -> None:
    with httpx.Client() as http:
        client = cohere.Client("k", base_url=simulator.url, httpx_client=http)
        whole, row = row_after(simulator, lambda: client.chat(model="command-r", message=HELLO))
        assert whole.meta.billed_units.output_tokens == row["output_tokens"]
        events, row = row_after(simulator, lambda: list(client.chat_stream(model="command-r", message=HELLO)))
    assert events[-1].response.meta.billed_units.output_tokens == row["output_tokens"]


@pytest.mark.parametrize(("path", "asked"), [("chat", {"messages": MESSAGES}), ("generate", {"prompt": HELLO})])
def test_ollama_streams_lines_and_asks_for_no_key(
    simulator: RunningSimulator, path: str, asked: dict[str, Any]
) -> None:
    url = f"{simulator.url}/api/{path}"
    answer, row = row_after(simulator, lambda: httpx.post(url, json={"model": "llama3", **asked}))
    last = json.loads(answer.text.splitlines()[-1])
    assert (last["done"], last["prompt_eval_count"], last["eval_count"]) == (True, 3, row["output_tokens"])
    whole, row = row_after(simulator, lambda: httpx.post(url, json={"model": "llama3", "stream": False, **asked}))
    assert whole.json()["eval_count"] == row["output_tokens"]


def test_azure_names_the_deployment_in_the_path(simulator: RunningSimulator) -> None:
    with openai.AzureOpenAI(azure_endpoint=simulator.url, api_key="k", api_version="2024-10-21") as client:
        answer, row = row_after(simulator, lambda: client.chat.completions.create(model="gpt-4o", messages=MESSAGES))
    assert (row["provider"], row["model"], row["call_id"]) == ("azure", "gpt-4o-2024-08-06", answer.id)


def test_vertex_speaks_gemini_and_claude(simulator: RunningSimulator) -> None:
    options = HttpOptions(base_url=simulator.url)
    with genai.Client(vertexai=True, api_key="k", http_options=options) as client:
        answer, row = row_after(
            simulator, lambda: client.models.generate_content(model="gemini-2.5-flash", contents=HELLO)
        )
        assert (row["provider"], row["call_id"]) == ("google-vertex", answer.response_id)
    with anthropic.AnthropicVertex(
        region="global", project_id="p", access_token="t", base_url=simulator.url + "/v1"
    ) as claude:
        message, row = row_after(
            simulator, lambda: claude.messages.create(model="claude-sonnet-5", max_tokens=5, messages=MESSAGES)
        )
    assert (row["provider"], row["output_tokens"]) == ("google-vertex", message.usage.output_tokens)


def fetched(client: genai.Client, operation: GenerateVideosOperation, times: int) -> GenerateVideosOperation:
    for _ in range(times):
        operation = client.operations.get(operation)
    return operation


def test_vertex_makes_videos_and_bills_them_once_when_they_are_done(simulator: RunningSimulator) -> None:
    options = HttpOptions(base_url=simulator.url)
    wanted = GenerateVideosConfig(number_of_videos=2, resolution="1080p", generate_audio=True, duration_seconds=6)
    with genai.Client(vertexai=True, api_key="k", http_options=options) as client:
        before = booked(simulator)
        source = GenerateVideosSource(prompt=HELLO)
        asked = client.models.generate_videos(model="veo-3.1-generate-001", source=source, config=wanted)
        assert not fetched(client, asked, 1).done
        assert booked(simulator) == before
        done, row = row_after(simulator, lambda: fetched(client, asked, 3))
    assert done.response is not None
    assert [video.video.uri[-4:] for video in done.response.generated_videos] == [".mp4", ".mp4"]
    assert (row["provider"], row["model"], row["call_id"]) == ("google-vertex", "veo-3.1-generate-001", asked.name)
    assert (row["operation"], row["units"]) == ("video_generation", {"video_seconds_1080p_with_audio": 12})


def test_gemini_makes_videos_as_well(simulator: RunningSimulator) -> None:
    url, key = f"{simulator.url}/v1beta", {"x-goog-api-key": "k"}
    asking = {"instances": [{"prompt": HELLO}], "parameters": {"durationSeconds": 5}}
    asked = httpx.post(f"{url}/models/veo-2.0-generate-001:predictLongRunning", json=asking, headers=key).json()
    with gemini(simulator) as client:
        done, row = row_after(
            simulator, lambda: fetched(client, GenerateVideosOperation.model_validate({"name": asked["name"]}), 3)
        )
    assert done.response is not None
    assert len(done.response.generated_videos) == 1
    assert (row["provider"], row["call_id"], row["units"]) == ("google", asked["name"], {"video_seconds": 5})
    assert httpx.get(f"{url}/models/veo-2.0-generate-001/operations/none", headers=key).status_code == 404


IMPOSSIBLE = [
    *({"resolution": "huge"}, {"durationSeconds": "long"}, {"durationSeconds": 6.5}, {"durationSeconds": 86_400}),
    *({"durationSeconds": True}, {"sampleCount": "x"}, {"sampleCount": -1}, {"sampleCount": 1_000_000_000}),
    {"numberOfVideos": 5},
]


@pytest.mark.parametrize("asking", [{}, *({"instances": [{}], "parameters": wanted} for wanted in IMPOSSIBLE)])
def test_a_video_that_nobody_can_make_is_refused(simulator: RunningSimulator, asking: dict[str, Any]) -> None:
    url = f"{simulator.url}/v1beta/models/veo-3.1-generate-preview:predictLongRunning"
    assert httpx.post(url, json=asking, headers={"x-goog-api-key": "k"}).status_code == 400


# ── faults ──────────────────────────────────────────────────────────────────────────────────────────────────

ANYTHING = {"model": "m", "messages": MESSAGES, "message": HELLO, "prompt": HELLO, "max_tokens": 50, "stream": True}
CONTENTS = {"contents": [{"parts": [{"text": HELLO}]}]}
CONVERSATION = {"messages": [{"role": "user", "content": [{"text": HELLO}]}]}
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "groq": ("/groq/openai/v1/chat/completions", ANYTHING),
    "mistral": ("/mistral/v1/chat/completions", ANYTHING),
    "cohere v2": ("/v2/chat", ANYTHING),
    "cohere v1": ("/v1/chat", ANYTHING),
    "ollama": ("/api/chat", ANYTHING),
    "azure": ("/openai/deployments/gpt-4o/chat/completions", ANYTHING),
    "gemini events": ("/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse", CONTENTS),
    "gemini array": ("/v1beta/models/gemini-2.0-flash:streamGenerateContent", CONTENTS),
    "converse": (f"/model/{TITAN}/converse-stream", CONVERSATION),
    "invoke titan": (f"/model/{TITAN}/invoke-with-response-stream", {"inputText": HELLO}),
    "invoke claude": (f"/model/{CLAUDE}/invoke-with-response-stream", ANYTHING),
}


@pytest.mark.parametrize("fault", ["cut", "stream_error", "broken_json"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_breaks_bills_what_was_out(simulator: RunningSimulator, name: str, fault: str) -> None:
    path, body = STREAMS[name]
    headers = {
        "x-api-key": "k",
        "X-Simulator-Fault": fault,
        "X-Simulator-Output-Tokens": "20",
        "X-Simulator-Cut-After-Tokens": "4",
    }

    def ask() -> None:
        with httpx.stream("POST", simulator.url + path, headers=headers, json=body) as a:
            try:
                a.read()
            except httpx.RemoteProtocolError:
                assert fault == "cut"

    _, row = row_after(simulator, ask)
    assert (row["outcome"], row["output_tokens"]) == ("cut", 4)


@pytest.mark.parametrize("name", STREAMS)
def test_a_bad_request_is_refused_in_the_providers_words(simulator: RunningSimulator, name: str) -> None:
    answer = httpx.post(simulator.url + STREAMS[name][0], headers={"x-api-key": "k"}, json={"model": "m"})
    assert answer.status_code == 400
    assert "message" in answer.text or "error" in answer.text


def test_mistral_refuses_in_its_own_shape(simulator: RunningSimulator) -> None:
    with (
        Mistral(api_key="invalid", server_url=simulator.url + "/mistral") as client,
        pytest.raises(MistralError) as caught,
    ):
        client.chat.complete(model="mistral-small-latest", messages=MESSAGES)
    assert (caught.value.status_code, json.loads(caught.value.body)) == (401, {"detail": "Invalid API Key"})
