"""What a request asks for, whatever its dialect; and how words are counted.

One word is one token here: whoever checks a count can do it by eye.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a prompt. `cache_seconds` is not 0 when the prefix that ends here is to be cached so long."""

    text: str
    tokens: int
    cache_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A well-formed request `body`: the prompt in `blocks`, and the bounds of the answer in tokens.

    `max_output_tokens` is None when the caller set no bound, and 0 when this operation writes nothing.
    """

    body: Mapping[str, Any]
    model: str
    blocks: tuple[Block, ...]
    stream: bool = False
    max_output_tokens: int | None = None
    reasons: bool = False
    service_tier: str | None = None
    choices: int = 1

    @property
    def prompt_tokens(self) -> int:
        return sum(block.tokens for block in self.blocks)


class Refusal(Exception):  # noqa: N818 - a provider's answer, not a failure of ours
    """The provider's refusal of a request: an HTTP status and what its error object says."""

    def __init__(self, status: int, kind: str, message: str, *, code: str | None = None, param: str | None = None):
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.param = param


def bad_request(message: str, param: str | None = None) -> Refusal:
    return Refusal(400, "invalid_request_error", message, param=param)


def text_block(text: str, cache_seconds: int = 0) -> Block:
    return Block(text, len(text.split()), cache_seconds)


def text_in(content: object) -> str:
    """All text inside message content, tool definitions or results, in order."""
    if isinstance(content, str):
        return content
    return " ".join(_texts(content))


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            if name not in ("type", "cache_control", "role"):
                yield from _texts(value)
    elif isinstance(content, Iterable):
        for part in content:
            yield from _texts(part)


def required_text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise bad_request(f"you must provide a {name} parameter", name)
    return value


def optional_count(body: Mapping[str, Any], *names: str) -> int | None:
    """The first of the named whole numbers that is given. Raises `Refusal` when it is not positive."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise bad_request(f"{name}: must be a whole number of at least 1", name)
        return value
    return None


def parsed(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises `Refusal` when it is none."""
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        raise bad_request("We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise bad_request("The body of your request must be a JSON object.")
    return body
