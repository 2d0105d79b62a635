"""A stream stays what it was for the caller, and ends in exactly one event however it ends."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from mistralai.client import Mistral
from replay import Answer, Provider, Written, agrees, case

import taximeter
from conftest import ClientFor
from taximeter.clock import SystemClock
from taximeter.extract.openai import CHAT as CHAT_FLAVOUR
from taximeter.sdk.call import Call
from taximeter.sdk.hosts import Host
from taximeter.sdk.instruments import stainless_call
from taximeter.sdk.meter import Meter, Settings
from taximeter.spool import Spool

MESSAGES: list[Any] = [{"role": "user", "content": "Say something in eight words."}]
WITH_USAGE = case("openai-chat-stream-usage")
WITHOUT_USAGE = case("openai-chat-stream-no-usage")
ANTHROPIC = case("anthropic-stream-basic")
MISTRAL = case("mistral-stream")
OVERLOADED = case("anthropic-stream-overloaded-midway")


def paused(recorded: dict[str, Any]) -> dict[str, Any]:
    """Half of a stream is sent, and then no more."""
    return {"pause_after": len(recorded["response"]["body"].encode()) // 2}


def stream_from(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True, **options)


def test_type_attributes_and_chunks_are_those_of_the_library(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(WITH_USAGE)
    provider.tells_usage_always = False
    with client_for("openai", provider.url) as bare, client_for("openai", provider.url) as metered:
        expected = stream_from(bare)
        stream = stream_from(taximeter.instrument(metered))
        assert type(stream) is openai.Stream
        assert vars(stream).keys() == vars(expected).keys()
        assert list(stream) == list(expected)


def in_hand(http: Any, recorded: dict[str, Any]) -> Any:
    """A client of an HTTP library whose answers have been read before anybody asks for them, as out of a cache."""
    body, headers = recorded["response"]["body"].encode(), {"content-type": "text/event-stream"}
    return http.Client(transport=http.MockTransport(lambda _: http.Response(200, content=body, headers=headers)))


@pytest.mark.parametrize("library", ["openai", "anthropic", "mistralai"])
def test_a_stream_that_was_there_before_anybody_read_it_is_counted(
    written: Written, known_host: None, library: str
) -> None:
    said: dict[str, Any] = {"messages": MESSAGES, "model": "a-model"}
    if library == "openai":
        recorded = WITH_USAGE
        gpt = taximeter.instrument(openai.OpenAI(api_key="k", http_client=in_hand(httpx2, recorded)))
        list(gpt.chat.completions.create(stream=True, **said))
    elif library == "anthropic":
        recorded = ANTHROPIC
        claude = taximeter.instrument(anthropic.Anthropic(api_key="k", http_client=in_hand(httpx2, recorded)))
        list(claude.messages.create(stream=True, max_tokens=9, **said))
    else:
        recorded = MISTRAL
        list(taximeter.instrument(Mistral(api_key="k", client=in_hand(httpx, recorded))).chat.stream(**said))
    event = written.event
    agrees(event, recorded["expected"])
    assert event["status"] == "ok"
    assert "usage_estimated" not in event


def test_first_token_is_timed(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(WITH_USAGE)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        list(stream_from(client))
    assert 0 <= written.event["time_to_first_token_ms"] <= written.event["duration_ms"]


def test_closed_early_is_cancelled_and_estimated(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(WITHOUT_USAGE, **paused(WITHOUT_USAGE))
    with taximeter.instrument(client_for("openai", provider.url)) as client, stream_from(client) as stream:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
    event = written.event
    assert (event["status"], event["usage_estimated"]) == ("cancelled", True)
    assert event["output_tokens"] > 0


def test_what_our_gateway_reads_to_its_end_is_left_to_it(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    """Both events would have one id, and the first to arrive counts: it must not be the one that had to guess."""
    provider.says(WITHOUT_USAGE, **paused(WITHOUT_USAGE))
    taximeter.init(data=written.data, url=provider.url)
    with (
        taximeter.instrument(client_for("openai", provider.url + "/openai/v1")) as client,
        stream_from(client) as stream,
    ):
        next(iter(stream))
    assert written.events == []


def test_abandoned_is_cancelled(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(WITHOUT_USAGE, **paused(WITHOUT_USAGE))
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        stream = stream_from(client)
        next(stream)
        del stream
        gc.collect()
        assert written.event["status"] == "cancelled"


def test_never_read_is_cancelled(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(WITH_USAGE, **paused(WITH_USAGE))
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        stream = stream_from(client)
        del stream
        gc.collect()
        event = written.event
    assert event["status"] == "cancelled"
    assert "output_tokens" not in event


def test_an_abandoned_anthropic_stream_still_closes_at_once(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    """The library takes care to need no garbage collector for that; a cycle of ours would undo it."""
    provider.says(ANTHROPIC, **paused(ANTHROPIC))
    with taximeter.instrument(client_for("anthropic", provider.url)) as client:
        gc.disable()
        try:
            stream = client.messages.create(model="claude", max_tokens=9, messages=MESSAGES, stream=True)
            next(stream)
            del stream
            assert written.event["status"] == "cancelled"
        finally:
            gc.enable()


def test_broken_connection_raises_as_before_and_is_interrupted(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(WITHOUT_USAGE, cut_after=len(WITHOUT_USAGE["response"]["body"]) // 2)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        stream = stream_from(client)
        with pytest.raises(openai.APIConnectionError):
            list(stream)
    event = written.event
    assert (event["status"], event["error_type"], event["usage_estimated"]) == ("interrupted", "closed_early", True)


def test_what_was_reported_at_the_beginning_of_a_stream_that_breaks_off_is_not_all_of_it(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(ANTHROPIC, cut_after=ANTHROPIC["response"]["body"].index("event: content_block_start"))
    with taximeter.instrument(client_for("anthropic", provider.url)) as client:
        stream = client.messages.create(model="claude", max_tokens=9, messages=MESSAGES, stream=True)
        with pytest.raises(Exception, match="peer closed"):
            list(stream)
    event = written.event
    assert (event["status"], event["usage_estimated"]) == ("interrupted", True)
    assert event["input_tokens"] > 0


def test_error_inside_a_stream_raises_as_before_and_is_an_error(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(OVERLOADED)
    with taximeter.instrument(client_for("anthropic", provider.url)) as client:
        stream = client.messages.create(model="claude", max_tokens=9, messages=MESSAGES, stream=True)
        with pytest.raises(anthropic.APIStatusError):
            list(stream)
    assert (written.event["status"], written.event["error_type"]) == ("error", "overloaded_error")


def test_asynchronous_streams_end_in_one_event_each(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(WITHOUT_USAGE, **paused(WITHOUT_USAGE))

    async def run() -> None:
        async with taximeter.instrument(client_for("openai", provider.url, True)) as client:
            early = await stream_from(client)
            await anext(early)
            await early.close()
            abandoned = await stream_from(client)
            await anext(abandoned)
            del abandoned
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            provider.says(WITHOUT_USAGE)
            whole = await stream_from(client)
            assert type(whole) is openai.AsyncStream
            async for _ in whole:
                pass

    asyncio.run(run())
    gc.collect()
    assert sorted(event["status"] for event in written.events) == ["cancelled", "cancelled", "ok"]


def test_cancelled_task(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.held = threading.Event()

    async def run() -> None:
        async with taximeter.instrument(client_for("openai", provider.url, True)) as client:
            task = asyncio.create_task(client.chat.completions.create(model="gpt-4o", messages=MESSAGES))
            await asyncio.to_thread(provider.arrived.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    provider.held.set()
    assert written.event["status"] == "cancelled"
    assert "http_status" not in written.event


def test_stream_helpers_of_the_libraries(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(ANTHROPIC)
    with (
        taximeter.instrument(client_for("anthropic", provider.url)) as client,
        client.messages.stream(model="claude", max_tokens=9, messages=MESSAGES) as stream,
    ):
        final = stream.get_final_message()
    assert written.event["output_tokens"] == final.usage.output_tokens
    assert written.event["status"] == "ok"


# ── usage that we ask for ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("known_host")
def test_usage_is_asked_for_and_its_chunk_is_hidden(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.says(WITH_USAGE)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        chunks = list(stream_from(client))
    assert provider.requests[0][2]["stream_options"] == {"include_usage": True}
    assert all(chunk.choices for chunk in chunks)
    assert written.event["input_tokens"] == WITH_USAGE["expected"]["input_tokens_total"]


@pytest.mark.usefixtures("known_host")
def test_a_caller_who_asked_gets_the_usage_chunk(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(WITH_USAGE)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        chunks = list(stream_from(client, stream_options={"include_usage": True}))
    assert chunks[-1].usage is not None


@pytest.mark.usefixtures("known_host")
def test_asking_can_be_switched_off(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(WITHOUT_USAGE)
    taximeter.init(data=written.data, ask_for_usage=False)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        list(stream_from(client))
    assert "stream_options" not in provider.requests[0][2]
    assert written.event["usage_estimated"]


def test_a_server_on_this_machine_is_asked(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(WITH_USAGE)
    provider.tells_usage_always = False
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        chunks = list(stream_from(client))
    assert all(chunk.choices for chunk in chunks)
    assert written.event["input_tokens"] == WITH_USAGE["expected"]["input_tokens_total"]


def test_a_foreign_host_that_may_not_know_the_option_is_not_asked(
    provider: Provider, written: Written, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stainless_call, "host_of", lambda *_: Host("models.internal"))
    provider.says(WITHOUT_USAGE)
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        list(stream_from(client))
    assert "stream_options" not in provider.requests[0][2]
    assert (written.event["status"], written.event["usage_estimated"]) == ("ok", True)


UNKNOWN_FIELD = b'{"error": {"message": "extra fields not permitted: stream_options", "type": "invalid_request_error"}}'


@pytest.mark.parametrize("http_status", [400, 422])
def test_a_host_that_refuses_the_question_gets_the_request_without_it_and_is_not_asked_again(
    provider: Provider, written: Written, client_for: ClientFor, http_status: int
) -> None:
    provider.says(WITHOUT_USAGE)
    provider.answers.insert(0, Answer(http_status, UNKNOWN_FIELD))
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        first = list(stream_from(client))
        event = written.event
        second = list(stream_from(client))
    asked = ["stream_options" in body for _, _, body in provider.requests]
    assert asked == [True, False, False]
    assert [chunk.choices for chunk in first] == [chunk.choices for chunk in second] != []
    assert (event["status"], event["usage_estimated"], len(written.events)) == ("ok", True, 2)


async def _consumed(stream: Any) -> list[Any]:
    return [chunk async for chunk in await stream]


def test_an_asynchronous_client_repeats_it_too(provider: Provider, written: Written, client_for: ClientFor) -> None:
    provider.says(WITHOUT_USAGE)
    provider.answers.insert(0, Answer(422, UNKNOWN_FIELD))

    async def call() -> list[Any]:
        async with taximeter.instrument(client_for("openai", provider.url, asynchronous=True)) as client:
            return await _consumed(stream_from(client))

    assert asyncio.run(call())
    assert written.event["status"] == "ok"


def test_a_refusal_of_something_else_is_the_callers(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.answers = [Answer(400, b'{"error": {"message": "no such model", "type": "invalid_request_error"}}')]
    with (
        taximeter.instrument(client_for("openai", provider.url)) as client,
        pytest.raises(openai.BadRequestError, match="no such model"),
    ):
        stream_from(client)
    assert len(provider.requests) == 1
    assert written.event["error_type"] == "invalid_request_error"


def test_a_host_that_refuses_even_the_plain_request_is_believed(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    provider.answers = [Answer(400, UNKNOWN_FIELD)]
    with taximeter.instrument(client_for("openai", provider.url)) as client, pytest.raises(openai.BadRequestError):
        stream_from(client)
    assert len(provider.requests) == 2
    assert written.event["http_status"] == 400


def test_a_stream_answered_with_json_is_read_as_json(
    provider: Provider, written: Written, client_for: ClientFor
) -> None:
    recorded = case("openai-chat-cached-4omini")
    provider.answers = [Answer(200, recorded["response"]["body"].encode())]
    with taximeter.instrument(client_for("openai", provider.url)) as client:
        list(stream_from(client))
    assert written.event["input_tokens"] == recorded["expected"]["input_tokens_total"]


def test_an_end_that_another_thread_is_still_at_does_not_end_the_next_answer(tmp_path: Path) -> None:
    """The collector of garbage drops the first answer in another thread while a middleware causes a second one."""
    call = Call(
        Meter(Settings(data=tmp_path), Spool(tmp_path, clock=SystemClock(), writer="sdk"), None, SystemClock()),
        CHAT_FLAVOUR,
        {"model": "m"},
        Host("openai"),
    )

    class Slow(list[None]):
        def pop(self, *_: Any) -> None:
            super().pop()
            call._open = [None]

    call._open = Slow([None])
    assert call._ended()
    assert call._ended(), "the second answer is open still"
    assert not call._ended()
