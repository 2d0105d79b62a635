"""Anthropic."""

from __future__ import annotations

from typing import Final

from taximeter.gateway.kinds.kind import Kind

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


def _error_shape(status: int, _: str, message: str) -> object:
    return {"type": "error", "error": {"type": _TYPES.get(status, "api_error"), "message": message}}


def _error_in_stream(_: int, __: str, error: bytes) -> bytes:
    return b"event: error\ndata: " + error + b"\n\n"


ANTHROPIC: Final = Kind(
    name="anthropic",
    family="anthropic",
    protocol="anthropic",
    key_headers=(b"x-api-key",),
    error_shape=_error_shape,
    error_in_stream=_error_in_stream,
)
