"""Server-sent events: from bytes as they come off the wire to whole events (WHATWG HTML, section 9.2).

Framing only: what an event means is nobody's business here.
"""

from __future__ import annotations

from typing import Final, TypeAlias

LONGEST_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one event. The last event of a response repeats all its output, images included, so this is generous.

A longer event is skipped, and reading goes on with the next one.
"""

Frame: TypeAlias = tuple[bytes, bytes]
"""The name of an event (empty when it has none) and its data, lines joined by a line feed."""

_BOM: Final = b"\xef\xbb\xbf"


class SseFraming:
    """Cuts a stream into frames, in any chunking; holds at most one unfinished event."""

    __slots__ = ("_after_cr", "_at_start", "_data", "_limit", "_name", "_partial", "_too_long")

    def __init__(self, longest_event_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self._limit = longest_event_bytes
        self._partial = bytearray()
        self._data: bytes | bytearray | None = None
        self._name = b""
        self._too_long = False
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[Frame]:
        """The events that `chunk` completes."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        lines = chunk.split(b"\n")
        rest = lines.pop()
        frames: list[Frame] = []
        if lines and self._partial:
            lines[0] = bytes(self._partial + lines[0])
            self._partial.clear()
        for line in lines:
            if line:
                self._line(line)
            elif (frame := self._ended()) is not None:
                frames.append(frame)
        if rest:
            self._hold(rest)
        return frames

    @property
    def pending(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._partial) or self._data is not None

    def unfinished(self) -> Frame | None:
        """The event that has begun, as if the stream ended here. Nothing changes."""
        twin = SseFraming(self._limit)
        twin._data, twin._name, twin._at_start = self._data, self._name, self._at_start
        twin._too_long = self._too_long
        if self._partial:
            twin._line(bytes(self._partial))
        return twin._ended()

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """`chunk` with CRLF and CR as LF; a CRLF torn between two chunks is one line end."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, rest: bytes) -> None:
        """Keep the beginning of a line; of a line that is too long, only so much that it stays too long."""
        room = self._limit + 1 - len(self._partial)
        self._partial += rest[:room]

    def _line(self, line: bytes) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if len(line) > self._limit:
            self._too_long = True
            self._data = b""
        elif line.startswith(b"data:"):
            self._add(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line == b"data":
            self._add(b"")
        elif line.startswith(b"event:"):
            self._name = line[6:].removeprefix(b" ")

    def _add(self, data: bytes) -> None:
        if self._data is None:
            self._data = data
            return
        if len(self._data) + 1 + len(data) > self._limit:
            self._too_long = True
        if self._too_long:
            self._data = b""
            return
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        self._data += b"\n" + data

    def _ended(self) -> Frame | None:
        """The event that a blank line ends; None when there was nothing in it, or too much."""
        data, name, too_long = self._data, self._name, self._too_long
        self._data, self._name, self._too_long = None, b"", False
        self._at_start = False
        return None if data is None or too_long else (name, bytes(data))
