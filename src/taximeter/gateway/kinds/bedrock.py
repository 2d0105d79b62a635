"""AWS Bedrock: bearer keys, or SigV4 with the server's own credentials.

Clients sign for the host that they call, which is us: their signature is good for nobody else. It is taken off, and
the request is signed anew with what `botocore` finds for the server (environment, profile, instance role).
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Final

from taximeter.gateway.kinds.kind import Kind
from taximeter.gateway.kinds.sigv4 import SigV4
from taximeter.gateway.upstream import Headers

_TYPES: Final = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    413: "ValidationException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
_TEXT: Final = 7
"""The type number of a string in the headers of an event."""


def _error_type(status: int) -> str:
    return _TYPES.get(status, "InternalServerException")


def _error_shape(_: int, __: str, message: str) -> object:
    return {"message": message}


def _error_headers(status: int, _: str) -> Headers:
    return [(b"x-amzn-errortype", _error_type(status).encode())]


def _error_in_stream(status: int, _: str, error: bytes) -> bytes:
    """One exception in AWS's event stream encoding: lengths, their CRC, headers, payload, CRC of all."""
    name = _error_type(status)
    told = {
        ":message-type": "exception",
        ":exception-type": name[:1].lower() + name[1:],
        ":content-type": "application/json",
    }
    headers = b"".join(_header(key, value) for key, value in told.items())
    prelude = struct.pack("!II", 16 + len(headers) + len(error), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + error
    return message + struct.pack("!I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _TEXT, len(value)) + value.encode()


BEDROCK: Final = Kind(
    name="bedrock",
    family="bedrock",
    protocol="bedrock",
    model_in_path=re.compile(rb"/model/([^/]+)"),
    error_shape=_error_shape,
    error_headers=_error_headers,
    error_in_stream=_error_in_stream,
    signer=SigV4,
)
