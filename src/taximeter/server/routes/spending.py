"""Totals, calls, and the live stream."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from taximeter.server.routes.dependencies import Reader, TheParts
from taximeter.server.shapes import Answer, CallPage, Question
from taximeter.store.events import parse_event_query, parse_query

router: Final = APIRouter(tags=["spending"])

_NOT_FILTERS: Final = ("from", "to", "timezone", "limit", "cursor")


@router.post("/query", response_model=Answer)
def query(question: Question, parts: TheParts, _caller: Reader) -> Response:
    """Add up usage and cost: any measures by any dimensions, filters, interval and time zone."""
    asked = question.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    parsed = parse_query(asked, parts.clock.now_us())
    return JSONResponse(parts.kept().query(parsed).as_dict())


@router.get("/events", response_model=CallPage)
def events(
    request: Request,
    parts: TheParts,
    _caller: Reader,
    from_: Annotated[str | None, Query(alias="from", description="RFC 3339 or 24h, 30d, today; included")] = None,
    to: Annotated[str | None, Query(description="as `from`; not included")] = None,
    timezone: Annotated[str | None, Query(description="IANA name; where a date begins")] = None,
    limit: Annotated[int | None, Query(description="calls of one page")] = None,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> Response:
    """Calls, newest first. Every other query parameter is a filter on a field: `?feature=chat&event_id=...`; a
    field given more than once may have any of the values."""
    asked: dict[str, Any] = {"from": from_, "to": to, "timezone": timezone, "limit": limit, "cursor": cursor}
    asked = {name: value for name, value in asked.items() if value is not None}
    parsed = parse_event_query({**asked, "filters": _filters(request)}, parts.clock.now_us())
    page = parts.kept().events(parsed)
    return JSONResponse({"events": page.events, "next": page.next})


def _filters(request: Request) -> dict[str, Any]:
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name not in _NOT_FILTERS:
            given.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else {"in": values} for name, values in given.items()}


@router.get("/live", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def live(parts: TheParts, _caller: Reader) -> StreamingResponse:
    """Server-Sent Events: a `tick` at once and whenever calls were stored, at most twice a second. Its data:
    `{"at", "calls": [the last ones]}`."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    if parts.live is None:
        parts.kept()
        raise AssertionError("a store without a live stream")
    return StreamingResponse(parts.live.watch(), media_type="text/event-stream", headers=headers)
