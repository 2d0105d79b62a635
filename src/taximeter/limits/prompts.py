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
from typing import Any, Final, NamedTuple

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


class Known(NamedTuple):
    """The beginning of a prompt that was sent before: its tokens, its bytes, its messages."""

    tokens: int = 0
    size_bytes: int = 0
    messages: int = 0

    def rest_of(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """A request without these messages."""
        name = _sequence_in(payload) if self.messages else None
        return payload if name is None else {**payload, name: payload[name][self.messages :]}


NOTHING_KNOWN: Final = Known()


class KnownPrompts:
    """The counts of prompts that were answered. For one thread, or under the guard's lock."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def beginning(self, prompt: Prompt | None) -> Known:
        """The longest beginning that is known."""
        if prompt is None:
            return NOTHING_KNOWN
        for place in reversed(range(len(prompt.digests))):
            count = self._counts.get(prompt.digests[place])
            if count is not None:
                self._counts.move_to_end(prompt.digests[place])
                return Known(count, prompt.sizes[place], place + 1)
        return NOTHING_KNOWN

    def learn(self, prompt: Prompt | None, input_tokens: int) -> None:
        """The provider has said how many tokens a prompt was."""
        if prompt is None:
            return
        self._counts[prompt.digests[-1]] = input_tokens
        self._counts.move_to_end(prompt.digests[-1])
        if len(self._counts) > MOST_PROMPTS:
            self._counts.popitem(last=False)


def _sequence_in(payload: Mapping[str, Any]) -> str | None:
    return next((name for name in _SEQUENCES if isinstance(payload.get(name), list)), None)


def prompt_of(payload: Mapping[str, Any], size_bytes: int, provider: str, model: str | None) -> Prompt | None:
    """The prompt of a request; None for one that is short, or is no list of messages.

    The same words are other tokens to another model, which may be named by the path alone.
    """
    if size_bytes < LEAST_BYTES:
        return None
    name = _sequence_in(payload)
    if name is None or not payload[name]:
        return None
    digest = hashlib.blake2b(digest_size=16)
    _add(digest, [provider, model])
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
