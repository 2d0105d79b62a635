"""Bedrock, rule by rule."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from wires import aws_event

from taximeter.core.usage import Usage
from taximeter.extract import Flavour, Reading, RequestFacts, StreamReader, flavour_for

PROFILE = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fabc"


def flavour(path: str) -> Flavour:
    found = flavour_for("bedrock", "POST", path)
    assert found is not None
    return found


def converse(**answer: Any) -> Reading:
    return flavour("/model/m/converse").read_answer(200, answer)


def invoke(body: object, headers: Mapping[str, str] | None = None, model: str = "m") -> Reading:
    return flavour(f"/model/{model}/invoke").read_answer(200, body, headers or {})


USAGES = [
    ("plain", {"inputTokens": 3, "outputTokens": 2}, Usage(input_tokens=3, output_tokens=2)),
    (
        "the input is the sum of three",
        {"inputTokens": 3, "cacheReadInputTokens": 40, "cacheWriteInputTokens": 500, "outputTokens": 2},
        Usage(input_tokens=543, cache_read_tokens=40, cache_write_5m_tokens=500, output_tokens=2),
    ),
    (
        "writes are split by lifetime",
        {
            "inputTokens": 3,
            "cacheWriteInputTokens": 500,
            "outputTokens": 2,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 200}, {"ttl": "1h", "inputTokens": 300}],
        },
        Usage(input_tokens=503, cache_write_5m_tokens=200, cache_write_1h_tokens=300, output_tokens=2),
    ),
]


@pytest.mark.parametrize(("rule", "usage", "expected"), USAGES)
def test_usage(rule: str, usage: dict[str, Any], expected: Usage) -> None:
    reading = converse(usage=usage)
    assert (reading.usage, reading.usage_conflict, reading.finished) == (expected, False, True)


@pytest.mark.parametrize(
    ("answer", "tier"),
    [
        ({}, None),
        ({"serviceTier": {"type": "flex"}}, "flex"),
        ({"performanceConfig": {"latency": "optimized"}}, "latency_optimized"),
        ({"performanceConfig": {"latency": "standard"}}, None),
    ],
)
def test_the_tier_decides_the_price(answer: dict[str, Any], tier: str | None) -> None:
    assert converse(usage={"inputTokens": 1, "outputTokens": 1}, **answer).service_tier == tier


def test_a_prompt_router_names_the_model_it_chose() -> None:
    trace = {"promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1::foundation-model/x"}}
    assert (
        converse(usage={"inputTokens": 1}, trace=trace).response_model
        == "arn:aws:bedrock:us-east-1::foundation-model/x"
    )


def test_what_guardrails_read_is_billed_wherever_it_is_told() -> None:
    used = {"invocationMetrics": {"usage": {"contentPolicyUnits": 1, "wordPolicyUnits": 0}}}
    trace = {"guardrail": {"inputAssessment": {"g": used}, "outputAssessments": {"g": [used, used]}}}
    assert converse(usage={"inputTokens": 1}, trace=trace).usage.units == {"guardrail_content_units": 3}
    assert invoke({"amazon-bedrock-trace": {"guardrail": {"input": {"g": used}}}}).usage.units == {
        "guardrail_content_units": 1
    }
    applied = flavour("/guardrail/g/version/1/apply").read_answer(200, {"usage": {"topicPolicyUnits": 2}})
    assert applied.usage == Usage(units={"guardrail_topic_units": 2})


COUNT_HEADERS = {"x-amzn-bedrock-input-token-count": "6", "x-amzn-bedrock-output-token-count": "10"}
VENDORS = [
    ("Claude", {"type": "message", "model": "c", "usage": {"input_tokens": 3, "output_tokens": 2}}, (3, 2)),
    ("Nova", {"usage": {"inputTokens": 3, "outputTokens": 2}}, (3, 2)),
    ("Titan", {"inputTextTokenCount": 3, "results": [{"tokenCount": 1}, {"tokenCount": 1}]}, (3, 2)),
    ("Titan's embeddings", {"inputTextTokenCount": 3, "embedding": [0.1]}, (3, 0)),
    ("Llama", {"prompt_token_count": 3, "generation_token_count": 2}, (3, 2)),
    ("Cohere", {"meta": {"billed_units": {"input_tokens": 3, "output_tokens": 2}}}, (3, 2)),
    ("Mistral's later ones", {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, (3, 2)),
    ("none in the body", {"outputs": [{"text": "four"}]}, (6, 10)),
]


@pytest.mark.parametrize(("vendor", "body", "counts"), VENDORS)
def test_vendors_count_in_their_own_way(vendor: str, body: dict[str, Any], counts: tuple[int, int]) -> None:
    reading = invoke(body, COUNT_HEADERS)
    assert ((reading.usage.input_tokens, reading.usage.output_tokens), reading.response_model) == (counts, None)
    assert reading.output_characters == 0


def test_without_counts_the_text_is_measured() -> None:
    assert invoke({"outputs": [{"text": "four"}]}).output_characters == 4


def test_headers_tell_the_cache_apart_and_embeddings_have_no_output() -> None:
    names = ("input", "cache-read-input", "cache-write-input")
    headers = {f"x-amzn-bedrock-{name}-token-count": str(n) for n, name in enumerate(names, 1)}
    assert invoke({}, headers).usage == Usage(
        input_tokens=6, cache_read_tokens=2, cache_write_5m_tokens=3, output_tokens=0
    )


RANKED = {"index": 0, "relevance_score": 0.9}


@pytest.mark.parametrize(("documents", "searches"), [(1, 1), (100, 1), (101, 2), (250, 3)])
def test_a_hundred_documents_are_ranked_as_one_search(documents: int, searches: int) -> None:
    reading = invoke({"results": [RANKED] * documents}, COUNT_HEADERS)
    assert (reading.usage, reading.usage_estimated) == (Usage(units={"search_units": searches}), True)


PICTURE = "aGVsbG8="
DRAWN = [
    ({"images": [PICTURE, PICTURE]}, {"images": 2}),
    ({"seeds": [1], "finish_reasons": [None], "images": [PICTURE]}, {"images": 1}),
    ({"seeds": [1], "finish_reasons": ["Filter reason: prompt"], "images": [PICTURE]}, {}),
    ({"images": [], "error": "blocked"}, {}),
]


@pytest.mark.parametrize(("body", "units"), DRAWN)
def test_pictures_are_counted_by_the_piece_and_are_no_text(body: dict[str, Any], units: dict[str, int]) -> None:
    reading = invoke(body)
    assert (reading.usage, reading.output_characters) == (Usage(units=units), 0)


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        ({"query": "q", "documents": ["d"]}, "rerank"),
        ({"taskType": "TEXT_IMAGE", "imageGenerationConfig": {}}, "image_generation"),
        ({"inputText": "t", "dimensions": 256}, "embeddings"),
        ({"inputText": "t"}, "chat"),
    ],
)
def test_what_is_asked_of_an_invoked_model_is_seen_in_the_request(body: dict[str, Any], operation: str) -> None:
    assert flavour("/model/m/invoke").read_request(body).operation == operation


GUARDED = {"output": {"message": {}}, "usage": {"inputTokens": 30}, "amazon-bedrock-guardrailAction": "INTERVENED"}


def test_headers_tell_what_an_answer_that_a_guardrail_rewrote_has_lost() -> None:
    assert invoke(GUARDED, COUNT_HEADERS).usage == Usage(input_tokens=6, output_tokens=10)
    assert invoke(GUARDED).usage == Usage(input_tokens=30), "without headers what is left is kept"


@pytest.mark.parametrize(
    ("headers", "tier"),
    [
        ({}, None),
        ({"x-amzn-bedrock-service-tier": "flex"}, "flex"),
        ({"x-amzn-bedrock-performanceconfig-latency": "optimized"}, "latency_optimized"),
        (
            {"x-amzn-bedrock-performanceconfig-latency": "standard", "x-amzn-bedrock-service-tier": "priority"},
            "priority",
        ),
    ],
)
def test_headers_tell_the_tier_of_an_invoked_model(headers: dict[str, str], tier: str | None) -> None:
    assert invoke({"usage": {"input_tokens": 3, "output_tokens": 2}}, headers).service_tier == tier


@pytest.mark.parametrize("odd", ["", "-1", "1.5", "x", "9" * 30, "²"])
def test_odd_headers_are_no_counts(odd: str) -> None:
    assert invoke({}, {"x-amzn-bedrock-input-token-count": odd}).usage == Usage()


def test_only_a_profile_of_ones_own_takes_the_model_from_the_answer() -> None:
    body = {"type": "message", "model": "claude-x", "usage": {"input_tokens": 3, "output_tokens": 2}}
    assert (invoke(body).response_model, invoke(body, model=PROFILE).response_model) == (None, "claude-x")


def test_the_path_names_the_model() -> None:
    for path in ("/model/us.x%3A0/converse", "/model/us.x:0/invoke-with-response-stream"):
        assert flavour(path).read_request({}).model == "us.x:0"
    assert flavour("/model/arn:aws:bedrock:r:1:inference-profile/us.x/invoke").read_request({}).model == (
        "arn:aws:bedrock:r:1:inference-profile/us.x"
    )


@pytest.mark.parametrize(
    ("path", "body", "facts"),
    [
        (
            "/model/m/converse",
            {"messages": [{"role": "user", "content": [{"text": "four"}]}], "inferenceConfig": {"maxTokens": 9}},
            RequestFacts(operation="chat", model="m", max_output_tokens=9, input_characters=4),
        ),
        (
            "/model/m/converse-stream",
            {"system": [{"text": "four"}]},
            RequestFacts(operation="chat", model="m", stream=True, input_characters=4),
        ),
        (
            "/model/m/invoke",
            {"inputText": "four", "textGenerationConfig": {"maxTokenCount": 9}},
            RequestFacts(operation="chat", model="m", max_output_tokens=9, input_characters=4),
        ),
        (
            "/model/m/invoke",
            {"texts": ["four"], "input_type": "search_query"},
            RequestFacts(operation="embeddings", model="m", input_characters=4),
        ),
    ],
)
def test_a_request_says_what_to_expect(path: str, body: dict[str, Any], facts: RequestFacts) -> None:
    assert flavour(path).read_request(body) == facts


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        ({"message": "slow down"}, {}, "http_429"),
        ({"message": "x"}, {"x-amzn-errortype": "ThrottlingException:http://internal/"}, "ThrottlingException"),
        ({"__type": "com.amazon#ThrottlingException"}, {}, "ThrottlingException"),
        (None, {}, "http_429"),
    ],
)
def test_an_error_is_named_and_not_billed(body: object, headers: dict[str, str], error: str) -> None:
    reading = flavour("/model/m/converse").read_answer(429, body, headers)
    assert (reading.error_type, reading.not_billed) == (error, True)


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────


def fed(path: str, *events: bytes) -> StreamReader:
    reader = flavour(path).stream()
    for event in events:
        reader.feed(event)
    return reader


def chunk(body: Mapping[str, Any]) -> bytes:
    return aws_event("chunk", {"bytes": base64.b64encode(json.dumps(body).encode()).decode(), "p": "abc"})


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 2}}


def test_converse_writes_text_tools_and_reasoning_and_ends_with_its_metadata() -> None:
    deltas = ({"text": "four"}, {"toolUse": {"input": "four"}}, {"reasoningContent": {"text": "four"}})
    events = [aws_event("contentBlockDelta", {"delta": delta, "p": "abcdef"}) for delta in deltas]
    reader = fed("/model/m/converse-stream", *events, aws_event("messageStop", {"stopReason": "end_turn"}))
    assert (reader.content_started, reader.finished, reader.reading().output_characters) == (True, False, 12)
    reader.feed(aws_event("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2}}))
    assert (reader.finished, reader.reading().usage) == (True, Usage(input_tokens=3, output_tokens=2))


def test_an_exception_in_a_stream_is_an_error() -> None:
    slow = aws_event("throttlingException", {"message": "slow"}, "exception")
    early = fed("/model/m/converse-stream", slow).reading()
    assert (early.error_type, early.not_billed, early.finished) == ("throttlingException", True, False)
    late = fed("/model/m/converse-stream", aws_event("contentBlockDelta", {"delta": {"text": "a"}}), slow).reading()
    assert (late.error_type, late.not_billed) == ("throttlingException", False)


def test_claudes_usage_and_the_metrics_are_one() -> None:
    start = {"type": "message_start", "message": {"model": "c", "usage": {"input_tokens": 3, "output_tokens": 1}}}
    delta = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}}
    end = {"type": "message_stop", **METRICS}
    for path, model in (("m", None), (PROFILE, "c")):
        reader = fed(f"/model/{path}/invoke-with-response-stream", chunk(start), chunk(delta), chunk(end))
        reading = reader.reading()
        assert (reading.usage, reading.response_model) == (Usage(input_tokens=3, output_tokens=2), model)
        assert reader.finished


@pytest.mark.parametrize("body", [{"outputText": "four"}, {"generation": "four"}, {"outputs": [{"text": "four"}]}])
def test_other_models_have_the_metrics_only(body: dict[str, Any]) -> None:
    reading = fed("/model/m/invoke-with-response-stream", chunk(body), chunk(METRICS)).reading()
    assert (reading.usage, reading.output_characters) == (Usage(input_tokens=3, output_tokens=2), 4)


def test_chunks_as_boto3_shows_them() -> None:
    reader = flavour("/model/m/invoke-with-response-stream").stream()
    reader.feed_event({"chunk": {"bytes": json.dumps(METRICS).encode()}})
    assert reader.reading().usage == Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize("odd", [None, 7, "###", "bm90IGpzb24=", b"\xff", {}])
def test_odd_chunks_say_nothing(odd: object) -> None:
    reader = flavour("/model/m/invoke-with-response-stream").stream()
    reader.feed_event({"chunk": {"bytes": odd}})
    assert reader.reading().usage == Usage()


def invocation(step: str, model: str, tokens: int) -> list[dict[str, Any]]:
    asked = {"modelInvocationInput": {"traceId": step, "foundationModel": model}}
    told = {
        "modelInvocationOutput": {"traceId": step, "metadata": {"usage": {"inputTokens": tokens, "outputTokens": 1}}}
    }
    return [{"trace": {"trace": {"orchestrationTrace": trace}}} for trace in (asked, told)]


def test_an_agents_invocations_add_up_model_by_model() -> None:
    reader = flavour("/agents/a/agentAliases/b/sessions/c/text").stream()
    for event in [*invocation("1", "x", 10), *invocation("2", "y", 20), *invocation("3", "x", 30)]:
        reader.feed_event(event)
    assert not reader.reading().finished
    reader.feed_event({"chunk": {"bytes": base64.b64encode(b"four").decode()}})
    reading = reader.reading()
    assert reading.by_model == (
        ("x", Usage(input_tokens=40, output_tokens=2)),
        ("y", Usage(input_tokens=20, output_tokens=1)),
    )
    assert (reading.usage, reading.finished) == (Usage(input_tokens=60, output_tokens=3), True)
