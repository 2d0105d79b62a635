"""The lists of models that providers serve under `/v1/models`."""

from __future__ import annotations

from typing import Any, Final

import msgspec

LISTED: Final = {
    "openai": ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "text-embedding-3-small"),
    "anthropic": ("claude-sonnet-5", "claude-haiku-4-5-20251001", "claude-opus-5"),
}
_PATH: Final = "/v1/models"


def model_list(provider: str, path: str) -> bytes | None:
    """The body for `/v1/models` and `/v1/models/{id}`, or None for other paths, models and providers."""
    if provider not in LISTED:
        return None
    if path == _PATH:
        listed = [_entry(provider, model) for model in LISTED[provider]]
        if provider == "anthropic":
            return msgspec.json.encode(
                {"data": listed, "has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
            )
        return msgspec.json.encode({"object": "list", "data": listed})
    model = path.removeprefix(_PATH + "/")
    return msgspec.json.encode(_entry(provider, model)) if model in LISTED[provider] else None


def _entry(provider: str, model: str) -> dict[str, Any]:
    if provider == "anthropic":
        return {"type": "model", "id": model, "display_name": model, "created_at": "2025-09-29T00:00:00Z"}
    return {"id": model, "object": "model", "created": 1_715_367_049, "owned_by": "system"}
