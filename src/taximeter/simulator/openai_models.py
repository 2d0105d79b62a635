"""What the dialects of OpenAI need to know about its models."""

from __future__ import annotations

import re
from typing import Final

SNAPSHOTS: Final = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "o3": "o3-2025-04-16",
    "o4-mini": "o4-mini-2025-04-16",
}
"""The dated model that answers for an alias; other names answer for themselves."""

_REASONING: Final = re.compile(r"(o\d|gpt-5|gpt-6)")
_REPORTS_WRITES: Final = re.compile(r"gpt-(5\.[6-9]|[6-9])")


def reasons(model: str, effort: object) -> bool:
    """Whether the model thinks before it answers."""
    return effort not in ("none", "minimal") and "-chat" not in model and _REASONING.match(model) is not None


def writes_are_reported(model: str) -> bool:
    """Whether the usage names cache writes (from GPT-5.6 on)."""
    return _REPORTS_WRITES.match(model) is not None


def served_tier(asked: object) -> str:
    """The tier in the answer: what was asked for, `default` for `auto` or nothing."""
    return asked if isinstance(asked, str) and asked not in ("auto", "") else "default"
