"""Prompts that were sent before: how many tokens they are is known from the provider's own answer.

A conversation grows at its end. What is sent next begins with what was sent last, and of that the provider has said
how many tokens it was; the rest is bounded by its bytes. Messages are set apart by tokens of their own, so a
beginning has as many tokens alone as it has in front of more.

Nothing of a prompt is kept but a digest of it and its count.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LEAST_BYTES: Final = 2_048
"""Prompts below are not worth remembering: their bytes bound them well enough."""

MOST_PROMPTS: Final = 20_000
"""Prompts remembered (about 5 MB); the longest unused are forgotten first."""

_SEQUENCES: Final = ("messages", "input", "contents")
_ELSEWHERE: Final = ("system", "instructions", "tools", "functions", "tool_choice", "response_format", "model")
"""What else is read by the model. Of the rest of a request no token is billed."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request's prompt: a digest up to each message, and the bytes up to there. The last is the whole."""

    digests: tuple[bytes, ...]
    sizes: tuple[int, ...]


class KnownPrompts:
    """The counts of prompts that were answered. For one thread, or under the guard's lock."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def beginning(self, prompt: Prompt | None) -> tuple[int, int]:
        """The tokens of the longest beginning that is known, and its bytes; (0, 0) of nothing."""
        for digest, size in zip(reversed(prompt.digests), reversed(prompt.sizes), strict=True) if prompt else ():
            count = self._counts.get(digest)
            if count is not None:
                self._counts.move_to_end(digest)
                return count, size
        return 0, 0

    def learn(self, prompt: Prompt | None, input_tokens: int) -> None:
        """The provider has said how many tokens a prompt was."""
        if prompt is None:
            return
        self._counts[prompt.digests[-1]] = input_tokens
        self._counts.move_to_end(prompt.digests[-1])
        if len(self._counts) > MOST_PROMPTS:
            self._counts.popitem(last=False)


def prompt_of(payload: Mapping[str, Any], size_bytes: int) -> Prompt | None:
    """The prompt of a request; None for one that is short, or is no list of messages."""
    if size_bytes < LEAST_BYTES:
        return None
    name = next((name for name in _SEQUENCES if isinstance(payload.get(name), list)), None)
    if name is None or not payload[name]:
        return None
    digest = hashlib.blake2b(digest_size=16)
    size = _add(digest, [payload.get(name) for name in _ELSEWHERE])
    digests, sizes = [], []
    for message in payload[name]:
        size += _add(digest, _without_marks(message))
        digests.append(digest.digest())
        sizes.append(size)
    return Prompt(tuple(digests), tuple(sizes))


def _add(digest: Any, value: object) -> int:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    digest.update(text)
    return len(text)


def _without_marks(message: object) -> object:
    """A message without the marks of what is to be cached: they move on from call to call."""
    if not isinstance(message, Mapping):
        return message
    content = message.get("content")
    if isinstance(content, list):
        content = [
            {key: value for key, value in part.items() if key != "cache_control"} if isinstance(part, Mapping) else part
            for part in content
        ]
        return {**message, "content": content}
    return message
