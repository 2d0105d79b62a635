"""The bills of providers beside what was metered."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from taximeter.reports.reconcile import reconcile
from taximeter.server.reconcile_shapes import ReconcileAnswer, ReconcileWish
from taximeter.server.routes.dependencies import Reader, TheParts

router: Final = APIRouter(tags=["spending"])


@router.post("/reconcile", response_model=ReconcileAnswer)
def ask_reconcile(wish: ReconcileWish, parts: TheParts, _caller: Reader) -> Response:
    """How the bill of a provider differs from what was metered, and what the difference is made of."""
    asked = wish.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, exclude={"files"})
    if wish.files and parts.reports_read is not None:
        contents = {file.name: file.text.encode() for file in wish.files}
        asked["report"] = [*wish.report, *parts.reports_read(contents, parts.clock.now_us())]
    return JSONResponse(reconcile(asked, parts.kept(), parts.prices(), parts.clock.now_us()))
