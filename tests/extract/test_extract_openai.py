"""OpenAI's dialect and those of compatible hosts, rule by rule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.usage import Usage
from taximeter.extract import Reading, RequestFacts, StreamReader, flavour_for
from taximeter.extract.openai import CHAT, EMBEDDINGS, RESPONSES


def chat_usage(**usage: Any) -> Reading:
    return CHAT.read_answer(200, {"model": "m", "usage": usage})


def sse(*events: Mapping[str, Any], spaced: bool = False) -> bytes:
    separators = None if spaced else (",", ":")
    return b"".join(b"data: " + json.dumps(event, separators=separators).encode() + b"\n\n" for event in events)


def chunk(content: str | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {"id": "c1", "model": "m", "choices": choices, "usage": None, **more}


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}

USAGES = [
    ("plain", {"prompt_tokens": 3, "completion_tokens": 2}, Usage(input_tokens=3, output_tokens=2)),
    ("zero is a statement", {"prompt_tokens": 0, "completion_tokens": 0}, Usage(input_tokens=0, output_tokens=0)),
    ("half of it", {"prompt_tokens": 3}, Usage(input_tokens=3)),
    ("null", {"prompt_tokens": None, "completion_tokens": None}, Usage()),
    ("text is no count", {"prompt_tokens": "3", "completion_tokens": True}, Usage()),
    (
        "cached tokens lie inside the prompt",
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}},
        Usage(input_tokens=9, output_tokens=1, cache_read_tokens=4),
    ),
    (
        "so do those written to the cache",
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 4}},
        Usage(input_tokens=9, output_tokens=1, cache_write_5m_tokens=4),
    ),
    (
        "LiteLLM names what was written to the cache as Anthropic does, beside the prompt that it is part of",
        {
            "prompt_tokens": 90,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 40},
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 40,
        },
        Usage(input_tokens=90, output_tokens=1, cache_read_tokens=40, cache_write_5m_tokens=30),
    ),
    (
        "or in its details, with how long it is kept",
        {
            "prompt_tokens": 90,
            "completion_tokens": 1,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_creation_tokens": 30,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            },
        },
        Usage(
            input_tokens=90, output_tokens=1, cache_read_tokens=0, cache_write_5m_tokens=10, cache_write_1h_tokens=20
        ),
    ),
    (
        "OpenAI tells what it keeps for twelve hours from what it keeps for half of one",
        {
            "input_tokens": 2_000,
            "output_tokens": 10,
            "total_tokens": 2_010,
            "input_tokens_details": {
                "cached_tokens": 100,
                "cache_write_tokens": 1_500,
                "cache_write_tokens_details": {"ttl_30m_tokens": 500, "ttl_12h_tokens": 1_000},
            },
        },
        Usage(
            input_tokens=2_000,
            output_tokens=10,
            cache_read_tokens=100,
            cache_write_5m_tokens=500,
            cache_write_1h_tokens=1_000,
        ),
    ),
    (
        "what was cached is no part of a prompt that is smaller: an older LiteLLM",
        {
            "prompt_tokens": 31,
            "completion_tokens": 467,
            "total_tokens": 498,
            "prompt_tokens_details": {"cached_tokens": 0},
            "cache_creation_input_tokens": 1253,
            "cache_read_input_tokens": 0,
        },
        Usage(input_tokens=1284, output_tokens=467, cache_read_tokens=0, cache_write_5m_tokens=1253),
    ),
    (
        "xAI keeps reasoning outside the completion",
        {
            "prompt_tokens": 12,
            "completion_tokens": 2,
            "total_tokens": 334,
            "completion_tokens_details": {"reasoning_tokens": 320},
        },
        Usage(input_tokens=12, output_tokens=322, reasoning_tokens=320),
    ),
    (
        "a total that nothing explains is not believed",
        {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 99},
        Usage(input_tokens=3, output_tokens=2),
    ),
    (
        "Mistral's own name for cached input",
        {"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 4},
        Usage(input_tokens=9, output_tokens=1, cache_read_tokens=4),
    ),
    (
        "hosts that put cached input beside the rest",
        {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cached_tokens": 4},
        Usage(input_tokens=9, output_tokens=1, cache_read_tokens=4),
    ),
    (
        "details win over what stands beside them",
        {"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
        Usage(input_tokens=9, output_tokens=1, cache_read_tokens=4),
    ),
    (
        "runs of assistants have details without the s",
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_token_details": {"cached_tokens": 4}},
        Usage(input_tokens=9, output_tokens=1, cache_read_tokens=4),
    ),
    (
        "what was cached, by modality",
        {
            "prompt_tokens": 90,
            "completion_tokens": 10,
            "total_tokens": 100,
            "prompt_tokens_details": {
                "cached_tokens": 64,
                "text_tokens": 40,
                "audio_tokens": 50,
                "cached_tokens_details": {"text_tokens": 34, "audio_tokens": 30},
            },
        },
        Usage(
            input_tokens=90,
            output_tokens=10,
            cache_read_tokens=64,
            input_audio_tokens=50,
            cache_read_audio_tokens=30,
        ),
    ),
    (
        "speech: what was spoken is said as for realtime",
        {"input_tokens": 9, "output_tokens": 70, "output_token_details": {"text_tokens": 0, "audio_tokens": 70}},
        Usage(input_tokens=9, output_tokens=70, output_audio_tokens=70),
    ),
    (
        "Vercel's gateway keeps Gemini's reasoning outside the completion, and outside its total",
        {
            "prompt_tokens": 61,
            "completion_tokens": 10,
            "total_tokens": 71,
            "cost": 0.0002833,
            "market_cost": 0.0002833,
            "completion_tokens_details": {"reasoning_tokens": 96},
        },
        Usage(input_tokens=61, output_tokens=106, reasoning_tokens=96),
    ),
    (
        "and that of others inside",
        {
            "prompt_tokens": 19,
            "completion_tokens": 124,
            "total_tokens": 143,
            "market_cost": 0.001,
            "completion_tokens_details": {"reasoning_tokens": 64},
        },
        Usage(input_tokens=19, output_tokens=124, reasoning_tokens=64),
    ),
    (
        "rejected predictions lie inside the completion",
        {
            "prompt_tokens": 9,
            "completion_tokens": 30,
            "total_tokens": 39,
            "completion_tokens_details": {"accepted_prediction_tokens": 5, "rejected_prediction_tokens": 7},
        },
        Usage(input_tokens=9, output_tokens=30),
    ),
    (
        "Mistral's sound lies outside the prompt, and at times only the total knows it",
        {"prompt_audio_seconds": 203, "prompt_tokens": 4, "completion_tokens": 635, "total_tokens": 3264},
        Usage(input_tokens=2629, output_tokens=635, input_audio_tokens=2625, units={"audio_seconds": 203}),
    ),
    (
        "Mistral's sound inside the prompt",
        {"prompt_audio_seconds": 3, "prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42},
        Usage(input_tokens=40, output_tokens=2, units={"audio_seconds": 3}),
    ),
    (
        "what an orchestrating model's models read and wrote lies outside (Sakana)",
        {
            "input_tokens": 1000,
            "output_tokens": 100,
            "total_tokens": 1400,
            "input_tokens_details": {
                "cached_tokens": 400,
                "orchestration_input_tokens": 250,
                "orchestration_input_cached_tokens": 50,
            },
            "output_tokens_details": {"reasoning_tokens": 30, "orchestration_output_tokens": 50},
        },
        Usage(input_tokens=1250, output_tokens=150, cache_read_tokens=450, reasoning_tokens=30),
    ),
    (
        "the same in a chat, none of it cached",
        {
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 0, "orchestration_input_tokens": 7},
            "completion_tokens_details": {"orchestration_output_tokens": 3},
        },
        Usage(input_tokens=16, output_tokens=5, cache_read_tokens=0),
    ),
    (
        "orchestration that the total has no room for lies inside",
        {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "total_tokens": 13,
            "prompt_tokens_details": {"orchestration_input_tokens": 7},
            "completion_tokens_details": {"orchestration_output_tokens": 3},
        },
        Usage(input_tokens=9, output_tokens=4),
    ),
]


@pytest.mark.parametrize(("rule", "usage", "expected"), USAGES)
def test_usage(rule: str, usage: dict[str, Any], expected: Usage) -> None:
    reading = chat_usage(**usage)
    assert (reading.usage, reading.usage_conflict) == (expected, False)


def test_a_contradiction_is_clamped_and_said() -> None:
    reading = chat_usage(prompt_tokens=3, completion_tokens=2, completion_tokens_details={"reasoning_tokens": 3})
    assert reading.usage_conflict
    assert (reading.usage.output_tokens, reading.usage.reasoning_tokens) == (2, 2)


LLAMA = {"prompt_tokens": 200, "completion_tokens": 30, "total_tokens": 230}
GPT_OSS = {"prompt_tokens": 90, "completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 4}}
BREAKDOWN = {
    "models": [
        {"model": "llama", "usage": LLAMA},
        {"model": "gpt-oss", "usage": GPT_OSS},
        {"model": "llama", "usage": LLAMA},
    ]
}
OF_LLAMA = Usage(input_tokens=400, output_tokens=60)
OF_GPT_OSS = Usage(input_tokens=90, output_tokens=10, reasoning_tokens=4)
OF_BOTH = Usage(input_tokens=490, output_tokens=70, reasoning_tokens=4)


IN_ALL = {"prompt_tokens": 490, "completion_tokens": 70, "total_tokens": 560}


@pytest.mark.parametrize("usage", [IN_ALL, None])
def test_a_compound_system_used_the_models_it_names(usage: object) -> None:
    body = {"model": "groq/compound", "usage": usage, "usage_breakdown": BREAKDOWN}
    assert CHAT.read_plain is not None
    assert CHAT.read_plain(body) is None
    beside = chunk(finish="stop", usage_breakdown=BREAKDOWN, x_groq={"usage": usage})
    within = chunk(finish="stop", x_groq={"id": "r1", "usage": usage, "usage_breakdown": BREAKDOWN})
    for reading in (CHAT.read_answer(200, body), *map(streamed, (beside, within))):
        assert reading.by_model == (("llama", OF_LLAMA), ("gpt-oss", OF_GPT_OSS))
        assert (reading.usage, reading.usage_conflict) == (OF_BOTH, False)


def streamed(last: Mapping[str, Any]) -> Reading:
    reader = CHAT.stream()
    reader.feed(sse(chunk("hi"), last))
    return reader.reading()


def test_a_breakdown_that_repeats_the_whole_for_each_model_is_none() -> None:
    of_each = [{"model": name, "usage": IN_ALL} for name in ("llama", "scout", "llama")]
    x_groq = {"usage": IN_ALL, "usage_breakdown": {"models": of_each}}
    reading = streamed(chunk(finish="stop", x_groq=x_groq))
    assert (reading.usage, reading.by_model) == (Usage(input_tokens=490, output_tokens=70), ())


@pytest.mark.parametrize("odd", [None, {}, {"models": None}, {"models": [None, {"model": "m", "usage": None}]}, []])
def test_a_breakdown_that_says_nothing_changes_nothing(odd: object) -> None:
    whole = CHAT.read_answer(200, {"model": "m", "usage": USAGE})
    assert CHAT.read_answer(200, {"model": "m", "usage": USAGE, "usage_breakdown": odd}) == whole


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 1.4e-07}, "0.00000014"),
        ({"cost": Decimal("0.0133176")}, "0.0133176"),
        ({"cost": 0}, "0"),
        ({"cost": {"total_cost": 0.005, "request_cost": 0.004}}, "0.005"),
        ({"cost_in_usd_ticks": 1641500}, "0.00016415"),
    ],
)
def test_the_price_that_a_host_names_is_kept_exactly(usage: dict[str, Any], cost: str) -> None:
    assert chat_usage(**usage).reported_cost_usd == Decimal(cost)


ERRORS = [
    (401, {"error": {"type": "invalid_request_error", "code": "invalid_api_key"}}, "invalid_request_error"),
    (429, {"error": {"type": None, "code": "rate_limit_exceeded"}}, "rate_limit_exceeded"),
    (200, {"error": {"code": "content_filter"}}, "content_filter"),
    (400, {"error": "model not found"}, "http_400"),
    (200, {"error": "model not found"}, "error"),
    (502, None, "http_502"),
    (500, "<html>", "http_500"),
    (422, {"detail": "no"}, "http_422"),
]


@pytest.mark.parametrize(("status", "body", "error_type"), ERRORS)
def test_an_error_is_named_and_not_billed(status: int, body: object, error_type: str) -> None:
    reading = CHAT.read_answer(status, body)
    assert (reading.error_type, reading.not_billed, reading.usage.known) == (error_type, True, False)


@pytest.mark.parametrize("usage", [USAGE, None])
def test_a_choice_that_ended_in_an_error_is_one(usage: object) -> None:
    """OpenRouter, whose provider broke off."""
    error = {"code": 502, "message": "upstream"}
    choice = {"index": 0, "finish_reason": "error", "error": error, "message": {"role": "assistant", "content": "fo"}}
    body = {"id": "c1", "model": "m", "choices": [choice], "usage": usage}
    delta = {"index": 0, "finish_reason": "error", "error": error, "delta": {"content": ""}}
    reader = CHAT.stream()
    reader.feed(sse(chunk("fo"), chunk(usage=usage) | {"choices": [delta]}))
    assert CHAT.gist is not None
    assert CHAT.gist(body, json.dumps(body)) is None
    for reading in (CHAT.read_answer(200, body), reader.reading()):
        assert (reading.error_type, reading.usage.known) == ("error", usage is not None)


@pytest.mark.parametrize("odd", [None, [], "text", 7, True])
def test_an_answer_that_is_no_object_says_nothing(odd: object) -> None:
    assert CHAT.read_answer(200, odd) == Reading()


def test_an_answer_without_usage_is_measured() -> None:
    body = {"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "four"}}]}
    reading = CHAT.read_answer(200, body)
    assert (reading.output_characters, reading.usage.known, reading.finished) == (4, False, True)


def test_embeddings_write_nothing() -> None:
    assert EMBEDDINGS.read_answer(200, {"usage": {"total_tokens": 7}}).usage == Usage(input_tokens=7, output_tokens=0)


SEARCHES = {"index": 0, "id": "t1", "type": "builtin_function", "function": {"name": "$web_search", "arguments": "{}"}}
CALLS = {"index": 1, "id": "t2", "type": "function", "function": {"name": "web_search", "arguments": "{}"}}
MORE_OF_IT = {"index": 0, "function": {"arguments": "{}"}}


@pytest.mark.parametrize(
    ("calls", "units"), [([CALLS], {}), ([SEARCHES, CALLS], {"web_searches": 1}), ([SEARCHES] * 2, {"web_searches": 2})]
)
def test_searches_that_moonshot_runs_are_calls_of_its_own_tool(calls: list[Any], units: dict[str, int]) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "tool_calls": calls}, "finish_reason": "tool_calls"}
    whole = {"id": "c1", "model": "kimi-k2.6", "choices": [choice], "usage": USAGE}
    delta = {"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}
    rest = {"index": 0, "delta": {"tool_calls": [MORE_OF_IT]}, "finish_reason": "tool_calls"}
    reader = CHAT.stream()
    reader.feed(sse(chunk() | {"choices": [delta]}, chunk(usage=USAGE) | {"choices": [rest]}))
    assert CHAT.gist is not None
    kept = CHAT.gist(whole, json.dumps(whole))
    for reading in (CHAT.read_answer(200, whole), CHAT.read_answer(200, json.loads(kept or json.dumps(whole)))):
        assert reading.usage == Usage(input_tokens=3, output_tokens=2, units=units)
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2, units=units)


FOUND = [{"title": "Rain", "link": "https://weather.example", "content": "It rains.", "refer": "ref_1"}] * 2


@pytest.mark.parametrize(("found", "units"), [(FOUND, {"web_searches": 1}), ([], {}), (None, {}), ("rain", {})])
def test_what_z_ai_found_in_the_web_was_searched_for_once(found: object, units: dict[str, int]) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Rain."}, "finish_reason": "stop"}
    whole = {"id": "c1", "model": "glm-5", "choices": [choice], "usage": USAGE, "web_search": found}
    reader = CHAT.stream()
    reader.feed(sse(chunk() | {"web_search": found}, chunk(usage=USAGE) | {"web_search": found}))
    assert CHAT.gist is not None
    kept = CHAT.gist(whole, json.dumps(whole))
    for reading in (CHAT.read_answer(200, whole), CHAT.read_answer(200, json.loads(kept or json.dumps(whole)))):
        assert reading.usage == Usage(input_tokens=3, output_tokens=2, units=units)
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2, units=units)


def ran(index: int, kind: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    """A tool that Groq has run."""
    named = {} if name is None else {"name": name}
    return {"index": index, "type": kind, **named, "arguments": '{"query": "rain"}', **more}


@pytest.mark.parametrize(
    ("model", "tools", "units"),
    [
        ("groq/compound", [ran(0, "search"), ran(1, "search"), ran(2, "visit")], {"web_searches": 2, "web_fetches": 1}),
        ("groq/compound", [ran(0, "python")], {}),  # by the time it takes, which nobody tells
        (
            "openai/gpt-oss-120b",
            [ran(0, "browser_search", "browser.search"), ran(1, "browser_search", "browser.open")],
            {"web_searches": 1, "web_fetches": 1},
        ),
        ("openai/gpt-oss-120b", [ran(0, "browser_search", "browser.find"), ran(1, "browser_search")], {}),
        ("groq/compound", [None, "search", {"type": ["search"]}, {"type": None}], {}),
    ],
)
def test_tools_that_groq_ran_itself(model: str, tools: list[Any], units: dict[str, int]) -> None:
    message = {"role": "assistant", "content": "rain", "executed_tools": tools}
    whole = {
        "id": "c1",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
        "usage_breakdown": None,
    }
    begun = [{"index": 0, "delta": {"executed_tools": tools}, "finish_reason": None}]
    done = [{**tool, "output": "dry"} if isinstance(tool, dict) else tool for tool in tools]
    ended = [{"index": 0, "delta": {"executed_tools": done}, "finish_reason": "stop"}]
    reader = CHAT.stream()
    reader.feed(sse(chunk(model=model) | {"choices": begun}))
    assert not reader.reading().usage.known
    reader.feed(sse(chunk(model=model) | {"choices": ended}, chunk(model=model, usage=USAGE) | {"choices": []}))
    assert CHAT.gist is not None
    assert CHAT.gist(whole, json.dumps(whole)) is None
    for reading in (CHAT.read_answer(200, whole), reader.reading()):
        assert reading.usage == Usage(input_tokens=3, output_tokens=2, units=units)


@pytest.mark.parametrize(
    ("model", "searches"),
    [
        ("gpt-4o-search-preview-2025-03-11", 1),
        ("gpt-4o-mini-search-preview", 1),
        ("gpt-5-search-api-2025-10-14", 1),
        ("gpt-4o", 0),
        ("openai/gpt-4o-search-preview", 0),  # a host that counts searches itself
        ("acme-search-large", 0),
    ],
)
def test_a_search_model_searches_once_for_each_request(model: str, searches: int) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "rain"}, "finish_reason": "stop"}
    whole = {"id": "c1", "model": model, "choices": [choice], "usage": USAGE}
    reader = CHAT.stream()
    reader.feed(sse(chunk("rain", finish="stop", model=model), chunk(model=model, usage=USAGE) | {"choices": []}))
    assert CHAT.gist is not None
    kept = json.loads(CHAT.gist(whole, json.dumps(whole)) or "{}")
    for reading in (CHAT.read_answer(200, whole), CHAT.read_answer(200, kept), reader.reading()):
        assert reading.usage == Usage(
            input_tokens=3, output_tokens=2, units={"web_searches": searches} if searches else {}
        )


def test_a_search_model_that_told_no_usage_is_an_estimate() -> None:
    reader = CHAT.stream()
    reader.feed(sse(chunk("rain", model="gpt-4o-search-preview")))
    assert not reader.reading().usage.known
    refused = CHAT.read_answer(429, {"model": "gpt-4o-search-preview", "error": {"type": "rate_limit"}})
    assert not refused.usage.known


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

REQUESTS = [
    (
        "/v1/chat/completions",
        {
            "model": "gpt-4o",
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 5,
            "max_completion_tokens": 7,
            "messages": [{"role": "user", "content": "four"}],
        },
        RequestFacts(
            model="gpt-4o",
            operation="chat",
            stream=True,
            max_output_tokens=7,
            input_characters=4,
            asks_for_stream_usage=True,
        ),
    ),
    (
        "/v1/responses",
        {"model": "gpt-5", "input": "four", "instructions": "four", "max_output_tokens": 9},
        RequestFacts(model="gpt-5", operation="chat", max_output_tokens=9, input_characters=8),
    ),
    (
        "/v1/embeddings",
        {"model": "e", "input": ["four", "four"]},
        RequestFacts(model="e", operation="embeddings", input_characters=8),
    ),
    (
        "/v1/completions",
        {"model": "c", "prompt": "four", "max_tokens": 3},
        RequestFacts(model="c", operation="text_completion", max_output_tokens=3, input_characters=4),
    ),
    ("/v1/chat/completions", {}, RequestFacts(operation="chat")),
]


@pytest.mark.parametrize(("path", "body", "facts"), REQUESTS)
def test_a_request_says_what_to_expect(path: str, body: dict[str, Any], facts: RequestFacts) -> None:
    flavour = flavour_for("openai", "POST", path)
    assert flavour is not None
    assert flavour.read_request(body) == facts


# ── chat streams ─────────────────────────────────────────────────────────────────────────────────────────────

TEXTS = ["plain", "", "ünï", "line\nend", 'a "quote"', "back\\slash", "\\", '\\"', "😀", "\x01", "a\\nb", "\\\\"]


@pytest.mark.parametrize("written", TEXTS)
@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_text_is_measured_as_a_decoder_would(written: str, spaced: bool, ascii_only: bool) -> None:
    reader = CHAT.stream()
    reader.feed(sse(chunk("")))
    separators = None if spaced else (",", ":")
    reader.feed(
        b"data: " + json.dumps(chunk(written), separators=separators, ensure_ascii=ascii_only).encode() + b"\n\n"
    )
    assert reader.reading().output_characters == len(written)
    assert reader.content_started is bool(written)


def test_common_chunks_are_not_decoded() -> None:
    decoded: list[bytes] = []

    def decode(data: bytes) -> object:
        decoded.append(data)
        return json.loads(data)

    reader = CHAT.stream(decode=decode)
    reader.feed(
        sse(chunk(""), *[chunk("word\n")] * 50, chunk(finish="stop"), {**chunk(), "choices": [], "usage": USAGE})
    )
    reader.feed(b"data: [DONE]\n\n")
    assert len(decoded) == 3
    assert reader.reading().output_characters == 250


MATTERING = [
    ("usage beside text", chunk("x", usage=USAGE)),
    ("usage in Groq's place", chunk("x", x_groq={"usage": USAGE})),
    ("usage with a space", chunk("x") | {"usage": USAGE}),
    (
        "usage inside a choice (Moonshot)",
        {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
    ),
    (
        "usage inside a choice beside its text",
        {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}, "usage": USAGE}]},
    ),
    (
        "usage in two places",
        {"id": "c1", "choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 9}}], "usage": USAGE},
    ),
]


@pytest.mark.parametrize(("about", "last"), MATTERING)
@pytest.mark.parametrize("spaced", [False, True])
def test_usage_is_found_wherever_it_stands(about: str, last: dict[str, Any], spaced: bool) -> None:
    reader = CHAT.stream()
    reader.feed(sse(chunk("a"), chunk("b"), last, spaced=spaced))
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2)


def test_the_last_usage_counts_and_is_never_added() -> None:
    reader = CHAT.stream()
    reader.feed(sse(chunk("a", usage={"prompt_tokens": 3, "completion_tokens": 1}), chunk("b", usage=USAGE)))
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize(
    ("asked", "events", "finished"),
    [
        (False, [chunk("a")], False),
        (False, [chunk("a"), chunk(finish="stop")], True),
        (True, [chunk("a"), chunk(finish="stop")], False),
        (True, [chunk("a"), chunk(finish="stop"), {"choices": [], "usage": USAGE}], True),
        (True, [chunk("a"), chunk("b", finish="stop", usage=USAGE)], True),
        (True, [chunk("a", usage=USAGE)], False),
        (True, [chunk("a"), {"choices": [], "usage": USAGE}], True),  # Snowflake names no reason why it stopped
    ],
)
def test_parsed_chunks_end_without_done(asked: bool, events: list[dict[str, Any]], finished: bool) -> None:
    reader = CHAT.stream(RequestFacts(operation="chat", stream=True, asks_for_stream_usage=asked))
    for event in events:
        reader.feed_event(event)
    assert reader.reading().finished is finished


def test_a_stop_alone_is_not_the_end_of_the_bytes() -> None:
    reader = CHAT.stream(RequestFacts(operation="chat", stream=True))
    reader.feed(sse(chunk("a"), chunk(finish="stop")))
    early = reader.finished
    reader.feed(sse({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n")
    assert (early, reader.finished) == (False, True), "a host may send its usage unasked"
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2)


def test_an_error_before_any_content_is_not_billed() -> None:
    reader = CHAT.stream()
    reader.feed(sse({"error": {"type": "server_error"}}))
    assert (reader.reading().error_type, reader.reading().not_billed) == ("server_error", True)


def test_an_error_after_content_may_well_be_billed() -> None:
    reader = CHAT.stream()
    reader.feed(sse(chunk("a"), {"error": {"type": "server_error"}}))
    assert (reader.reading().error_type, reader.reading().not_billed) == ("server_error", False)


def test_tool_arguments_reasoning_and_refusals_are_output() -> None:
    reader = CHAT.stream()
    call = {"index": 0, "id": "call_1", "function": {"name": "four", "arguments": "four"}}
    for delta in ({"tool_calls": [call]}, {"reasoning": "four", "reasoning_content": "four"}, {"refusal": "four"}):
        reader.feed_event({"choices": [{"index": 0, "delta": delta}]})
    assert reader.reading().output_characters == 16


# ── responses ────────────────────────────────────────────────────────────────────────────────────────────────


def response(**more: Any) -> dict[str, Any]:
    return {"id": "r1", "model": "m", "status": "completed", "service_tier": "default", "output": [], **more}


def responses_stream(*events: Mapping[str, Any]) -> StreamReader:
    reader = RESPONSES.stream()
    reader.feed(sse(*events))
    return reader


def test_a_response_bills_the_searches_in_its_output() -> None:
    actions = ({"type": "search"}, {"type": "search"}, {"type": "open_page"})
    output = [{"type": "web_search_call", "action": action} for action in actions]
    reading = RESPONSES.read_answer(200, response(output=[*output, {"type": "file_search_call"}]))
    assert reading.usage.units == {"web_searches": 2, "file_searches": 1}


def test_a_host_that_counts_its_searches_is_believed() -> None:
    tool_usage = {"web_search": {"num_requests": 3}}
    reading = RESPONSES.read_answer(200, response(output=[{"type": "web_search_call"}], tool_usage=tool_usage))
    assert reading.usage.units == {"web_searches": 3}


X_SEARCHED = [{"type": "x_search_call"}, *[{"type": "web_search_call", "action": {"type": "search"}}] * 4]


@pytest.mark.parametrize(
    ("told", "units"),
    [
        ({}, {"x_searches": 1, "web_searches": 4}),
        ({"x_search_calls": None, "web_search_calls": 3}, {"x_searches": 1, "web_searches": 3}),
        ({"x_search_calls": 1, "web_search_calls": 0, "code_interpreter_calls": 0}, {"x_searches": 1}),
    ],
)
def test_xai_bills_the_calls_that_it_counts_and_those_that_failed_are_none(
    told: dict[str, Any], units: dict[str, int]
) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "server_side_tool_usage_details": told}
    assert RESPONSES.read_answer(200, response(output=X_SEARCHED, usage=usage)).usage.units == units


@pytest.mark.parametrize(("status", "finished"), [("completed", True), ("queued", False), ("in_progress", False)])
def test_a_response_that_still_runs_is_not_finished(status: str, finished: bool) -> None:
    assert RESPONSES.read_answer(200, response(status=status)).finished is finished


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_the_terminal_event_brings_the_usage(kind: str) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2}
    reader = responses_stream({"type": f"response.{kind}", "response": response(usage=usage)})
    assert reader.finished
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2)


def test_a_response_that_breaks_off_keeps_model_text_and_searches() -> None:
    reader = responses_stream(
        {"type": "response.created", "response": response(status="in_progress", usage=None)},
        {"type": "response.output_item.done", "item": {"type": "web_search_call", "action": {"type": "search"}}},
        {"type": "response.output_text.delta", "delta": "fo\nr"},
        {"type": "response.output_text.done", "text": "fo\nr"},
    )
    reading = reader.reading()
    assert (reading.response_model, reading.finished, reading.output_characters) == ("m", False, 4)
    assert reading.usage == Usage(units={"web_searches": 1})


def test_sound_is_content_but_not_text() -> None:
    reader = responses_stream({"type": "response.output_audio.delta", "delta": "AAAA"})
    assert reader.content_started
    assert reader.reading().output_characters == 0


PICTURES = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
    "output_tokens": 1056,
    "output_tokens_details": {"image_tokens": 1000, "text_tokens": 56},
    "total_tokens": 1106,
    "cached_tokens": 20,
}
DRAWN = Usage(
    input_tokens=50, input_image_tokens=40, cache_read_tokens=20, output_tokens=1056, output_image_tokens=1000
)
DRAWS = [{"type": "web_search"}, {"type": "image_generation", "model": "gpt-image-1.5"}]


def test_pictures_of_a_response_are_counted_with_the_model_that_made_them() -> None:
    nothing = {"web_search": {"num_requests": 0}}
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    body = response(usage=usage, tools=DRAWS, tool_usage={"image_gen": PICTURES, **nothing})
    whole = RESPONSES.read_answer(200, body)
    reader = RESPONSES.stream()
    reader.feed(sse({"type": "response.completed", "response": body}))
    for reading in (whole, reader.reading()):
        assert reading.by_model == (("m", Usage(input_tokens=7, output_tokens=3)), ("gpt-image-1.5", DRAWN))
        assert (reading.usage.input_tokens, reading.usage.output_tokens) == (57, 1059)
        assert not reading.usage_conflict


def test_pictures_without_details_are_all_picture_and_a_model_that_is_not_named_is_not_made_up() -> None:
    pictures = {"input_tokens": 5, "output_tokens": 9, "total_tokens": 14}
    reading = RESPONSES.read_answer(200, response(tool_usage={"image_gen": pictures}))
    assert reading.by_model == (("image_generation", Usage(input_tokens=5, output_tokens=9, output_image_tokens=9)),)


def test_no_pictures_are_no_model() -> None:
    none = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)
    body = response(tools=DRAWS, tool_usage={"image_gen": none, "web_search": {"num_requests": 0}})
    assert RESPONSES.read_answer(200, body) == RESPONSES.read_answer(200, response())


RESEARCH = {
    "prompt_tokens": 33,
    "completion_tokens": 7163,
    "total_tokens": 7196,
    "search_context_size": "high",
    "citation_tokens": 20016,
    "num_search_queries": 18,
    "reasoning_tokens": 73997,
}
RESEARCH_BILL = {
    "input_tokens_cost": 0.00007,
    "output_tokens_cost": 0.0573,
    "citation_tokens_cost": 0.04,
    "reasoning_tokens_cost": 0.222,
    "search_queries_cost": 0.09,
    "total_cost": 0.40937,
}


def test_perplexitys_research_is_charged_for_what_it_read_searched_and_thought() -> None:
    reading = chat_usage(**RESEARCH, cost=RESEARCH_BILL)
    assert reading.usage == Usage(
        input_tokens=33 + 20016,
        output_tokens=7163 + 73997,
        reasoning_tokens=73997,
        units={"web_searches": 18},
    )
    assert (reading.reported_cost_usd, reading.usage_conflict) == (Decimal("0.40937"), False)


def test_what_perplexitys_bill_does_not_name_is_not_charged() -> None:
    named = {"input_tokens_cost": 0.0001, "output_tokens_cost": 0.1, "request_cost": 0.014, "total_cost": 0.1141}
    bill = {**named, "citation_tokens_cost": None, "reasoning_tokens_cost": None, "search_queries_cost": None}
    usage = chat_usage(**RESEARCH, cost=bill).usage
    assert usage == Usage(input_tokens=33, output_tokens=7163, units={"high_context_requests": 1})


@pytest.mark.parametrize(
    ("size", "units"), [("low", {}), ("medium", {"medium_context_requests": 1}), ("odd", {}), (None, {}), ([], {})]
)
def test_perplexitys_fee_of_a_request_depends_on_the_size_of_its_search(size: object, units: dict[str, int]) -> None:
    bill = {"request_cost": 0.01, "total_cost": 0.02}
    usage = chat_usage(prompt_tokens=3, completion_tokens=2, search_context_size=size, cost=bill).usage
    assert usage == Usage(input_tokens=3, output_tokens=2, units=units)


AGENTS_USAGE = {
    "input_tokens": 1000,
    "output_tokens": 100,
    "total_tokens": 1100,
    "input_tokens_details": {"cache_creation_input_tokens": 300, "cache_read_input_tokens": 200},
    "tool_calls_details": {
        "web_search": {"invocation": 2},
        "fetch_url": {"invocation": 1},
        "sandbox": {"invocation": 4},
    },
    "cost": {"currency": "USD", "input_cost": 0.1, "output_cost": 0.2, "tool_calls_cost": 0.0105, "total_cost": 0.3105},
}


@pytest.mark.parametrize("path", ["/v1/agent", "/v1/responses", "/responses"])
def test_perplexitys_agents_count_their_cache_and_their_tools(path: str) -> None:
    flavour = flavour_for("openai", "POST", path)
    assert flavour is not None
    reading = flavour.read_answer(200, response(usage=AGENTS_USAGE))
    assert reading.usage == Usage(
        input_tokens=1000,
        cache_read_tokens=200,
        cache_write_5m_tokens=300,
        output_tokens=100,
        units={"web_searches": 2, "web_fetches": 1},
    )
    assert reading.reported_cost_usd == Decimal("0.3105")


@pytest.mark.parametrize("odd", [None, [], {"web_search": 3}, {"web_search": {"invocation": -1}}, {"fetch_url": None}])
def test_odd_tools_of_agents_are_no_units(odd: object) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "tool_calls_details": odd}
    assert RESPONSES.read_answer(200, response(usage=usage)).usage == Usage(input_tokens=1, output_tokens=1)


def test_a_response_that_fails_may_say_why_beside_it() -> None:
    failed = {"type": "response.failed", "error": {"message": "m", "type": "server_error"}}
    reader = responses_stream({"type": "response.output_text.delta", "delta": "ab"}, failed)
    reading = reader.reading()
    assert (reading.error_type, reading.finished, reading.not_billed) == ("server_error", True, False)
