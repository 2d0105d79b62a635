"""Who am I, and how is the server."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from taximeter.server.routes.dependencies import Anybody, Reader, TheParts
from taximeter.server.shapes import Me, Status

router: Final = APIRouter(tags=["server"])


@router.get("/me")
def me(caller: Anybody) -> Me:
    """Who this credential is."""
    return Me(kind=caller.kind, name=caller.name, scope=caller.scope, key_id=caller.key_id)


@router.get("/status")
def status(parts: TheParts, _caller: Reader) -> Status:
    """Versions, lag, losses, what is unpriced, storage."""
    return parts.status()
