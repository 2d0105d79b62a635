"""Mistral."""

from __future__ import annotations

from typing import Final

from taximeter.gateway.kinds.kind import Kind

_TYPES: Final = {
    400: "invalid_request_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    413: "invalid_request_error",
    429: "rate_limited",
}


def _error_shape(status: int, code: str, message: str) -> object:
    kind = _TYPES.get(status, "internal_server_error")
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


MISTRAL: Final = Kind(
    name="mistral", family="mistral", protocol="openai", error_shape=_error_shape, base_stands_for_v1=True
)
