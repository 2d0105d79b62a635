"""A JSON document that is larger than memory, taken apart into its rows while it is read.

Rows are the objects in the outermost array; when the document is an object, those in the arrays of `ENVELOPES`, and
when it has none of these, the object itself. Several documents may follow each other. Only where texts, arrays and
objects begin and end is looked at, so that a row that is no JSON costs no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

ENVELOPES: Final = frozenset({"data", "events", "resourceSpans", "resourceLogs", "observations", "requests", "logs"})
"""Keys under which documents keep their rows."""

_LANDMARK: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)
"""A whole text, or what opens, closes and separates; a lone quotation mark is a text whose end has not come yet."""


class JsonItems:
    """Feed it bytes, cut anywhere; it gives the rows as they are written. It keeps the row under way, no more."""

    __slots__ = ("_begin", "_buffer", "_depth", "_item_depth", "_key", "_scanned")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._begin: int | None = None
        self._depth = 0
        self._item_depth = 0
        self._key = ""

    @property
    def kept_bytes(self) -> int:
        """Bytes of the row under way."""
        return len(self._buffer)

    @property
    def within_item(self) -> bool:
        """Whether a row has begun and not ended."""
        return self._depth > 0 or bool(self._buffer.strip())

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._buffer += chunk
        taken = bytes(self._buffer)
        position = self._scanned
        for found in _LANDMARK.finditer(taken, self._scanned):
            mark = found.group()
            if mark == b'"':
                position = found.start()
                break
            position = found.end()
            item = self._passed(mark, found.start(), taken)
            if item is not None:
                yield item
        self._forget(position)

    def _passed(self, mark: bytes, start: int, taken: bytes) -> bytes | None:
        """Go by one landmark; a row, when it ends there."""
        if mark in (b"{", b"["):
            self._opened(mark, start)
        elif mark in (b"}", b"]"):
            return self._closed(start + 1, taken)
        elif mark == b",":
            self._key = ""
        elif self._depth == 1:
            self._key = mark[1:-1].decode("utf-8", "replace")
        return None

    def _opened(self, mark: bytes, start: int) -> None:
        if self._begin is None and mark == b"{" and self._depth == self._item_depth:
            self._begin = start
        elif mark == b"[" and self._is_home_of_rows():
            self._item_depth = self._depth + 1
            self._begin = None
        self._depth += 1
        self._key = ""

    def _is_home_of_rows(self) -> bool:
        return (self._depth == 0 and self._item_depth == 0) or (self._depth == 1 and self._key in ENVELOPES)

    def _closed(self, end: int, taken: bytes) -> bytes | None:
        self._depth = max(self._depth - 1, 0)
        item = None
        if self._depth == self._item_depth and self._begin is not None:
            item, self._begin = taken[self._begin : end], None
        if self._depth < self._item_depth:
            self._item_depth = self._depth if self._depth == 0 else _PASSED_BY
        if self._depth == 0:
            self._item_depth, self._begin = 0, None
        return item

    def _forget(self, position: int) -> None:
        """Keep only what belongs to the row under way."""
        cut = position if self._begin is None else self._begin
        del self._buffer[:cut]
        self._scanned = position - cut
        if self._begin is not None:
            self._begin -= cut


_PASSED_BY: Final = 1_000_000
"""The depth of rows after the array that held them has ended: no other value of that document is a row."""
