"""A stream that is one JSON array: from bytes as they come off the wire to the objects in it.

Only brackets and texts are looked at; what an object says is nobody's business here. One object without an array around
it is taken as well: that is how such a stream says that it has failed.
"""

from __future__ import annotations

import re
from typing import Final

from taximeter.extract.sse import LONGEST_EVENT_BYTES, Frame

_MARK: Final = re.compile(rb'["\[\]{}]')
_TEXT: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""The inside of a text up to its end, or up to a backslash whose character has not come yet."""

_QUOTE, _BACKSLASH, _ARRAY, _OBJECT = b'"\\[{'
_OPENING: Final = frozenset(b"[{")


class ArrayFraming:
    """Cuts a stream into the objects of an array, in any chunking; holds at most one unfinished object. Longer ones are
    skipped."""

    __slots__ = ("_depth", "_escaped", "_in_text", "_inside", "_item", "_limit")

    def __init__(self, longest_item_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self._limit = longest_item_bytes
        self._inside = 0  # 1 once the array has begun: how deep its items stand
        self._depth = 0
        self._in_text = self._escaped = False
        self._item: bytearray | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        """The objects that `chunk` completes."""
        frames: list[Frame] = []
        begin, at = 0, self._end_of_text(chunk, 0)
        while (found := _MARK.search(chunk, at)) is not None:
            mark, at = chunk[found.start()], found.end()
            if mark == _QUOTE:
                self._in_text = True
                at = self._end_of_text(chunk, at)
            elif mark in _OPENING:
                if self._opens(mark):
                    begin = found.start()
            elif self._closes():
                frames += self._ended(chunk[begin:at])
        self._hold(chunk[begin:])
        return frames

    @property
    def pending(self) -> bool:
        """Whether an object has begun and not ended."""
        return self._item is not None

    def unfinished(self) -> Frame | None:
        """Half of an object is none."""
        return None

    def _end_of_text(self, chunk: bytes, at: int) -> int:
        """Where the text ends that `chunk` is in at a place; the end of the chunk when it goes on."""
        if not self._in_text:
            return at
        if self._escaped and chunk:
            self._escaped = False
            at += 1
        found = _TEXT.match(chunk, at)
        end = len(chunk) if found is None else found.end()
        if end < len(chunk):
            self._in_text = chunk[end] == _BACKSLASH
            self._escaped = self._in_text
            end += 1
        return end

    def _opens(self, mark: int) -> bool:
        """Whether an object begins that stands by itself."""
        outermost = self._depth == self._inside
        if mark == _ARRAY and self._depth == 0:
            self._inside = 1
        self._depth += 1
        if outermost and mark == _OBJECT:
            self._item = bytearray()
            return True
        return False

    def _closes(self) -> bool:
        """Whether the object that stands by itself ends."""
        self._depth = max(self._depth - 1, 0)
        if self._depth == 0:
            ended, self._inside = self._inside == 0, 0
            return ended
        return self._depth == self._inside

    def _ended(self, rest: bytes) -> list[Frame]:
        item, self._item = self._item, None
        if item is None or len(item) + len(rest) > self._limit:
            return []
        return [(b"", bytes(item + rest))]

    def _hold(self, rest: bytes) -> None:
        """Keep the beginning of an object; of one that is too long, only so much that it stays too long."""
        if self._item is not None:
            self._item += rest[: self._limit + 1 - len(self._item)]
