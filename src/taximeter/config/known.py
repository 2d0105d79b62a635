"""Providers that need no more than a key: their names, addresses and protocols. A new one is one line here.

`docs/gateway.md` has this as a table, which a test holds to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

ProviderKind = Literal[
    "openai", "anthropic", "azure", "bedrock", "cohere", "gemini", "mistral", "ollama", "voyage", "xai"
]
"""How a provider is called: `taximeter.gateway.kinds` has one of each. All OpenAI-compatible hosts are `openai`."""

PROTOCOLS: Final[Mapping[ProviderKind, str]] = {"azure": "openai", "mistral": "openai", "xai": "openai"}
"""What kinds speak besides their own: providers of one protocol can stand in for each other."""

_REFERENCE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """`base_url` may have `${NAME}` in it. `key_variables`: the first of these that is set holds its key."""

    kind: ProviderKind
    base_url: str
    key_variables: tuple[str, ...] = ()

    def key_in(self, environment: Mapping[str, str]) -> str | None:
        name = self.key_variable_in(environment)
        return None if name is None else environment[name]

    def key_variable_in(self, environment: Mapping[str, str]) -> str | None:
        """The variable that holds its key."""
        return next((name for name in self.key_variables if environment.get(name)), None)

    def base_url_in(self, environment: Mapping[str, str]) -> str | None:
        """Its address; None when a variable that it needs is not set."""
        needed = [name for name, default in _REFERENCE.findall(self.base_url) if not default]
        if any(not environment.get(name) for name in needed):
            return None
        return _REFERENCE.sub(lambda found: environment.get(found[1]) or found[2] or "", self.base_url)

    def defaults(self, environment: Mapping[str, str]) -> dict[str, object]:
        """What its settings are when nothing else is said."""
        base_url = self.base_url_in(environment)
        return {"kind": self.kind} | ({} if base_url is None else {"base_url": base_url})


KNOWN: Final[Mapping[str, KnownProvider]] = {
    "openai": KnownProvider("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",)),
    "anthropic": KnownProvider("anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",)),
    "gemini": KnownProvider(
        "gemini", "https://generativelanguage.googleapis.com", ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    ),
    "vertex": KnownProvider("gemini", "https://aiplatform.googleapis.com"),
    "bedrock": KnownProvider(
        "bedrock", "https://bedrock-runtime.${AWS_REGION:-us-east-1}.amazonaws.com", ("AWS_BEARER_TOKEN_BEDROCK",)
    ),
    "azure": KnownProvider("azure", "${AZURE_OPENAI_ENDPOINT}", ("AZURE_OPENAI_API_KEY",)),
    "mistral": KnownProvider("mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",)),
    "cohere": KnownProvider("cohere", "https://api.cohere.com", ("CO_API_KEY", "COHERE_API_KEY")),
    "groq": KnownProvider("openai", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
    "deepseek": KnownProvider("openai", "https://api.deepseek.com", ("DEEPSEEK_API_KEY",)),
    "xai": KnownProvider("xai", "https://api.x.ai/v1", ("XAI_API_KEY",)),
    "openrouter": KnownProvider("openai", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
    "perplexity": KnownProvider("openai", "https://api.perplexity.ai", ("PERPLEXITY_API_KEY", "PPLX_API_KEY")),
    "together": KnownProvider("openai", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",)),
    "fireworks": KnownProvider("openai", "https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",)),
    "cerebras": KnownProvider("openai", "https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",)),
    "huggingface": KnownProvider("openai", "https://router.huggingface.co", ("HF_TOKEN",)),
    "moonshot": KnownProvider("openai", "https://api.moonshot.ai/v1", ("MOONSHOT_API_KEY",)),
    "zai": KnownProvider("openai", "https://api.z.ai/api/paas/v4", ("ZAI_API_KEY",)),
    "voyage": KnownProvider("voyage", "https://api.voyageai.com/v1", ("VOYAGE_API_KEY",)),
    "ollama": KnownProvider("ollama", "http://127.0.0.1:11434"),
}


def protocol_of(kind: ProviderKind) -> str:
    return PROTOCOLS.get(kind, kind)


ALWAYS: Final = ("openai", "anthropic")
"""Exist without a key and without being named: clients may bring their own."""
