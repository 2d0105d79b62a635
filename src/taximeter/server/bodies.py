"""Reading request bodies: within a limit, unpacked when they are packed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import zstandard

from taximeter.errors import TooLargeError, UsageError
from taximeter.server.answers import Receive, Scope, header

BODY_SECONDS: Final = 300
"""Longest time for a body of the API, or of a link in a message, to come."""

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS

_ZLIB_STEP_BYTES: Final = 4096
_ZSTD_STEP_BYTES: Final = 256
"""Packed bytes that are unpacked at once: even these may hold megabytes. What is left of them is copied where a member
ends, of which there may be very many."""

_ZSTD_WINDOW_BYTES: Final = 1 << 27
"""What a packed body may want remembered: as much as `zstd --long` does."""


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """The whole body, unpacked (gzip, deflate, zstd).

    Raises TooLargeError beyond `limit_bytes`, packed or unpacked, and UsageError for what cannot be unpacked or
    ends too early.
    """
    announced = header(scope, b"content-length")
    if announced and announced.isdigit() and int(announced) > limit_bytes:
        raise _too_large(limit_bytes)
    packed = await _read(receive, limit_bytes)
    encoding = (header(scope, b"content-encoding") or "identity").strip().lower()
    if encoding == "identity":
        return packed
    if encoding not in _UNPACK:
        known = ", ".join(_UNPACK)
        raise UsageError(f"the content encoding '{encoding}' is not known", hint=f"send it plain, or as {known}")
    return _UNPACK[encoding](packed, limit_bytes)


async def read_in_time(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """The same, of those who may let a connection wait: within `BODY_SECONDS`, else UsageError."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await read_body(scope, receive, limit_bytes)
    except TimeoutError:
        raise UsageError(f"the body of a request has {BODY_SECONDS} seconds to come") from None


async def _read(receive: Receive, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise UsageError("the request ended before its body was complete")
        part = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


class _Machine(Protocol):
    """What unpacks one member (of gzip), stream (of zlib) or frame (of zstd); a body may have several."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def unpacked(packed: bytes, limit_bytes: int) -> bytes:
    """The content of gzip or zlib data, never more than `limit_bytes` of it. Raises as `read_body` does."""
    return _all_members(packed, limit_bytes, lambda: zlib.decompressobj(_GZIP_OR_ZLIB), _ZLIB_STEP_BYTES)


def unpacked_zstd(packed: bytes, limit_bytes: int) -> bytes:
    """The same for zstd."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    return _all_members(packed, limit_bytes, unpacker.decompressobj, _ZSTD_STEP_BYTES)


def _all_members(packed: bytes, limit_bytes: int, new: Callable[[], _Machine], step_bytes: int) -> bytes:
    machine, parts, size, at = new(), [], 0, 0
    while at < len(packed):
        if machine.eof:
            machine = new()
        step = packed[at : at + step_bytes]
        try:
            parts.append(machine.decompress(step))
        except (zlib.error, zstandard.ZstdError) as error:
            raise UsageError(f"the body cannot be unpacked: {error}") from None
        at += len(step) - len(machine.unused_data)
        size += len(parts[-1])
        if size > limit_bytes:
            raise _too_large(limit_bytes)
    if not machine.eof:
        raise UsageError("the packed body ends too early")
    return b"".join(parts)


_UNPACK: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "gzip": unpacked,
    "deflate": unpacked,
    "zstd": unpacked_zstd,
}


def _too_large(limit_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"the body is larger than {limit_bytes} bytes",
        hint="send it in smaller batches, or raise server.ingest_limit_bytes",
        limit_bytes=limit_bytes,
    )
