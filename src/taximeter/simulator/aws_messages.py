"""Messages of an AWS event stream, as Bedrock sends them."""

from __future__ import annotations

import struct
import zlib

import msgspec

_STRING = 7


def event_message(kind: str, payload: object) -> bytes:
    """An event of this type with a JSON payload."""
    return _message({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)


def exception_message(kind: str, payload: object) -> bytes:
    """What ends a stream in which something went wrong."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return _message(headers, payload)


def _message(headers: dict[str, str], payload: object) -> bytes:
    """Lengths and their checksum, headers, payload, checksum of all before; big-endian, CRC32."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    body = msgspec.json.encode(payload)
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", _STRING, len(value)) + value
