"""JSON objects in pieces: members, each with a comma before it, that are put together to one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode

quoted: Final = json.encoder.encode_basestring
"""A text as JSON."""


def named(**texts: str | None) -> str:
    """Members that are texts; None is left out."""
    return "".join([f',"{name}":{encode(text)}' for name, text in texts.items() if text is not None])


def members(said: Mapping[str, object]) -> str:
    """Members that are anything."""
    return "," + encode(said)[1:-1] if said else ""
