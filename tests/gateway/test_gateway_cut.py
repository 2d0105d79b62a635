"""A stream that a limit cuts ends as if its own allowance were used up; the official clients read it to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from gateway_rig import KEY, Play, Rig, Stage, running

from taximeter.clock import SystemClock
from taximeter.config.limits import read_limits
from taximeter.core.usage import Usage
from taximeter.gateway.limiting import LimitedCalls
from taximeter.gateway.shortening import shortenable
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Rates

LIMIT: dict[str, Any] = {"name": "words", "scope": "global", "measure": "total_tokens", "limit": 4000, "window": "day"}
ASKED: Any = [{"role": "user", "content": "Hello"}]
WORDS = "word " * 40
PIECE_BYTES = 97
"""Length of the pieces in which a stream comes: most events are torn by them."""


def data(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def named(event: dict[str, Any]) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\n" + data(event)


def chat(number: int) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    choices = [{"index": number % 2, "delta": {"role": "assistant", "content": WORDS}, "finish_reason": None}]
    return data({**head, "choices": choices, "usage": None})


def completion(_: int) -> bytes:
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-4o-mini"}
    return data({**head, "choices": [{"index": 0, "text": WORDS, "logprobs": None, "finish_reason": None}]})


def response(number: int) -> bytes:
    """The first events open a response, an item and a part of it; then there are words without end."""
    whole = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "in_progress",
        "model": "gpt-4o-mini",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    message = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    text = {"type": "output_text", "text": "", "annotations": []}
    place = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
    opening: list[dict[str, Any]] = [
        {"type": "response.created", "response": whole},
        {"type": "response.output_item.added", "output_index": 0, "item": message},
        {"type": "response.content_part.added", **place, "part": text},
    ]
    words = {"type": "response.output_text.delta", **place, "delta": WORDS, "logprobs": []}
    event = opening[number] if number < len(opening) else words
    return named({**event, "sequence_number": number})


def message(number: int) -> bytes:
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-8", "content": []}
    opening: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": {
                **start,
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 9, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    words = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORDS}}
    return named(opening[number] if number < len(opening) else words)


def endless(event: Any) -> Play:
    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        wire = b"".join(event(number) for number in range(60))
        for start in range(0, len(wire), PIECE_BYTES):
            await stage.chunk(wire[start : start + PIECE_BYTES])
        await stage.until_gone()

    return play


@contextmanager
def limited(play: Play, **changes: Any) -> Iterator[tuple[Rig, LimitGuard]]:
    limits = read_limits([{**LIMIT, "action": "cut", **changes}])
    guard = LimitGuard(Rules(limits), MemoryCounters(), lambda *_: Rates(0, 1_000, 0))
    calls = LimitedCalls(lambda: guard, lambda _: Decimal(0), SystemClock(), wait_seconds=0.2)  # type: ignore[arg-type,return-value]
    with running(admission=calls) as rig:
        rig.plays(play)
        yield rig, guard


def gpt(rig: Rig) -> openai.OpenAI:
    return openai.OpenAI(base_url=rig.url + "/openai/v1", api_key=KEY, max_retries=0)


def spent(guard: LimitGuard) -> int:
    now_us = SystemClock().now_us()
    [(total, held)] = guard.counters.standings([one.bucket(now_us) for one in guard.rules.ruled()])
    assert held == 0
    return total


def recorded(rig: Rig) -> dict[str, Any]:
    """The only event: of a call that was cut."""
    (event,) = rig.log.wait_for(1)
    assert (event["status"], event["error_type"], event["usage_estimated"]) == ("interrupted", "limit_reached", True)
    return dict(event)


def test_a_chat_ends_with_the_finish_reason_length_for_every_choice_and_with_its_usage() -> None:
    with limited(endless(chat)) as (rig, guard), gpt(rig) as client:
        chunks = list(
            client.chat.completions.create(
                model="gpt-4o-mini",
                messages=ASKED,
                max_tokens=30_000,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        *_, finishing, telling = chunks
        assert [(one.index, one.finish_reason) for one in finishing.choices] == [(0, "length"), (1, "length")]
        assert (finishing.id, finishing.model) == ("chatcmpl-1", "gpt-4o-mini")
        assert finishing.model_extra is not None
        assert finishing.model_extra["taximeter"] == {"cut": "limit_reached"}
        event = recorded(rig)
        assert telling.usage is not None
        assert telling.usage.completion_tokens == event["output_tokens"]
        assert telling.usage.completion_tokens <= spent(guard) <= LIMIT["limit"]


def test_a_client_that_did_not_ask_for_usage_gets_none() -> None:
    with limited(endless(chat)) as (rig, _), gpt(rig) as client:
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, max_tokens=30_000, stream=True)
        last = list(stream)[-1]
        assert [one.finish_reason for one in last.choices] == ["length", "length"]
        assert last.usage is None


def test_the_helper_that_gathers_a_chat_takes_it_as_any_answer_whose_allowance_is_used_up() -> None:
    with (
        limited(endless(chat)) as (rig, _),
        gpt(rig) as client,
        client.chat.completions.stream(model="gpt-4o-mini", messages=ASKED, max_tokens=30_000) as stream,
    ):
        last = [event for event in stream if event.type == "chunk"][-1]
        assert last.snapshot.choices[0].finish_reason == "length"
        assert (last.snapshot.choices[0].message.content or "").startswith(WORDS)
        with pytest.raises(openai.LengthFinishReasonError):
            stream.get_final_completion()


def test_a_text_completion_ends_with_the_finish_reason_length() -> None:
    with limited(endless(completion)) as (rig, guard), gpt(rig) as client:
        stream = client.completions.create(model="gpt-4o-mini", prompt="Hello", max_tokens=30_000, stream=True)
        assert list(stream)[-1].choices[0].finish_reason == "length"
        recorded(rig)
        assert spent(guard) <= LIMIT["limit"]


def test_a_response_ends_incomplete_with_all_that_was_written() -> None:
    with limited(endless(response)) as (rig, guard), gpt(rig) as client:
        stream = client.responses.create(model="gpt-4o-mini", input="Hello", max_output_tokens=30_000, stream=True)
        events: list[Any] = list(stream)
        last = events[-1]
        assert [one.type for one in events[-4:]] == [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.incomplete",
        ]
        assert (last.response.status, last.response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        assert last.response.output_text == "".join(one.delta for one in events if one.type.endswith("text.delta"))
        assert [one.sequence_number for one in events] == list(range(len(events)))
        assert last.response.usage.output_tokens == recorded(rig)["output_tokens"]
        assert spent(guard) <= LIMIT["limit"]


def test_a_message_ends_with_the_stop_reason_max_tokens() -> None:
    with (
        limited(endless(message)) as (rig, guard),
        anthropic.Anthropic(base_url=rig.url + "/anthropic", api_key=KEY, max_retries=0) as client,
        client.messages.stream(model="claude-opus-4-8", messages=ASKED, max_tokens=30_000) as stream,
    ):
        final = stream.get_final_message()
        assert final.stop_reason == "max_tokens"
        (block,) = final.content
        assert block.type == "text"
        assert block.text.startswith(WORDS)
        assert final.usage.output_tokens == recorded(rig)["output_tokens"]
        assert spent(guard) <= LIMIT["limit"]


def test_a_limit_that_blocks_ends_a_stream_with_the_providers_error_that_names_it() -> None:
    with limited(endless(chat), action="block") as (rig, _), gpt(rig) as client:
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, max_tokens=30_000, stream=True)
        with pytest.raises(openai.APIError, match="the limit 'words' is reached"):
            list(stream)


def test_a_stream_that_fits_is_the_very_bytes_of_the_provider() -> None:
    last = data({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"
    wire = b"".join(chat(number) for number in range(4)) + last

    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        for start in range(0, len(wire), PIECE_BYTES):
            await stage.chunk(wire[start : start + PIECE_BYTES])
        stage.end()

    with limited(play) as (rig, _):
        asked = {"model": "gpt-4o-mini", "messages": ASKED, "max_tokens": 2000, "stream": True}
        reply = rig.ask("/openai/v1/chat/completions", asked)
        assert reply.body == wire


# ── the events themselves ──────────────────────────────────────────────────────────────────────────────────


def shortened(flavour: str, events: Sequence[bytes]) -> bytes:
    stream = shortenable(flavour, tells_usage=False)
    assert stream is not None
    for event in events:
        stream.follow(stream.feed(event))
    return stream.shortened(Usage(input_tokens=3, output_tokens=5))


@pytest.mark.parametrize("flavour", ["openai.chat", "openai.completions", "openai.responses", "anthropic.messages"])
def test_a_stream_in_which_nothing_has_begun_has_no_such_end(flavour: str) -> None:
    assert shortened(flavour, []) == b""
    assert shortened(flavour, [b": keep-alive\n\n"]) == b""


def test_a_choice_that_has_finished_is_not_finished_again() -> None:
    finished = data({"id": "c", "choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})
    told = shortened("openai.chat", [chat(0), chat(1), finished])
    (first, *_) = told.split(b"\n\n")
    assert [one["index"] for one in json.loads(first.removeprefix(b"data: "))["choices"]] == [0]


def test_every_block_that_is_open_is_closed_and_no_other() -> None:
    events = [
        message(0),
        named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        named({"type": "content_block_stop", "index": 0}),
        named({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "input": {}}}),
    ]
    told = shortened("anthropic.messages", events)
    assert told.startswith(b'event: content_block_stop\ndata: {"type":"content_block_stop","index":1}\n\n')
    assert told.count(b"event: content_block_stop") == 1


def test_the_arguments_of_a_function_are_kept_as_far_as_they_came() -> None:
    item = {"id": "fc_1", "type": "function_call", "name": "f", "call_id": "c", "arguments": ""}
    events = [
        response(0),
        named({"type": "response.output_item.added", "output_index": 0, "item": item}),
        named({"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": '{"a'}),
        named({"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": '":'}),
    ]
    told = shortened("openai.responses", events)
    last = json.loads(told.rstrip().rpartition(b"data: ")[2])
    assert last["response"]["output"] == [{**item, "arguments": '{"a":', "status": "incomplete"}]


def test_an_event_too_long_to_be_held_back_goes_on_and_the_stream_is_not_shortened() -> None:
    stream = shortenable("openai.chat", tells_usage=False)
    assert stream is not None
    long = b"data: " + b"x" * (300 * 1024)
    assert stream.feed(long) == long
    assert stream.shortened(Usage()) == b""


def test_a_stream_that_is_not_what_it_says_is_followed_no_further_and_ends_with_the_error() -> None:
    wire = [b"data: not JSON\n\n", *(chat(number) for number in range(60))]

    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        for event in wire:
            await stage.chunk(event)
        await stage.until_gone()

    with limited(play) as (rig, _):
        asked = {"model": "gpt-4o-mini", "messages": ASKED, "max_tokens": 30_000, "stream": True}
        reply = rig.ask("/openai/v1/chat/completions", asked)
        assert reply.body.startswith(wire[0] + wire[1])
        assert json.loads(reply.body.rstrip().rpartition(b"data: ")[2])["error"]["code"] == "limit_reached"
        assert rig.gateway.failures["stream_unfollowed"] == 1
