"""What can go wrong at a provider, and how often it does."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

BEFORE_WORK: Final = {
    "rate_limit": "429 with Retry-After",
    "server_error": "500",
    "overloaded": "503, at Anthropic 529",
    "bad_request": "400",
    "unauthorized": "401",
    "not_found": "404 for the model",
    "reset": "the connection is reset before an answer",
    "hang": "no answer until the caller gives up",
}
"""Nothing is generated and nothing is billed."""

AFTER_WORK: Final = {
    "slow": "the answer takes `slow_ms` longer",
    "cut": "the connection closes in the middle of the answer",
    "stream_error": "a stream ends with an error event",
    "broken_json": "a body that is not JSON",
    "empty": "a body of no bytes",
}
"""Tokens were generated and are billed."""

KINDS: Final = {**BEFORE_WORK, **AFTER_WORK}


def check_rates(rates: Mapping[str, float]) -> None:
    """Raise ValueError unless all kinds are known and the shares are between 0 and 1 and sum to at most 1."""
    unknown = sorted(rates.keys() - KINDS.keys())
    if unknown:
        raise ValueError(f"unknown fault {', '.join(unknown)}; known are {', '.join(KINDS)}")
    if not all(share >= 0 for share in rates.values()) or sum(rates.values()) > 1:  # a NaN is neither
        raise ValueError("shares of faults must not be negative, and must sum to at most 1")


def drawn_fault(rates: Mapping[str, float], chance: Random) -> str | None:
    """A kind by its share, or None for the calls that go well."""
    if not rates:
        return None
    point = chance.random()
    for kind, share in rates.items():
        point -= share
        if point < 0:
            return kind
    return None
