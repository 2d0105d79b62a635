"""Anthropic's dialect, rule by rule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.usage import Usage
from taximeter.extract import Reading, RequestFacts, StreamReader
from taximeter.extract.anthropic import MESSAGES


def answer(**usage: Any) -> Reading:
    return MESSAGES.read_answer(200, {"type": "message", "id": "msg_1", "model": "claude", "usage": usage})


USAGES = [
    ("plain", {"input_tokens": 3, "output_tokens": 2}, Usage(input_tokens=3, output_tokens=2)),
    ("only the output", {"output_tokens": 2}, Usage(output_tokens=2)),
    (
        "the input is the sum of three",
        {"input_tokens": 3, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 500, "output_tokens": 2},
        Usage(
            input_tokens=543,
            cache_read_tokens=40,
            cache_write_5m_tokens=500,
            output_tokens=2,
        ),
    ),
    (
        "writes are split by lifetime",
        {
            "input_tokens": 3,
            "cache_creation_input_tokens": 500,
            "output_tokens": 2,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
        },
        Usage(input_tokens=503, cache_write_5m_tokens=200, cache_write_1h_tokens=300, output_tokens=2),
    ),
    (
        "a split without its total",
        {"input_tokens": 3, "output_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 300}},
        Usage(input_tokens=303, cache_write_5m_tokens=0, cache_write_1h_tokens=300, output_tokens=2),
    ),
    (
        "thinking is told apart, inside the output",
        {"input_tokens": 3, "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 9}},
        Usage(input_tokens=3, output_tokens=20, reasoning_tokens=9),
    ),
    (
        "searches and fetches are units",
        {
            "input_tokens": 3,
            "output_tokens": 2,
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
        },
        Usage(input_tokens=3, output_tokens=2, units={"web_searches": 2, "web_fetches": 1}),
    ),
    (
        "a turn that compacted the conversation is missing from the top",
        {
            "input_tokens": 3,
            "output_tokens": 2,
            "iterations": [
                {"type": "compaction", "input_tokens": 100, "output_tokens": 10},
                {"type": "message", "input_tokens": 3, "output_tokens": 2},
            ],
        },
        Usage(input_tokens=103, output_tokens=12),
    ),
]


@pytest.mark.parametrize(("rule", "usage", "expected"), USAGES)
def test_usage(rule: str, usage: dict[str, Any], expected: Usage) -> None:
    reading = answer(**usage)
    assert (reading.usage, reading.usage_conflict, reading.by_model) == (expected, False, ())


def test_an_advisers_turns_belong_to_its_own_model() -> None:
    turns = [
        {"type": "message", "input_tokens": 10, "output_tokens": 1},
        {"type": "advisor_message", "model": "opus", "input_tokens": 20, "output_tokens": 2},
        {"type": "message", "input_tokens": 30, "output_tokens": 3},
    ]
    reading = answer(input_tokens=40, output_tokens=4, iterations=turns)
    assert reading.by_model == (
        ("claude", Usage(input_tokens=40, output_tokens=4)),
        ("opus", Usage(input_tokens=20, output_tokens=2)),
    )
    assert reading.usage == Usage(input_tokens=60, output_tokens=6)


FABLE = {"type": "message", "model": "fable", "input_tokens": 35, "output_tokens": 0}
OPUS = {"type": "fallback_message", "model": "claude", "input_tokens": 30, "output_tokens": 7}
HANDOVER = {"type": "fallback", "from": {"model": "fable"}, "to": {"model": "claude"}}


@pytest.mark.parametrize("category", ["cyber", "general_harms", None])
def test_a_refusal_before_anything_was_written_is_told_and_not_charged(category: str | None) -> None:
    reading = refusal(category)
    assert reading.not_billed
    assert reading.usage == Usage(input_tokens=18, cache_read_tokens=0, cache_write_5m_tokens=0, output_tokens=1)
    assert reading.error_type is None


@pytest.mark.parametrize("category", ["bio", "frontier_llm", "reasoning_extraction"])
def test_some_categories_of_refusals_are_charged(category: str) -> None:
    assert not refusal(category).not_billed


def test_a_refusal_in_the_midst_of_the_answer_is_charged() -> None:
    assert not refusal("cyber", {"type": "text", "text": "First"}).not_billed


@pytest.mark.parametrize(("cost", "charged"), [("0.0042", True), (0, False), (None, False)])
def test_a_refusal_for_which_a_host_names_a_price_is_charged(cost: object, charged: bool) -> None:
    """Hosts of other makers' models say "refusal" of what a filter held back, and bill it."""
    message = refused(None)
    reading = MESSAGES.read_answer(200, {**message, "usage": {**message["usage"], "cost": cost}})
    assert reading.not_billed is not charged


def refused(category: str | None, *content: Mapping[str, Any]) -> dict[str, Any]:
    message = {"type": "message", "id": "msg_1", "model": "claude", "content": list(content)}
    usage = {"input_tokens": 18, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    details = None if category is None else {"type": "refusal", "category": category}
    return {**message, "stop_reason": "refusal", "stop_details": details, "usage": usage}


def refusal(category: str | None, *content: Mapping[str, Any]) -> Reading:
    return MESSAGES.read_answer(200, refused(category, *content))


def test_a_refusal_has_no_gist_as_that_says_nothing_of_its_end() -> None:
    assert MESSAGES.gist is not None
    assert MESSAGES.gist(refused("cyber"), "") is None


def test_a_turn_that_was_declined_before_it_wrote_anything_is_not_charged() -> None:
    reading = answer(input_tokens=30, output_tokens=7, iterations=[FABLE, OPUS])
    assert (reading.usage, reading.by_model) == (Usage(input_tokens=30, output_tokens=7), ())


def test_a_turn_that_was_declined_while_it_wrote_is_charged_at_its_own_model() -> None:
    reading = answer(input_tokens=30, output_tokens=7, iterations=[{**FABLE, "output_tokens": 4}, OPUS])
    assert reading.by_model == (
        ("claude", Usage(input_tokens=30, output_tokens=7)),
        ("fable", Usage(input_tokens=35, output_tokens=4)),
    )


def test_a_turn_that_wrote_nothing_is_charged_where_nobody_took_over() -> None:
    reading = answer(input_tokens=35, output_tokens=0, iterations=[{**FABLE, "model": "claude"}])
    assert (reading.usage, reading.not_billed) == (Usage(input_tokens=35, output_tokens=0), False)


@pytest.mark.parametrize(("written", "charged"), [(0, ()), (4, (("fable", Usage(input_tokens=35, output_tokens=4)),))])
def test_where_all_declined_only_the_turns_that_wrote_are_charged(written: int, charged: tuple[object, ...]) -> None:
    turns = [{**FABLE, "output_tokens": written}, {**OPUS, "output_tokens": 0}]
    usage = {"input_tokens": 30, "output_tokens": 0, "iterations": turns}
    message = {"type": "message", "id": "msg_1", "model": "claude", "content": [HANDOVER], "stop_reason": "refusal"}
    reading = MESSAGES.read_answer(200, {**message, "usage": usage})
    assert reading.not_billed is (written == 0)
    assert not charged or reading.by_model == charged


def test_thinking_and_searches_are_those_of_the_turns_where_they_name_the_model_in_another_way() -> None:
    turns = [{"type": "message", "model": "claude-20260601", "input_tokens": 9, "output_tokens": 8}]
    told = {"output_tokens_details": {"thinking_tokens": 5}, "server_tool_use": {"web_search_requests": 1}}
    reading = answer(input_tokens=9, output_tokens=8, iterations=turns, **told)
    expected = Usage(input_tokens=9, output_tokens=8, reasoning_tokens=5, units={"web_searches": 1})
    assert (reading.usage, reading.usage_conflict) == (expected, False)
    assert reading.by_model == (("claude-20260601", expected),)


def test_a_host_that_names_its_price_is_heard() -> None:
    assert answer(input_tokens=32, output_tokens=16, cost=0.000112).reported_cost_usd == Decimal("0.000112")
    assert fed(start(input_tokens=32), delta(output_tokens=16, cost=0.5)).reading().reported_cost_usd == Decimal("0.5")
    assert answer(input_tokens=32, output_tokens=16).reported_cost_usd is None


def test_a_split_larger_than_its_total_is_a_conflict() -> None:
    split = {"ephemeral_1h_input_tokens": 300}
    reading = answer(input_tokens=3, cache_creation_input_tokens=200, cache_creation=split, output_tokens=2)
    assert reading.usage_conflict
    assert (reading.usage.input_tokens, reading.usage.cache_write_1h_tokens) == (203, 200)


@pytest.mark.parametrize(("said", "region"), [("us", "us"), ("not_available", None), (None, None)])
def test_the_region_is_where_it_was_served(said: str | None, region: str | None) -> None:
    assert answer(input_tokens=1, output_tokens=1, inference_geo=said).region == region


@pytest.mark.parametrize(("speed", "tier"), [("fast", "fast"), ("standard", "standard"), (None, "standard")])
def test_a_fast_answer_is_in_a_tier_of_its_own(speed: str | None, tier: str) -> None:
    said = {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard", "speed": speed}
    assert answer(**said).service_tier == tier
    reader = MESSAGES.stream()
    reader.feed_event({"type": "message_start", "message": {"model": "claude", "usage": said}})
    reader.feed_event({"type": "message_delta", "usage": {"output_tokens": 2}})
    assert reader.reading().service_tier == tier


def test_a_zero_that_comes_late_takes_no_count_away() -> None:
    begun = start(input_tokens=3, cache_read_input_tokens=40, output_tokens=1)
    ended = delta(input_tokens=0, cache_read_input_tokens=0, cache_creation_input_tokens=0, output_tokens=2)
    usage = fed(begun, ended).reading().usage
    assert usage == Usage(input_tokens=43, cache_read_tokens=40, cache_write_5m_tokens=0, output_tokens=2)


@pytest.mark.parametrize("status", [400, 529])
def test_an_error_is_named_and_not_billed(status: int) -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reading = MESSAGES.read_answer(status, body)
    assert (reading.error_type, reading.not_billed) == ("overloaded_error", True)


@pytest.mark.parametrize("odd", [None, [], "text", 7])
def test_an_answer_that_is_no_object_says_nothing(odd: object) -> None:
    assert MESSAGES.read_answer(200, odd) == Reading()


def test_a_request_says_what_to_expect() -> None:
    body = {
        "model": "claude",
        "stream": True,
        "max_tokens": 9,
        "system": [{"type": "text", "text": "four"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "four"}]}],
    }
    assert MESSAGES.read_request(body) == RequestFacts(
        model="claude", operation="chat", stream=True, max_output_tokens=9, input_characters=8
    )


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────


def start(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": usage}}


def delta(**usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


def block(kind: str, key: str, value: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, key: value}}


def fed(*events: Mapping[str, Any], spaced: bool = False) -> StreamReader:
    reader = MESSAGES.stream()
    separators = None if spaced else (",", ":")
    for event in events:
        data = json.dumps(event, separators=separators, ensure_ascii=False)
        reader.feed(f"event: {event['type']}\ndata: {data}\n\n".encode())
    return reader


def test_the_last_value_of_each_field_counts() -> None:
    reader = fed(
        start(input_tokens=43, cache_read_input_tokens=7, output_tokens=1),
        delta(input_tokens=61, cache_read_input_tokens=None, output_tokens=20),
    )
    assert reader.reading().usage == Usage(input_tokens=68, cache_read_tokens=7, output_tokens=20)


def test_writes_that_grow_keep_the_hour_and_the_rest_lives_five_minutes() -> None:
    split = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    reader = fed(
        start(input_tokens=1, cache_creation_input_tokens=30, cache_creation=split, output_tokens=1),
        delta(cache_creation_input_tokens=50, output_tokens=2),
    )
    usage = reader.reading().usage
    assert (usage.input_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (51, 30, 20)
    assert not reader.reading().usage_conflict


def test_writes_that_grow_live_as_long_as_the_first_ones_where_all_of_those_live_an_hour() -> None:
    split = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 31_490}
    reader = fed(
        start(input_tokens=1, cache_creation_input_tokens=31_490, cache_creation=split, output_tokens=1),
        delta(cache_creation_input_tokens=184_457, output_tokens=2, server_tool_use={"web_search_requests": 5}),
    )
    usage = reader.reading().usage
    assert (usage.input_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (184_458, 0, 184_457)
    assert not reader.reading().usage_conflict
    whole = {"input_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 50, "output_tokens": 2}
    told = answer(**whole, cache_creation={"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 20}).usage
    assert (told.cache_write_5m_tokens, told.cache_write_1h_tokens) == (0, 50)


def test_a_stream_that_breaks_off_keeps_its_input_side() -> None:
    reader = fed(start(input_tokens=412, output_tokens=3), block("text_delta", "text", "Partial"))
    reading = reader.reading()
    assert reading.usage == Usage(input_tokens=412, output_tokens=3)
    assert (reading.finished, reading.output_characters, reading.response_model) == (False, 7, "claude")


def test_an_error_in_the_stream_keeps_what_was_reported_and_billed() -> None:
    reader = fed(start(input_tokens=412, output_tokens=3), {"type": "error", "error": {"type": "overloaded_error"}})
    reading = reader.reading()
    assert (reading.error_type, reading.not_billed, reading.finished) == ("overloaded_error", False, False)


def ended_by_refusal(category: str, *events: Mapping[str, Any]) -> Reading:
    stop = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": category}}
    end = {**delta(output_tokens=5), "delta": stop}
    return fed(start(input_tokens=18, output_tokens=1), *events, end, {"type": "message_stop"}).reading()


def begun(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": content}


def test_a_streamed_refusal_is_charged_only_where_something_was_written_or_its_category_is() -> None:
    text = begun({"type": "text", "text": ""})
    assert ended_by_refusal("cyber").not_billed
    assert ended_by_refusal("cyber").usage == Usage(input_tokens=18, output_tokens=5)
    assert ended_by_refusal("cyber", begun(HANDOVER)).not_billed
    assert not ended_by_refusal("cyber", text).not_billed
    assert not ended_by_refusal("bio").not_billed


def test_a_streamed_refusal_stays_one_when_more_is_told_of_its_usage() -> None:
    end = {**delta(output_tokens=5), "delta": {"stop_reason": "refusal"}}
    more = {**delta(output_tokens=5), "delta": {"stop_reason": None}}
    assert fed(start(input_tokens=18, output_tokens=1), end, more).reading().not_billed


def test_a_stream_that_another_model_went_on_with_is_of_that_model() -> None:
    first = {"type": "message_start", "message": {"id": "msg_1", "model": "fable", "usage": {"input_tokens": 35}}}
    turns = [{**FABLE, "output_tokens": 4}, OPUS]
    end = delta(input_tokens=30, output_tokens=7, iterations=turns)
    reading = fed(first, begun({"type": "text", "text": ""}), begun(HANDOVER), end).reading()
    assert (reading.response_model, [name for name, _ in reading.by_model]) == ("claude", ["claude", "fable"])
    assert reading.usage == Usage(input_tokens=65, output_tokens=11)


BLOCKS = [
    (block("text_delta", "text", "four"), 4),
    (block("text_delta", "text", 'a "quote"\n😀'), 11),
    (block("thinking_delta", "thinking", "four"), 4),
    (block("input_json_delta", "partial_json", '{"a":1}'), 7),
    (block("input_json_delta", "partial_json", ""), 0),
    (block("signature_delta", "signature", "EqQB"), 0),
    ({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, 0),
    ({"type": "ping"}, 0),
]


@pytest.mark.parametrize(("event", "size"), BLOCKS)
@pytest.mark.parametrize("spaced", [False, True])
def test_written_text_is_measured_and_starts_the_content(event: dict[str, Any], size: int, spaced: bool) -> None:
    reader = fed(start(input_tokens=1, output_tokens=1), event, spaced=spaced)
    assert reader.reading().output_characters == size
    assert reader.content_started is (size > 0)


def test_message_stop_finishes() -> None:
    reader = fed(start(input_tokens=1, output_tokens=1))
    assert not reader.finished
    reader.feed(b'event: message_stop\ndata: {"type":"message_stop"}')
    assert reader.reading().finished, "also without the last blank line"
