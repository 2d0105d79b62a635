"""Who sent a span, and who answered the call: tables, and the few rules between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from taximeter.ingest.otlp.attributes import read_count
from taximeter.ingest.otlp.span import Origin
from taximeter.sdk.hosts import PROVIDERS_BY_HOST

COPILOT_CHAT: Final = "copilot-chat"
"""Copilot in VS Code. Its scope is called as its service, which may have another name."""

OPENROUTER: Final = "openrouter"
"""OpenRouter's Broadcast, its scope, and who is paid for what it tells of; for the provider it names the maker of the
model."""

EMITTERS: Final = (
    ("opentelemetry.instrumentation.genai.", "otel"),
    ("opentelemetry.instrumentation.openai_v2", "otel"),
    ("opentelemetry.instrumentation.openai_agents_v2", "otel"),
    ("opentelemetry.instrumentation.google_genai", "otel"),
    ("opentelemetry.instrumentation.botocore", "otel.botocore"),
    ("opentelemetry.instrumentation.langchain", "openllmetry.langchain"),
    ("opentelemetry.instrumentation.", "openllmetry"),
    ("openinference.instrumentation.langchain", "openinference.langchain"),
    ("openinference.instrumentation.bedrock", "openinference.bedrock"),
    ("openinference.instrumentation.claude_agent_sdk", "openinference.claude-agent"),
    ("openinference.instrumentation.litellm", "openinference.litellm"),
    ("openinference.instrumentation.agno", "openinference.agno"),
    ("openinference.instrumentation.pipecat", "openinference.pipecat"),
    ("openinference.", "openinference"),
    ("@arizeai/openinference", "openinference"),
    ("openlit.instrumentation.langchain", "openlit.langchain"),
    ("openlit.instrumentation.claude_agent_sdk", "openlit.claude-agent"),
    ("openlit.instrumentation.litellm", "openlit.litellm"),
    ("@openlit/instrumentation-langchain", "openlit.langchain"),
    ("@openlit/instrumentation-claude-agent-sdk", "openlit.claude-agent"),
    ("@openlit/", "openlit"),
    ("openlit", "openlit"),
    ("logfire", "logfire"),
    ("pydantic-ai", "pydantic-ai"),
    ("pydantic_ai", "pydantic-ai"),
    ("langfuse", "langfuse"),
    ("litellm", "litellm"),
    ("strands", "strands"),
    ("@ai-sdk/otel", "vercel.7"),
    ("gcp.vertex.agent", "google-adk"),
    ("com.anthropic.sdk", "anthropic-sdk"),
    ("sentry", "sentry"),
    ("langsmith", "langsmith"),
    ("genkit", "genkit"),
    ("mlflow", "mlflow"),
    ("livekit", "livekit"),
    ("traceloop", "openllmetry"),
    ("@traceloop/", "openllmetry-js"),
    ("agent_framework", "agent-framework"),
    ("org.springframework", "spring-ai"),
    ("pipecat", "pipecat"),
    (COPILOT_CHAT, COPILOT_CHAT),
)
"""How an instrumentation scope's name begins → the emitter, the longest and most particular first."""

WHOLE_SCOPES: Final = {"ai": "vercel", "gen_ai": "vercel.7", OPENROUTER: OPENROUTER}
"""Scope names that are as short as that."""

OPENAIS_FORM: Final = (".chat", ".completion")
"""How Vercel's AI SDK ends the names of providers that it calls in OpenAI's form, whatever they are called."""

UNKNOWN_EMITTER: Final = "other"

_BETA: Final = re.compile(r"\d(b|\.dev)\d")
"""The versions of OpenTelemetry's own instrumentations (`2.3b0`); OpenLLMetry's are plain (`0.62.1`)."""


@lru_cache(maxsize=1024)
def _emitter_of_scope(name: str, version: str) -> str:
    lower = name.lower()
    if lower in WHOLE_SCOPES:
        return WHOLE_SCOPES[lower]
    for prefix, emitter in EMITTERS:
        if lower.startswith(prefix):
            return "otel" if emitter.startswith("openllmetry") and _BETA.search(version) else emitter
    return UNKNOWN_EMITTER


def emitter_of(origin: Origin, found: Mapping[str, Any], span_name: str) -> str:
    """The emitter, `family` or `family.part`. Where the scope's name does not tell one from another, the span does."""
    emitter = _emitter_of_scope(origin.scope_name, origin.scope_version)
    if emitter == "vercel":
        if "uncached_input" in found or _has_added_up(found):
            return "vercel.6"
        return "vercel.5-chat" if found.get("provider", "").endswith(OPENAIS_FORM) else "vercel.5"
    if emitter == UNKNOWN_EMITTER and "tanstack_iteration" in found:
        return "tanstack"
    if "mlflow_format" in found and emitter in ("mlflow", UNKNOWN_EMITTER):
        return f"mlflow.{found['mlflow_format']}"
    if emitter == UNKNOWN_EMITTER and "copilot_limit" in found:
        return COPILOT_CHAT
    if emitter == "google-adk" and "adk_thoughts" in found:
        return "google-adk.2"
    if emitter == "strands" and _by_prefix(found.get("request_model")):
        return "strands.litellm"
    if emitter == "openinference.bedrock" and "invoke" in span_name and "claude" in str(found.get("request_model")):
        return "openinference.bedrock-invoke-claude"
    return emitter


def _has_added_up(found: Mapping[str, Any]) -> bool:
    """Whether the input has the cache that Anthropic leaves out of its own: the AI SDK since 6, which says so of texts
    and not of objects."""
    usage: Any = found.get("provider_metadata", {}).get("anthropic")
    usage = usage.get("usage") if isinstance(usage, dict) else None
    if not isinstance(usage, dict):
        return False
    uncached, read, written = (
        read_count(usage.get(name))
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    cached = (read or 0) + (written or 0)
    return uncached is not None and 0 < cached <= found.get("input", 0) - uncached


# ── providers ───────────────────────────────────────────────────────────────────────────────────────────────────

PROVIDERS: Final = {
    "openai": "openai",
    "open-ai": "openai",
    "openai-responses": "openai",
    "azure": "azure",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "azurefoundry": "azure",
    "azure-ai": "azure",
    "azure_ai": "azure",
    "azure_text": "azure",
    "anthropic": "anthropic",
    "claude": "anthropic",
    "aws": "aws-bedrock",
    "aws.bedrock": "aws-bedrock",
    "aws-bedrock": "aws-bedrock",
    "aws_bedrock": "aws-bedrock",
    "bedrock": "aws-bedrock",
    "amazon-bedrock": "aws-bedrock",
    "amazon_bedrock": "aws-bedrock",
    "awsbedrock": "aws-bedrock",
    "aws bedrock": "aws-bedrock",
    "bedrock_converse": "aws-bedrock",
    "bedrock_mantle": "aws-bedrock",
    "anthropic-bedrock": "aws-bedrock",
    "anthropic-mantle": "aws-bedrock",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gemini": "google",
    "google": "google",
    "google-genai": "google",
    "google_genai": "google",
    "google-gla": "google",
    "googleai": "google",
    "google_ai_studio": "google",
    "google-ai": "google",
    "google-ai-studio": "google",
    "gcp.vertex_ai": "google-vertex",
    "gcp.vertex.agent": "google-vertex",
    "google.vertex": "google-vertex",
    "google-vertex": "google-vertex",
    "google-vertex-ai": "google-vertex",
    "vertex_ai": "google-vertex",
    "vertex_ai_beta": "google-vertex",
    "google_vertexai": "google-vertex",
    "vertexai": "google-vertex",
    "vertex-ai": "google-vertex",
    "vertex": "google-vertex",
    "vertex ai": "google-vertex",
    "vertex-model-garden": "google-vertex",
    "vertex-model-garden-anthropic": "google-vertex",
    "vertex-model-garden-llama": "google-vertex",
    "vertex-model-garden-mistral": "google-vertex",
    "modelgarden": "google-vertex",
    "cohere": "cohere",
    "cohere-ai": "cohere",
    "cohere_chat": "cohere",
    "mistral": "mistral",
    "mistral-ai": "mistral",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "perplexity": "perplexity",
    "perplexity-ai": "perplexity",
    "pplx": "perplexity",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "x-ai": "x-ai",
    "grok": "x-ai",
    "spacexai": "x-ai",
    "together_ai": "together",
    "together-ai": "together",
    "togetherai": "together",
    "together": "together",
    "fireworks": "fireworks",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "openrouter": "openrouter",
    "open-router": "openrouter",
    "open_router": "openrouter",
    "hugging_face": "huggingface",
    "huggingface": "huggingface",
    "ollama": "ollama",
    "cerebras": "cerebras",
    "cerebras-ai": "cerebras",
    "moonshot_ai": "moonshotai",
    "moonshot": "moonshotai",
    "moonshot-ai": "moonshotai",
    "moonshotai": "moonshotai",
    "minimax": "minimax",
    "zai": "zai",
    "z-ai": "zai",
    "z.ai": "zai",
    "ibm.watsonx.ai": "ibm-watsonx",
    "ibm.watson.ai": "ibm-watsonx",
    "watsonx": "ibm-watsonx",
    "voyageai": "voyageai",
    "voyage": "voyageai",
    "voyage-ai": "voyageai",
    # Hosts of others' models, at prices of their own or on one's own machines: the model's name does not tell whom.
    "baseten": "baseten",
    "chutes": "chutes",
    "cloudflare": "cloudflare",
    "workers-ai": "cloudflare",
    "workersai": "cloudflare",
    "deepinfra": "deepinfra",
    "featherless_ai": "featherless",
    "friendliai": "friendli",
    "hosted_vllm": "vllm",
    "hyperbolic": "hyperbolic",
    "lm_studio": "lmstudio",
    "lmstudio": "lmstudio",
    "nebius": "nebius",
    "novita": "novita",
    "nscale": "nscale",
    "nvidia_nim": "nvidia",
    "ovhcloud": "ovhcloud",
    "parasail": "parasail",
    "replicate": "replicate",
    "sambanova": "sambanova",
    "siliconflow": "siliconflow",
    "vllm": "vllm",
    "xinference": "xinference",
    "zhipuai": "zhipuai",
}
"""What emitters call a provider, in lower case → what we do."""

HOSTS: Final = {
    **PROVIDERS_BY_HOST,
    "amazonaws.com": "aws-bedrock",
    "aiplatform.googleapis.com": "google-vertex",
}

MODEL_BEGINNINGS: Final = (
    ("claude", "anthropic"),
    ("gpt-", "openai"),
    ("chatgpt", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("gemini", "google"),
    ("mistral", "mistral"),
    ("magistral", "mistral"),
    ("codestral", "mistral"),
    ("ministral", "mistral"),
    ("pixtral", "mistral"),
    ("command", "cohere"),
    ("deepseek", "deepseek"),
    ("grok", "x-ai"),
    ("sonar", "perplexity"),
    ("kimi", "moonshotai"),
    ("glm-", "zai"),
    ("minimax-", "minimax"),
    ("anthropic.", "aws-bedrock"),
    ("amazon.", "aws-bedrock"),
    ("meta.", "aws-bedrock"),
    ("us.", "aws-bedrock"),
    ("us-gov.", "aws-bedrock"),
    ("ca.", "aws-bedrock"),
    ("eu.", "aws-bedrock"),
    ("apac.", "aws-bedrock"),
    ("jp.", "aws-bedrock"),
    ("au.", "aws-bedrock"),
    ("global.", "aws-bedrock"),
    ("arn:aws", "aws-bedrock"),
)
"""How a model's name begins → who offers it, when nothing else says so."""

VERTEX_VERSION: Final = "@"
"""What Vertex AI, and nobody else, puts between a model of Claude and its date."""

NAMED_WITH_PROVIDER: Final = ("groq/compound", "openrouter/auto")
"""How models' names begin that have their provider in front at the provider itself."""

GOOGLE_ADK: Final = "gcp.vertex.agent"
"""What Google's agent kit says for the provider, whoever answers: it names another before the model."""

UNKNOWN_PROVIDER: Final = "unknown"


@lru_cache(maxsize=4096)
def provider_of(named: str | None, address: str | None, model: str | None) -> str:
    """The provider, from what the emitter calls it, from the host that was called, and from the model's name.

    A known host wins over `openai`, which is also the name of a protocol that many hosts speak.
    """
    by_host = _by_host(address) if address else None
    said = (_by_name(named) or _by_host(named)) if named else None
    if named == GOOGLE_ADK:
        said = _by_prefix(model) or said
    if said is not None and not (said == "openai" and by_host):
        return said
    return by_host or said or _by_model(model) or (named or UNKNOWN_PROVIDER).lower()


def _by_name(named: str) -> str | None:
    name = named.lower().replace("/", ".")
    while name:
        if name in PROVIDERS:
            return PROVIDERS[name]
        name = name.rpartition(".")[0]
    _, *plugin_and_provider = named.lower().split("/")
    if len(plugin_and_provider) == 2:  # as Dify says it, with whose plugin it is in front
        return next((PROVIDERS[one] for one in reversed(plugin_and_provider) if one in PROVIDERS), None)
    return None


def _by_host(address: str) -> str | None:
    labels = _host_in(address).lower().split(".")
    parents = (".".join(labels[start:]) for start in range(len(labels)))
    return next((HOSTS[name] for name in parents if name in HOSTS), None)


def _host_in(address: str) -> str:
    """The host in a URL or in `host:port`; empty when there is none that can be read."""
    if "//" not in address:
        return address.partition(":")[0]
    try:
        return urlsplit(address).hostname or ""
    except ValueError:  # brackets without an address in them
        return ""


def _by_model(model: str | None) -> str | None:
    name = (model or "").lower()
    if name.startswith("claude") and VERTEX_VERSION in name:
        return "google-vertex"
    return _by_prefix(model) or next(
        (provider for beginning, provider in MODEL_BEGINNINGS if name.startswith(beginning)), None
    )


def _by_prefix(model: str | None) -> str | None:
    """The provider that is put before a model's name: `groq/llama-4`."""
    maker, slash, _ = (model or "").lower().partition("/")
    return PROVIDERS.get(maker) if slash else None


@lru_cache(maxsize=4096)
def model_at(provider: str, model: str) -> str:
    """The name of a model without its own provider in front, unless that is part of the name."""
    rest = model.partition("/")[2]
    if not rest or _by_prefix(model) != provider or model.lower().startswith(NAMED_WITH_PROVIDER):
        return model
    return rest
