"""Ollama: no key of its own, and JSON lines in place of an event stream."""

from __future__ import annotations

from typing import Final

from taximeter.gateway.kinds.kind import Kind


def _error_shape(_: int, __: str, message: str) -> object:
    return {"error": message}


def _error_in_stream(_: int, __: str, error: bytes) -> bytes:
    return error + b"\n"


OLLAMA: Final = Kind(
    name="ollama",
    family="ollama",
    protocol="ollama",
    error_shape=_error_shape,
    error_in_stream=_error_in_stream,
    needs_key=False,
)
