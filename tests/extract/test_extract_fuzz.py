"""Garbage: nothing is raised, nothing grows, and whatever is read adds up."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_answers import Case, cases, parsed
from wires import on_the_wire

from taximeter.core.usage import TOKEN_CLASSES, violations
from taximeter.extract import Flavour, Reading
from taximeter.extract.flavour import EmptyStream
from taximeter.extract.registry import routes_of

FLAVOURS = sorted({route.flavour.name: route.flavour for route in routes_of("openai") if route.flavour.billed}.items())
STREAMED = [(name, flavour) for name, flavour in FLAVOURS if not isinstance(flavour.open_stream(None), EmptyStream)]

WORDS = [
    *("usage", "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "id", "model"),
    *("prompt_tokens_details", "cached_tokens", "cache_write_tokens", "audio_tokens", "reasoning_tokens", "error"),
    *("completion_tokens_details", "choices", "delta", "content", "index", "finish_reason", "type", "message", "text"),
    *("cache_creation", "cache_creation_input_tokens", "cache_read_input_tokens", "ephemeral_1h_input_tokens"),
    *("cache_write_tokens", "cache_write_tokens_details", "ttl_12h_tokens"),
    *("iterations", "server_tool_use", "web_search_requests", "response", "output", "item", "cost", "service_tier"),
    *("usageMetadata", "promptTokenCount", "candidatesTokenCount", "promptTokensDetails", "modality", "tokenCount"),
    *("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails", "ttl", "trace"),
    *("metadata", "chunk", "bytes", "contentBlockDelta", "invocationMetrics", "contentPolicyUnits", "results"),
    *("modelInvocationInput", "modelInvocationOutput", "foundationModel", "orchestrationTrace", "guardrailTrace"),
    *("billed_units", "tokens", "search_units", "meta", "custom_id", "result", "body", "batch_result", "status_code"),
    *("prompt_eval_count", "eval_count", "done", "session", "audio", "input", "object", "status", "inlinedResponses"),
    *("total_input_tokens", "total_thought_tokens", "interaction", "event_type", "input_token_details", "seconds"),
]
KINDS_OF_EVENT = [
    *("message_start", "message_delta", "message_stop", "content_block_delta", "error", "response.completed"),
    *("response.created", "response.output_item.done", "response.output_text.delta", "web_search_call"),
    *("response.done", "session.created", "message-end", "stream-end", "succeeded", "duration", "thread.run"),
    *("conversation.item.input_audio_transcription.completed", "interaction.complete", "7", "1h"),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-10, 10**15)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*KINDS_OF_EVENT, *WORDS])
)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=25,
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(WORDS), JSON, max_size=8)


def is_sound(reading: Reading) -> bool:
    assert all(is_sound(item) for item in reading.items)
    shares = [reading.usage, *(usage for _, usage in reading.by_model)]
    assert all(violations(share) == [] for share in shares)
    assert all(type(n) is int for share in shares for c in TOKEN_CLASSES if (n := getattr(share, c)) is not None)
    cost = reading.reported_cost_usd
    assert cost is None or cost.is_finite()
    named = (reading.response_model, reading.response_id, reading.service_tier, reading.region, reading.error_type)
    return all(name is None or name.encode() for name in named)


@pytest.mark.parametrize(("name", "flavour"), FLAVOURS)
@settings(max_examples=15, deadline=None)
@given(status=st.sampled_from([200, 400, 529]), payload=JSON | OBJECTS)
def test_any_answer_is_read(name: str, flavour: Flavour, status: int, payload: object) -> None:
    assert is_sound(flavour.read_answer(status, payload))


@pytest.mark.parametrize(("name", "flavour"), FLAVOURS)
@settings(max_examples=15, deadline=None)
@given(usage=st.dictionaries(st.sampled_from(WORDS), st.integers(-3, 50) | OBJECTS, max_size=8))
def test_any_usage_adds_up(name: str, flavour: Flavour, usage: dict[str, Any]) -> None:
    assert is_sound(flavour.read_answer(200, {"model": "m", "usage": usage}))


@pytest.mark.parametrize(("name", "flavour"), FLAVOURS)
@settings(max_examples=15, deadline=None)
@given(body=JSON | OBJECTS)
def test_any_request_is_read(name: str, flavour: Flavour, body: Any) -> None:
    facts = flavour.read_request(body)
    assert facts.input_characters >= 0


@pytest.mark.parametrize(("name", "flavour"), STREAMED)
@settings(max_examples=15, deadline=None)
@given(chunks=st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b"[DONE]", b'{"delta":"'])))
def test_any_bytes_are_read(name: str, flavour: Flavour, chunks: list[bytes]) -> None:
    reader = flavour.stream(None)
    for chunk in chunks:
        reader.feed(chunk)
        assert is_sound(reader.reading())


@pytest.mark.parametrize(("name", "flavour"), STREAMED)
@settings(max_examples=15, deadline=None)
@given(events=st.lists(st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(KINDS_OF_EVENT), OBJECTS)))
def test_any_events_are_read_and_bytes_agree(name: str, flavour: Flavour, events: list[dict[str, Any]]) -> None:
    by_event, by_bytes = flavour.stream(None), flavour.stream(None)
    for event in events:
        by_event.feed_event(event)
        by_bytes.feed(on_the_wire(flavour, event))
        assert is_sound(by_event.reading())
    assert by_event.reading() == by_bytes.reading()


@pytest.mark.parametrize(("name", "flavour"), STREAMED)
def test_nesting_beyond_reason_is_not_read(name: str, flavour: Flavour) -> None:
    reader = flavour.stream(None)
    reader.feed(b"data: " + b"[" * 200_000 + b"\n\n")
    assert is_sound(reader.reading())


ODD: list[Any] = [
    *(None, True, 0, -1, 5.5, 1e300, 10**30, "", "12", "\ud800", [], {}, [{}], [[1]]),
    {"usage": {"input_tokens": 3}},
]


def damaged(value: Any, chance: Random) -> Any:
    """A copy of `value` with some of its parts missing, repeated, or something else."""
    if chance.random() < 0.06:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {key: damaged(part, chance) for key, part in value.items() if chance.random() > 0.03}
    if isinstance(value, list):
        return [damaged(part, chance) for part in value[:50] for _ in range(chance.choice([0, 1, 1, 1, 1, 1, 1, 2]))]
    return value


@settings(max_examples=150, deadline=None)
@given(case=st.sampled_from(cases()), chance=st.randoms(use_true_random=False))
def test_a_damaged_recording_is_read(case: Case, chance: Random) -> None:
    reader = case.flavour.stream(case.request)
    for event in case.events() if case.stream else [parsed(case.body)]:
        worse = damaged(event, chance)
        assert is_sound(case.flavour.read_answer(200, worse, case.headers))
        if isinstance(worse, dict):
            reader.feed_event(worse)
    assert is_sound(reader.reading())


@settings(max_examples=150, deadline=None)
@given(case=st.sampled_from(cases()), chance=st.randoms(use_true_random=False))
def test_damaged_bytes_are_read(case: Case, chance: Random) -> None:
    body = bytearray(case.body)
    for _ in range(chance.randint(0, 8) if body else 0):
        at = chance.randrange(len(body) + 1)
        body[at : at + chance.choice([0, 1, 30])] = chance.choice([b"", b"\xff", body[max(at - 100, 0) : at]])
    reader = case.flavour.stream(case.request)
    for at in range(0, len(body), size := chance.choice([7, 100, 100_000])):
        reader.feed(bytes(body[at : at + size]))
    assert is_sound(reader.reading())


def test_a_stream_of_junk_choices_does_not_grow() -> None:
    flavour = dict(FLAVOURS)["openai.chat"]
    reader = flavour.stream(None)
    for index in range(1_000):
        reader.feed_event({"choices": [{"index": index, "delta": {"content": ""}}]})
    assert len(reader._state._open) <= 128  # type: ignore[attr-defined]
