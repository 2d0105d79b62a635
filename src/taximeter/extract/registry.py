"""Which flavour a request speaks. A new provider family is one file and one line here."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from taximeter.extract import (
    anthropic,
    anthropic_fetched,
    bedrock,
    cohere,
    gemini,
    gemini_sessions,
    ollama,
    openai,
    openai_fetched,
    openai_media,
    openai_realtime,
    voyage,
    xai,
)
from taximeter.extract.flavour import Flavour, Route

_FAMILIES: Final[dict[str, tuple[Route, ...]]] = {
    "openai": openai.ROUTES + openai_media.ROUTES + openai_fetched.ROUTES + openai_realtime.ROUTES,
    "anthropic": anthropic.ROUTES + anthropic_fetched.ROUTES,
    "gemini": gemini.ROUTES + gemini_sessions.ROUTES,
    "bedrock": bedrock.ROUTES,
    "cohere": cohere.ROUTES,
    "ollama": ollama.ROUTES,
    "voyage": voyage.ROUTES,
    "xai": xai.ROUTES,
}


def _own_first(kind: str) -> tuple[Route, ...]:
    others = (routes for name, routes in _FAMILIES.items() if name != kind)
    return _FAMILIES[kind] + tuple(route for routes in others for route in routes)


KINDS: Final[dict[str, tuple[Route, ...]]] = {kind: _own_first(kind) for kind in _FAMILIES}
"""Protocol family → its routes, then those of the others: many hosts answer several protocols. The first that fits
is taken."""

MOST_REMEMBERED: Final = 1_024
"""Pairs of method and path whose flavour is kept ready."""


@lru_cache(maxsize=MOST_REMEMBERED)
def flavour_for(kind: str, method: str, path: str, *, polled: bool = False) -> Flavour | None:
    """The flavour of a request to a provider of this `kind`, or None when the path is not known.

    `path` is the provider's own (`/v1/chat/completions`), without or with its query string. What a path that is
    not known costs is not known either. `polled`: also those whose answers tell the usage of an earlier call
    (`Flavour.polled`), for callers who see to it that it counts once.
    """
    method, path = method.upper(), path.partition("?")[0]
    for candidate in KINDS.get(kind, ()):
        if candidate.flavour.polled and not polled:
            continue
        found = candidate.fits(method, path)
        if found is not None:
            return candidate.flavour.for_path(found)
    return None
