"""What each team, customer or other payer is charged."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from taximeter.reports.chargeback import chargeback
from taximeter.server.chargeback_shapes import ChargebackAnswer, ChargebackWish
from taximeter.server.routes.dependencies import Reader, TheParts

router: Final = APIRouter(tags=["spending"])


@router.post("/chargeback", response_model=ChargebackAnswer)
def ask_chargeback(wish: ChargebackWish, parts: TheParts, _caller: Reader) -> Response:
    """The cost of a month by payer, with mark-ups, in lines that sum to their total to the cent."""
    asked = wish.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return JSONResponse(chargeback(asked, parts.terms, parts.kept(), parts.clock.now_us()))
