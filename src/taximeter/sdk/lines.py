"""Lines for the spool, in pieces: what is the same in many lines is made into JSON once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from taximeter.core.attribution import DIMENSIONS, Attribution
from taximeter.core.event import usage_record
from taximeter.core.usage import TOKEN_CLASSES, Usage

if TYPE_CHECKING:
    from taximeter.extract.plain import Plain

encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode

quoted: Final = json.encoder.encode_basestring
"""A text as JSON."""


UTF8: Final = ("utf-8", "replace")
"""How lines are made bytes: half a character in a text of the host must not lose its event."""

MOST_REMEMBERED: Final = 1_024
"""Combinations of provider, operation and model whose JSON is kept ready."""


@lru_cache(maxsize=MOST_REMEMBERED)
def asked(provider: str, operation: str, model: str | None) -> str:
    """The members of a record that say what was asked of whom, each with a comma before it."""
    said = {"provider": provider, "operation": operation, "request_model": model}
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


def answered(plain: Plain) -> str:
    """The members of a record that a plain answer is, each with a comma before it."""
    members = _answered(plain.response_model, plain.service_tier, plain.classes)
    return members % (quoted(plain.response_id), *plain.counts)


@lru_cache(maxsize=MOST_REMEMBERED)
def _answered(model: str, service_tier: str | None, classes: tuple[str, ...]) -> str:
    """These members, with the places where the id and the counts come."""
    served = named(response_model=model, service_tier=service_tier).replace("%", "%%")
    return f'{served},"response_id":%s' + "".join(f',"{name}":%d' for name in classes)


def counted(usage: Usage) -> str:
    """The members of a record that a usage is, each with a comma before it."""
    counts = [f',"{name}":{count}' for name in TOKEN_CLASSES if (count := getattr(usage, name)) is not None]
    if usage.units:
        counts.append(members({"units": usage_record(usage)["units"]}))
    return "".join(counts)


def named(**texts: str | None) -> str:
    """Members that are text, each with a comma before it; None is left out."""
    return "".join([f',"{name}":{encode(text)}' for name, text in texts.items() if text is not None])


def members(said: Mapping[str, object]) -> str:
    """JSON members, each with a comma before it."""
    return "," + encode(said)[1:-1] if said else ""
