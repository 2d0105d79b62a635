"""Lines of JSON (NDJSON, JSONL): from bytes as they come off the wire to whole lines.

Also for websocket sessions: a message, which holds no line feed outside its strings, is a line.
"""

from __future__ import annotations

from typing import Final

from taximeter.extract.sse import LONGEST_EVENT_BYTES, Frame

_BLANK: Final = b" \t\r\n"


class LineFraming:
    """Cuts a stream into lines, in any chunking; holds at most one unfinished line. Longer ones are skipped."""

    __slots__ = ("_limit", "_partial")

    def __init__(self, longest_line_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self._limit = longest_line_bytes
        self._partial = bytearray()

    def feed(self, chunk: bytes) -> list[Frame]:
        """The lines that `chunk` completes; blank ones are none."""
        *lines, rest = chunk.split(b"\n")
        if lines and self._partial:
            lines[0] = bytes(self._partial + lines[0])
            self._partial.clear()
        if rest:
            self._partial += rest[: self._limit + 1 - len(self._partial)]
        return [frame for line in lines if (frame := self._frame(line)) is not None]

    @property
    def pending(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._partial)

    def unfinished(self) -> Frame | None:
        """The line that has begun, as if the stream ended here. Nothing changes."""
        return self._frame(bytes(self._partial))

    def _frame(self, line: bytes) -> Frame | None:
        stripped = line.strip(_BLANK)
        return (b"", stripped) if stripped and len(line) <= self._limit else None
