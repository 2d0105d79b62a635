"""Cohere."""

from __future__ import annotations

from typing import Final

from taximeter.gateway.kinds.kind import Kind


def _error_shape(_: int, __: str, message: str) -> object:
    return {"message": message}


COHERE: Final = Kind(name="cohere", family="cohere", protocol="cohere", error_shape=_error_shape)
