"""What a request tells Gemini how to answer. Google takes two spellings of every field (`generationConfig`,
`generation_config`) and of what it stands in, and a request may have both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

_OPTIONS: Final = "generationConfig"


@lru_cache(maxsize=32)
def spellings(name: str) -> tuple[str, str]:
    """A field's name in camelCase, as it is usual, and in snake_case."""
    return name, re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def options_named(payload: Mapping[str, Any], name: str) -> list[Any]:
    """All that a request says of one option, the usual spelling first. `name` is in camelCase."""
    groups = [payload.get(group) for group in spellings(_OPTIONS)]
    return [group[one] for group in groups if isinstance(group, Mapping) for one in spellings(name) if one in group]


def places_of(name: str) -> tuple[str, ...]:
    """Where an option may stand, as `group.field`, the usual place last."""
    places = [f"{group}.{field}" for group in spellings(_OPTIONS) for field in spellings(name)]
    return tuple(reversed(places))
