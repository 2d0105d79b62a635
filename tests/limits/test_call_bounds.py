"""What a call can come to at most, told from its request, in the words of every protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taximeter.extract import flavour_for
from taximeter.limits.bounds import DEAREST_IMAGE_TOKENS, IMAGE_TOKENS, CallBound, bound_of, hears

ASKED = {"role": "user", "content": "Hi"}
PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/gemini-2.5-pro:generateContent",
    "bedrock": "/model/amazon.nova-lite-v1:0/converse",
    "cohere": "/v2/chat",
}


def bound(kind: str, payload: dict[str, Any], path: str | None = None) -> CallBound:
    flavour = flavour_for(kind, "POST", path or PATHS[kind])
    assert flavour is not None
    return bound_of(flavour.name, flavour.read_request(payload), payload, len(json.dumps(payload)))


def gemini(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "Hi"}, *parts]}], **more}


def converse(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": "Hi"}, *blocks]}], **more}


def inline(media: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media, "data": "AAAA"}}


RESULT = {"toolResult": {"toolUseId": "t", "content": [{"document": {"name": "d"}}]}}
SCHEMA = {"type": "object", "properties": {"document": {"type": "string"}, "video": {"type": "string"}}}

UNBOUNDED = [
    ("openai", {"messages": [ASKED], "tools": [{"type": "web_search"}]}, "web_search"),
    ("openai", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "document"),
    ("anthropic", {"messages": [ASKED], "max_tokens": 9, "tools": [{"type": "web_search_20250305"}]}, "web_search"),
    ("gemini", gemini(tools=[{"googleSearch": {}}]), "googleSearch"),
    ("gemini", gemini(tools=[{"code_execution": {}}]), "code_execution"),
    ("gemini", gemini(cachedContent="cachedContents/1"), "kept by the provider"),
    ("gemini", gemini({"fileData": {"fileUri": "gs://a/b.pdf"}}), "document"),
    ("gemini", gemini(inline("application/pdf")), "document"),
    ("gemini", gemini(inline("video/mp4")), "document"),
    ("gemini", gemini(generationConfig={"responseModalities": ["TEXT", "IMAGE"]}), "more than text"),
    ("gemini", gemini(generation_config={"response_modalities": ["IMAGE"]}), "more than text"),
    (
        "gemini",
        gemini(generationConfig={"maxOutputTokens": 9}, generation_config={"max_output_tokens": 99}),
        "allowance twice",
    ),
    ("bedrock", converse({"document": {"name": "d", "source": {}}}), "document"),
    ("bedrock", converse({"video": {"source": {}}}), "document"),
    ("bedrock", converse(RESULT), "document"),
    ("bedrock", converse(guardrailConfig={"guardrailIdentifier": "g"}), "guardrails"),
    ("bedrock", converse(toolConfig={"tools": [{"systemTool": {"name": "nova_grounding"}}]}), "systemTool"),
    ("bedrock", converse(additionalModelRequestFields={"tools": []}), "hands on fields"),
    ("bedrock", {"promptVariables": {"a": {"text": "b"}}}, "kept by the provider"),
    ("cohere", {"messages": [ASKED], "connectors": [{"id": "web-search"}]}, "provider adds"),
]


@pytest.mark.parametrize(("kind", "payload", "reason"), UNBOUNDED)
def test_what_is_not_in_a_request_has_no_bound_and_says_why(kind: str, payload: dict[str, Any], reason: str) -> None:
    assert reason in (bound(kind, payload).unbounded or "")


BOUNDED = [
    ("openai", {"messages": [ASKED], "tools": [{"type": "function", "function": {"parameters": SCHEMA}}]}),
    ("anthropic", {"messages": [ASKED], "max_tokens": 9, "tools": [{"name": "t", "input_schema": SCHEMA}]}),
    ("gemini", gemini(tools=[{"functionDeclarations": [{"name": "t", "parameters": SCHEMA}]}])),
    ("gemini", gemini(inline("audio/wav"), generationConfig={"responseModalities": ["TEXT"]})),
    ("bedrock", converse({"toolUse": {"input": {"document": {}, "video": {}}}})),
    ("bedrock", converse(toolConfig={"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": SCHEMA}}}]})),
    ("bedrock", converse(additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 1024}})),
    ("cohere", {"messages": [ASKED], "documents": [{"data": {"text": "all of it is here"}}]}),
]


@pytest.mark.parametrize(("kind", "payload"), BOUNDED)
def test_what_the_caller_brings_himself_is_bounded(kind: str, payload: dict[str, Any]) -> None:
    found = bound(kind, payload)
    assert found.unbounded is None
    assert found.input_tokens > len(json.dumps(payload))


@pytest.mark.parametrize(
    ("kind", "payload", "tokens"),
    [
        ("openai", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, DEAREST_IMAGE_TOKENS),
        ("anthropic", {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, IMAGE_TOKENS["anthropic"]),
        ("gemini", gemini(inline("image/png")), DEAREST_IMAGE_TOKENS),
        ("bedrock", converse({"image": {"format": "png"}}), DEAREST_IMAGE_TOKENS),
    ],
)
def test_an_image_counts_once_with_the_largest_of_its_family(kind: str, payload: dict[str, Any], tokens: int) -> None:
    assert tokens < bound(kind, payload).input_tokens < 2 * tokens


@pytest.mark.parametrize(
    ("payload", "heard"),
    [
        ({"messages": [ASKED]}, False),
        ({"messages": [ASKED], "modalities": ["text", "audio"]}, True),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, True),
        (gemini(inline("audio/wav")), True),
        (gemini(inline("image/png")), False),
    ],
)
def test_sound_has_rates_of_its_own_whether_it_is_read_or_written(payload: dict[str, Any], heard: bool) -> None:
    assert hears(payload) is heard


@pytest.mark.parametrize(
    ("kind", "payload", "least"),
    [
        ("anthropic", {"messages": [ASKED], "thinking": {"type": "enabled", "budget_tokens": 4_000}}, 5_024),
        ("gemini", gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 2_000}}), 3_024),
        ("gemini", gemini(generationConfig={"thinkingConfig": {"thinkingBudget": -1}}), 1_024),
        ("gemini", gemini(generation_config={"thinking_config": {"thinking_budget": 2_000}}), 3_024),
        (
            "bedrock",
            converse(additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 2_000}}),
            3_024,
        ),
        ("openai", {"messages": [ASKED]}, 256),
    ],
)
def test_a_call_that_thinks_first_is_left_enough_to_write(kind: str, payload: dict[str, Any], least: int) -> None:
    assert bound(kind, payload).least_output == least


def test_candidates_are_choices() -> None:
    assert bound("gemini", gemini(generationConfig={"candidateCount": 4})).choices == 4
    assert bound("gemini", gemini(generation_config={"candidate_count": 4})).choices == 4


def test_an_invoked_models_allowance_is_read_and_not_changed() -> None:
    path = "/model/meta.llama3-8b-instruct-v1:0/invoke"
    stated = bound("bedrock", {"prompt": "Hi", "max_gen_len": 50}, path)
    assert (stated.output_tokens, stated.clampable) == (50, False)
    assert not bound("bedrock", {"prompt": "Hi"}, path).clampable
