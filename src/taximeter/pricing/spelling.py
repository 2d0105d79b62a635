"""Names of models as callers and answers spell them, and as price lists do.

    spellings("publishers/meta/models/llama-3.3-70b-instruct-maas", "google-vertex")
                                        -> ["llama-3.3-70b-instruct-maas", "meta/llama-3.3-70b-instruct-maas"]
    place_named("eu/gpt-4o", "azure")   -> "eu"

All names are in lower case.
"""

from __future__ import annotations

import re
from typing import Final

ROUTED_ANYHOW: Final = (":online", ":floor")
ROUTED_ELSEWHERE: Final = (":nitro", ":exacto")
"""What OpenRouter's callers put behind a name to choose among the hosts of a model. The latter prefer dearer ones,
where they differ."""

_RESOURCE: Final = re.compile(r"^(?:.*[/:])?(?:models|foundation-model|inference-profile)/")
"""What stands before the name in that of a resource: `models/gemini-2.5-pro`, `publishers/google/models/...`,
`arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0`."""

_PUBLISHED: Final = re.compile(r"(?:^|/)publishers/([^/]+)/models/(.+)$")
_PUBLISHERS: Final = ("anthropic", "google", "mistralai")
"""Those whose models Vertex AI lists without their name."""

_OPEN_PUBLISHERS: Final = ("deepseek-ai", "meta", "minimaxai", "moonshotai", "openai", "qwen", "xai", "zai-org")
"""Those whose models it lists with their name."""
_AS_A_SERVICE: Final = "-maas"

_ZONE: Final = re.compile(r"^(?:azure(?:_ai)?/)?(us|eu|apac|us-gov|global|global-standard)/(?=[^/]+$)")
"""Azure's data zones, as LiteLLM spells the models in them."""

_ROUTE: Final = re.compile(
    r"^(?:bedrock(?:_converse|_mantle)?/)?(?:converse/|invoke/)?(?:([a-z]{2}(?:-[a-z]+)+-\d)/)?(?=[^/]+$)"
)
"""The dialect and the region of Bedrock, as LiteLLM spells them: `bedrock/converse/us-west-2/amazon.nova-pro-v1:0`."""
_ARN: Final = re.compile(r"^arn:aws[a-z-]*:bedrock:([a-z0-9-]+):")
_LOCATION: Final = re.compile(r"(?:^|/)locations/([a-z0-9-]+)/")

_PRESET: Final = re.compile(r"@preset/.+$")
_FIREWORKS: Final = ("accounts/fireworks/models/", "accounts/fireworks/routers/")


def place_named(model: str, provider: str) -> str | None:
    """Where a model is served, when its name says so; None when it does not. It counts more than where the provider
    was called: a resource of Azure in one region serves the zone of a deployment."""
    if provider == "azure":
        zone = _ZONE.match(model)
        return None if zone is None else zone[1]
    if provider == "aws":
        arn = _ARN.match(model)
        route = _ROUTE.match(model) if arn is None else arn
        return None if route is None else route[1]
    if provider == "google-vertex":
        location = _LOCATION.search(model)
        return None if location is None else location[1]
    return None


def spellings(model: str, provider: str) -> list[str]:
    """Other names of a model, without what stands before or behind it at some hosts; the likeliest first."""
    return [name for name in dict.fromkeys(_others(model, provider)) if name and name != model]


def _others(model: str, provider: str) -> list[str]:
    plain = _RESOURCE.sub("", model)
    if provider == "azure":
        return [plain, _ZONE.sub("", plain)]
    if provider == "aws":
        return [_ROUTE.sub("", plain, count=1)]
    if provider == "google-vertex":
        return [plain, *_published(model)]
    if provider == "fireworks":
        return [before + model for before in _FIREWORKS] if "/" not in model else []
    return [plain]


def _published(model: str) -> list[str]:
    """A model of Vertex AI with its publisher's name, or without, as it is listed."""
    if model.endswith(_AS_A_SERVICE) and "/" not in model:
        return [f"{publisher}/{model}" for publisher in _OPEN_PUBLISHERS]
    published = _PUBLISHED.search(model)
    publisher, _, rest = model.partition("/")
    return ["/".join(published.groups())] if published else [rest] if publisher in _PUBLISHERS else []


def routed(model: str, *, one_price: bool) -> str | None:
    """The model of an OpenRouter name with a wish for its hosts behind it: `openai/gpt-4o:nitro`,
    `openai/gpt-5.2@preset/support`. None without one, or where hosts differ in price (`one_price` denies it) and
    the wish is for the dearer ones."""
    plain = _PRESET.sub("", model)
    for wish in ROUTED_ANYHOW if not one_price else (*ROUTED_ANYHOW, *ROUTED_ELSEWHERE):
        plain = plain.removesuffix(wish)
    return plain if plain and plain != model else None
