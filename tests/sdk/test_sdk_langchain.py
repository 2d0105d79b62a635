"""What LangChain says of an answer, in the words of its integrations with OpenAI and Anthropic, is what is counted."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from langchain_anthropic.chat_models import _create_usage_metadata as of_anthropic
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_openai.chat_models.base import _create_usage_metadata as of_openai
from replay import Written

import taximeter

CLAUDE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "cache_read_input_tokens": 300,
    "cache_creation_input_tokens": 700,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 500},
}
GPT = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 40},
}
OF_CLAUDE = {"input_tokens": 1010, "cache_read_tokens": 300, "output_tokens": 5}
OF_GPT = {"input_tokens": 100, "cache_read_tokens": 60, "output_tokens": 50, "reasoning_tokens": 40}


def claude(**changes: Any) -> Any:
    return of_anthropic(anthropic.types.Usage.model_validate({**CLAUDE, **changes}))


SAID: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    ("claude", claude(), {}, {**OF_CLAUDE, "cache_write_5m_tokens": 200, "cache_write_1h_tokens": 500}),
    ("claude of old", claude(cache_creation=None), {}, {**OF_CLAUDE, "cache_write_5m_tokens": 700}),
    ("gpt", of_openai(GPT), {"service_tier": "default"}, {**OF_GPT, "service_tier": "default"}),
    ("gpt in flex", of_openai(GPT, "flex"), {"service_tier": "flex"}, {**OF_GPT, "service_tier": "flex"}),
    ("gpt in priority", of_openai(GPT, "priority"), {}, {**OF_GPT, "service_tier": "priority"}),
]


@pytest.mark.parametrize(("usage", "metadata", "expected"), [case[1:] for case in SAID], ids=[case[0] for case in SAID])
def test_caches_and_tiers_are_counted(
    usage: Any, metadata: dict[str, Any], expected: dict[str, Any], written: Written
) -> None:
    message = AIMessage("x", usage_metadata=usage, response_metadata=metadata)
    taximeter.instrument(GenericFakeChatModel(messages=iter([message]))).invoke("hello")
    (event,) = written.events
    counted = {name: event[name] for name in event if name.endswith("_tokens") or name == "service_tier"}
    assert {name: count for name, count in counted.items() if count} == expected
