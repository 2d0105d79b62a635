"""Reading request bodies: within a limit, unpacked when they are packed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Final

import zstandard

from taximeter.errors import TooLargeError, UsageError
from taximeter.server.answers import Receive, Scope, header

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS

_ZSTD_STEP_BYTES: Final = 256
"""Packed bytes that are unpacked at once: even these may hold megabytes."""

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


def unpacked(packed: bytes, limit_bytes: int) -> bytes:
    """The content of gzip or zlib data, never more than `limit_bytes` of it. Raises as `read_body` does."""
    machine = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        content = machine.decompress(packed, limit_bytes + 1)
    except zlib.error as error:
        raise UsageError(f"the body cannot be unpacked: {error}") from None
    if len(content) > limit_bytes:
        raise _too_large(limit_bytes)
    if not machine.eof:
        raise UsageError("the packed body ends too early")
    return content


def unpacked_zstd(packed: bytes, limit_bytes: int) -> bytes:
    """The same for zstd."""
    machine = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
    parts: list[bytes] = []
    size = 0
    for start in range(0, len(packed), _ZSTD_STEP_BYTES):
        if machine.eof:
            break
        try:
            parts.append(machine.decompress(packed[start : start + _ZSTD_STEP_BYTES]))
        except zstandard.ZstdError as error:
            raise UsageError(f"the body cannot be unpacked: {error}") from None
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
