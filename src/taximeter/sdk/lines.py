"""Lines for the spool, in pieces: what is the same in many lines is made into JSON once."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from taximeter.core.attribution import DIMENSIONS, Attribution
from taximeter.core.members import members, quoted

UTF8: Final = ("utf-8", "replace")
"""How lines are made bytes: half a character in a text of the host must not lose its event."""

MOST_REMEMBERED: Final = 1_024
"""Combinations of provider, operation and model whose JSON is kept ready."""


@lru_cache(maxsize=MOST_REMEMBERED)
def asked(provider: str, operation: str, model: str | None, region: str | None) -> str:
    """The members of a record that say what was asked of whom and where, each with a comma before it."""
    said = {"provider": provider, "operation": operation, "request_model": model, "region": region}
    return members({name: value for name, value in said.items() if value is not None})


def attributed(attribution: Attribution) -> str:
    """The members of a record that say who it was for, each with a comma before it."""
    said = ""
    for name in DIMENSIONS:
        value = getattr(attribution, name)
        if value is not None:
            said += f',"{name}":{quoted(value)}'
    if attribution.tags:
        said += members({"tags": dict(attribution.tags)})
    return said
