"""Users whose data was deleted, in what is written down about spending."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

Gone = Callable[[str, int], bool]
"""Whether the data of a user was deleted after a moment, microseconds since the epoch."""

DELETED_USER: Final = "a deleted user"
"""In the place of the name."""


def without_names(value: Any, names: Iterable[str]) -> Any:
    """The same JSON with these names replaced, where they stand alone and as words of a text."""
    listed = sorted(names, key=len, reverse=True)
    if not listed:
        return value
    words = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, listed)) + r")(?!\w)")
    return _replaced(value, words)


def _replaced(value: Any, words: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return words.sub(DELETED_USER, value)
    if isinstance(value, list):
        return [_replaced(one, words) for one in value]
    if isinstance(value, dict):
        return {_replaced(key, words): _replaced(one, words) for key, one in value.items()}
    return value
