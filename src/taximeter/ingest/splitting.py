"""An array of which some items are no JSON, taken apart: by its brackets and texts alone, however deep they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_LANDMARK: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)
"""A whole text, or what opens, closes and separates; a lone quotation mark is a text without an end."""

_CLOSES: Final = {b"]": b"[", b"}": b"{"}


def split_items(array: bytes) -> list[bytes]:
    """The items of a JSON array as they are written, each to be read by itself.

    Nothing is read but where texts, arrays and objects begin and end, so that one item that is no JSON (`NaN`, half
    of an emoji, nested without end) costs no other. Raises ValueError when those do not pair up.
    """
    items = list(_items(array))
    if len(items) == 1 and not items[0]:
        return []
    if not all(items):
        raise ValueError("there is nothing between two commas")
    return items


def _items(array: bytes) -> Iterator[bytes]:
    open_marks: list[bytes] = []
    begin = ended = 0
    for found in _LANDMARK.finditer(array):
        mark = found.group()
        if ended:
            raise ValueError(f"something follows the array (byte {ended})")
        if mark == b'"':
            raise ValueError(f"a text has no end (byte {found.start()})")
        if mark in (b"[", b"{"):
            open_marks.append(mark)
            begin = begin or found.end()
        elif mark in _CLOSES and (not open_marks or open_marks.pop() != _CLOSES[mark]):
            raise ValueError(f"{mark.decode()} closes nothing (byte {found.start()})")
        if not open_marks or (mark == b"," and len(open_marks) == 1):
            yield array[begin : found.start()].strip()
            begin = found.end()
        if not open_marks:
            ended = found.end()
    if not ended or array[ended:].strip():
        raise ValueError("the array has no end" if not ended else f"something follows the array (byte {ended})")
