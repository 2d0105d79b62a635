"""AWS event streams: from binary messages to events as boto3 shows them.

A message is: total length, length of the headers, checksum of these two; headers; payload; checksum of all before
(big-endian, CRC32). An event becomes `{"<its type>": <payload>}`, which is what boto3 hands out.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Final

from taximeter.extract.sse import LONGEST_EVENT_BYTES, Frame

_PRELUDE: Final = struct.Struct(">III")
_CHECKSUM: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">H")
_STRING: Final = 7
_SIZED: Final = (6, _STRING)
_VALUE_BYTES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Type of a header's value → its size; byte strings and strings carry their own."""

_SMALLEST_BYTES: Final = _PRELUDE.size + _CHECKSUM.size


class AwsEventFraming:
    """Cuts a stream into events, in any chunking; holds at most one unfinished message.

    A message whose checksum is wrong, or that is too long, is skipped. Lengths whose checksum is wrong say nothing
    about where the next message begins: `lost` is then True, and nothing more is read.
    """

    __slots__ = ("_buffer", "_limit", "_to_skip_bytes", "lost")

    def __init__(self, longest_event_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self._limit = longest_event_bytes
        self._buffer = bytearray()
        self._to_skip_bytes = 0
        self.lost = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """The events that `chunk` completes."""
        if self.lost:
            return []
        if self._to_skip_bytes:
            skipped = min(self._to_skip_bytes, len(chunk))
            self._to_skip_bytes -= skipped
            chunk = chunk[skipped:]
        self._buffer += chunk
        frames: list[Frame] = []
        while (message := self._message()) is not None:
            if (frame := event_in(message)) is not None:
                frames.append(frame)
        return frames

    @property
    def pending(self) -> bool:
        """Never: half a message is no event."""
        return False

    def unfinished(self) -> Frame | None:
        return None

    def _message(self) -> bytes | None:
        """The next whole message; empty when it was too long; None when more has to come."""
        if len(self._buffer) < _PRELUDE.size:
            return None
        size, headers_size, checksum = _PRELUDE.unpack_from(self._buffer)
        if zlib.crc32(self._buffer[:8]) != checksum or size < _SMALLEST_BYTES + headers_size:
            self.lost = True
            self._buffer.clear()
            return None
        if size > self._limit:
            self._to_skip_bytes = max(size - len(self._buffer), 0)
            del self._buffer[:size]
            return b""
        if len(self._buffer) < size:
            return None
        message = bytes(self._buffer[:size])
        del self._buffer[:size]
        return message


def event_in(message: bytes) -> Frame | None:
    """The event of a whole message: its type, and an object with the payload under it. None when it is damaged."""
    if len(message) < _SMALLEST_BYTES:
        return None
    body, checksum = message[: -_CHECKSUM.size], _CHECKSUM.unpack(message[-_CHECKSUM.size :])[0]
    if zlib.crc32(body) != checksum:
        return None
    payload_at = _PRELUDE.size + _PRELUDE.unpack_from(message)[1]
    headers = _headers(body[_PRELUDE.size : payload_at])
    if headers is None:
        return None
    if headers.get(b":message-type") == b"error":
        return _event(b"error", json.dumps({"type": _text(headers.get(b":error-code", b"error"))}).encode())
    kind = headers.get(b":event-type") or headers.get(b":exception-type")
    return None if kind is None else _event(kind, body[payload_at:] or b"{}")


def _event(kind: bytes, payload: bytes) -> Frame:
    return kind, b"{%s:%s}" % (json.dumps(_text(kind)).encode(), payload)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _headers(data: bytes) -> dict[bytes, bytes] | None:
    """The headers that are strings; None when the block is damaged."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        if name_end >= len(data):
            return None
        name, kind, at = data[at + 1 : name_end], data[name_end], name_end + 1
        size = _VALUE_BYTES.get(kind)
        if kind in _SIZED and at + _LENGTH.size <= len(data):
            size = _LENGTH.unpack_from(data, at)[0]
            at += _LENGTH.size
        if size is None or at + size > len(data):
            return None
        if kind == _STRING:
            found[name] = data[at : at + size]
        at += size
    return found
