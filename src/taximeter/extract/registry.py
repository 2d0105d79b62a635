"""Which flavour a request speaks. A new provider family is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Final, cast

from taximeter.extract.flavour import Flavour, Route

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "openai": (
        *("gemini_compatible", "openai_deferred", "openai", "openai_media", "openai_videos", "openai_fetched"),
        *("openai_realtime", "openai_translation", "openai_live", "perplexity"),
    ),
    "anthropic": ("anthropic", "anthropic_fetched"),
    "gemini": ("gemini_compatible", "gemini_videos", "gemini", "gemini_sessions"),
    "bedrock": ("bedrock",),
    "cohere": ("cohere",),
    "mistral": ("mistral",),
    "ollama": ("ollama",),
    "voyage": ("voyage",),
    "xai": ("xai",),
}
"""Protocol family → the modules of this room with its `ROUTES`. They are imported when a request first needs them:
the SDK lives in other people's processes."""

MOST_REMEMBERED: Final = 1_024
"""Pairs of method and path whose flavour is kept ready."""


def routes_of(kind: str) -> Iterator[Route]:
    """The routes of a family, then those of the others: many hosts answer several protocols."""
    for module in dict.fromkeys((*KINDS[kind], *(module for modules in KINDS.values() for module in modules))):
        yield from cast("tuple[Route, ...]", import_module(f"taximeter.extract.{module}").ROUTES)


@lru_cache(maxsize=MOST_REMEMBERED)
def flavour_for(kind: str, method: str, path: str, *, polled: bool = False) -> Flavour | None:
    """The flavour of a request to a provider of this `kind`, or None when the path is not known.

    `path` is the provider's own (`/v1/chat/completions`), without or with its query string. The first route that
    fits is taken; what a path that is not known costs is not known either. `polled`: also those whose answers tell
    the usage of an earlier call (`Flavour.polled`), for callers who see to it that it counts once.
    """
    if kind not in KINDS:
        return None
    method, path = method.upper(), path.partition("?")[0]
    for candidate in routes_of(kind):
        if candidate.flavour.polled and not polled:
            continue
        found = candidate.fits(method, path)
        if found is not None:
            return candidate.flavour.for_path(found)
    return None
