"""Streams that try to mislead the readers: text that looks like structure, ends that are none, odd numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.usage import Usage
from taximeter.extract import RequestFacts, StreamReader, flavour_for
from taximeter.extract.anthropic import MESSAGES
from taximeter.extract.gemini import STREAM_GENERATE
from taximeter.extract.openai import CHAT, RESPONSES
from taximeter.extract.payload import characters, count

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COUNTED = Usage(input_tokens=3, output_tokens=2)

LIES = [
    '"usage": {"prompt_tokens": 9999}',
    '{"usage":{"prompt_tokens":9999,"completion_tokens":9999}}',
    "data: [DONE]",
    "\n\ndata: [DONE]\n\n",
    "\r\n\r\nevent: message_stop\r\n\r\n",
    "[DONE]",
    '"finish_reason":"stop"',
    '"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9999}}',
    '"delta":{"content":"',
    '\\"usage\\":{',
    "\\",
    '"type":"response.completed"',
    '"type":"message_stop"',
    '{"type":"response.completed","response":{"usage":{"input_tokens":9999}}}',
    "\u2028\u2029\x85",
]


def sse(event: Mapping[str, Any], *, spaced: bool = False, ascii_only: bool = True) -> bytes:
    data = json.dumps(event, separators=None if spaced else (",", ":"), ensure_ascii=ascii_only)
    return b"data: " + data.encode() + b"\n\n"


def chunk(content: str, *, index: int = 0, finish: object = None, **more: Any) -> dict[str, Any]:
    choices = [{"index": index, "delta": {"content": content}, "finish_reason": finish}]
    return {"id": "c1", "model": "m", "choices": choices, "usage": None, **more}


def stream_of(*events: Mapping[str, Any], asked: bool = True) -> StreamReader:
    reader = CHAT.stream(RequestFacts(operation="chat", stream=True, asks_for_stream_usage=asked))
    for event in events:
        reader.feed(sse(event))
    return reader


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_what_a_model_writes_is_text(lie: str, spaced: bool, ascii_only: bool) -> None:
    chat = CHAT.stream(RequestFacts(operation="chat", stream=True, asks_for_stream_usage=True))
    for event in (chunk("a"), chunk(lie), chunk("b")):
        chat.feed(sse(event, spaced=spaced, ascii_only=ascii_only))
    assert (chat.finished, chat.reading().usage) == (False, Usage())
    assert chat.reading().output_characters == len(lie) + 2


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("spaced", [False, True])
def test_what_claude_writes_is_text(lie: str, spaced: bool) -> None:
    reader = MESSAGES.stream()
    start = {"type": "message_start", "message": {"id": "i", "model": "m", "usage": {"input_tokens": 3}}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": lie}}
    tool = {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": lie}}
    for event in (start, delta, tool):
        reader.feed(sse(event, spaced=spaced))
    assert (reader.finished, reader.reading().usage.input_tokens) == (False, 3)
    assert reader.reading().output_characters == 2 * len(lie)


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("spaced", [False, True])
def test_what_a_response_says_is_text(lie: str, spaced: bool) -> None:
    reader = RESPONSES.stream()
    for event in (
        {"type": "response.output_text.delta", "item_id": "x", "delta": lie},
        {"type": "response.function_call_arguments.delta", "item_id": "x", "delta": lie},
        {"type": "response.output_text.done", "item_id": "x", "text": lie},
    ):
        reader.feed(sse(event, spaced=spaced))
    assert (reader.finished, reader.reading().usage) == (False, Usage())
    assert reader.reading().output_characters == 2 * len(lie)


@pytest.mark.parametrize("echo", [{"type": "response.output_text.done"}, {"delta": "x", "type": "response.x.delta"}])
def test_the_end_is_seen_whatever_the_response_repeats_before_its_type(echo: dict[str, str]) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2}
    end = {"response": {"metadata": echo, "model": "m", "usage": usage}, "type": "response.completed"}
    reader = RESPONSES.stream()
    reader.feed(sse(end))
    assert (reader.finished, reader.reading().usage) == (True, COUNTED)


def test_searches_seen_on_the_way_stay_when_the_end_does_not_repeat_the_output() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2}
    reader = RESPONSES.stream()
    item = {"type": "web_search_call", "action": {"type": "search"}}
    reader.feed_event({"type": "response.output_item.done", "item": item})
    reader.feed_event({"type": "response.completed", "response": {"model": "m", "usage": usage}})
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2, units={"web_searches": 1})


@pytest.mark.parametrize("no_reason", [None, ""])
def test_a_finish_reason_that_says_nothing_ends_nothing(no_reason: object) -> None:
    reader = stream_of(chunk("a", finish=no_reason, usage=USAGE), chunk("b", finish=no_reason, usage=USAGE))
    assert (reader.finished, reader.reading().finished) == (False, False)


def test_a_choice_that_begins_after_another_ended_is_still_to_come() -> None:
    running = {"prompt_tokens": 3, "completion_tokens": 1}
    reader = stream_of(chunk("a", finish="stop", usage=running))
    early = reader.finished
    reader.feed(sse(chunk("b", index=1, usage=running)))
    reader.feed(sse(chunk("c", index=1, finish="stop", usage=USAGE)) + b"data: [DONE]\n\n")
    assert (early, reader.finished) == (False, True)
    assert reader.reading().usage == COUNTED


@pytest.mark.parametrize(
    "again",
    [
        {"index": 0, "delta": {}},
        {"index": 0, "finish_reason": None, "content_filter_results": {"hate": {"filtered": False}}},
    ],
)
def test_a_choice_that_comes_again_after_its_end_has_ended(again: dict[str, Any]) -> None:
    late = {"id": "c1", "model": "m", "choices": [again], "usage": USAGE}
    reading = stream_of(chunk("a"), chunk("", finish="stop"), late).reading()
    assert (reading.finished, reading.usage) == (True, COUNTED)


def test_several_choices_with_tool_calls_and_logprobs_are_all_output() -> None:
    call = {"index": 0, "function": {"arguments": '{"usage":'}}
    one = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
    two = {"index": 1, "delta": {"content": "four"}, "finish_reason": None}
    logprobs = {"content": [{"token": '"usage":{', "logprob": -0.1, "top_logprobs": []}]}
    reader = stream_of({"model": "m", "choices": [one, {**two, "logprobs": logprobs}]})
    assert (reader.reading().output_characters, reader.reading().usage) == (9 + 4, Usage())


def test_gemini_candidates_end_one_by_one() -> None:
    reader = STREAM_GENERATE.stream()
    said = {"content": {"parts": [{"text": "a"}]}}
    first = {"candidates": [{**said, "index": 0, "finishReason": "STOP"}, {**said, "index": 1}]}
    reader.feed(sse({**first, "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}}))
    early = reader.finished, reader.reading().finished
    last = {"candidates": [{**said, "index": 1, "finishReason": "STOP"}]}
    reader.feed(sse({**last, "usageMetadata": {"candidatesTokenCount": 2}}))
    assert early == (False, False)
    assert (reader.reading().finished, reader.reading().usage) == (True, COUNTED)


def test_a_gemini_stream_asked_for_without_sse_is_an_array() -> None:
    said = {"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": {"promptTokenCount": 3}}
    end = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"candidatesTokenCount": 2}}
    reading = STREAM_GENERATE.read_answer(200, [said, {**end, "modelVersion": "g"}])
    assert (reading.usage, reading.finished, reading.response_model) == (COUNTED, True, "g")


def test_an_error_of_google_may_come_in_an_array() -> None:
    reading = STREAM_GENERATE.read_answer(429, [{"error": {"status": "RESOURCE_EXHAUSTED"}}])
    assert (reading.error_type, reading.not_billed) == ("RESOURCE_EXHAUSTED", True)


@pytest.mark.parametrize("size", ["1e50", "1e1000000", "-1e50", "1e-50", "5.5"])
def test_an_odd_decimal_is_no_count(size: str) -> None:
    assert count(Decimal(size)) is None


def test_text_about_data_urls_is_text() -> None:
    assert characters([{"content": "data: [DONE]"}]) == 12
    assert characters([{"content": "data:image/png;base64,AAAA"}]) == 0


def test_the_name_of_a_model_in_a_path_is_decoded_and_bounded() -> None:
    flavour = flavour_for("openai", "POST", "/openai/deployments/my%20gpt%3A1/chat/completions")
    assert flavour is not None
    assert flavour.read_request({}).model == "my gpt:1"
    flavour = flavour_for("openai", "POST", f"/openai/deployments/{'x' * 5_000}/chat/completions")
    assert flavour is not None
    assert len(flavour.read_request({}).model or "") == 512


PICTURE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize(
    ("path", "kind", "pictures"),
    [
        ("/v1/images/generations", "image_generation.completed", 2),
        ("/v1/images/edits", "image_edit.completed", 2),
        ("/v1/audio/speech", "speech.audio.done", None),
    ],
)
def test_streams_of_pictures_and_speech_end_with_their_usage(path: str, kind: str, pictures: int | None) -> None:
    flavour = flavour_for("openai", "POST", path)
    assert flavour is not None
    reader = flavour.stream()
    reader.feed(sse({"type": kind.rpartition(".")[0] + ".partial_image", "b64_json": "AAAA"}))
    reader.feed(sse({"type": kind, "usage": PICTURE}))
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2, output_image_tokens=pictures)
    assert reader.reading().finished
