"""Where a request states how many output tokens it allows: read there, and made smaller there.

A place is a field of the request's JSON; a dot leads into an object (`inferenceConfig.maxTokens`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from taximeter.extract.gemini_options import places_of

DEFAULT_ALLOWANCE: Final = 32_768
"""Output tokens allowed to a request that states none, under a limit that must not be overspent."""

SMALLER_ALLOWANCES: Final = (
    ("gpt-4o", 16_384),
    ("chatgpt-4o", 16_384),
    ("gpt-4.1", 32_768),
    ("gpt-4", 4_096),
    ("gpt-3.5", 4_096),
    ("gemini-1", 8_192),
    ("gemini-2.0", 8_192),
)
"""Models that write less at most, and refuse a request for more; the first beginning that fits."""

SMALLER_BY_FAMILY: Final = {"bedrock": 4_096, "cohere": 4_000}
"""What every model of a family writes, where one that writes less refuses a request for more."""

ALLOWED_BEFORE_THINKING: Final = ("o1", "o3", "o4", "gpt-5")
"""Models that know `max_completion_tokens` only. Compatible hosts mostly know `max_tokens` only."""

_GEMINI: Final = places_of("maxOutputTokens")

_CHAT: Final = ("max_completion_tokens", "max_tokens")

_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "openai.chat": _CHAT,
    "openai.completions": ("max_tokens",),
    "openai.responses": ("max_output_tokens",),
    "anthropic.messages": ("max_tokens",),
    "gemini.generate_content": _GEMINI,
    "gemini.stream_generate_content": _GEMINI,
    "bedrock.converse": ("inferenceConfig.maxTokens",),
    "bedrock.converse_stream": ("inferenceConfig.maxTokens",),
    "cohere.v1.chat": ("max_tokens",),
    "cohere.v2.chat": ("max_tokens",),
    "ollama.chat": ("options.num_predict",),
    "ollama.generate": ("options.num_predict",),
}
"""By the flavour's name. Of those that are not here no request is given another allowance than its own."""


def allowance_key(flavour: str, model: str, payload: Mapping[str, Any]) -> str | None:
    """The place that states the allowance, else the one that this model knows; None: there is none."""
    places = _PLACES.get(flavour, ())
    stated = next((place for place in places if _at(payload, place) is not None), None)
    if stated is not None or not places:
        return stated
    return key_for(model, places[-1]) if places is _CHAT else places[-1]


def key_for(model: str, place: str | None) -> str | None:
    """The place that a model knows, where others know this one."""
    return _CHAT[0] if place in _CHAT and model.startswith(ALLOWED_BEFORE_THINKING) else place


def renamed(payload: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """A request whose model was replaced: one that does not know `max_tokens` is told in its own word."""
    if "max_tokens" not in payload or "messages" not in payload or not model.startswith(ALLOWED_BEFORE_THINKING):
        return payload
    rest = {name: value for name, value in payload.items() if name != "max_tokens"}
    return {"max_completion_tokens": payload["max_tokens"], **rest}


def usual_allowance(flavour: str, model: str) -> int:
    """What a request is allowed that states nothing."""
    most = SMALLER_BY_FAMILY.get(flavour.partition(".")[0], DEFAULT_ALLOWANCE)
    return next((tokens for name, tokens in SMALLER_ALLOWANCES if model.startswith(name)), most)


def with_allowance(payload: Mapping[str, Any], place: str, tokens: int) -> dict[str, Any]:
    """The request with another allowance."""
    outer, _, inner = place.partition(".")
    return {**payload, outer: {**(payload.get(outer) or {}), inner: tokens} if inner else tokens}


def _at(payload: Mapping[str, Any], place: str) -> object:
    outer, _, inner = place.partition(".")
    found = payload.get(outer)
    if not inner:
        return found
    return found.get(inner) if isinstance(found, Mapping) else None
