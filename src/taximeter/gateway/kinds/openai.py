"""OpenAI and the hosts that speak as it does."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from taximeter.gateway.kinds.kind import Kind

_TYPES: Final = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


def error_shape(status: int, code: str, message: str) -> object:
    kind = _TYPES.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _of_xai(_: int, code: str, message: str) -> object:
    return {"code": code, "error": message}


OPENAI: Final = Kind(
    name="openai",
    family="openai",
    protocol="openai",
    error_shape=error_shape,
    # Azure's clients put their key into `api-key`; hosts that speak Anthropic's protocol, too, take `x-api-key`.
    key_headers=(b"authorization", b"api-key", b"x-api-key"),
    base_stands_for_v1=True,
)
AZURE: Final = replace(
    OPENAI,
    name="azure",
    key_headers=(b"api-key", b"authorization"),
    model_in_path=re.compile(rb"/deployments/([^/]+)"),
    tells_usage_unasked=("model-router",),
)
XAI: Final = replace(OPENAI, name="xai", family="xai", error_shape=_of_xai)
