"""Looking into a payload that may be anything: every function answers "not there" instead of raising."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from taximeter.core.money import LARGEST_USD
from taximeter.extract.reading import CHARACTERS_PER_TOKEN

Payload: TypeAlias = Mapping[str, object]

LARGEST_INEXACT: Final = 10**18
"""Counts written as floats or decimals are believed up to here."""

LONGEST_NAME: Final = 512
"""Characters of a model name, id or error type; longer ones are cut."""

MOST_NODES: Final = 100_000
"""Values of one request or answer that are looked at when its text is measured; the rest is not measured."""

MOST_PLAIN_MESSAGES: Final = 1_000
"""Messages that are measured the short way: far fewer than `MOST_NODES`."""

NOT_TEXT: Final = frozenset(
    {
        *("type", "role", "id", "model", "media_type", "format", "detail", "call_id", "tool_call_id", "tool_use_id"),
        *("url", "image_url", "file_url", "file_id", "file_data", "b64_json", "result", "partial_image_b64"),
        *("signature", "thought_signature", "encrypted_content", "encrypted_index", "cache_control", "status"),
        *("finish_reason", "native_finish_reason", "stop_reason"),
    }
)
"""Keys whose values are not written or read by the model as text: media, links, identifiers, seals."""

_PLAIN_MESSAGE: Final = {"role", "content"}

_EMPTY: Final[dict[str, object]] = {}


def mapping(value: object) -> Payload:
    """`value` when it is an object, otherwise an empty one."""
    # What it nearly always is first: asking the abstract class costs five times as much.
    if type(value) is dict:
        return value
    return value if value is not None and isinstance(value, Mapping) else _EMPTY


def items(value: object) -> list[object] | tuple[object, ...]:
    """`value` when it is an array, otherwise an empty one."""
    return value if isinstance(value, list | tuple) else ()


def text(value: object) -> str | None:
    """`value` when it is a string with something in it, cut to `LONGEST_NAME` and safe to encode."""
    if not isinstance(value, str) or not value:
        return None
    short = value[:LONGEST_NAME]
    return short if short.isascii() else short.encode("utf-8", "replace").decode("utf-8")


def count(value: object) -> int | None:
    """`value` when it is a whole number. Some hosts write `12.0`; a negative one is left for clamping to catch."""
    if type(value) is int:
        return value
    if not isinstance(value, float | Decimal) or value != value:  # NaN
        return None
    return int(value) if -LARGEST_INEXACT <= value <= LARGEST_INEXACT and value % 1 == 0 else None


def usd(value: object) -> Decimal | None:
    """An amount that a provider names, as an exact decimal; None when it is not a believable one.

    A float that a JSON decoder made is turned back by its shortest text. That restores what the provider wrote:
    up to 15 significant digits always survive the way through a double, and longer texts were printed from a
    double by the same rule.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(value) if isinstance(value, Decimal | int) else Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= LARGEST_USD else None


def characters(value: object) -> int:
    """Characters of text in `value`, media and identifiers left out.

    Numbers in arrays count as one token each: embeddings take text as arrays of token numbers too.
    """
    if isinstance(value, str):
        return len(value)
    if type(value) is not list or len(value) > MOST_PLAIN_MESSAGES:
        return _characters_anywhere(value)
    total = 0
    try:
        for message in value:  # `{"role", "content": text}`, as nearly all are
            content = message["content"]
            if message.keys() != _PLAIN_MESSAGE or content.startswith("data:"):
                return _characters_anywhere(value)
            total += len(content)
    except (KeyError, TypeError, AttributeError):
        return _characters_anywhere(value)
    return total


def _characters_anywhere(value: object) -> int:
    total = 0
    seen = 0
    waiting: list[object] = [value]
    while waiting and seen < MOST_NODES:
        seen += 1
        node = waiting.pop()
        if isinstance(node, str):
            total += len(node) if not _is_media(node) else 0
        elif isinstance(node, Mapping):
            waiting.extend(_written(node))
        elif isinstance(node, list | tuple):
            waiting.extend(node)
        elif type(node) is int:
            total += CHARACTERS_PER_TOKEN
    return total


def _is_media(written: str) -> bool:
    return written.startswith("data:") and ";base64," in written[:LONGEST_NAME]


def _written(node: Payload) -> list[object]:
    """The values of an object that may hold text. `data` is text only in a source that says so."""
    plain = node.get("type") == "text"
    return [
        value
        for key, value in node.items()
        if key not in NOT_TEXT and (key != "data" or plain) and type(value) is not int
    ]
