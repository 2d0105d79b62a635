"""What LlamaIndex keeps of an answer is read in the provider's own words, also where no client below is metered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anthropic
import pytest
from google.genai.types import GenerateContentResponseUsageMetadata
from replay import Written

from taximeter.sdk.instruments.llama_index import _Spans

CLAUDE = anthropic.types.Message.model_validate(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": [],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1000, "output_tokens": 5, "cache_read_input_tokens": 300},
    }
)
NOVA = {"output": {}, "stopReason": "end_turn", "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}}
CLAUDE_STREAMED = anthropic.types.RawMessageDeltaEvent.model_validate(
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"input_tokens": 1000, "output_tokens": 5, "cache_read_input_tokens": 300},
    }
)
NOVA_STREAMED = {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}, "metrics": {}}}
GEMINI = GenerateContentResponseUsageMetadata(
    prompt_token_count=40, candidates_token_count=5, thoughts_token_count=20, total_token_count=65
)
GPT = {"id": "c1", "model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}


class LLMChatStartEvent(SimpleNamespace):
    """By its name, as LlamaIndex tells of it."""


class LLMChatEndEvent(SimpleNamespace):
    """As above."""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (dict(CLAUDE), {"input_tokens": 1300, "cache_read_tokens": 300, "output_tokens": 5}),
        (CLAUDE, {"input_tokens": 1300, "cache_read_tokens": 300, "output_tokens": 5}),
        (dict(CLAUDE_STREAMED), {"input_tokens": 1300, "cache_read_tokens": 300, "output_tokens": 5}),
        (NOVA_STREAMED, {"input_tokens": 7, "output_tokens": 3}),
        (NOVA, {"input_tokens": 7, "output_tokens": 3}),
        ({"usage_metadata": GEMINI.model_dump()}, {"input_tokens": 40, "output_tokens": 25, "reasoning_tokens": 20}),
        (GPT, {"input_tokens": 9, "output_tokens": 2}),
    ],
    ids=["claude", "claude as an object", "claude streamed", "bedrock streamed", "bedrock", "gemini", "openai"],
)
def test_an_answer_that_llama_index_keeps_is_counted(raw: Any, expected: dict[str, int], written: Written) -> None:
    spans = _Spans()
    asked = {"model": "m", "class_name": "any_llm"}
    spans.take(LLMChatStartEvent(span_id="s", model_dict=asked, messages=[]))
    spans.take(LLMChatEndEvent(span_id="s", response=SimpleNamespace(raw=raw, message="assistant: hello")))
    (event,) = written.events
    assert {name: event[name] for name in event if name.endswith("_tokens") and event[name]} == expected
    assert "usage_estimated" not in event


@pytest.mark.parametrize(
    ("class_name", "provider"),
    [("openai_llm", "openai"), ("Anthropic_LLM", "anthropic"), ("Bedrock_Converse_LLM", "aws"), ("", "llama_index")],
)
def test_a_model_is_of_the_provider_that_its_class_names(class_name: str, provider: str, written: Written) -> None:
    spans = _Spans()
    spans.take(LLMChatStartEvent(span_id="s", model_dict={"model": "m", "class_name": class_name}, messages=[]))
    spans.take(LLMChatEndEvent(span_id="s", response=SimpleNamespace(raw=GPT, message="assistant: hello")))
    (event,) = written.events
    assert event["provider"] == provider


@pytest.mark.parametrize("usage", [{}, {"usage": None}], ids=["no usage", "usage that is null"])
def test_a_stream_that_told_llama_index_nothing_of_its_usage_is_an_estimate(
    usage: dict[str, Any], written: Written
) -> None:
    last_chunk = {
        "id": "c1",
        "model": "gpt-4o",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        **usage,
    }
    spans = _Spans()
    spans.take(LLMChatStartEvent(span_id="s", model_dict={"model": "gpt-4o", "class_name": "openai_llm"}, messages=[]))
    spans.take(LLMChatEndEvent(span_id="s", response=SimpleNamespace(raw=last_chunk, message="assistant: hello")))
    (event,) = written.events
    assert event["usage_estimated"]
    assert event["output_tokens"] > 0
    assert event["response_model"] == "gpt-4o"
