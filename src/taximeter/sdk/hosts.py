"""Who answers at a base URL: the provider's name, from its host. Data, and one function.

A client library speaks to many hosts (`OpenAI(base_url="https://api.groq.com/openai/v1")`); prices belong to the
host, so the provider of an event is named for it. A host that is not listed is its own provider, except this
machine: a proxy or a stand-in that listens here speaks for the provider that the client library belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from taximeter.core.places import region_at

PROVIDERS_BY_HOST: Final = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "inference.ai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "azure-api.net": "azure",
    "amazonaws.com": "aws",
    "api.aws": "aws",
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "generativelanguage.googleapis.com": "google",
    "googleapis.com": "google-vertex",
    "api.groq.com": "groq",
    "router.huggingface.co": "huggingface",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshotai",
    "api.novita.ai": "novita",
    "ollama.com": "ollama",
    "openrouter.ai": "openrouter",
    "api.perplexity.ai": "perplexity",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.voyageai.com": "voyageai",
    "api.x.ai": "x-ai",
    "api.z.ai": "zai",
}
"""Registered host names; a name below one of them (`acme.openai.azure.com`) belongs to it too."""

THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})

OLLAMA_PORT: Final = 11434

PROVIDERS_BY_CLASS: Final = {
    "AzureOpenAI": "azure",
    "AsyncAzureOpenAI": "azure",
    "BedrockOpenAI": "aws",
    "AsyncBedrockOpenAI": "aws",
    "AnthropicBedrock": "aws",
    "AsyncAnthropicBedrock": "aws",
    "AnthropicBedrockMantle": "aws",
    "AsyncAnthropicBedrockMantle": "aws",
    "AnthropicVertex": "google-vertex",
    "AsyncAnthropicVertex": "google-vertex",
    "AnthropicFoundry": "azure",
    "AsyncAnthropicFoundry": "azure",
}
"""Client classes that speak to one provider, whatever its host is called: it may be behind a name of the company's."""

TELL_USAGE_WHEN_ASKED: Final = frozenset(
    {"openai", "azure", "deepseek", "google", "groq", "ollama", "openrouter", "together"}
)
"""Providers known to accept `stream_options.include_usage` and to answer it with one more chunk."""


@dataclass(frozen=True, slots=True)
class Host:
    """`through_gateway`: it is the taximeter that this process reports to, so the call is counted there as well.

    `assumed`: it listens on this machine, and the provider is taken from the client library. `prefix` is the path of
    the base URL, where that tells a dialect. `region`: what the host's name says of where it serves.
    """

    provider: str
    through_gateway: bool = False
    assumed: bool = False
    prefix: str = ""
    region: str | None = None


@lru_cache(maxsize=256)
def host_of(base_url: str, gateway_url: str | None, library: str | None = None) -> Host:
    """Who answers a client of `library` at `base_url`.

    Below `gateway_url` (where this process's events are sent) it is taximeter's own gateway, whose first path
    segment names the provider.
    """
    if gateway_url is not None and base_url.startswith(gateway_url + "/"):
        provider = base_url[len(gateway_url) + 1 :].split("/", 1)[0]
        return Host(provider or "openai", through_gateway=True, prefix=_prefix(base_url))
    host = urlsplit(base_url).hostname or base_url
    if library is not None and host in THIS_MACHINE and host not in PROVIDERS_BY_HOST:
        return Host("ollama" if f":{OLLAMA_PORT}" in base_url else library, assumed=True, prefix=_prefix(base_url))
    return Host(_provider_named(host), prefix=_prefix(base_url), region=region_at(host))


def _prefix(base_url: str) -> str:
    """Google answers OpenAI's protocol in a way of its own, which only the path tells."""
    path = urlsplit(base_url).path.rstrip("/")
    return path if path.endswith("/openai") or "/endpoints/" in path else ""


def _provider_named(host: str) -> str:
    labels = host.split(".")
    parents = (".".join(labels[i:]) for i in range(len(labels)))
    return next((PROVIDERS_BY_HOST[name] for name in parents if name in PROVIDERS_BY_HOST), host)
