"""What the day, week or month under way will have cost at its end."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from taximeter.reports.forecast import forecast
from taximeter.server.forecast_shapes import ForecastAnswer, ForecastWish
from taximeter.server.routes.dependencies import Reader, TheParts

router: Final = APIRouter(tags=["spending"])


@router.post("/forecast", response_model=ForecastAnswer)
def ask_forecast(wish: ForecastWish, parts: TheParts, _caller: Reader) -> Response:
    """What is spent, what will be at the end of the period, and between what four times out of five."""
    asked = wish.model_dump(exclude_unset=True, exclude_none=True)
    return JSONResponse(forecast(asked, parts.kept(), parts.clock.now_us()).as_dict())
