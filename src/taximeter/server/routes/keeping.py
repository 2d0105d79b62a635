"""What is kept: proving the roll-ups, and deleting what is known of a user."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from taximeter.server.routes.dependencies import Admin, TheParts
from taximeter.server.shapes import DeletionAnswer, DeletionWish, VerificationAnswer, VerificationWish

router: Final = APIRouter(tags=["keeping"])


@router.post("/verify")
def verify(wish: VerificationWish, parts: TheParts, _caller: Admin) -> VerificationAnswer:
    """Compare every roll-up with its events; with `repair`, those that differ are added up anew."""
    return VerificationAnswer.model_validate(parts.kept().verify(repair=wish.repair).as_dict())


@router.post("/deletions")
def delete_user(wish: DeletionWish, parts: TheParts, _caller: Admin) -> DeletionAnswer:
    """Delete every event and outcome of a user. `remaining_rows` is what still names the user: 0."""
    done = parts.kept().delete_user(wish.user_id, parts.clock.now_us())
    return DeletionAnswer(events=done.events, outcomes=done.outcomes, remaining_rows=done.remaining_rows)
