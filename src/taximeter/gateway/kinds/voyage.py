"""Voyage AI."""

from __future__ import annotations

from typing import Final

from taximeter.gateway.kinds.kind import Kind


def _error_shape(_: int, __: str, message: str) -> object:
    return {"detail": message}


VOYAGE: Final = Kind(name="voyage", family="voyage", protocol="voyage", error_shape=_error_shape)
