"""What a call can come to at most, told from its request, in the words of every protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taximeter.extract import flavour_for
from taximeter.limits.bounds import (
    DEAREST_IMAGE_TOKENS,
    IMAGE_TOKENS,
    THOUGHT_TOKENS,
    CallBound,
    bound_of,
    hears,
    models_beside,
)
from taximeter.limits.prompts import KnownPrompts, prompt_of

ASKED = {"role": "user", "content": "Hi"}
PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/gemini-2.5-pro:generateContent",
    "bedrock": "/model/amazon.nova-lite-v1:0/converse",
    "cohere": "/v2/chat",
    "ollama": "/api/chat",
    "mistral": "/v1/chat/completions",
    "responses": "/v1/responses",
    "kept prompt": "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A111122223333%3Aprompt%2FABCDE12345%3A1/converse",
    "voyage": "/v1/multimodalembeddings",
    "embed": "/v1beta/models/gemini-embedding-2:embedContent",
}
FAMILIES = {"responses": "openai", "embed": "gemini", "kept prompt": "bedrock"}


def bound(kind: str, payload: dict[str, Any], path: str | None = None) -> CallBound:
    flavour = flavour_for(FAMILIES.get(kind, kind), "POST", path or PATHS[kind])
    assert flavour is not None
    return bound_of(flavour.name, flavour.read_request(payload), payload, len(json.dumps(payload)))


def gemini(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "Hi"}, *parts]}], **more}


def converse(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": "Hi"}, *blocks]}], **more}


def inline(media: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media, "data": "AAAA"}}


def said(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, *parts]}], **more}


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
    ("mistral", said({"type": "document_url", "document_url": "https://arxiv.org/pdf/1805.04770"}), "document"),
    ("mistral", said({"type": "input_audio", "input_audio": "https://example.com/a.mp3"}), "sound by its address"),
    ("openai", said({"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}}), "sound by its address"),
    ("mistral", {"messages": [ASKED], "agent_id": "ag:1"}, "kept by the provider (agent_id)"),
    ("openai", {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}, ASKED]}, "an answer that was spoken"),
    ("responses", {"input": [{"type": "item_reference", "id": "msg_1"}, ASKED]}, "an item by its id"),
    ("responses", {"input": [{"id": "msg_1"}, ASKED]}, "an item by its id"),
    ("responses", {"input": [ASKED], "context_management": [{"type": "compaction"}]}, "sum up"),
    (
        "anthropic",
        {"messages": [ASKED], "max_tokens": 9, "context_management": {"edits": [{"type": "compact_20260112"}]}},
        "sum up",
    ),
    ("openai", {"messages": [ASKED], "model": "sonar-deep-research"}, "searches by itself"),
    ("openai", {"messages": [ASKED], "model": "gpt-4o-search-preview"}, "searches by itself"),
    ("openai", {"messages": [ASKED], "model": "gpt-5-search-api"}, "searches by itself"),
    ("openai", {"messages": [ASKED], "model": "openai/gpt-4o-mini:online"}, "searches by itself"),
    ("openai", {"messages": [ASKED], "model": "groq/compound-mini"}, "searches by itself"),
    ("kept prompt", {}, "kept by the provider (a prompt)"),
    ("voyage", {"inputs": [{"content": [{"type": "video_url", "video_url": "https://example.com/a"}]}]}, "document"),
    ("embed", {"content": {"parts": [{"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}]}}, "document"),
    ("embed", {"content": {"parts": [{"fileData": {"fileUri": "gs://a/b.pdf"}}]}}, "document"),
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
    ("responses", {"input": [ASKED], "tools": [{"type": "apply_patch"}, {"type": "local_shell"}]}),
    ("responses", {"input": [{"type": "message", "id": "msg_1", "role": "assistant", "content": []}, ASKED]}),
    ("openai", said({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})),
    ("mistral", said({"type": "input_audio", "input_audio": "AAAA"})),
    ("anthropic", {"messages": [ASKED], "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}),
    ("openai", {"messages": [ASKED], "model": "sonar"}),
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


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("openai", {"messages": [ASKED], "max_tokens": -1}),  # LM Studio: without end
        ("ollama", {"messages": [ASKED], "options": {"num_predict": -1}}),
        ("ollama", {"messages": [ASKED], "options": {"num_predict": -2}}),
    ],
)
def test_an_allowance_without_end_is_none_and_one_is_given(kind: str, payload: dict[str, Any]) -> None:
    found = bound(kind, payload)
    assert (found.output_tokens, found.clampable) == (None, True)


def test_choices_that_a_client_writes_with_a_point_are_choices() -> None:
    assert bound("openai", {"messages": [ASKED], "n": 3.0}).choices == 3


@pytest.mark.parametrize(
    ("documents", "searches"),
    [(["a"], 1), (["a"] * 100, 1), (["a"] * 101, 2), (["a" * 2_500] * 100, 11), ([{"text": "a"}] * 7, 1)],
)
def test_a_reranking_is_billed_by_the_hundred_documents_long_ones_as_several(
    documents: list[Any], searches: int
) -> None:
    assert bound("cohere", {"query": "q", "documents": documents}, "/v2/rerank").searches == searches


def test_a_reranking_counts_its_query_beside_each_document() -> None:
    found = bound("voyage", {"query": "q" * 1_000, "documents": ["a"] * 50}, "/v1/rerank")
    assert found.input_tokens > 50 * 1_000


@pytest.mark.parametrize(
    ("kind", "payload", "path"),
    [
        ("cohere", {"images": ["data:image/png;base64,AAAA"]}, "/v2/embed"),
        ("ollama", {"messages": [{"role": "user", "content": "Hi", "images": ["AAAA"]}]}, None),
    ],
)
def test_images_that_lie_beside_the_text_are_images(kind: str, payload: dict[str, Any], path: str | None) -> None:
    assert bound(kind, payload, path).input_tokens > DEAREST_IMAGE_TOKENS


FILES: dict[str, Any] = {"children": [{"type": "file", "file": {"name": "a.txt"}}, {"type": "image"}]}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("anthropic", {"type": "tool_use", "id": "toolu_1", "name": "append", "input": FILES}),
        ("bedrock", {"toolUse": {"toolUseId": "tooluse_1", "name": "append", "input": FILES}}),
    ],
)
def test_the_arguments_of_a_tool_bring_no_documents_and_no_images(kind: str, said: dict[str, Any]) -> None:
    found = bound(kind, {"messages": [{"role": "assistant", "content": [said]}], "max_tokens": 100})
    assert found.unbounded is None
    assert found.input_tokens < 1_000


def test_what_was_thought_and_is_kept_by_the_provider_is_read_again() -> None:
    item: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
    in_words = {**item, "content": [{"type": "reasoning_text", "text": "They greet me."}]}
    assert bound("responses", {"input": [item, ASKED]}).input_tokens > THOUGHT_TOKENS
    for sent in ({**item, "encrypted_content": "gAAA"}, in_words):
        assert bound("responses", {"input": [sent, ASKED]}).input_tokens < 1_000


def test_what_was_sent_before_has_no_images_any_more_that_have_to_be_bounded() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    payload = {"messages": [image, image, ASKED], "model": "gpt-4o"}
    prompts, size_bytes = KnownPrompts(), 10_000
    flavour = flavour_for("openai", "POST", PATHS["openai"])
    assert flavour is not None
    first = prompt_of({**payload, "messages": [image, image]}, size_bytes, "openai", "gpt-4o")
    prompts.learn(first, 1_700)
    known = prompts.beginning(prompt_of(payload, size_bytes, "openai", "gpt-4o"))
    found = bound_of(flavour.name, flavour.read_request(payload), payload, len(json.dumps(payload)), known)
    assert 1_700 < found.input_tokens < 2_200


def test_a_prompt_is_other_tokens_to_another_model_and_is_not_known_there() -> None:
    payload = {"messages": [{"role": "user", "content": [{"text": "a" * 4_000}]}]}
    prompts = KnownPrompts()
    prompts.learn(prompt_of(payload, 4_100, "bedrock", "anthropic.claude-3-haiku-20240307-v1:0"), 500)
    assert prompts.beginning(prompt_of(payload, 4_100, "bedrock", "meta.llama3-8b-instruct-v1:0")).tokens == 0


def test_a_cache_point_of_an_hour_is_one_in_the_words_of_converse() -> None:
    assert bound("bedrock", converse({"cachePoint": {"type": "default", "ttl": "1h"}})).caches_for_an_hour
    assert not bound("bedrock", converse({"cachePoint": {"type": "default"}})).caches_for_an_hour


@pytest.mark.parametrize(("ttl", "longer"), [("30m", False), ("12h", True)])
def test_what_openai_is_asked_to_keep_for_twelve_hours_is_held_at_the_price_of_that(ttl: str, longer: bool) -> None:
    payload = {"messages": [ASKED], "prompt_cache_options": {"mode": "explicit", "ttl": ttl}}
    assert bound("openai", payload).caches_for_an_hour is longer


def test_models_that_may_answer_instead_are_those_that_openrouter_is_told() -> None:
    assert models_beside({"model": "a/b", "models": ["a/b", "c/d"]}) == ("a/b", "c/d")
    assert models_beside({"model": "a/b", "models": "c/d"}) == ()
