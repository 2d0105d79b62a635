"""The tap: reads along while the client gets the very bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from taximeter.extract import Flavour, Reading, RequestFacts, StreamReader
from taximeter.extract.lenient import read_leniently
from taximeter.gateway.heads import READABLE_ENCODINGS

_decode: Final[Callable[[bytes], object]] = msgspec.json.Decoder().decode

MOST_CODINGS: Final = 4
"""Packings within each other that are undone."""

_EITHER_HEADER: Final = 32 + zlib.MAX_WBITS
_GZIP_HEADER: Final = 16 + zlib.MAX_WBITS


def decode_json(data: bytes) -> object:
    """Raises ValueError for what is not JSON, RecursionError for what is nested beyond reason."""
    try:
        return _decode(data)
    except ValueError:
        return read_leniently(data)


class UnreadableError(ValueError):
    """The tap cannot read this body; the client gets it all the same."""


class Inflater:
    """Unpacks gzip and deflate, within a bound; first what it is packed in, if anything. Raises UnreadableError."""

    __slots__ = ("_inflate", "_left", "_outer", "_over", "_raw_allowed", "_whole_members")

    def __init__(self, limit_bytes: int, outer: Inflater | None = None) -> None:
        self._outer = outer
        self._inflate = zlib.decompressobj(_EITHER_HEADER)
        self._left = limit_bytes
        self._raw_allowed = True  # some servers send deflate without its header
        self._whole_members = 0
        self._over = False

    def feed(self, chunk: bytes) -> bytes:
        if self._outer is not None:
            chunk = self._outer.feed(chunk)
        data = b""
        while chunk and not self._over:
            data += self._unpacked(chunk)
            chunk = self._inflate.unused_data
            if self._inflate.eof:  # gzip may go on with another member
                self._whole_members += 1
                self._inflate = zlib.decompressobj(_GZIP_HEADER)
        return data

    def is_let_go(self, size_bytes: int) -> None:
        """So much of what was unpacked is not kept, and not bounded."""
        self._left += size_bytes

    def _unpacked(self, chunk: bytes) -> bytes:
        try:
            data = self._inflate.decompress(chunk, self._left + 1)
        except zlib.error as error:
            if self._whole_members:  # padding, or whatever else stands behind the end
                self._over = True
                return b""
            if not self._raw_allowed:
                raise UnreadableError(str(error)) from None
            self._raw_allowed = False
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._unpacked(chunk)
        self._raw_allowed = False
        self._left -= len(data)
        if self._left < 0:
            raise UnreadableError("too large when unpacked")
        return data


def inflater(encoding: bytes | None, limit_bytes: int) -> Inflater | None:
    """What unpacks this `content-encoding`; None when nothing has to be unpacked. Raises UnreadableError.

    Codings are listed in the order in which they were applied: the last one is undone first.
    """
    listed = [name for one in (encoding or b"").split(b",") if (name := one.strip().lower()) not in (b"", b"identity")]
    if len(listed) > MOST_CODINGS or any(name not in READABLE_ENCODINGS and name != b"x-gzip" for name in listed):
        raise UnreadableError("content-encoding")
    unpack: Inflater | None = None
    for _ in listed:  # one class undoes them all
        unpack = Inflater(limit_bytes, outer=unpack)
    return unpack


def read_json(body: bytes, encoding: bytes | None, limit_bytes: int) -> object:
    """A body as parsed JSON, None when it is none. Raises UnreadableError."""
    unpack = inflater(encoding, limit_bytes)
    data = body if unpack is None else unpack.feed(body)
    try:
        return decode_json(data)
    except (ValueError, RecursionError):
        return None


class StreamTap:
    """Reads one streamed answer, unpacking it where needed."""

    __slots__ = ("_reader", "_unpack")

    def __init__(
        self, flavour: Flavour, facts: RequestFacts, encoding: bytes | None, limit_bytes: int, growing: bool = False
    ) -> None:
        """`growing`: it comes as JSON, piece by piece."""
        self._reader: StreamReader = flavour.stream(facts, decode=decode_json, growing=growing)
        self._unpack = inflater(encoding, limit_bytes)

    def feed(self, chunk: bytes) -> bool:
        """Take in bytes as they came. Always True; raises UnreadableError."""
        self._reader.feed(chunk if self._unpack is None else self._unpack.feed(chunk))
        return True

    @property
    def content_started(self) -> bool:
        return self._reader.content_started

    @property
    def finished(self) -> bool:
        return self._reader.finished

    def reading(self) -> Reading:
        return self._reader.reading()
