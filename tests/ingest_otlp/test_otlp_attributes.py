"""Attributes become fields by the table, and nothing else of a span is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from otlp_spans import CHAT, NOW_US, S, chat, counts, event, events, spans

from taximeter.clock import rfc3339
from taximeter.ingest.otlp.attributes import IN_SECONDS, INDEX, ROWS, best_said, said_by
from taximeter.ingest.otlp.emitters import provider_of
from taximeter.ingest.otlp.span import Found
from taximeter.pricing.price_file import read_file
from taximeter.pricing.shelf import CORRECTIONS

A_USAGE = '{"model": "m"}'
IN_AN_ANSWER = f'{{"message": [], "usage": {A_USAGE}}}'
A_VALUE_OF = {
    "read_count": 7,
    "read_money": "0.25",
    "read_json": A_USAGE,
    "_provider": "Groq",
    "_is_said": True,
    "_read_genkit": IN_AN_ANSWER,
}


def read(given: Iterable[tuple[str, object]]) -> Found:
    """What named values say together."""
    return best_said(said_by(INDEX.get(name, ()), value) for name, value in given)


@pytest.mark.parametrize(
    ("row", "name"), [(row, name) for row in ROWS for name in row.names], ids=lambda x: str(getattr(x, "field", x))[:60]
)
def test_every_name_in_the_table_gives_its_field(row: Any, name: str) -> None:
    value = A_VALUE_OF.get(row.read.__name__, "1.5" if "milliseconds" in row.read.__name__ else "text")
    found = read([(name, value)])[row.field]
    if row.read.__name__ == "read_milliseconds":
        assert found == (1500 if name in IN_SECONDS else 1.5)
    else:
        money_and_objects = {"0.25": Decimal("0.25"), A_USAGE: {"model": "m"}, IN_AN_ANSWER: {"model": "m"}}
        assert found == money_and_objects.get(str(value), value)


@pytest.mark.parametrize("row", [row for row in ROWS if len(row.names) > 1], ids=lambda row: str(row.field))
def test_the_first_name_wins_wherever_it_stands(row: Any) -> None:
    better, worse = {"read_count": (7, 8), "read_json": ('{"a": 1}', "{}"), "_provider": ("a", "b")}.get(
        row.read.__name__, ("1", "2")
    )
    given = [(row.names[-1], worse), (row.names[0], better)]
    assert read(given)[row.field] == read(reversed(given))[row.field] == read(given[1:])[row.field]


@pytest.mark.parametrize("value", [1_234, 1_234.0, "1234", "1234.0", " 1234 "])
def test_counts_come_as_ints_doubles_and_text(value: object) -> None:
    assert read([("gen_ai.usage.input_tokens", value)]) == {"input": 1_234}


@pytest.mark.parametrize("value", [-1, "many", "", float("nan"), float("inf"), True, 10**15, None, "9" * 5000])
def test_what_is_no_count_is_not_known(value: object) -> None:
    assert read([("gen_ai.usage.input_tokens", value), ("gen_ai.usage.prompt_tokens", 5)]) == {"input": 5}


def test_the_same_number_under_several_names_counts_once() -> None:
    said = {
        **chat(100, 20),
        "gen_ai.usage.prompt_tokens": 100,
        "llm.token_count.prompt": 100,
        "ai.usage.inputTokens": 100,
        "gen_ai.usage.completion_tokens": 20,
        "gen_ai.usage.details.cache_read_tokens": 40,
        "gen_ai.usage.cache_read.input_tokens": 40,
    }
    assert counts(event(S(1, said))) == {"input_tokens": 100, "output_tokens": 20, "cache_read_tokens": 40}


def test_a_whole_event() -> None:
    said = {
        **chat(1_500, 400),
        "gen_ai.usage.cache_read.input_tokens": 1_000,
        "gen_ai.usage.reasoning.output_tokens": 300,
        "gen_ai.usage.audio.input_tokens": 50,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.time_to_first_chunk": 0.25,
        "openai.response.service_tier": "flex",
        "gen_ai.conversation.id": "s1",
        "user.id": "u1",
        "gen_ai.agent.name": "planner",
        "gen_ai.prompt.version": "v3",
        "operation.cost": 0.0125,
        "http.response.status_code": 200,
    }
    service = {
        "service.name": "shop",
        "service.version": "1.2",
        "deployment.environment.name": "prod",
        "team.id": "core",
    }
    found = event(S(1, said, until=2.5, resource=service, trace_state="x=1,ot=th:8;rv:1"))

    assert found.pop("event_id")[14] == "7"
    assert found == {
        "started_at": rfc3339(NOW_US),
        "duration_ms": 2500.0,
        "time_to_first_token_ms": 250.0,
        "source": "otlp",
        "status": "ok",
        "attempt": 1,
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "response_model": "gpt-4o-mini-2024-07-18",
        "operation": "chat",
        "service_tier": "flex",
        "http_status": 200,
        "response_id": "chatcmpl-1",
        "trace_id": f"{1:032x}",
        "span_id": f"{1:016x}",
        "user_id": "u1",
        "session_id": "s1",
        "feature": "planner",
        "team": "core",
        "environment": "prod",
        "service": "shop",
        "service_version": "1.2",
        "prompt_version": "v3",
        "tags": {
            "otlp_emitter": "otel",
            "agent": "planner",
            "otlp_input_rule": "3 otel/*",
            "otlp_output_rule": "3 otel/*",
            "otlp_sampling_threshold": "8",
        },
        "input_tokens": 1_500,
        "cache_read_tokens": 1_000,
        "input_audio_tokens": 50,
        "output_tokens": 400,
        "reasoning_tokens": 300,
        "reported_cost_usd": "0.0125",
    }


def test_an_error_is_an_error_and_its_exception_names_it() -> None:
    found = event(S(1, CHAT, failed=True, events=[{"exception.type": "RateLimitError"}]))
    assert (found["status"], found["error_type"]) == ("error", "RateLimitError")
    handled = event(S(1, chat(1, 1), events=[{"exception.type": "RateLimitError"}]))
    assert handled["status"] == "ok"
    assert "error_type" not in handled


def test_events_of_a_span_are_asked_where_it_is_silent() -> None:
    details = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2, "gen_ai.response.model": "other"}
    found = event(S(1, CHAT, events=[details]))
    assert (counts(found), found["response_model"]) == (
        {"input_tokens": 10, "output_tokens": 2},
        "gpt-4o-mini-2024-07-18",
    )


# ── content ─────────────────────────────────────────────────────────────────────────────────────────────────────

SECRET = "my secret prompt"
CONTENT = [
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt.0.content",
    "gen_ai.prompt",
    "gen_ai.completion.0.content",
    "gen_ai.completion",
    "llm.input_messages.0.message.content",
    "input.value",
    "output.value",
    "llm.output_messages.0.message.content",
    "ai.prompt",
    "ai.prompt.messages",
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.trace.input",
    "langfuse.trace.name",
    "pydantic_ai.all_messages",
    "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.llm_request",
    "request_data",
    "response_data",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "lk.user_input",
    "genkit:input",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "exception.message",
    "user_prompt",
    "body",
    "prompt",
]


@pytest.mark.parametrize("name", CONTENT)
def test_content_is_not_in_the_table(name: str) -> None:
    assert name not in INDEX


def test_content_is_dropped_before_anything_else_sees_the_span() -> None:
    loud = {**chat(5, 1), **dict.fromkeys(CONTENT, SECRET), "llm.invocation_parameters": f'{{"stop": "{SECRET}"}}'}
    loud["ai.response.providerMetadata"] = f'{{"openai": {{"reasoning": "{SECRET}"}}}}'
    loud |= {"error.message": SECRET, "genkit:output": f'{{"message": "{SECRET}", "usage": {{"inputTokens": 5}}}}'}
    sent = S(1, loud, events=[{"gen_ai.prompt": SECRET, "exception.message": SECRET}])
    assert SECRET not in json.dumps(event(sent))
    assert all(SECRET not in str(found) for found in spans(S(2, dict.fromkeys(CONTENT, SECRET)))[0].found.values())


def test_lists_and_other_kinds_of_values_are_harmless() -> None:
    said = {**chat(5, 1), "gen_ai.response.finish_reasons": ["stop"], "user.id": ["a", "b"]}
    assert "user_id" not in event(S(1, said))


# ── raw usage ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_lifetimes_of_cache_writes_come_out_of_raw_usage() -> None:
    raw = {
        "input_tokens": 12,
        "cache_creation_input_tokens": 1_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 700},
    }
    said = {
        **chat(10_012, 200),
        "gen_ai.provider.name": "anthropic",
        "gen_ai.usage.cache_creation.input_tokens": 1_000,
        "gen_ai.usage.cache_read.input_tokens": 9_000,
    }
    for name, value in (
        ("gen_ai.usage.raw", json.dumps(raw)),
        ("ai.response.providerMetadata", json.dumps({"anthropic": {"usage": raw}})),
    ):
        found = event(S(1, {**said, name: value}, scope="logfire"))
        assert (found["cache_write_5m_tokens"], found["cache_write_1h_tokens"]) == (300, 700)
        assert "otlp_cache_lifetime" not in found["tags"]


def test_what_openai_keeps_for_twelve_hours_comes_out_of_raw_usage() -> None:
    kept = {"ttl_30m_tokens": 300, "ttl_12h_tokens": 700}
    raw = {"input_tokens": 2_000, "input_tokens_details": {"cache_write_tokens_details": kept}}
    said = {**chat(2_000, 20), "gen_ai.provider.name": "openai", "gen_ai.usage.cache_creation.input_tokens": 1_000}
    found = event(S(1, {**said, "gen_ai.usage.raw": json.dumps(raw)}, scope="logfire"))
    assert (found["cache_write_5m_tokens"], found["cache_write_1h_tokens"]) == (300, 700)


def test_litellm_tells_of_the_cache_as_python_prints_it() -> None:
    """Its own callback sends no other word of cache and reasoning."""
    lifetimes = {"ephemeral_5m_input_tokens": 300, "ephemeral_30m_input_tokens": None, "ephemeral_1h_input_tokens": 700}
    usage = {
        "completion_tokens": 41,
        "prompt_tokens": 10_012,
        "completion_tokens_details": {"reasoning_tokens": 12},
        "prompt_tokens_details": {"cached_tokens": 9_000, "cache_creation_token_details": lifetimes},
        "cache_creation_input_tokens": 1_000,
        "cache_read_input_tokens": 9_000,
        "inference_geo": "not_available",
        "is_byok": False,
    }
    said = {**chat(10_012, 41), "gen_ai.system": "anthropic", "metadata.usage_object": str(usage)}
    found = event(S(1, said, name="litellm_request", scope="litellm"))
    assert counts(found) == {
        "input_tokens": 10_012,
        "cache_read_tokens": 9_000,
        "cache_write_5m_tokens": 300,
        "cache_write_1h_tokens": 700,
        "output_tokens": 41,
        "reasoning_tokens": 12,
    }
    assert (found["tags"]["otlp_emitter"], found["tags"]["otlp_input_rule"]) == ("litellm", "3 litellm/*")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"input": 100, "output": 20, "total": 1_120, "input_cached_tokens": 900, "output_reasoning_tokens": 80},
            {"input_tokens": 1_000, "cache_read_tokens": 900, "cache_write_5m_tokens": 0, "output_tokens": 100,
             "reasoning_tokens": 80},
        ),
        (
            {"input_tokens": 12, "output_tokens": 200, "cache_read_input_tokens": 9_000,
             "cache_creation_input_tokens": 1_000},
            {"input_tokens": 10_012, "cache_read_tokens": 9_000, "cache_write_5m_tokens": 1_000, "output_tokens": 200},
        ),
        (
            {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100,
             "prompt_tokens_details": {"cached_tokens": 900, "audio_tokens": 0},
             "completion_tokens_details": {"reasoning_tokens": 80}},
            {"input_tokens": 1_000, "cache_read_tokens": 900, "output_tokens": 100, "reasoning_tokens": 80,
             "input_audio_tokens": 0},
        ),
        ({"input": "7", "output": 3.0}, {"input_tokens": 7, "output_tokens": 3}),
        (
            {"input": 12, "output": 200, "total": 10_212, "input_cache_read": 9_000, "input_cache_creation": 0,
             "input_ephemeral_5m_input_tokens": 300, "input_ephemeral_1h_input_tokens": 700},
            {"input_tokens": 10_012, "cache_read_tokens": 9_000, "cache_write_5m_tokens": 300,
             "cache_write_1h_tokens": 700, "output_tokens": 200},
        ),
        (
            {"input": 12, "output": 200, "cache_read_input_tokens": 9_000, "cache_creation_input_tokens": 1_000,
             "cache_creation_ephemeral_5m_input_tokens": 300, "cache_creation_ephemeral_1h_input_tokens": 700},
            {"input_tokens": 10_012, "cache_read_tokens": 9_000, "cache_write_5m_tokens": 300,
             "cache_write_1h_tokens": 700, "output_tokens": 200},
        ),
        (
            {"input_tokens": 12, "output_tokens": 200, "cache_read_input_tokens": 9_000,
             "cache_creation_input_tokens": 1_000,
             "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 700}},
            {"input_tokens": 10_012, "cache_read_tokens": 9_000, "cache_write_5m_tokens": 300,
             "cache_write_1h_tokens": 700, "output_tokens": 200},
        ),
        (
            {"input": 10_012, "output": 200, "total": 10_212, "input_priority": 1_012,
             "input_priority_cache_read": 9_000, "output_priority": 50, "output_priority_reasoning": 150},
            {"input_tokens": 10_012, "cache_read_tokens": 9_000, "cache_write_5m_tokens": 0, "output_tokens": 200,
             "reasoning_tokens": 150},
        ),
        (
            {"input": 0, "output": 0, "total": 10_212, "input_flex": 1_012, "input_flex_cache_read": 9_000,
             "output_flex": 50, "output_flex_reasoning": 150},
            {"input_tokens": 10_012, "cache_read_tokens": 9_000, "cache_write_5m_tokens": 0, "output_tokens": 200,
             "reasoning_tokens": 150},
        ),
    ],
)  # fmt: skip
def test_langfuse_usage_in_its_two_shapes(usage: dict[str, Any], expected: dict[str, int]) -> None:
    said = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "gpt-4o",
        "langfuse.observation.usage_details": json.dumps(usage),
        "langfuse.observation.cost_details": json.dumps({"input": 0.1, "output": 0.25}),
        "langfuse.observation.completion_start_time": json.dumps(rfc3339(NOW_US + 250_000)),
        "langfuse.observation.prompt.name": "greeting",
        "langfuse.observation.prompt.version": 4,
        "langfuse.user.id": "u1",
        "langfuse.environment": "prod",
    }
    found = event(S(1, said, scope="langfuse-sdk"))
    assert counts(found) == expected
    assert (found["provider"], found["operation"], found["reported_cost_usd"]) == ("openai", "chat", "0.35")
    assert (found["prompt_version"], found["user_id"], found["environment"]) == ("greeting@4", "u1", "prod")
    assert found["time_to_first_token_ms"] == 250.0


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"model": 5}', '{"input": "x"}', "{" * 100_000])
def test_broken_objects_do_no_harm(text: str) -> None:
    names = ("llm.invocation_parameters", "langfuse.observation.usage_details", "langfuse.observation.cost_details",
             "ai.response.providerMetadata", "gen_ai.usage.raw")  # fmt: skip
    assert counts(event(S(1, {**chat(5, 1), **dict.fromkeys(names, text)}))) == {"input_tokens": 5, "output_tokens": 1}


def test_openlit_knows_no_price_when_it_says_zero() -> None:
    assert "reported_cost_usd" not in event(S(1, {**chat(5, 1), "gen_ai.usage.cost": 0.0}, scope="openlit"))
    assert event(S(1, {**chat(5, 1), "gen_ai.usage.cost": 0.5}, scope="openlit"))["reported_cost_usd"] == "0.5"


def test_openlit_for_other_languages_is_openlit() -> None:
    said = {
        **chat(12, 200),
        "gen_ai.system": "anthropic",
        "gen_ai.usage.prompt_tokens_details.cache_read": 9_000,
        "gen_ai.usage.prompt_tokens_details.cache_write": 1_000,
        "gen_ai.usage.cost": 0.0,
    }
    found = event(S(1, said, scope="openlit.anthropic"))
    assert counts(found) == {
        "input_tokens": 10_012,
        "cache_read_tokens": 9_000,
        "cache_write_5m_tokens": 1_000,
        "output_tokens": 200,
    }
    for scope in ("openlit.anthropic", "@openlit/instrumentation-anthropic", "openlit.instrumentation.litellm"):
        assert "reported_cost_usd" not in event(S(1, said, scope=scope))


def test_what_envoys_gateway_says_was_written_to_the_cache() -> None:
    said = {
        "openinference.span.kind": "LLM",
        "llm.system": "anthropic",
        "llm.model_name": "claude-sonnet-4-5",
        "llm.token_count.prompt": 10_012,
        "llm.token_count.prompt_details.cache_read": 9_000,
        "llm.token_count.prompt_details.cache_creation": 1_000,
        "llm.token_count.completion": 200,
        "llm.token_count.total": 10_212,
    }
    assert counts(event(S(1, said, scope="envoyproxy/ai-gateway"))) == {
        "input_tokens": 10_012,
        "cache_read_tokens": 9_000,
        "cache_write_5m_tokens": 1_000,
        "output_tokens": 200,
    }


def test_text_that_litellm_counts_apart_was_not_read_from_the_cache() -> None:
    """OpenInference calls it `cache_input`."""
    said = {
        "openinference.span.kind": "LLM",
        "llm.provider": "google",
        "llm.model_name": "gemini/gemini-3-flash",
        "llm.token_count.prompt": 1_000,
        "llm.token_count.completion": 50,
        "llm.token_count.prompt_details.cache_input": 1_000,
    }
    found = event(S(1, said, scope="openinference.instrumentation.litellm"))
    assert counts(found) == {"input_tokens": 1_000, "output_tokens": 50}


def test_a_voice_that_livekit_tells_of_is_counted_as_audio() -> None:
    said = chat(
        1_000,
        500,
        **{
            "gen_ai.usage.input_text_tokens": 200,
            "gen_ai.usage.input_audio_tokens": 800,
            "gen_ai.usage.input_cached_tokens": 600,
            "gen_ai.usage.output_text_tokens": 100,
            "gen_ai.usage.output_audio_tokens": 400,
        },
    )
    assert counts(event(S(1, said, scope="livekit-agents"))) == {
        "input_tokens": 1_000,
        "cache_read_tokens": 600,
        "input_audio_tokens": 800,
        "output_tokens": 500,
        "output_audio_tokens": 400,
    }


@pytest.mark.parametrize(
    ("cached", "reasoning"),
    [
        ("cached_input_tokens", "reasoning_tokens"),
        ("cached_tokens", "thoughts_tokens"),
        ("prompt_cache_hit_tokens", "thinking_tokens"),
        ("details.cached_content_tokens", "details.thoughts_tokens"),
    ],
)
def test_names_that_only_some_frameworks_use(cached: str, reasoning: str) -> None:
    said = {
        f"gen_ai.usage.{cached}": 600,
        "gen_ai.usage.audio_input_tokens": 100,
        "gen_ai.usage.audio_output_tokens": 50,
        f"gen_ai.usage.{reasoning}": 30,
    }
    assert counts(event(S(1, chat(1_000, 500, **said), scope="@mastra/otel-exporter"))) == {
        "input_tokens": 1_000,
        "cache_read_tokens": 600,
        "input_audio_tokens": 100,
        "output_tokens": 500,
        "output_audio_tokens": 50,
        "reasoning_tokens": 30,
    }


@pytest.mark.parametrize("nothing", ["none", "unknown", "None"])
def test_no_model_is_called_none(nothing: str) -> None:
    """Spring AI says `none` where the answer names no model, as at Bedrock."""
    said = {"gen_ai.request.model": "us.amazon.nova-pro-v1:0", "gen_ai.response.model": nothing}
    found = event(S(1, {**chat(5, 1), **said, "gen_ai.provider.name": "bedrock_converse"}))
    assert (found["provider"], found["request_model"]) == ("aws-bedrock", "us.amazon.nova-pro-v1:0")
    assert "response_model" not in found


# ── LangSmith ───────────────────────────────────────────────────────────────────────────────────────────────────

LANGSMITH_DETAILS: list[tuple[dict[str, Any], dict[str, Any], dict[str, int]]] = [
    (
        {"cache_read": 9_000, "ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 700},
        {},
        {"cache_read_tokens": 9_000, "cache_write_5m_tokens": 300, "cache_write_1h_tokens": 700},
    ),
    (
        {"audio": None, "cache_read": 9_000},
        {"audio": None, "reasoning": 150},
        {"cache_read_tokens": 9_000, "reasoning_tokens": 150},
    ),
    (
        {"audio": 0, "flex_cache_read": 9_000, "flex": 1_012},
        {"audio": 0, "flex_reasoning": 150, "flex": 50},
        {"cache_read_tokens": 9_000, "reasoning_tokens": 150, "input_audio_tokens": 0, "output_audio_tokens": 0},
    ),
]


@pytest.mark.parametrize(("inputs", "outputs", "parts"), LANGSMITH_DETAILS)
@pytest.mark.parametrize("written", [str, json.dumps])
def test_langsmith_tells_of_the_parts_in_dictionaries(
    inputs: dict[str, Any], outputs: dict[str, Any], parts: dict[str, int], written: Any
) -> None:
    """Of Python's or in JSON."""
    said = {
        **chat(10_012, 200),
        "langsmith.span.kind": "llm",
        "gen_ai.usage.total_tokens": 10_212,
        "gen_ai.usage.input_token_details": written(inputs),
        "gen_ai.usage.output_token_details": written(outputs),
        "gen_ai.response.service_tier": "flex",
    }
    found = event(S(1, said, scope="langsmith"))
    assert counts(found) == {"input_tokens": 10_012, "output_tokens": 200, **parts}
    assert found["service_tier"] == "flex"


def test_langsmith_tells_of_a_usage_in_one_object() -> None:
    usage = {"input_tokens": 50, "output_tokens": 9, "total_tokens": 59, "input_token_details": {"cache_read": 40}}
    said = {**CHAT, "langsmith.span.kind": "llm", "langsmith.usage_metadata": json.dumps(usage)}
    found = event(S(1, said, scope="langsmith"))
    assert counts(found) == {"input_tokens": 50, "cache_read_tokens": 40, "output_tokens": 9}


@pytest.mark.parametrize(
    ("kind", "called"), [("retriever", "embeddings"), ("prompt", "chat"), ("tool", "execute_tool"), ("chain", "chain")]
)
def test_langsmith_calls_more_a_call_than_costs_something(kind: str, called: str) -> None:
    said = {"gen_ai.operation.name": called, "langsmith.span.kind": kind, "gen_ai.system": "langchain"}
    assert events(S(1, said, scope="langsmith")) == []


# ── providers ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("named", "address", "model", "provider"),
    [
        ("openai", None, "gpt-4o", "openai"),
        ("OpenAI", None, "gpt-4o", "openai"),
        ("openai.responses", None, "gpt-4o", "openai"),
        ("azure.ai.openai", None, "gpt-4o", "azure"),
        ("az.ai.inference", None, "gpt-4o", "azure"),
        ("AWS", None, "m", "aws-bedrock"),
        ("aws.bedrock", None, "m", "aws-bedrock"),
        ("amazon-bedrock", None, "m", "aws-bedrock"),
        ("gcp.gemini", None, "m", "google"),
        ("gcp.vertex_ai", None, "m", "google-vertex"),
        ("google.vertex.chat", None, "m", "google-vertex"),
        ("google.generative-ai", None, "m", "google"),
        ("x_ai", None, "grok-4", "x-ai"),
        ("mistral_ai", None, "m", "mistral"),
        ("ibm.watsonx.ai", None, "m", "ibm-watsonx"),
        ("langchain", None, "claude-sonnet-4-5", "anthropic"),
        ("litellm", None, "groq/llama-4", "groq"),
        ("crewai", "api.deepseek.com", "m", "deepseek"),
        ("api.groq.com", None, "llama-3.3-70b-versatile", "groq"),
        ("api.acme.example", None, "mystery", "api.acme.example"),
        ("AWS Bedrock", None, "mistral.mistral-large-2407-v1:0", "aws-bedrock"),
        ("Vertex AI", None, "gemini-3-flash", "google-vertex"),
        ("azure.ai.foundry", None, "gpt-4o", "azure"),
        ("azure/openai", None, "gpt-4o", "azure"),
        ("google-ai-studio", None, "gemini-3-flash", "google"),
        ("google-vertex-ai", None, "gemini-3-flash", "google-vertex"),
        ("perplexity-ai", None, "mystery", "perplexity"),
        ("grok", None, "mystery", "x-ai"),
        ("langgenius/azure_openai/azure_openai", None, "gpt-4o", "azure"),
        ("langgenius/vertex_ai/vertex_ai", None, "claude-sonnet-4-5@20250929", "google-vertex"),
        ("langgenius/gemini/google", None, "gemini-3-flash", "google"),
        ("langgenius/openrouter/openrouter", None, "openai/gpt-4o", "openrouter"),
        ("langgenius/tongyi/tongyi", None, "gpt-4o", "openai"),
        ("langgenius/vllm/vllm", None, "glm-4.6", "vllm"),
        ("langgenius/openai_api_compatible/openai_api_compatible", None, "deepseek-chat", "deepseek"),
        ("novita", None, "deepseek/deepseek-r1-0528", "novita"),
        ("deepinfra", None, "deepseek-ai/DeepSeek-V3", "deepinfra"),
        ("deepinfra.chat", None, "MiniMax-M2", "deepinfra"),
        ("SambaNova", None, "DeepSeek-V3-0324", "sambanova"),
        ("hosted_vllm", None, "glm-4.6", "vllm"),
        ("workers-ai", None, "@cf/moonshotai/kimi-k2.5", "cloudflare"),
        ("langgenius/zhipuai/zhipuai", None, "glm-4.6", "zhipuai"),
        ("litellm", None, "lm_studio/kimi-k2", "lmstudio"),
        ("litellm", None, "azure_ai/deepseek-v3", "azure"),
        ("anthropic-bedrock", None, "claude-sonnet-4-5", "aws-bedrock"),
        ("moonshotai", None, "deepseek-v3", "moonshotai"),
        ("gateway", None, "zai/glm-4.6", "zai"),
        (None, None, "jp.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws-bedrock"),
        (None, None, "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws-bedrock"),
        (None, None, "claude-sonnet-4-5@20250929", "google-vertex"),
        ("aws/bedrock", None, "mistral.mistral-large-2407-v1:0", "aws-bedrock"),
        ("google/vertex", None, "gemini-3-flash", "google-vertex"),
        ("google/gemini", None, "gemini-3-flash", "google"),
        ("openai", "https://api.groq.com/openai/v1/", "llama", "groq"),
        ("openai", "acme.openai.azure.com", "gpt-4o", "azure"),
        ("openai", "llm.acme.internal", "gpt-4o", "openai"),
        ("anthropic", "api.openai.com", "claude", "anthropic"),
        (None, "bedrock-runtime.eu-west-1.amazonaws.com:443", "m", "aws-bedrock"),
        (None, None, "gemini-3-flash", "google"),
        (None, None, "us.anthropic.claude-sonnet-4-5-v1:0", "aws-bedrock"),
        (None, "https://[::1]:8443/v1", "mystery", "unknown"),
        ("openai", "https://[", "gpt-4o", "openai"),
        (None, "http://[]:80", "mystery", "unknown"),
        (None, None, "mystery", "unknown"),
        ("Acme", None, "mystery", "acme"),
        ("gcp.vertex.agent", None, "gemini-3-flash", "google-vertex"),
        ("gcp.vertex.agent", None, "mystery", "google-vertex"),
        ("gcp.vertex.agent", None, "openai/gpt-4o", "openai"),
        ("gcp.vertex.agent", None, "anthropic/claude-sonnet-4-5", "anthropic"),
        ("gcp.vertex.agent", None, "claude-sonnet-4-5@20250929", "google-vertex"),
    ],
)
def test_the_provider(named: str | None, address: str | None, model: str, provider: str) -> None:
    said = {"gen_ai.system": named, "server.address": address, "gen_ai.request.model": model}
    told = {name: value for name, value in said.items() if value is not None}
    assert (
        event(S(1, {"gen_ai.operation.name": "chat", "gen_ai.usage.output_tokens": 1, **told}))["provider"] == provider
    )


@pytest.mark.parametrize(("theirs", "ours"), read_file(CORRECTIONS, "corrections", ours=True).synonyms.items())
@pytest.mark.parametrize("model", ["gpt-4o", "deepseek-v3"])
def test_every_name_of_a_provider_that_prices_have_is_its_own(theirs: str, ours: str, model: str) -> None:
    """LiteLLM, LangChain and others tell whom they asked in such names: `azure_ai`, `google_vertexai`."""
    assert provider_of(theirs, None, model) == {"aws": "aws-bedrock"}.get(ours, ours)


def test_what_cloudflares_gateway_exports_is_a_call_of_whom_it_asked() -> None:
    said = {
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.model.provider": "azure-openai",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cost": 0.0003,
        "gen_ai.prompt_json": SECRET,
    }
    found = event(S(1, said, scope="ai-gateway"))
    assert (found["provider"], found["input_tokens"], found["reported_cost_usd"]) == ("azure", 12, "0.0003")
    assert SECRET not in json.dumps(found)


def test_what_openrouter_broadcasts_is_openrouters_whoever_made_the_model() -> None:
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "moonshotai",
        "gen_ai.provider.name": "moonshotai",
        "gen_ai.request.model": "moonshotai/kimi-k2.5",
        "gen_ai.response.model": "moonshotai/kimi-k2.5",
        "gen_ai.usage.input_tokens": 15_041,
        "gen_ai.usage.output_tokens": 170,
        "gen_ai.usage.total_tokens": 15_211,
        "gen_ai.usage.input_tokens.cached": 9_000,
        "gen_ai.usage.input_tokens.audio": 40,
        "gen_ai.usage.output_tokens.reasoning": 60,
        "gen_ai.usage.output_tokens.image": 30,
        "gen_ai.usage.total_cost": 0.00639196,
        "trace.metadata.openrouter.provider_name": "Chutes",
        "trace.metadata.openrouter.provider_slug": "chutes/int4",
        "user.id": "u1",
    }
    found = event(S(1, said, scope="openrouter", resource={"service.name": "openrouter"}))
    assert (found["provider"], found["response_model"]) == ("openrouter", "moonshotai/kimi-k2.5")
    assert (found["reported_cost_usd"], found["user_id"]) == ("0.00639196", "u1")
    assert counts(found) == {
        "input_tokens": 15_041,
        "cache_read_tokens": 9_000,
        "input_audio_tokens": 40,
        "output_tokens": 170,
        "reasoning_tokens": 60,
        "output_image_tokens": 30,
    }


def broadcast(name: str, span_id: int, part: str = "", more: Mapping[str, Any] = CHAT, failed: bool = False) -> S:
    """A span of OpenRouter's: all of a request have its operation, and the id of its answer with the part behind it."""
    said = {"gen_ai.operation.name": "chat", **more, "gen_ai.response.id": f"gen-1790606272-klALDjkN7Ke6rbM52aHZ{part}"}
    return S(span_id, said, parent=1 if part else 0, name=name, failed=failed, scope="openrouter")


def test_one_request_to_openrouter_is_one_call_whatever_it_took_to_answer() -> None:
    asked = {
        "gen_ai.request.model": "anthropic/claude-sonnet-4.5",
        "gen_ai.usage.input_tokens": 9_000,
        "gen_ai.usage.input_tokens.cached": 2_000,
        "gen_ai.usage.input_tokens.cache_write": 400,
        "gen_ai.usage.input_tokens.cache_write_5m": 100,
        "gen_ai.usage.input_tokens.cache_write_1h": 300,
        "gen_ai.usage.output_tokens": 50,
    }
    nothing = {"gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0}
    found = event(
        broadcast("LLM Generation", 1, more=asked),
        broadcast("generation", 2, ":generation", nothing),
        broadcast("provider attempt 1: Amazon Bedrock", 3, ":attempt-0", {}, failed=True),
        broadcast("provider attempt 2: Anthropic", 4, ":attempt-1", nothing),
    )
    assert (found["span_id"], found["provider"], found["status"]) == (f"{1:016x}", "openrouter", "ok")
    assert found["response_id"] == "gen-1790606272-klALDjkN7Ke6rbM52aHZ"
    assert counts(found) == {
        "input_tokens": 9_000,
        "cache_read_tokens": 2_000,
        "cache_write_5m_tokens": 100,
        "cache_write_1h_tokens": 300,
        "output_tokens": 50,
    }


@pytest.mark.parametrize("name", ["Test Generation", "openrouter-connection-test"])
def test_openrouters_tests_of_a_destination_are_no_calls(name: str) -> None:
    assert events(S(1, chat(5, 1), name=name, scope="openrouter")) == []


@pytest.mark.parametrize(
    ("named", "model", "stored"),
    [
        ("openai", "openai/gpt-4o-mini", "gpt-4o-mini"),
        ("anthropic", "Anthropic/claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("aws", "bedrock/us.anthropic.claude-sonnet-4-5-v1:0", "us.anthropic.claude-sonnet-4-5-v1:0"),
        ("gcp.vertex_ai", "vertex_ai/gemini-3-flash", "gemini-3-flash"),
        ("groq", "groq/openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("groq", "groq/compound", "groq/compound"),
        ("openrouter", "openrouter/auto", "openrouter/auto"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ("openai", "openai/", "openai/"),
    ],
)
def test_a_model_is_called_as_its_provider_calls_it(named: str, model: str, stored: str) -> None:
    """LiteLLM and what is built on it put the provider in front."""
    said = {**chat(5, 1), "gen_ai.provider.name": named, "gen_ai.request.model": model, "gen_ai.response.model": model}
    found = event(S(1, said))
    assert (found["request_model"], found["response_model"]) == (stored, stored)


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("bedrock-runtime.eu-west-1.amazonaws.com", "eu-west-1"),
        ("us-east5-aiplatform.googleapis.com", "us-east5"),
        ("aiplatform.googleapis.com", "global"),
        ("api.openai.com", None),
    ],
)
def test_the_region_of_a_cloud(address: str, region: str | None) -> None:
    found = event(S(1, {**chat(1, 1), "server.address": address}))
    assert found.get("region") == region


def test_a_duration_that_nobody_believes_costs_no_call() -> None:
    sent = S(1, chat(3, 1, **{"gen_ai.response.time_to_first_chunk": 0.1234567}), until=2_000_000_000)
    counted = event(sent)
    assert (counted["duration_ms"], counted["time_to_first_token_ms"]) == (0.0, 123.457)
    assert counts(counted) == {"input_tokens": 3, "output_tokens": 1}


def test_a_name_and_a_number_that_are_too_long_together_are_cut() -> None:
    named = {"langfuse.observation.prompt.name": "p" * 500, "langfuse.observation.prompt.version": "v" * 100}
    assert event(S(1, chat(3, 1, **named)))["prompt_version"] == "p" * 500 + "@" + "v" * 11
