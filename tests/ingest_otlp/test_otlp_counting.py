"""Does the input count include the cache, the output the reasoning: the rules in their order, emitter by emitter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st
from otlp_spans import S, counts, event, events

from taximeter.ingest.otlp.counting import HABITS, Given, counted

USAGE = "gen_ai.usage."


def from_emitter(scope: str, provider: str, *, version: str = "", **more: Any) -> dict[str, Any]:
    said = {f"{USAGE}{name.replace('__', '.')}": value for name, value in more.items()}
    return event(
        S(1, {"gen_ai.operation.name": "chat", "gen_ai.system": provider, "gen_ai.request.model": "m", **said},
          scope=scope, version=version)
    )  # fmt: skip


# ── the worked examples of the guide ───────────────────────────────────────────────────────────────────────────


def test_openlit_anthropic_leaves_the_cache_out() -> None:
    found = from_emitter(
        "openlit.instrumentation.anthropic",
        "anthropic",
        input_tokens=12,
        output_tokens=200,
        cache_read__input_tokens=9_000,
        cache_creation__input_tokens=1_000,
    )
    assert counts(found) == {
        "input_tokens": 10_012,
        "output_tokens": 200,
        "cache_read_tokens": 9_000,
        "cache_write_5m_tokens": 1_000,
    }
    assert found["tags"]["otlp_input_rule"] == "1 larger than its whole"
    assert found["tags"]["otlp_cache_lifetime"] == "assumed"


def test_openllmetry_anthropic_has_added_it_up() -> None:
    found = from_emitter(
        "opentelemetry.instrumentation.anthropic",
        "anthropic",
        version="0.62.1",
        input_tokens=10_012,
        output_tokens=200,
        cache_read__input_tokens=9_000,
        cache_creation__input_tokens=1_000,
        total_tokens=10_212,
    )
    assert (found["input_tokens"], found["output_tokens"]) == (10_012, 200)
    assert found["tags"]["otlp_input_rule"] == "3 openllmetry/anthropic"


def test_openllmetry_bedrock_has_not() -> None:
    found = from_emitter(
        "opentelemetry.instrumentation.bedrock",
        "AWS",
        version="0.62.1",
        input_tokens=3_000,
        output_tokens=100,
        cache_read_input_tokens=2_000,
        total_tokens=3_100,
    )
    assert (found["provider"], found["input_tokens"], found["cache_read_tokens"]) == ("aws-bedrock", 5_000, 2_000)
    assert found["tags"]["otlp_input_rule"] == "3 openllmetry/aws-bedrock"


def test_thoughts_that_only_the_total_knows() -> None:
    found = from_emitter(
        "opentelemetry.instrumentation.vertexai",
        "Google",
        version="0.62.1",
        input_tokens=50,
        output_tokens=20,
        total_tokens=270,
    )
    assert counts(found) == {"input_tokens": 50, "output_tokens": 220}
    assert found["tags"]["otlp_output_rule"] == "2 inferred from total"


# ── usage in objects of its own ─────────────────────────────────────────────────────────────────────────────────


def by_mlflow(usage: dict[str, int], **more: str) -> dict[str, Any]:
    """MLflow writes all that it says as JSON, names in quotes too."""
    said = {"spanType": "CHAT_MODEL", "llm.model": "claude-sonnet-4-5", "llm.provider": "anthropic", **more}
    return {
        **{f"mlflow.{name}": json.dumps(value) for name, value in said.items()},
        "mlflow.chat.tokenUsage": json.dumps(usage),
        "mlflow.llm.cost": '{"input_cost": 0.0091, "output_cost": 0.003, "total_cost": 0.0121}',
    }


ANTHROPICS = {"input_tokens": 3_000, "output_tokens": 200, "total_tokens": 3_200, "cache_read_input_tokens": 2_000}


@pytest.mark.parametrize(
    ("form", "input_tokens"),
    [("anthropic", 5_000), ("bedrock", 5_000), ("langchain", 3_000), ("pydantic_ai", 3_000)],
)
def test_mlflow_says_by_its_form_whose_counts_they_are(form: str, input_tokens: int) -> None:
    said = by_mlflow(ANTHROPICS, **{"message.format": form})
    found = event(S(1, said, scope="mlflow.tracing.provider", name="Messages.create"))
    assert counts(found) == {"input_tokens": input_tokens, "cache_read_tokens": 2_000, "output_tokens": 200}
    assert (found["provider"], found["request_model"], found["operation"]) == ("anthropic", "claude-sonnet-4-5", "chat")
    assert (found["reported_cost_usd"], found["tags"]["otlp_emitter"]) == ("0.0121", f"mlflow.{form}")


def test_mlflows_agents_repeat_the_sum_of_their_calls() -> None:
    call = S(2, by_mlflow(ANTHROPICS), parent=1, scope="mlflow.tracing.fluent")
    run = S(1, by_mlflow(ANTHROPICS, spanType="AGENT"), name="agent:main", scope="mlflow.tracing.fluent")
    assert [one["span_id"] for one in events(call, run)] == [f"{2:016x}"]


def test_gemini_as_mlflow_tells_of_it_has_its_thoughts_in_the_total() -> None:
    usage = {"input_tokens": 50, "output_tokens": 20, "total_tokens": 270}
    said = by_mlflow(usage, **{"llm.model": "gemini-3-flash", "llm.provider": "gemini", "message.format": "gemini"})
    assert counts(event(S(1, said, scope="mlflow.gemini"))) == {"input_tokens": 50, "output_tokens": 220}


def by_genkit(model: str, usage: dict[str, Any], subtype: str = "model") -> dict[str, Any]:
    """Genkit writes the whole answer down, usage and all."""
    message = {"role": "model", "content": [{"text": "x" * 300_000}]}
    return {
        "genkit:type": "action",
        "genkit:metadata:subtype": subtype,
        "genkit:name": model,
        "genkit:output": json.dumps({"message": message, "usage": usage}),
    }


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        (
            "googleai/gemini-2.5-flash",
            {
                "inputTokens": 1_000,
                "outputTokens": 300,
                "thoughtsTokens": 250,
                "totalTokens": 1_550,
                "cachedContentTokens": 600,
                "inputCharacters": 4_000,
                "inputImages": 0,
            },
            {"input_tokens": 1_000, "cache_read_tokens": 600, "output_tokens": 550, "reasoning_tokens": 250},
        ),
        (
            "vertexai/gemini-2.5-flash",
            {"inputTokens": 1_000, "outputTokens": 300, "thoughtsTokens": 250},
            {"input_tokens": 1_000, "output_tokens": 550, "reasoning_tokens": 250},
        ),
        (
            "anthropic/claude-sonnet-4-5",
            {
                "inputTokens": 3_000,
                "outputTokens": 200,
                "custom": {
                    "cache_creation_input_tokens": 400,
                    "cache_read_input_tokens": 2_000,
                    "ephemeral_5m_input_tokens": 100,
                    "ephemeral_1h_input_tokens": 300,
                },
            },
            {
                "input_tokens": 5_400,
                "cache_read_tokens": 2_000,
                "cache_write_5m_tokens": 100,
                "cache_write_1h_tokens": 300,
                "output_tokens": 200,
            },
        ),
        (
            "vertexai/claude-sonnet-4-5",
            {"inputTokens": 3_000, "outputTokens": 200, "cachedContentTokens": 2_000},
            {"input_tokens": 5_000, "cache_read_tokens": 2_000, "output_tokens": 200},
        ),
        (
            "openai/gpt-4o",
            {"inputTokens": 1_000, "outputTokens": 300, "totalTokens": 1_300},
            {"input_tokens": 1_000, "output_tokens": 300},
        ),
    ],
)
def test_genkits_usage_lies_in_the_answer(model: str, usage: dict[str, Any], expected: dict[str, int]) -> None:
    found = event(S(1, by_genkit(model, usage), scope="genkit-tracer", name=model.partition("/")[2]))
    assert counts(found) == expected
    assert (found["request_model"], found["operation"]) == (model.partition("/")[2], "chat")
    assert found["provider"] == {"googleai": "google", "vertexai": "google-vertex"}.get(
        model.partition("/")[0], model.partition("/")[0]
    )


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("vertex-model-garden/claude-sonnet-4", "claude-sonnet-4"),
        ("vertex-model-garden-anthropic/claude-sonnet-4@20250514", "claude-sonnet-4@20250514"),
        ("vertex-model-garden-mistral/mistral-medium-3", "mistral-medium-3"),
        ("modelgarden/anthropic/claude-3-5-sonnet-v2@20241022", "anthropic/claude-3-5-sonnet-v2@20241022"),
    ],
)
def test_genkits_model_garden_is_vertex_ais(name: str, stored: str) -> None:
    found = event(S(1, by_genkit(name, {"inputTokens": 1_000, "outputTokens": 300}), scope="genkit-tracer"))
    assert (found["provider"], found["request_model"]) == ("google-vertex", stored)


def test_what_genkit_puts_around_a_call_repeats_its_answer() -> None:
    usage = {"inputTokens": 1_000, "outputTokens": 300}
    call = S(3, by_genkit("googleai/gemini-2.5-flash", usage), parent=2, scope="genkit-tracer")
    generate = {name: value for name, value in by_genkit("generate", usage).items() if "subtype" not in name}
    around = S(2, {**generate, "genkit:type": "util"}, parent=1, scope="genkit-tracer")
    flow = S(1, by_genkit("menuFlow", usage, subtype="flow"), name="menuFlow", scope="genkit-tracer")
    found = event(call, around, flow)
    assert (found["span_id"], found["feature"]) == (f"{3:016x}", "menuFlow")


@pytest.mark.parametrize("answer", ['"text"', "[1]", "{", '{"usage": 5}', '{"usage": null}', "[" * 20_000, '"\ud800"'])
def test_an_answer_of_genkit_without_usage_is_unknown(answer: str) -> None:
    said = {**by_genkit("googleai/gemini-2.5-flash", {}), "genkit:output": answer}
    assert counts(event(S(1, said, scope="genkit-tracer"))) == {}


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────

CACHED: dict[str, Any] = {"input_tokens": 3_000, "output_tokens": 500, "cache_read__input_tokens": 2_000}


@pytest.mark.parametrize(
    ("scope", "version", "provider", "input_tokens"),
    [
        ("opentelemetry.instrumentation.openai_v2", "2.3b0", "openai", 3_000),
        ("opentelemetry.instrumentation.genai.anthropic", "1.0b0", "anthropic", 3_000),
        ("opentelemetry.instrumentation.anthropic", "1.0b0", "anthropic", 3_000),
        ("opentelemetry.instrumentation.openai.v1", "0.62.1", "openai", 3_000),
        ("opentelemetry.instrumentation.langchain", "0.62.1", "aws.bedrock", 3_000),
        ("opentelemetry.instrumentation.bedrock", "0.62.1", "aws.bedrock", 5_000),
        ("opentelemetry.instrumentation.botocore.bedrock-runtime", "0.60b0", "aws.bedrock", 5_000),
        ("openlit.otel.tracing", "1.36", "anthropic", 5_000),
        ("openlit.otel.tracing", "1.36", "aws.bedrock", 5_000),
        ("openlit.otel.tracing", "1.36", "openai", 3_000),
        ("openlit.otel.tracing", "1.36", "gcp.gemini", 3_000),
        ("openinference.instrumentation.anthropic", "1", "anthropic", 3_000),
        ("openinference.instrumentation.bedrock", "1", "aws", 5_000),
        ("openinference.instrumentation.claude_agent_sdk", "1", "anthropic", 5_000),
        ("openinference.instrumentation.langchain", "1", "anthropic", 3_000),
        ("logfire.anthropic", "4", "anthropic", 3_000),
        ("pydantic-ai", "1", "anthropic", 3_000),
        ("sentry.python", "2", "anthropic", 3_000),
        ("ai", "", "anthropic.messages", 5_000),
        ("gen_ai", "", "anthropic.messages", 3_000),
        ("openlit.instrumentation.langchain", "", "anthropic", 3_000),
        ("litellm", "", "anthropic", 3_000),
        ("strands.telemetry.tracer", "", "anthropic", 5_000),
        ("strands.telemetry.tracer", "", "aws.bedrock", 5_000),
        ("strands.telemetry.tracer", "", "openai", 3_000),
        ("openlit.instrumentation.claude_agent_sdk", "", "anthropic", 3_000),
        ("openlit.instrumentation.litellm", "", "anthropic", 3_000),
        ("@openlit/instrumentation-anthropic", "1.0.0", "anthropic", 5_000),
        ("@openlit/instrumentation-bedrock", "1.0.0", "aws.bedrock", 5_000),
        ("@openlit/instrumentation-langchain", "1.0.0", "anthropic", 3_000),
        ("@openlit/instrumentation-claude-agent-sdk", "1.0.0", "anthropic", 3_000),
        ("@traceloop/instrumentation-anthropic", "0.25.0", "anthropic", 3_000),
        ("@traceloop/instrumentation-bedrock", "0.25.0", "aws.bedrock", 3_000),
        ("openinference.instrumentation.litellm", "1", "aws", 3_000),
        ("openinference.instrumentation.agno", "1", "Anthropic", 5_000),
        ("openinference.instrumentation.agno", "1", "AwsBedrock", 5_000),
        ("openinference.instrumentation.agno", "1", "OpenAI", 3_000),
        ("openinference.instrumentation.pipecat", "1", "anthropic", 5_000),
        ("agent_framework", "1", "anthropic", 5_000),
        ("agent_framework", "1", "aws.bedrock", 5_000),
        ("agent_framework", "1", "azure.ai.foundry", 3_000),
        ("org.springframework.boot", "3.5", "anthropic", 5_000),
        ("org.springframework.boot", "3.5", "bedrock_converse", 5_000),
        ("org.springframework.boot", "3.5", "openai", 3_000),
        ("org.springframework.boot", "3.5", "google_genai", 3_000),
        ("pipecat", "", "anthropic", 5_000),
        ("pipecat", "", "aws.bedrock", 5_000),
        ("pipecat", "", "openai", 3_000),
        ("something.else", "", "groq", 3_000),
        ("something.else", "", "acme", 3_000),
    ],
)
def test_the_input_of_an_emitter(scope: str, version: str, provider: str, input_tokens: int) -> None:
    found = from_emitter(scope, provider, version=version, **CACHED)
    assert (found["input_tokens"], found["cache_read_tokens"], found["output_tokens"]) == (input_tokens, 2_000, 500)


@pytest.mark.parametrize(
    ("scope", "provider", "model", "input_tokens"),
    [
        ("agent_framework", "google.vertex.ai", "claude-sonnet-4-5@20250929", 5_000),
        ("agent_framework", "azure.ai.foundry", "claude-sonnet-4-5", 5_000),
        ("ai", "vertex.anthropic.messages", "claude-sonnet-4-5@20250929", 5_000),
        ("ai", "google.vertex.chat", "gemini-3-flash", 3_000),
        ("openinference.instrumentation.agno", "VertexAI", "claude-sonnet-4-5@20250929", 5_000),
        ("openinference.instrumentation.agno", "AzureFoundry", "claude-sonnet-4-5", 5_000),
        ("openinference.instrumentation.anthropic", "google", "claude-sonnet-4-5@20250929", 3_000),
        ("something.else", "azure", "claude-sonnet-4-5", 3_000),
        ("strands.telemetry.tracer", "strands-agents", "claude-sonnet-4-5", 5_000),
        ("strands.telemetry.tracer", "strands-agents", "anthropic/claude-sonnet-4-5", 3_000),
        ("strands.telemetry.tracer", "strands-agents", "bedrock/us.anthropic.claude-sonnet-4-5-v1:0", 3_000),
    ],
)
def test_claude_at_a_cloud_is_counted_as_claude_is_elsewhere(
    scope: str, provider: str, model: str, input_tokens: int
) -> None:
    """Emitters pass on what the library of Anthropic counts, wherever it calls; LiteLLM, below Strands, adds it up."""
    said = {f"{USAGE}{name.replace('__', '.')}": value for name, value in CACHED.items()}
    called = {"gen_ai.operation.name": "chat", "gen_ai.system": provider, "gen_ai.request.model": model}
    assert event(S(1, {**called, **said}, scope=scope))["input_tokens"] == input_tokens


@pytest.mark.parametrize(
    ("scope", "provider", "model"),
    [
        ("ai", "openrouter", "anthropic/claude-sonnet-4.5"),
        ("ai", "litellm.chat", "claude-sonnet-4-5"),
        ("ai", "my-proxy.completion", "claude-sonnet-4-5"),
        ("openlit.otel.tracing", "openrouter", "anthropic/claude-sonnet-4.5"),
        ("openinference.instrumentation.agno", "OpenRouter", "anthropic/claude-sonnet-4.5"),
        ("agent_framework", "openai", "claude-sonnet-4-5"),
        ("org.springframework.boot", "openai", "claude-sonnet-4-5"),
        ("pipecat", "openrouter", "anthropic/claude-sonnet-4.5"),
    ],
)
def test_claude_that_answers_in_openais_form_has_the_cache_in_its_input(scope: str, provider: str, model: str) -> None:
    """OpenRouter, LiteLLM's proxy and their like do."""
    said = {f"{USAGE}{name.replace('__', '.')}": value for name, value in CACHED.items()}
    called = {"gen_ai.operation.name": "chat", "gen_ai.system": provider, "gen_ai.request.model": model}
    assert event(S(1, {**called, **said}, scope=scope))["input_tokens"] == 3_000


def test_claude_through_bedrock_invoke_is_added_up_by_openinference() -> None:
    said = {
        "openinference.span.kind": "LLM",
        "llm.provider": "aws",
        "llm.model_name": "anthropic.claude-v4",
        "gen_ai.request.model": "anthropic.claude-v4",
        "llm.token_count.prompt": 3_000,
        "llm.token_count.completion": 500,
        "llm.token_count.prompt_details.cache_read": 2_000,
    }
    scope = "openinference.instrumentation.bedrock"
    assert event(S(1, said, name="bedrock.invoke_model", scope=scope))["input_tokens"] == 3_000
    assert event(S(1, said, name="bedrock.converse", scope=scope))["input_tokens"] == 5_000


def test_vercel_says_with_its_names_which_version_it_is() -> None:
    older = {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.provider": "anthropic.messages",
        "ai.model.id": "claude-sonnet-4-5",
        "ai.usage.promptTokens": 3_000,
        "ai.usage.completionTokens": 500,
        "ai.usage.cachedInputTokens": 2_000,
    }
    newer = {**older, "ai.usage.inputTokenDetails.noCacheTokens": 1_000}
    assert event(S(1, older, scope="ai"))["input_tokens"] == 5_000
    assert event(S(1, newer, scope="ai"))["input_tokens"] == 3_000


@pytest.mark.parametrize(("provider", "input_tokens"), [("anthropic", 5_000), ("openai", 3_000), ("gemini", 3_000)])
def test_tanstack_is_known_by_its_iterations_whatever_the_scope(provider: str, input_tokens: int) -> None:
    """The application hands it a tracer."""
    said = {f"{USAGE}{name.replace('__', '.')}": value for name, value in CACHED.items()}
    called = {"gen_ai.operation.name": "chat", "gen_ai.system": provider, "gen_ai.request.model": "m"}
    found = event(S(1, {**called, **said, "tanstack.ai.iteration": 0, f"{USAGE}total_tokens": 3_500}, scope="my-app"))
    assert (found["input_tokens"], found["tags"]["otlp_emitter"]) == (input_tokens, "tanstack")


@pytest.mark.parametrize(("prompt", "input_tokens"), [(12, 10_012), (10_012, 10_012), (20, 10_020)])
def test_vercel_6_has_the_cache_in_the_input_where_it_makes_objects(prompt: int, input_tokens: int) -> None:
    """There it says no more than 5 does, but what Anthropic said."""
    usage = {"input_tokens": 12, "cache_read_input_tokens": 9_000, "cache_creation_input_tokens": 1_000}
    said = {
        "ai.operationId": "ai.generateObject.doGenerate",
        "ai.model.provider": "anthropic.messages",
        "ai.model.id": "claude-sonnet-4-5",
        "ai.usage.promptTokens": prompt,
        "ai.usage.completionTokens": 500,
        "ai.response.providerMetadata": json.dumps({"anthropic": {"usage": usage}}),
    }
    found = event(S(1, said, scope="ai"))
    assert (found["input_tokens"], found["cache_read_tokens"]) == (input_tokens, 9_000)


@pytest.mark.parametrize(
    "metadata",
    [
        "null",
        "[]",
        '{"anthropic": 1}',
        '{"anthropic": {"usage": 1}}',
        '{"anthropic": {"usage": {"input_tokens": "x"}}}',
    ],
)
def test_metadata_that_nobody_expects_decides_nothing(metadata: str) -> None:
    said = {"ai.operationId": "ai.generateObject.doGenerate", "ai.model.provider": "anthropic.messages"}
    counted = {"ai.usage.promptTokens": 12, "ai.response.providerMetadata": metadata}
    assert event(S(1, {**said, **counted}, scope="ai"))["input_tokens"] == 12


@pytest.mark.parametrize("completion", [20, 220])
def test_what_gemini_said_is_read_where_vercel_says_no_more_than_two_counts(completion: int) -> None:
    """Until 5 the answer alone, with the thoughts in it since 6."""
    usage = {
        "promptTokenCount": 1_000,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 200,
        "totalTokenCount": 1_220,
        "cachedContentTokenCount": 800,
    }
    said = {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.provider": "google.generative-ai",
        "ai.model.id": "gemini-3-flash",
        "ai.usage.promptTokens": 1_000,
        "ai.usage.completionTokens": completion,
        "ai.response.providerMetadata": json.dumps({"google": {"groundingMetadata": None, "usageMetadata": usage}}),
    }
    assert counts(event(S(1, said, scope="ai"))) == {
        "input_tokens": 1_000,
        "cache_read_tokens": 800,
        "output_tokens": 220,
        "reasoning_tokens": 200,
    }


@pytest.mark.parametrize(
    ("scope", "provider", "total", "output_tokens"),
    [
        ("openlit.otel.tracing", "gcp.gemini", None, 650),
        ("opentelemetry.instrumentation.google_genai", "gcp.gemini", None, 500),
        ("@traceloop/instrumentation-google-generativeai", "gcp.gemini", None, 650),
        ("agent_framework", "gcp.gemini", None, 650),
        ("pipecat", "gcp.gemini", None, 650),
        ("pipecat", "openai", None, 500),
        ("something.else", "xai", 3_650, 650),
        ("something.else", "xai", 3_500, 500),
        ("something.else", "openai", None, 500),
    ],
)
def test_the_output_of_an_emitter(scope: str, provider: str, total: int | None, output_tokens: int) -> None:
    said: dict[str, Any] = {"input_tokens": 3_000, "output_tokens": 500, "reasoning__output_tokens": 150}
    if total is not None:
        said["total_tokens"] = total
    found = from_emitter(scope, provider, **said)
    assert (found["output_tokens"], found["reasoning_tokens"]) == (output_tokens, 150)


@pytest.mark.parametrize(
    ("name", "model", "output_tokens"),
    [
        ("experimental__reasoning_tokens", "gemini-3-flash", 60),
        ("reasoning__output_tokens", "gemini-3-flash", 50),
        ("experimental__reasoning_tokens", "openai/gpt-5-mini", 50),
    ],
)
def test_googles_agent_kit_says_by_the_name_whether_thoughts_are_in_the_output(
    name: str, model: str, output_tokens: int
) -> None:
    said = {f"{USAGE}{key.replace('__', '.')}": value for key, value in {"output_tokens": 50, name: 10}.items()}
    found = event(
        S(1, {"gen_ai.system": "gcp.vertex.agent", "gen_ai.request.model": model, f"{USAGE}input_tokens": 50, **said},
          name="call_llm", scope="gcp.vertex.agent")
    )  # fmt: skip
    assert (found["output_tokens"], found["reasoning_tokens"]) == (output_tokens, 10)


# ── the rules ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "input_tokens", "output", "rules"),
    [
        (Given(100, 10, None, 90, 20), 210, 10, ("1 larger than its whole", None)),
        (Given(100, 10, 160, 30, 20), 150, 10, ("2 total", None)),
        (Given(100, 10, 110, 30, 20), 100, 10, ("4 convention", None)),
        (Given(100, 10, 118, 30, 20, 8), 100, 18, ("2 total", "2 total")),
        (Given(100, 10, 168, 30, 20, 8), 150, 18, ("2 total", "2 total")),
        (Given(100, 10, 118, 8, 0, 8), 100, 10, ("4 convention", "4 convention")),
        (Given(100, 10, None, None, None, 25), 100, 35, (None, "1 larger than its whole")),
        (Given(100, 10, 900), 100, 10, (None, None)),
        (Given(None, 10, None, 30), 30, 10, ("1 larger than its whole", None)),
    ],
)
def test_the_rules_in_their_order(
    given: Given, input_tokens: int, output: int, rules: tuple[str | None, str | None]
) -> None:
    found = counted(given, "other", "acme")
    assert (found.input, found.output) == (input_tokens, output)
    assert (found.input_rule, found.output_rule) == rules


def test_overlapping_parts_of_openrouters_gemini_are_not_added() -> None:
    found = from_emitter("other", "openrouter", input_tokens=100, output_tokens=5, cache_read__input_tokens=90)
    assert found["input_tokens"] == 100
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": "google/gemini-3-flash",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 90,
        "gen_ai.usage.cache_write.input_tokens": 60,
    }
    overlapping = event(S(1, said))
    assert counts(overlapping) == {
        "input_tokens": 100,
        "output_tokens": 5,
        "cache_read_tokens": 90,
        "cache_write_5m_tokens": 10,
    }
    assert overlapping["usage_conflict"] is True


numbers = st.none() | st.integers(0, 10_000)


@for_any(
    numbers, numbers, numbers, numbers, numbers, numbers,
    st.sampled_from([row[0] for row in HABITS]), st.sampled_from([row[1] for row in HABITS]),
)  # fmt: skip
def test_parts_are_always_inside(
    input_tokens: int | None, output: int | None, total: int | None, read: int | None, written: int | None,
    reasoning: int | None, emitter: str, provider: str,
) -> None:  # fmt: skip
    found = counted(Given(input_tokens, output, total, read, written, reasoning), emitter, provider)
    cached = (read or 0) + (written or 0)
    assert not cached or (found.input or 0) >= cached
    assert not reasoning or (found.output or 0) >= reasoning
    assert (found.input or 0) in ((input_tokens or 0), (input_tokens or 0) + cached)
