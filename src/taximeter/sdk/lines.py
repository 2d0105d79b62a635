"""Lines for the spool, in pieces: what is the same in many lines is made into JSON once."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final

from taximeter.core.attribution import DIMENSIONS, Attribution

encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode

MOST_REMEMBERED: Final = 1_024
"""Combinations of provider, operation and model whose JSON is kept ready."""


@lru_cache(maxsize=MOST_REMEMBERED)
def asked(provider: str, operation: str, model: str | None) -> str:
    """The members of a record that say what was asked of whom, each with a comma before it."""
    said = {"provider": provider, "operation": operation, "request_model": model}
    return _members({name: value for name, value in said.items() if value is not None})


def attributed(attribution: Attribution) -> str:
    """The members of a record that say who it was for, each with a comma before it."""
    said: dict[str, object] = {name: value for name in DIMENSIONS if (value := getattr(attribution, name)) is not None}
    if attribution.tags:
        said["tags"] = dict(attribution.tags)
    return _members(said)


def _members(said: dict[str, object]) -> str:
    return "," + encode(said)[1:-1] if said else ""
