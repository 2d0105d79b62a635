"""Which provider answers a path, and in which dialect. A new provider is one file in `dialects/` and one line here.

Most paths say it by themselves: `/v1/messages`, `/v2/chat`, `/model/{id}/converse`. Where several providers have the
same, the first segment may name one: `/mistral/v1/chat/completions`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from taximeter.simulator.dialects import (
    Dialect,
    Route,
    anthropic_messages,
    azure,
    bedrock,
    cohere,
    gemini,
    groq,
    mistral,
    ollama,
    openai_chat,
    openai_embeddings,
    openai_responses,
    veo,
    vertex,
)
from taximeter.simulator.dialects.anthropic_messages import ANTHROPIC
from taximeter.simulator.dialects.openai_chat import OPENAI
from taximeter.simulator.manners import Manners

ROUTES: Final[tuple[Route, ...]] = (
    *openai_chat.ROUTES,
    *openai_responses.ROUTES,
    *openai_embeddings.ROUTES,
    *anthropic_messages.ROUTES,
    *azure.ROUTES,
    *veo.ROUTES,
    *vertex.ROUTES,
    *gemini.ROUTES,
    *bedrock.ROUTES,
    *mistral.ROUTES,
    *groq.ROUTES,
    *cohere.ROUTES,
    *ollama.ROUTES,
)

PROVIDERS: Final[dict[str, Manners]] = {route.manners.provider: route.manners for route in ROUTES}


class Place(NamedTuple):
    """Where a request arrived: who answers it, in which dialect (None: unknown here), and the provider's own path."""

    manners: Manners
    dialect: Dialect | None
    path: str


def place_of(path: str, query: Mapping[str, str], headers: Mapping[bytes, bytes]) -> Place:
    named, _, rest = path[1:].partition("/")
    manners = PROVIDERS.get(named)
    if manners is not None and (place := _found(ROUTES, "/" + rest, query, manners)) is not None:
        return place
    if (place := _found(ROUTES, path, query, None)) is not None:
        return place
    if manners is not None:
        return Place(manners, None, "/" + rest)
    is_anthropic = b"anthropic-version" in headers or b"x-api-key" in headers or "/messages" in path
    return Place(ANTHROPIC if is_anthropic else OPENAI, None, path)


def _found(routes: tuple[Route, ...], path: str, query: Mapping[str, str], manners: Manners | None) -> Place | None:
    """The first route of these manners (of any, when None) that fits the path."""
    for route in routes:
        if manners is not None and route.manners.provider != manners.provider:
            continue
        if (match := re.fullmatch(route.pattern, path)) is not None:
            return Place(route.manners, route.dialect_at(match, query), path)
    return None
