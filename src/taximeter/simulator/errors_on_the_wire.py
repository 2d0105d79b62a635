"""Refusals in each provider's own shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from taximeter.simulator.asking import Refusal


def openai_body(refusal: Refusal, _request_id: str) -> bytes:
    error = {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}
    return msgspec.json.encode({"error": error})


def anthropic_body(refusal: Refusal, request_id: str) -> bytes:
    error = {"type": refusal.kind, "message": refusal.message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


BODIES: Final[dict[str, Callable[[Refusal, str], bytes]]] = {"openai": openai_body, "anthropic": anthropic_body}

_Known = tuple[int, str, str | None, str]
"""HTTP status, type, code, message."""

_OPENAI: Final[dict[str, _Known]] = {
    "rate_limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached. Please try again in {retry}s."),
    "server_error": (500, "server_error", None, "The server had an error while processing your request."),
    "overloaded": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    "bad_request": (400, "invalid_request_error", None, "The simulator was asked to refuse this request."),
    "unauthorized": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "no_key": (401, "invalid_request_error", None, "You didn't provide an API key."),
    "not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "no_path": (404, "invalid_request_error", None, "Invalid URL."),
    "no_method": (405, "invalid_request_error", "method_not_supported", "Not allowed to use this method here."),
    "too_large": (413, "invalid_request_error", None, "The request is too large."),
}
_ANTHROPIC: Final[dict[str, _Known]] = {
    "rate_limit": (429, "rate_limit_error", None, "This request would exceed your organization's rate limit."),
    "server_error": (500, "api_error", None, "Internal server error"),
    "overloaded": (529, "overloaded_error", None, "Overloaded"),
    "bad_request": (400, "invalid_request_error", None, "The simulator was asked to refuse this request."),
    "unauthorized": (401, "authentication_error", None, "invalid x-api-key"),
    "no_key": (401, "authentication_error", None, "x-api-key header is required"),
    "not_found": (404, "not_found_error", None, "model: not found"),
    "no_path": (404, "not_found_error", None, "Not found"),
    "no_method": (405, "invalid_request_error", None, "Method Not Allowed"),
    "too_large": (413, "request_too_large", None, "Request exceeds the maximum size"),
}
_KNOWN: Final = {"openai": _OPENAI, "anthropic": _ANTHROPIC}


def refusal(provider: str, kind: str, retry_after_seconds: float = 0) -> Refusal:
    """The provider's usual refusal of a kind."""
    status, error_type, code, message = _KNOWN[provider][kind]
    return Refusal(status, error_type, message.format(retry=retry_after_seconds), code=code)


def stream_error(provider: str) -> bytes:
    """The event that ends a stream when the provider fails in the middle of it."""
    if provider == "anthropic":
        body = anthropic_body(refusal(provider, "overloaded"), "req_stream")
        return b"event: error\ndata: " + body + b"\n\n"
    return b"data: " + openai_body(refusal(provider, "server_error"), "") + b"\n\n"
