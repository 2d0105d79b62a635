"""Cohere, Ollama, Voyage, xAI and Anthropic's completions, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from wires import on_the_wire

from taximeter.core.usage import Usage
from taximeter.extract import Flavour, Reading, StreamReader, flavour_for

COUNTED = Usage(input_tokens=3, output_tokens=2)


def flavour(kind: str, path: str, method: str = "POST") -> Flavour:
    found = flavour_for(kind, method, path, polled=True)
    assert found is not None
    return found


def answer(kind: str, path: str, body: object, method: str = "POST") -> Reading:
    return flavour(kind, path, method).read_answer(200, body)


def fed(kind: str, path: str, *events: Mapping[str, Any]) -> StreamReader:
    speaks = flavour(kind, path)
    reader = speaks.stream()
    for event in events:
        reader.feed(on_the_wire(speaks, event))
    return reader


BILLED = {"input_tokens": 3, "output_tokens": 2}
ANSWERS = [
    ("cohere", "/v2/chat", {"usage": {"billed_units": BILLED, "tokens": {"input_tokens": 99}}}, COUNTED),
    ("cohere", "/v2/chat", {"usage": {"tokens": BILLED}}, COUNTED),
    ("cohere", "/v1/chat", {"meta": {"billed_units": BILLED}}, COUNTED),
    ("cohere", "/v1/generate", {"generations": [{"text": "four"}], "meta": {"billed_units": BILLED}}, COUNTED),
    ("cohere", "/v1/summarize", {"summary": "s", "meta": {"billed_units": BILLED}}, COUNTED),
    ("cohere", "/v2/parse", {"meta": {"billed_units": {"pages": 2}}}, Usage(units={"pages": 2})),
    (
        "cohere",
        "/v2/rerank",
        {"usage": None, "meta": {"billed_units": {"search_units": 1}}},
        Usage(units={"search_units": 1}),
    ),
    (
        "openai",
        "/v1/decisions",
        {
            "id": "dec_1",
            "model": "m",
            "answers": [{"type": "predicate", "probability": 0.9}],
            "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 1},
        },
        Usage(input_tokens=9, cache_read_tokens=4, output_tokens=1),
    ),
    (
        "cohere",
        "/v2/chat",
        {"usage": {"billed_units": BILLED, "tokens": {"output_tokens": 9, "reasoning_tokens": 7}}},
        Usage(input_tokens=3, output_tokens=2, reasoning_tokens=2),
    ),
    ("cohere", "/v2/embed", {"meta": {"billed_units": {"input_tokens": 3}}}, Usage(input_tokens=3, output_tokens=0)),
    (
        "cohere",
        "/v2/embed",
        {"meta": {"billed_units": {"input_tokens": 3, "image_tokens": 40, "images": 1}}},
        Usage(input_tokens=43, input_image_tokens=40, output_tokens=0),
    ),
    ("cohere", "/v2/embed", {"meta": {"billed_units": {"input_tokens": None, "images": 1}}}, Usage()),
    (
        "gemini",
        "/v1beta/models/gemini-embedding-2:embedContent",
        {"embedding": {"values": [0.1]}, "usageMetadata": {"promptTokenCount": 7}},
        Usage(input_tokens=7, output_tokens=0),
    ),
    (
        "gemini",
        "/v1beta/models/gemini-embedding-2:batchEmbedContents",
        {"embeddings": [{"values": [0.1], "statistics": {"tokenCount": 3}}, {"statistics": {"tokenCount": 4}}]},
        Usage(input_tokens=7, output_tokens=0),
    ),
    (
        "gemini",
        "/v1beta/models/gemini-embedding-2:batchEmbedContents",
        {
            "embeddings": [{"values": [0.1]}],
            "usageMetadata": {
                "promptTokenCount": 52,
                "promptTokenDetails": [
                    {"modality": "TEXT", "tokenCount": 2},
                    {"modality": "IMAGE", "tokenCount": 30},
                    {"modality": "AUDIO", "tokenCount": 20},
                ],
            },
        },
        Usage(input_tokens=52, input_image_tokens=30, input_audio_tokens=20, output_tokens=0),
    ),
    ("gemini", "/v1beta/models/gemini-embedding-2:embedContent", {"embedding": {"values": [0.1]}}, Usage()),
    ("cohere", "/v2/rerank", {"meta": {"billed_units": {"search_units": 2}}}, Usage(units={"search_units": 2})),
    ("voyage", "/v1/rerank", {"usage": {"total_tokens": 3}}, Usage(input_tokens=3, output_tokens=0)),
    ("voyage", "/v1/embeddings", {"usage": {"total_tokens": 3}}, Usage(input_tokens=3, output_tokens=0)),
    ("voyage", "/v1/multimodalembeddings", {"usage": {"total_tokens": 3}}, Usage(input_tokens=3, output_tokens=0)),
    (
        "voyage",
        "/v1/multimodalembeddings",
        {"usage": {"text_tokens": 5, "image_pixels": 1_120, "video_pixels": 560, "total_tokens": 8}},
        Usage(input_tokens=8, input_image_tokens=3, output_tokens=0, units={"pixels": 1_680}),
    ),
    (
        "voyage",
        "/v1/multimodalembeddings",
        {"usage": {"text_tokens": 5, "image_pixels": 0, "video_pixels": 560, "total_tokens": 6}},
        Usage(input_tokens=6, input_video_tokens=1, output_tokens=0, units={"pixels": 560}),
    ),
    (
        "voyage",
        "/v1/multimodalembeddings",
        {"usage": {"text_tokens": 5, "image_pixels": 0, "total_tokens": 5}},
        Usage(input_tokens=5, output_tokens=0),
    ),
    ("cohere", "/v1/classify", {"meta": {"billed_units": {"classifications": 2}}}, Usage(units={"classifications": 2})),
    ("openai", "/v1/classify", {"usage": {"total_tokens": 3}}, Usage(input_tokens=3, output_tokens=0)),
    *(
        (
            "openai",
            "/v1/audio/transcriptions",
            {"text": "four", **told},
            Usage(units={"audio_seconds": Decimal(seconds)}),
        )
        for told, seconds in (
            ({"usage": {"type": "duration", "seconds": 4}}, "4"),
            ({"usage": {"seconds": 6, "cost": 0.0006}}, "6"),  # OpenRouter
            ({"task": "transcribe", "duration": "8.47"}, "8.47"),  # whisper, as it was and as Groq has it
            ({"duration": 3.7, "usage": {"type": "duration", "seconds": 4}}, "4"),
        )
    ),
    (
        "openai",
        "/v1/audio/transcriptions",
        {"duration": 3.7, "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 2}},
        COUNTED,
    ),
    (
        "xai",
        "/v1/stt",
        {"text": "four", "language": "en", "duration": 3.7, "words": []},
        Usage(units={"audio_seconds": Decimal("3.7")}),
    ),
    ("ollama", "/api/chat", {"prompt_eval_count": 3, "eval_count": 2, "done": True}, COUNTED),
    ("ollama", "/api/generate", {"prompt_eval_count": 3, "eval_count": 2, "done": True}, COUNTED),
    ("ollama", "/api/embed", {"prompt_eval_count": 3}, Usage(input_tokens=3, output_tokens=0)),
    ("ollama", "/v1/chat/completions", {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, COUNTED),
    (
        "xai",
        "/xai_api.Chat/GetCompletion",
        {
            "usage": {
                "prompt_tokens": "3",
                "completion_tokens": 1,
                "reasoning_tokens": 1,
                "cached_prompt_text_tokens": 2,
            }
        },
        Usage(input_tokens=3, cache_read_tokens=2, output_tokens=2, reasoning_tokens=1),
    ),
]


@pytest.mark.parametrize(("kind", "path", "body", "expected"), ANSWERS)
def test_usage(kind: str, path: str, body: dict[str, Any], expected: Usage) -> None:
    reading = answer(kind, path, body)
    assert (reading.usage, reading.usage_conflict, reading.finished, reading.not_billed) == (
        expected,
        False,
        True,
        False,
    )


@pytest.mark.parametrize(("kind", "path", "_", "__"), ANSWERS)
@pytest.mark.parametrize("odd", [None, [], "text", 7])
def test_an_answer_that_is_no_object_says_nothing(kind: str, path: str, _: object, __: object, odd: object) -> None:
    assert answer(kind, path, odd) == Reading()


@pytest.mark.parametrize(("kind", "path", "_", "__"), ANSWERS)
def test_an_error_is_not_billed(kind: str, path: str, _: object, __: object) -> None:
    reading = flavour(kind, path).read_answer(404, {"message": "no such model"})
    assert (reading.error_type, reading.not_billed, reading.finished) == ("http_404", True, True)


REQUESTS = [
    ("cohere", "/v2/chat", {"messages": [{"content": "four"}], "stream": True}, "chat", True),
    ("cohere", "/v1/chat", {"message": "four"}, "chat", False),
    ("cohere", "/v1/generate", {"prompt": "four"}, "text_completion", False),
    ("cohere", "/v2/embed", {"texts": ["four"]}, "embeddings", False),
    ("cohere", "/v2/rerank", {"query": "fo", "documents": ["ur"]}, "rerank", False),
    ("cohere", "/v1/classify", {"inputs": ["four"]}, "classification", False),
    ("voyage", "/v1/multimodalembeddings", {"inputs": [{"content": [{"text": "four"}]}]}, "embeddings", False),
    ("ollama", "/api/chat", {"messages": [{"content": "four"}]}, "chat", True),
    ("ollama", "/api/generate", {"prompt": "four", "stream": False}, "text_completion", False),
    ("anthropic", "/v1/complete", {"prompt": "four", "stream": True}, "text_completion", True),
    ("xai", "/xai_api.Chat/GetCompletion", {"messages": [{"content": [{"text": "four"}]}]}, "chat", False),
]


@pytest.mark.parametrize(("kind", "path", "body", "operation", "stream"), REQUESTS)
def test_a_request_says_what_to_expect(
    kind: str, path: str, body: dict[str, Any], operation: str, stream: bool
) -> None:
    facts = flavour(kind, path).read_request({"model": "m", **body})
    assert (facts.model, facts.operation, facts.stream, facts.input_characters) == ("m", operation, stream, 4)


STREAMS: list[tuple[str, str, list[dict[str, Any]], dict[str, Any]]] = [
    (
        "cohere",
        "/v2/chat",
        [
            {"type": "message-start", "id": "i"},
            {"type": "content-delta", "delta": {"message": {"content": {"text": "four"}}}},
            {"type": "tool-call-delta", "delta": {"message": {"tool_calls": {"function": {"arguments": "four"}}}}},
        ],
        {"type": "message-end", "delta": {"usage": {"billed_units": BILLED}}},
    ),
    (
        "cohere",
        "/v1/chat",
        [{"event_type": "text-generation", "text": "fourfour"}],
        {"event_type": "stream-end", "response": {"response_id": "i", "meta": {"billed_units": BILLED}}},
    ),
    (
        "cohere",
        "/v1/generate",
        [{"event_type": "text-generation", "text": "fourfour", "is_finished": False}],
        {"event_type": "stream-end", "response": {"id": "i", "meta": {"billed_units": BILLED}}},
    ),
    (
        "ollama",
        "/api/chat",
        [{"model": "m", "message": {"content": "four"}, "done": False}, {"message": {"thinking": "four"}}],
        {"done": True, "prompt_eval_count": 3, "eval_count": 2},
    ),
]


@pytest.mark.parametrize(("kind", "path", "events", "end"), STREAMS)
def test_a_stream_measures_its_text_and_ends_with_its_usage(
    kind: str, path: str, events: list[dict[str, Any]], end: dict[str, Any]
) -> None:
    reader = fed(kind, path, *events)
    early = reader.reading()
    assert (reader.content_started, early.finished, early.output_characters) == (True, False, 8)
    assert early.usage == Usage()
    reader = fed(kind, path, *events, end)
    assert (reader.finished, reader.reading().finished, reader.reading().usage) == (True, True, COUNTED)


@pytest.mark.parametrize(("kind", "path", "events", "_"), STREAMS)
def test_an_error_before_any_content_is_not_billed(
    kind: str, path: str, events: list[dict[str, Any]], _: object
) -> None:
    early, late = fed(kind, path, {"error": "boom"}), fed(kind, path, *events, {"error": "boom"})
    assert (early.reading().error_type, early.reading().not_billed) == ("error", True)
    assert (late.reading().error_type, late.reading().not_billed) == ("error", False)


def test_an_embedding_has_no_reasoning() -> None:
    odd = {"usage": {"billed_units": BILLED, "tokens": {"reasoning_tokens": 1}}}
    assert answer("cohere", "/v2/embed", odd).usage == Usage(input_tokens=3, output_tokens=0)


CONVERSATION = {
    "conversation_id": "conv_1",
    "outputs": [{"type": "message.output", "model": "m", "content": "four"}],
    "usage": {"prompt_tokens": 1, "connector_tokens": 2, "completion_tokens": 2, "connectors": {"web_search": 1}},
}


def test_what_connectors_of_a_conversation_read_is_input() -> None:
    expected = Usage(input_tokens=3, output_tokens=2, units={"web_searches": 1})
    assert answer("mistral", "/v1/conversations", CONVERSATION).usage == expected
    delta = {"type": "message.output.delta", "model": "m", "content": "four"}
    done = {"type": "conversation.response.done", "usage": CONVERSATION["usage"]}
    reader = fed("mistral", "/v1/conversations", {"type": "conversation.response.started"}, delta, done)
    reading = reader.reading()
    assert (reading.usage, reading.response_model, reading.output_characters) == (expected, "m", 4)
    assert (reader.finished, reading.error_type) == (True, None)


def test_a_conversation_with_an_agent_is_answered_by_the_model_that_its_output_names() -> None:
    assert answer("mistral", "/v1/conversations", CONVERSATION).response_model == "m"
    tool = {"type": "tool.execution", "name": "web_search"}
    handed_over = [{"type": "agent.handoff"}, tool, {"type": "message.output", "model": "n"}]
    later = {**CONVERSATION, "outputs": [*CONVERSATION["outputs"], *handed_over]}
    assert answer("mistral", "/v1/conversations", later).response_model == "n"
    assert answer("mistral", "/v1/conversations", {**CONVERSATION, "outputs": [tool]}).response_model is None


@pytest.mark.parametrize(
    ("connector", "unit"),
    [
        ("web_search", "web_searches"),
        ("web_search_premium", "news_searches"),
        ("code_interpreter", "code_interpreter_calls"),
        ("image_generation", "images"),
        ("document_library", "file_searches"),
    ],
)
def test_what_connectors_of_a_conversation_did_has_a_fee(connector: str, unit: str) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "connectors": {connector: 2}}
    assert answer("mistral", "/v1/conversations", {**CONVERSATION, "usage": usage}).usage.units == {unit: 2}


def test_a_conversation_costs_something_where_it_has_usage() -> None:
    kept = answer("openai", "/v1/conversations", {"id": "conv_1", "object": "conversation"})
    called = answer("openai", "/v1/conversations", CONVERSATION)
    assert (kept.not_billed, kept.usage.known, called.not_billed, called.usage.known) == (True, False, False, True)


def test_old_completions_are_measured() -> None:
    path = "/v1/complete"
    whole = answer("anthropic", path, {"model": "m", "completion": "four", "stop_reason": "stop_sequence"})
    assert (whole.output_characters, whole.finished, whole.usage, whole.response_model) == (4, True, Usage(), "m")
    pieces: list[dict[str, Any]] = [
        {"type": "completion", "model": "m", "completion": "fo", "stop_reason": None},
        {"type": "ping"},
    ]
    reader = fed("anthropic", path, *pieces, {"completion": "ur", "stop_reason": "stop_sequence", "model": "m"})
    assert (reader.reading().output_characters, reader.finished) == (4, True)


def test_an_answer_of_xai_that_is_still_deferred_is_not_finished() -> None:
    waiting = flavour("xai", "/v1/chat/deferred-completion/r1", "GET")
    assert not waiting.read_answer(202, {}).finished
    done = waiting.read_answer(200, {"model": "grok", "usage": {"cost_in_usd_ticks": 20_000}})
    assert (done.finished, done.reported_cost_usd) == (True, Decimal("0.000002"))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_transcript_of_mistral_is_counted_at_its_end(wrapped: bool) -> None:
    usage = {"prompt_audio_seconds": 3, "prompt_tokens": 5, "completion_tokens": 11, "total_tokens": 391}
    events: list[dict[str, Any]] = [
        {"type": "transcription.language", "audio_language": "en"},
        {"type": "transcription.text.delta", "text": "fo"},
        {"type": "transcription.text.delta", "text": "ur"},
        {"type": "transcription.done", "model": "voxtral-mini-2507", "text": "four", "language": "en", "usage": usage},
    ]
    if wrapped:  # as its client library shows them
        events = [{"event": event["type"], "data": event} for event in events]
    reader = fed("mistral", "/v1/audio/transcriptions", *events)
    reading = reader.reading()
    heard = Usage(input_tokens=380, input_audio_tokens=375, output_tokens=11, units={"audio_seconds": 3})
    assert (reading.usage, reading.response_model) == (heard, "voxtral-mini-2507")
    assert (reading.finished, reading.output_characters) == (True, 4)


@pytest.mark.parametrize(("form", "model"), [({}, "grok-stt"), ({"model": "grok-stt-2"}, "grok-stt-2")])
def test_xai_has_one_model_that_listens(form: dict[str, str], model: str) -> None:
    facts = flavour("xai", "/v1/stt").read_request(form)
    assert (facts.operation, facts.model) == ("transcription", model)


def test_chunks_of_xais_grpc_repeat_their_usage_as_it_grows() -> None:
    path = "/xai_api.Chat/GetCompletionChunk"
    chunks: list[dict[str, Any]] = [
        {"model": "grok", "outputs": [{"delta": {"content": "fo"}}], "usage": {"prompt_tokens": "3"}},
        {"model": "grok", "outputs": [{"delta": {"content": "ur"}, "finish_reason": "REASON_INVALID"}]},
    ]
    early = fed("xai", path, *chunks).reading()
    assert (early.usage, early.finished, early.output_characters) == (Usage(input_tokens=3), False, 4)
    usage = {"prompt_tokens": "3", "completion_tokens": 1, "reasoning_tokens": 1, "cost_in_usd_ticks": "20000"}
    last = {"model": "grok", "outputs": [{"finish_reason": "REASON_STOP"}], "usage": usage}
    reading = fed("xai", path, *chunks, last).reading()
    assert reading.usage == Usage(input_tokens=3, output_tokens=2, reasoning_tokens=1)
    assert (reading.finished, reading.reported_cost_usd) == (True, Decimal("0.000002"))


@pytest.mark.parametrize(
    ("tool", "unit"),
    [
        ("SERVER_SIDE_TOOL_WEB_SEARCH", "web_searches"),
        ("SERVER_SIDE_TOOL_X_SEARCH", "x_searches"),
        ("SERVER_SIDE_TOOL_CODE_EXECUTION", "code_interpreter_calls"),
        ("SERVER_SIDE_TOOL_ATTACHMENT_SEARCH", "attachment_searches"),
    ],
)
def test_tools_of_xais_grpc_are_units(tool: str, unit: str) -> None:
    reading = answer(
        "xai", "/xai_api.Chat/GetCompletion", {"usage": {"server_side_tools_used": [tool, tool, "NEW", 7]}}
    )
    assert reading.usage.units == {unit: 2}
