"""Measuring a JSON string inside raw bytes without decoding what is around it.

A bare quote never stands inside a JSON string, so searching an event for `"key":"` finds structure, not content.
"""

from __future__ import annotations

from typing import Final

_BACKSLASH: Final = 0x5C
_NOT_FOUND: Final = -1


def string_end(data: bytes, start: int) -> int:
    """Where the string whose content begins at `start` has its closing quote; -1 when it has none."""
    end = data.find(b'"', start)
    while end > start and data[end - 1] == _BACKSLASH:
        first = end - 1
        while first >= start and data[first] == _BACKSLASH:
            first -= 1
        if (end - 1 - first) % 2 == 0:
            return end  # an even number of backslashes escape each other, not the quote
        end = data.find(b'"', end + 1)
    return end


def string_characters(data: bytes, start: int, end: int) -> int | None:
    """Characters of the JSON string between `start` and `end`; None when only a decoder can tell."""
    if end == _NOT_FOUND:
        return None
    written = data[start:end]
    if b"\\" not in written:
        return len(written) if written.isascii() else _characters(written)
    if b"\\u" in written:
        return None  # two of them may be one character
    single = written.replace(b"\\\\", b"x")
    decoded = _characters(single)
    return None if decoded is None else decoded - single.count(b"\\")


def _characters(utf8: bytes) -> int | None:
    try:
        return len(utf8.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def only_null(data: bytes, key: bytes) -> bool:
    """Whether `key` (`"usage":`) is absent, or null wherever it stands."""
    return data.count(key) == data.count(key + b"null")
