"""Which flavour a request speaks. A new provider family is one file and one line here."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from taximeter.extract import anthropic, gemini, openai, openai_media
from taximeter.extract.flavour import Flavour, Route

_OPENAI: Final = openai.ROUTES + openai_media.ROUTES

KINDS: Final[dict[str, tuple[Route, ...]]] = {
    # Many OpenAI-compatible hosts answer Anthropic's protocol too, and the other way round.
    "openai": _OPENAI + anthropic.ROUTES,
    "anthropic": anthropic.ROUTES + _OPENAI,
    "gemini": gemini.ROUTES + _OPENAI + anthropic.ROUTES,
}
"""Protocol family → its routes; the first that fits is taken."""

MOST_REMEMBERED: Final = 1_024
"""Pairs of method and path whose flavour is kept ready."""


@lru_cache(maxsize=MOST_REMEMBERED)
def flavour_for(kind: str, method: str, path: str) -> Flavour | None:
    """The flavour of a request to a provider of this `kind`, or None when the path is not known.

    `path` is the provider's own (`/v1/chat/completions`), without or with its query string. What a path that is
    not known costs is not known either.
    """
    method, path = method.upper(), path.partition("?")[0]
    for candidate in KINDS.get(kind, ()):
        found = candidate.fits(method, path)
        if found is not None:
            model = found.groupdict().get("model")
            return candidate.flavour.for_model(model) if model else candidate.flavour
    return None
