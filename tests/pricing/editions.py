"""Price data that were tampered with: the installed library's, changed by a function, as another edition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taximeter.pricing.snapshot import Edition, bundled
from taximeter.pricing.snapshot_file import dump, from_raw


def doctored(provider_id: str, change: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    """The raw data of the library, with one provider changed."""
    raw = dump(bundled().providers)
    change(next(provider for provider in raw if provider["id"] == provider_id))
    return raw


def model_of(provider: dict[str, Any], model_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(model for model in provider["models"] if model["id"] == model_id)
    return found


def edition_of(raw: list[dict[str, Any]], adopted_us: int | None) -> Edition:
    return Edition("doctored", from_raw(raw, "doctored").providers, adopted_us)
