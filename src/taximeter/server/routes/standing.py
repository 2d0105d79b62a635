"""Who am I, how is the server, and what is it set to."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from taximeter.server.routes.dependencies import Admin, Anybody, Reader, TheParts
from taximeter.server.settings_shapes import SettingsAnswer
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


@router.get("/settings")
def settings(parts: TheParts, _caller: Admin) -> SettingsAnswer:
    """The settings in force, by section, and where each is from. Secrets are masked."""
    return parts.settings()
