"""The goodbyes of HTTP/2 servers, taken out of what they send before `h2` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from h2.exceptions import FrameTooLargeError


class Goodbye(NamedTuple):
    """The number of the last exchange that is answered, and an error code."""

    last: int
    code: int


class Goodbyes:
    """Takes GOAWAY frames out of what a server sends (RFC 9113, 4.1 and 6.8).

    `h2` ends a connection at the first of them. Servers send it to close a connection in an orderly way, after so many
    requests, and go on with the answers that they have begun: those are paid for.
    """

    _HEAD_BYTES: Final = 9
    _GOAWAY: Final = 7
    _LEAST_BYTES: Final = 8
    _LARGEST_BYTES: Final = 16_384
    """Of a frame, as long as nobody allows more."""

    def __init__(self) -> None:
        self._begun = b""

    def apart(self, data: bytes) -> Iterator[bytes | Goodbye]:
        """The other frames, whole ones, and instead of each GOAWAY what it says.

        Raises FrameTooLargeError, for which `h2` waits until all of such a frame is there.
        """
        data = self._begun + data if self._begun else data
        end = 0
        for start, end in self._frames(data):
            body = start + self._HEAD_BYTES
            if data[start + 3] == self._GOAWAY and end - body >= self._LEAST_BYTES:
                last = int.from_bytes(data[body : body + 4]) & 0x7FFF_FFFF
                yield Goodbye(last, int.from_bytes(data[body + 4 : body + 8]))
            else:
                yield data[start:end]
        self._begun = data[end:]

    def _frames(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where frames begin and end that are there whole."""
        start, size = 0, len(data)
        while size - start >= self._HEAD_BYTES:
            body_bytes = int.from_bytes(data[start : start + 3])
            if body_bytes > self._LARGEST_BYTES:
                raise FrameTooLargeError(f"a frame of {body_bytes} bytes")
            stop = start + self._HEAD_BYTES + body_bytes
            if stop > size:
                return
            yield start, stop
            start = stop
