"""Why spend changed between two periods."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from taximeter.reports.why import parse_why, why
from taximeter.server.routes.dependencies import Reader, TheParts
from taximeter.server.why_shapes import WhyAnswer, WhyWish

router: Final = APIRouter(tags=["spending"])


@router.post("/why", response_model=WhyAnswer)
def ask_why(wish: WhyWish, parts: TheParts, _caller: Reader) -> Response:
    """The change of spend split exactly into volume, mix, retries, tokens, cache, price and fees, and who is behind
    it."""
    asked = wish.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return JSONResponse(why(parse_why(asked, parts.clock.now_us()), parts.kept()).as_dict())
