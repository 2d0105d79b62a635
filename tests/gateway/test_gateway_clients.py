"""The official clients notice nothing of the gateway but its errors, which they raise as their provider's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import pytest
from gateway_rig import KEY, SSE_HEADERS, Play, Rig, Stage, running, stream, whole

from taximeter.core.ids import attempt_id
from taximeter.gateway import GatewaySettings, Provider

CASES = Path(__file__).parents[1] / "payloads" / "provider-responses" / "cases"
EVENT_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def recorded(name: str) -> tuple[int, bytes]:
    response = json.loads((CASES / f"{name}.json").read_text())["response"]
    return response["status"], response["body"].encode()


def plays_recorded(rig: Rig, name: str) -> None:
    status, body = recorded(name)
    rig.plays(stream([body[i : i + 97] for i in range(0, len(body), 97)]) if "stream" in name else whole(body, status))


@contextmanager
def openai_client(rig: Rig, key: str = KEY, provider: str = "openai", retries: int = 0) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{rig.url}/{provider}/v1", api_key=key, max_retries=retries, timeout=120) as client:
        yield client


@contextmanager
def anthropic_client(rig: Rig, key: str = KEY, retries: int = 0) -> Iterator[anthropic.Anthropic]:
    base_url = f"{rig.url}/anthropic"
    with anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=retries, timeout=120) as client:
        yield client


def test_openai_chat() -> None:
    with running() as rig, openai_client(rig) as client:
        plays_recorded(rig, "openai-chat-reasoning-gpt5mini")
        answer = client.chat.completions.with_raw_response.create(model="gpt-5-mini", messages=[])
        event = rig.log.wait_for(1)[0]
    usage = answer.parse().usage
    assert usage is not None
    assert answer.headers["x-taximeter-event-id"] == event["event_id"]
    assert (event["input_tokens"], event["output_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)


def test_openai_chat_stream_that_asked_for_nothing() -> None:
    with running() as rig, openai_client(rig) as client:
        plays_recorded(rig, "openai-chat-stream-usage")
        with client.chat.completions.create(model="gpt-4o", messages=[], stream=True) as chunks:
            seen = list(chunks)
        event = rig.log.wait_for(1)[0]
    assert all(chunk.choices and chunk.usage is None for chunk in seen)
    assert (event["input_tokens"], event["output_tokens"], event["status"]) == (398, 10, "ok")
    assert event["time_to_first_token_ms"] <= event["duration_ms"]


def test_openai_responses_stream_and_embeddings() -> None:
    with running() as rig, openai_client(rig) as client:
        plays_recorded(rig, "openai-responses-stream")
        with client.responses.create(model="gpt-4o", input="x", stream=True) as events:
            last = list(events)[-1]
        plays_recorded(rig, "openai-embeddings-small")
        embedded = client.embeddings.create(model="text-embedding-3-small", input=["Hello"])
        streamed, embeddings = rig.log.wait_for(2)
    assert last.type == "response.completed"
    assert last.response.usage is not None
    assert streamed["output_tokens"] == last.response.usage.output_tokens
    assert (embeddings["operation"], embeddings["input_tokens"]) == ("embeddings", embedded.usage.prompt_tokens)


def test_openai_transcription_and_edited_picture_name_their_model_in_a_form() -> None:
    with running() as rig, openai_client(rig) as client:
        plays_recorded(rig, "openai-transcription-duration")
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"\x00" * 99_999))
        plays_recorded(rig, "openai-images-gpt-image-usage")
        client.images.edit(model="gpt-image-1", image=("a.png", b"\x89PNG"), prompt="in blue")
        events = {event["request_model"]: event for event in rig.log.wait_for(2)}
    spoken, edited = events["whisper-1"], events["gpt-image-1"]
    assert (spoken["operation"], spoken["units"]) == ("transcription", {"audio_seconds": 4})
    assert edited["operation"] == "image_generation"


SORA = {
    "id": "video_1",
    "object": "video",
    "model": "sora-2",
    "status": "queued",
    "created_at": 1_790_000_000,
    "progress": 0,
    "seconds": "8",
    "size": "720x1280",
}
SORA_DONE = {**SORA, "progress": 100, "status": "completed", "completed_at": 1_790_000_090}
SORA_FAILED = {**SORA, "status": "failed", "error": {"code": "moderation_blocked", "message": "no"}}


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")  # compatible hosts go on with it
@pytest.mark.parametrize(("last", "seconds"), [(SORA_DONE, [8]), (SORA_FAILED, [])])
def test_an_openai_video_counts_once_when_it_is_there(last: dict[str, Any], seconds: list[int]) -> None:
    with running() as rig, openai_client(rig) as client:
        rig.plays(whole(json.dumps(SORA).encode()))
        assert client.videos.create(model="sora-2", prompt="a cat").status == "queued"
        for told in (SORA, {**SORA, "status": "in_progress"}, last, last):
            rig.plays(whole(json.dumps(told).encode()))
            assert client.videos.retrieve("video_1").status == told["status"]
        events = rig.log.of(None)
        assert rig.gateway.failures == {}
    asked, *made = sorted(events, key=lambda event: "units" in event)
    assert (asked["not_billed"], asked["operation"], asked["request_model"]) == (True, "video_generation", "sora-2")
    assert [(one["units"]["video_seconds"], one["response_model"]) for one in made] == [(n, "sora-2") for n in seconds]


@pytest.mark.parametrize(("said", "model"), [({}, "search"), ({"search_type": "fast"}, "search-fast")])
def test_a_search_of_perplexity_is_one_request(said: dict[str, str], model: str) -> None:
    def perplexity(port: int) -> list[Provider]:
        return [Provider("perplexity", "openai", f"http://127.0.0.1:{port}", "pplx-key")]

    with running(more_providers=perplexity) as rig:
        rig.plays(whole(b'{"id":"s1","results":[{"title":"t","url":"u","snippet":"s"}],"server_time":null}'))
        assert rig.ask("/perplexity/search", {"query": ["a", "b"], **said}).status == 200
        event = rig.log.wait_for(1)[0]
    assert (event["request_model"], event["units"], event["response_id"]) == (model, {"web_searches": 1}, "s1")


def test_anthropic_message_and_stream() -> None:
    with running() as rig, anthropic_client(rig) as client:
        plays_recorded(rig, "anthropic-cache-write-1h")
        message = client.messages.create(model="claude-of-the-test", max_tokens=64, messages=[])
        plays_recorded(rig, "anthropic-stream-basic")
        with client.messages.stream(model="claude-of-the-test", max_tokens=64, messages=[]) as streamed:
            text = "".join(streamed.text_stream)
        first, second = rig.log.wait_for(2)
    assert first["output_tokens"] == message.usage.output_tokens
    assert first["cache_write_1h_tokens"] == message.usage.cache_creation_input_tokens
    assert text
    assert second["output_tokens"] == streamed.get_final_message().usage.output_tokens


def lines(*told: dict[str, Any]) -> Play:
    """A stream of JSON lines, each arriving by itself."""

    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", "application/x-ndjson"), ("transfer-encoding", "chunked")])
        for line in told:
            await stage.chunk(
                json.dumps({"model": "llama3.2", "created_at": "2026-01-01T00:00:00Z", **line}).encode() + b"\n"
            )
        stage.end()

    return play


def test_ollamas_own_client() -> None:
    def said(text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}, "done": False}

    end = {"message": {"role": "assistant", "content": ""}, "done": True, "prompt_eval_count": 26, "eval_count": 2}
    embedded = {"model": "all-minilm", "embeddings": [[0.1]], "prompt_eval_count": 8}

    def local(port: int) -> list[Provider]:
        return [Provider("ollama", "ollama", f"http://127.0.0.1:{port}", None)]

    headers = {"authorization": f"Bearer {KEY}"}
    with running(more_providers=local) as rig, ollama.Client(host=f"{rig.url}/ollama", headers=headers) as client:
        rig.plays(whole(json.dumps({"model": "llama3.2", **end}).encode()))
        answer = client.chat(model="llama3.2", messages=[{"role": "user", "content": "hi"}])
        rig.plays(lines(said("Hel"), said("lo"), end))
        streamed = list(client.chat(model="llama3.2", messages=[{"role": "user", "content": "hi"}], stream=True))
        rig.plays(whole(json.dumps(embedded).encode()))
        client.embed(model="all-minilm", input="hi")
        events = rig.log.wait_for(3)
    assert answer.eval_count == streamed[-1].eval_count == 2
    assert [(one["operation"], one["input_tokens"], one["output_tokens"]) for one in events] == [
        ("chat", 26, 2),
        ("chat", 26, 2),
        ("embeddings", 8, 0),
    ]


def test_a_wrong_key_raises_the_clients_authentication_error() -> None:
    with running() as rig:
        with openai_client(rig, "sk-wrong") as client, pytest.raises(openai.AuthenticationError) as refused:
            client.chat.completions.create(model="m", messages=[])
        with (
            anthropic_client(rig, "sk-wrong") as claude,
            pytest.raises(anthropic.AuthenticationError, match="taximeter"),
        ):
            claude.messages.create(model="m", max_tokens=1, messages=[])
        with openai_client(rig, "tm-read-key") as client, pytest.raises(openai.PermissionDeniedError):
            client.models.list()
    assert refused.value.code == "invalid_api_key"


def test_an_unknown_provider_raises_not_found() -> None:
    expected = pytest.raises(openai.NotFoundError, match="/anthropic/, /openai/")
    with running() as rig, openai_client(rig, provider="nobody") as client, expected:
        client.chat.completions.create(model="m", messages=[])


def test_the_providers_own_errors_are_raised_as_such() -> None:
    with running() as rig, openai_client(rig) as client, anthropic_client(rig) as claude:
        plays_recorded(rig, "openai-error-429-rate")
        with pytest.raises(openai.RateLimitError, match="Rate limit reached for gpt-4o"):
            client.chat.completions.create(model="gpt-4o", messages=[])
        plays_recorded(rig, "anthropic-error-529")
        with pytest.raises(anthropic.InternalServerError, match="Overloaded"):
            claude.messages.create(model="m", max_tokens=1, messages=[])
        events = rig.log.wait_for(2)
    assert [(event["status"], event["http_status"]) for event in events] == [("error", 429), ("error", 529)]


def test_retries_of_the_client_are_attempts_of_one_request() -> None:
    status, failure = recorded("openai-error-500")
    _, answer = recorded("openai-chat-flex")
    with running() as rig, openai_client(rig, retries=1) as client:
        rig.plays(whole(failure, status, retry_after_ms="1"), whole(answer))
        client.chat.completions.create(model="o3", messages=[], extra_headers={"X-Taximeter-Event-Id": EVENT_ID})
        events = rig.log.wait_for(2)
    assert [(event["attempt"], event["status"]) for event in events] == [(1, "error"), (2, "ok")]
    assert [event["event_id"] for event in events] == [EVENT_ID, attempt_id(EVENT_ID, 2)]
    assert {event["request_id"] for event in events} == {EVENT_ID}


def test_a_stream_that_breaks_raises_in_the_client() -> None:
    async def broken(stage: Stage) -> None:
        stage.head(200, SSE_HEADERS)
        await stage.chunk(b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"half"}}]}\n\n')
        stage.break_off()

    with running() as rig, openai_client(rig) as client:
        rig.plays(broken)
        with client.chat.completions.create(model="m", messages=[], stream=True) as chunks:
            assert next(chunks).choices[0].delta.content == "half"
            with pytest.raises(openai.APIConnectionError):
                next(chunks)
        assert rig.log.wait_for(1)[0]["status"] == "interrupted"


def test_a_client_that_runs_out_of_time_is_a_hang_up() -> None:
    async def slow(stage: Stage) -> None:
        await stage.until_gone()

    with running(GatewaySettings(on_hangup="cancel")) as rig, openai_client(rig) as client:
        rig.plays(slow)
        for seconds in (0.2, 2.0, 20.0):  # long enough for the request to have left
            with pytest.raises(openai.APITimeoutError):
                client.chat.completions.create(model="m", messages=[], timeout=openai.Timeout(120, read=seconds))
            if rig.provider.asked.is_set():
                break
        assert rig.log.wait_for(1)[0]["status"] == "cancelled"
