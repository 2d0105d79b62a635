"""The charges of a time as FOCUS has them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from taximeter import __version__
from taximeter.config.exporting import CHARGED_BY
from taximeter.errors import UsageError
from taximeter.exporters import focus
from taximeter.exporters.days import DAY_US
from taximeter.exporters.forms import Form
from taximeter.server.files import MEDIA, file_answer
from taximeter.server.routes.dependencies import Reader, TheParts
from taximeter.server.routes.spending import written_filters
from taximeter.store.events import parse_query

router: Final = APIRouter(tags=["spending"])

MOST_DAYS: Final = 400
"""Days of one file."""


@router.get("/focus", responses={200: {"content": {kind: {} for kind in MEDIA.values()}}}, response_class=Response)
def charges(
    parts: TheParts,
    _caller: Reader,
    from_: Annotated[str, Query(alias="from", description="as in a query; the whole day (UTC)")] = "this_month",
    to: Annotated[str | None, Query(description="not included, but its day as a whole; now when not given")] = None,
    form: Annotated[Form, Query(alias="format")] = Form.csv,
    by: Annotated[str, Query(description="what rows are told apart by, with commas")] = ",".join(CHARGED_BY),
    billing_account: Annotated[str, Query(description="the account that pays the provider")] = focus.ACCOUNT,
    filters: Annotated[str | None, Query(description="as in a query, as JSON")] = None,
) -> Response:
    """What was charged for, by day and meter, as a file with the columns of FOCUS 1.2."""
    store, now_us = parts.kept(), parts.clock.now_us()
    asked: dict[str, Any] = {"from": from_, "group_by": by, "filters": written_filters(filters)}
    time = parse_query(asked if to is None else {**asked, "to": to}, now_us)
    if time.to_us - time.from_us > MOST_DAYS * DAY_US:
        raise UsageError(f"at most {MOST_DAYS} days in one file", field="from")

    def ask(question: Any) -> dict[str, Any]:
        return store.query(parse_query(question, now_us)).as_dict()

    days = focus.days_of(ask, time.from_us, time.to_us)
    rows = focus.pages(ask, days, billing_account, time.group_by, asked["filters"])
    return file_answer("focus", form, rows, focus.COLUMNS)


@router.get("/focus/schema")
def schema(_caller: Reader) -> Response:
    """The schema that FOCUS wants beside the data: its version, every column and its type."""
    return JSONResponse(focus.schema(__version__))
