"""Google: the Gemini API and Vertex AI."""

from __future__ import annotations

import re
from typing import Final

from taximeter.gateway.kinds.kind import Kind

_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""HTTP status → google.rpc.Code."""


def _error_shape(status: int, code: str, message: str) -> object:
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code.upper(), "domain": "taximeter"}
    named = _STATUSES.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": named, "details": [reason]}}


GEMINI: Final = Kind(
    name="gemini",
    family="gemini",
    protocol="gemini",
    # The OpenAI-compatible endpoint and Vertex take bearer tokens.
    key_headers=(b"x-goog-api-key", b"authorization"),
    model_in_path=re.compile(rb"/models/([^/:]+)"),
    query_keys=(b"key", b"access_token"),
    error_shape=_error_shape,
)
