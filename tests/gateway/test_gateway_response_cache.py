"""The response cache: an identical request of the same tenant is answered without the provider, and costs nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import anthropic
import openai
import pytest
from gateway_rig import KEY, SSE_HEADERS, WAIT_SECONDS, Play, Rig, Stage, running, stream, whole

from taximeter.compose.gateway import gateway_settings
from taximeter.config.settings import Settings
from taximeter.gateway import GatewaySettings
from taximeter.gateway.settings import ResponseCache

CHAT = "/openai/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
HEAD = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
ANSWER = json.dumps(
    {
        **HEAD,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
STREAM = [
    b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n',
    b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"id":"c","model":"gpt-4o-mini","choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\n",
    b"data: [DONE]\n\n",
]
OF_FAQ = {"X-Taximeter-Feature": "faq"}


@contextmanager
def caching(on_hangup: Literal["drain", "cancel"] = "drain", **wanted: Any) -> Iterator[Rig]:
    cache = ResponseCache(**{"features": frozenset({"faq"}), **wanted})
    with running(settings=GatewaySettings(response_cache=cache, on_hangup=on_hangup)) as rig:
        rig.plays(whole(ANSWER))
        yield rig


def asked_twice(rig: Rig, first: dict[str, str], second: dict[str, str], body: dict[str, Any] = ASKED) -> int:
    """How many of two requests came to the provider."""
    rig.ask(CHAT, body, given=first)
    assert rig.ask(CHAT, body, given=second).status == 200
    return len(rig.provider.seen)


def test_an_identical_request_is_answered_without_the_provider() -> None:
    with caching() as rig:
        first = rig.ask(CHAT, ASKED, given=OF_FAQ)
        second = rig.ask(CHAT, dict(reversed(ASKED.items())), given=OF_FAQ)
        assert (second.status, second.body) == (200, first.body)
        assert second.headers["x-taximeter-cache"] == "hit"
        assert second.headers["x-taximeter-event-id"] != first.headers["x-taximeter-event-id"]
        assert len(rig.provider.seen) == 1
        called, cached = rig.log.wait_for(2)
        assert (called["status"], cached["status"]) == ("ok", "cached")
        assert (cached["input_tokens"], cached["output_tokens"], cached["feature"]) == (9, 2, "faq")
        assert cached["request_model"] == "gpt-4o-mini"


def test_a_stream_is_given_again_as_the_client_got_it() -> None:
    with caching() as rig:
        rig.plays(stream(STREAM))
        body = {**ASKED, "stream": True}
        first, second = rig.ask(CHAT, body, given=OF_FAQ), rig.ask(CHAT, body, given=OF_FAQ)
        assert (second.body, len(rig.provider.seen)) == (first.body, 1)
        assert second.headers["content-type"] == first.headers["content-type"]
        assert [one["status"] for one in rig.log.wait_for(2)] == ["ok", "cached"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        (OF_FAQ, {"X-Taximeter-Feature": "chat"}),
        ({**OF_FAQ, "X-Taximeter-Tenant": "a"}, {**OF_FAQ, "X-Taximeter-Tenant": "b"}),
        (OF_FAQ, {**OF_FAQ, "X-Taximeter-Key": "tm-admin-key"}),
        (OF_FAQ, {**OF_FAQ, "Cache-Control": "no-cache"}),
    ],
    ids=["not asked for", "another feature", "another tenant", "another key", "not wanted"],
)
def test_what_is_not_the_same_goes_to_the_provider(first: dict[str, str], second: dict[str, str]) -> None:
    with caching() as rig:
        assert asked_twice(rig, first, second) == 2


def test_a_key_may_ask_for_it_instead_of_a_feature() -> None:
    with caching(features=frozenset(), keys=frozenset({"key_1"})) as rig:
        assert asked_twice(rig, {}, {}) == 1


@pytest.mark.parametrize("field", [{"temperature": 1}, {"stream": True}, {"model": "gpt-4o"}])
def test_another_request_is_another(field: dict[str, Any]) -> None:
    with caching() as rig:
        rig.ask(CHAT, ASKED, given=OF_FAQ)
        rig.ask(CHAT, {**ASKED, **field}, given=OF_FAQ)
        assert len(rig.provider.seen) == 2


@pytest.mark.parametrize("wanted", [{"ttl_seconds": 1e-9}, {"size_bytes": 10}, {"answer_bytes": 10}])
def test_what_is_too_old_or_too_large_is_not_given_again(wanted: dict[str, Any]) -> None:
    with caching(**wanted) as rig:
        assert asked_twice(rig, OF_FAQ, OF_FAQ) == 2


def test_it_is_off_until_the_settings_name_somebody() -> None:
    assert not gateway_settings(Settings()).response_cache.is_on
    named = Settings.model_validate({"response_cache": {"features": ["faq"], "ttl_seconds": 60}})
    wanted = gateway_settings(named).response_cache
    assert (wanted.is_on, wanted.features, wanted.ttl_seconds) == (True, frozenset({"faq"}), 60.0)


def test_failures_are_not_kept() -> None:
    with caching() as rig:
        rig.plays(whole(b'{"error":{"message":"no","type":"server_error"}}', status=500))
        rig.ask(CHAT, ASKED, given=OF_FAQ)
        rig.plays(whole(ANSWER))
        assert rig.ask(CHAT, ASKED, given=OF_FAQ).status == 200


@pytest.mark.parametrize("on_hangup", ["drain", "cancel"])
def test_a_client_may_leave_right_after_the_last_word(on_hangup: Literal["drain", "cancel"]) -> None:
    gone = threading.Event()

    async def ends_later(stage: Stage) -> None:
        stage.head(200, SSE_HEADERS)
        for piece in STREAM:
            await stage.chunk(piece)
        await asyncio.to_thread(gone.wait, WAIT_SECONDS)
        stage.end()

    with caching(on_hangup=on_hangup) as rig:
        body = {**ASKED, "stream": True}
        rig.plays(ends_later)
        with rig.open(CHAT, body, given=OF_FAQ) as connection:
            received = b""
            while b"[DONE]" not in received:
                received += connection.recv(65536)
        wait_until_noticed(rig)
        gone.set()
        wait_until_idle(rig)
        rig.plays(whole(ANSWER))
        assert b"[DONE]" in rig.ask(CHAT, body, given=OF_FAQ).body
        assert [one["status"] for one in rig.log.wait_for(2)] == ["ok", "cached"]


def test_the_answer_of_a_client_that_left_before_its_end_is_not_kept() -> None:
    gone = threading.Event()

    async def goes_on_later(stage: Stage) -> None:
        stage.head(200, SSE_HEADERS)
        await stage.chunk(STREAM[0])
        await asyncio.to_thread(gone.wait, WAIT_SECONDS)
        for piece in STREAM[1:]:
            await stage.chunk(piece)
        stage.end()

    with caching() as rig:
        body = {**ASKED, "stream": True}
        rig.plays(goes_on_later)
        with rig.open(CHAT, body, given=OF_FAQ) as connection:
            while b"Hi" not in connection.recv(65536):
                pass
        wait_until_noticed(rig)
        gone.set()
        wait_until_idle(rig)
        rig.plays(stream(STREAM))
        rig.ask(CHAT, body, given=OF_FAQ)
        assert [one["status"] for one in rig.log.wait_for(2)] == ["cancelled", "ok"]


def wait_until_noticed(rig: Rig) -> None:
    """Another request on the gateway's own socket makes sure that it has heard of a hang-up."""
    for _ in range(2):
        rig.ask("/nobody", method="GET")


def wait_until_idle(rig: Rig) -> None:
    """Clients read an answer's last word before the gateway has seen its end."""
    deadline = time.monotonic() + WAIT_SECONDS
    while rig.gateway.open_calls and time.monotonic() < deadline:
        time.sleep(0.002)
    assert not rig.gateway.open_calls


# ── the official clients ───────────────────────────────────────────────────────────────────────────────────

SAID: Any = [{"role": "user", "content": "Hello"}]
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-8",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 2},
}
MESSAGE_EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
MESSAGE_STREAM = [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in MESSAGE_EVENTS]


def with_gpt(rig: Rig) -> object:
    with openai.OpenAI(base_url=rig.url + "/openai/v1", api_key=KEY, default_headers=OF_FAQ) as client:
        return client.chat.completions.create(model="gpt-4o-mini", messages=SAID)


def with_gpt_streaming(rig: Rig) -> object:
    with openai.OpenAI(base_url=rig.url + "/openai/v1", api_key=KEY, default_headers=OF_FAQ) as client:
        return list(client.chat.completions.create(model="gpt-4o-mini", messages=SAID, stream=True))


def with_claude(rig: Rig) -> object:
    with anthropic.Anthropic(base_url=rig.url + "/anthropic", api_key=KEY, default_headers=OF_FAQ) as client:
        return client.messages.create(model="claude-opus-4-8", max_tokens=9, messages=SAID)


def with_claude_streaming(rig: Rig) -> object:
    with (
        anthropic.Anthropic(base_url=rig.url + "/anthropic", api_key=KEY, default_headers=OF_FAQ) as client,
        client.messages.stream(model="claude-opus-4-8", max_tokens=9, messages=SAID) as messages,
    ):
        return messages.get_final_message()


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (with_gpt, whole(ANSWER)),
        (with_gpt_streaming, stream(STREAM)),
        (with_claude, whole(json.dumps(MESSAGE).encode())),
        (with_claude_streaming, stream(MESSAGE_STREAM)),
    ],
    ids=["openai", "openai, streamed", "anthropic", "anthropic, streamed"],
)
def test_an_official_client_reads_the_same_answer_again(ask: Callable[[Rig], object], answer: Play) -> None:
    with caching() as rig:
        rig.plays(answer)
        first = ask(rig)
        wait_until_idle(rig)
        assert ask(rig) == first
        assert len(rig.provider.seen) == 1
        told = [(one["status"], one["input_tokens"], one["output_tokens"]) for one in rig.log.wait_for(2)]
        assert told == [("ok", 9, 2), ("cached", 9, 2)]
