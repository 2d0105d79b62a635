"""Totals, named questions, calls, and the live stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from taximeter.errors import UnavailableError, UsageError
from taximeter.exporters.forms import Form
from taximeter.reports.questions import NARROWING, QUESTIONS, answer_question
from taximeter.server.files import MEDIA, file_answer
from taximeter.server.live import bare
from taximeter.server.routes.dependencies import SAMPLE, Reader, TheParts
from taximeter.server.shapes import Answer, CallPage, NamedAnswer, Question, QuestionList, SqlAnswer, SqlStatement
from taximeter.store.events import EventQuery, EventStore, parse_event_query, parse_query
from taximeter.store.events.answers import columns_of
from taximeter.store.events.columnar_file import CALLS
from taximeter.store.events.query_sql import query_sql
from taximeter.store.events.sql_answer import as_json

router: Final = APIRouter(tags=["spending"])

_NOT_FILTERS: Final = (*NARROWING, "cursor", "measures", "format", SAMPLE)
MOST_CALLS: Final = 500_000
"""Calls of one file."""
CALLS_AT_ONCE: Final = 10_000
_FILTERS_ABOUT: Final = 'filters as in a query, as JSON: {"input_tokens": {">": 1000}}'


@router.post("/query", response_model=Answer)
def query(asking: Question, parts: TheParts, _caller: Reader) -> Response:
    """Add up usage and cost: any measures by any dimensions, filters, interval and time zone."""
    asked = asking.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    parsed = parse_query(asked, parts.clock.now_us())
    return JSONResponse(parts.kept().query(parsed).as_dict())


@router.post("/query/sql", response_model=SqlStatement)
def query_as_sql(asking: Question, parts: TheParts, _caller: Reader) -> Response:
    """A query as a SELECT for `/sql`, over the events alone; see docs/sql.md."""
    asked = asking.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return JSONResponse({"sql": query_sql(parse_query(asked, parts.clock.now_us()))})


@router.get("/query", responses={200: {"content": {kind: {} for kind in MEDIA.values()}}}, response_class=Response)
def query_file(
    request: Request,
    parts: TheParts,
    _caller: Reader,
    measures: Annotated[str | None, Query(description="with commas")] = None,
    group_by: Annotated[str | None, Query(description="fields with commas")] = None,
    from_: Annotated[str | None, Query(alias="from", description="RFC 3339 or 24h, 30d, this_month; included")] = None,
    to: Annotated[str | None, Query(description="as `from`; not included")] = None,
    timezone: Annotated[str | None, Query(description="IANA name; where days and months begin")] = None,
    interval: Annotated[str | None, Query(description="one row for each of these")] = None,
    order_by: Annotated[str | None, Query(description="what ranks")] = None,
    limit: Annotated[int | None, Query(description="groups")] = None,
    offset: Annotated[int | None, Query(description="groups to skip")] = None,
    fiscal_start_month: Annotated[int | None, Query(description="1 to 12; where quarters and years begin")] = None,
    filters: Annotated[str | None, Query(description=_FILTERS_ABOUT)] = None,
    form: Annotated[Form, Query(alias="format")] = Form.csv,
) -> Response:
    """The rows of a query as a file, for what reads files: spreadsheets, notebooks, Power BI. The columns are always
    the same. Every other query parameter is a filter, as in `/events`."""
    said = {
        "measures": measures,
        "group_by": group_by,
        "from": from_,
        "to": to,
        "timezone": timezone,
        "interval": interval,
        "order_by": order_by,
        "limit": limit,
        "offset": offset,
        "fiscal_start_month": fiscal_start_month,
        "filters": _filters(request, filters),
    }
    parsed = parse_query({name: value for name, value in said.items() if value}, parts.clock.now_us())
    rows = parts.kept().query(parsed).rows
    return file_answer("query", form, [rows], columns_of(parsed))


@router.post("/sql", response_model=SqlAnswer)
def sql(asking: SqlStatement, parts: TheParts, _caller: Reader) -> Response:
    """Answer a SELECT of one's own over `calls`; see docs/sql.md."""
    return JSONResponse(as_json(parts.kept().sql(asking.sql)))


@router.get("/questions", response_model=QuestionList)
def questions(_caller: Reader) -> Response:
    """The questions that have a name, with what each asks."""
    return JSONResponse({"questions": [question.as_dict() for question in QUESTIONS]})


@router.get("/questions/{name}", response_model=NamedAnswer)
def question(
    request: Request,
    parts: TheParts,
    _caller: Reader,
    name: str,
    from_: Annotated[str | None, Query(alias="from", description="in place of the question's own")] = None,
    to: Annotated[str | None, Query(description="not included; now when not given")] = None,
    timezone: Annotated[str | None, Query(description="IANA name; where days and months begin")] = None,
    group_by: Annotated[str | None, Query(description="fields with commas, in place of the question's own")] = None,
    interval: Annotated[str | None, Query(description="one row for each of these")] = None,
    order_by: Annotated[str | None, Query(description="what ranks")] = None,
    limit: Annotated[int | None, Query(description="groups")] = None,
    offset: Annotated[int | None, Query(description="groups to skip")] = None,
    compare: Annotated[str | None, Query(description="previous_period, same_weekday, ...")] = None,
    fiscal_start_month: Annotated[int | None, Query(description="1 to 12; where quarters and years begin")] = None,
    filters: Annotated[str | None, Query(description=_FILTERS_ABOUT)] = None,
) -> Response:
    """The answer to a named question. Every other query parameter is a filter, as in `/events`."""
    said = {
        "from": from_,
        "to": to,
        "timezone": timezone,
        "group_by": group_by,
        "interval": interval,
        "order_by": order_by,
        "limit": limit,
        "offset": offset,
        "compare": compare,
        "fiscal_start_month": fiscal_start_month,
        "filters": _filters(request, filters) or None,
    }
    given = {field: value for field, value in said.items() if value is not None}
    return JSONResponse(answer_question(name, given, parts.kept(), parts.clock.now_us()))


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
    filters: Annotated[str | None, Query(description=_FILTERS_ABOUT)] = None,
) -> Response:
    """Calls, newest first. Every other query parameter is a filter on a field: `?feature=chat&event_id=...`; a
    field given more than once may have any of the values."""
    asked: dict[str, Any] = {"from": from_, "to": to, "timezone": timezone, "limit": limit, "cursor": cursor}
    asked = {name: value for name, value in asked.items() if value is not None}
    parsed = parse_event_query({**asked, "filters": _filters(request, filters)}, parts.clock.now_us())
    page = parts.kept().events(parsed)
    return JSONResponse({"events": page.events, "next": page.next})


@router.get(
    "/events/file", responses={200: {"content": {kind: {} for kind in MEDIA.values()}}}, response_class=Response
)
def call_file(
    request: Request,
    parts: TheParts,
    _caller: Reader,
    from_: Annotated[str, Query(alias="from", description="RFC 3339 or 24h, 30d, today; included")] = "24h",
    to: Annotated[str | None, Query(description="as `from`; not included")] = None,
    timezone: Annotated[str | None, Query(description="IANA name; where a date begins")] = None,
    filters: Annotated[str | None, Query(description=_FILTERS_ABOUT)] = None,
    form: Annotated[Form, Query(alias="format")] = Form.csv,
) -> Response:
    """Calls as a file, newest first, each with every field. Every other query parameter is a filter, as in
    `/events`."""
    said = {"from": from_, "to": to, "timezone": timezone}
    asked = {
        **{name: value for name, value in said.items() if value is not None},
        "filters": _filters(request, filters),
    }
    store, now_us = parts.kept(), parts.clock.now_us()
    parsed = replace(parse_event_query(asked, now_us), limit=CALLS_AT_ONCE)
    calls = store.query(parse_query({**asked, "measures": ["calls"]}, now_us)).as_dict()["totals"]["calls"]
    if calls > MOST_CALLS:
        hint = "ask for less time, or write them with `taximeter export`"
        raise UsageError(f"that is {calls:,} calls; one file has at most {MOST_CALLS:,}", hint=hint, field="from")
    return file_answer("calls", form, _call_pages(store, parsed), CALLS)


def _call_pages(store: EventStore, asked: EventQuery) -> Iterator[list[dict[str, Any]]]:
    """Pages of calls, to the last one."""
    page = store.events(asked)
    yield page.events
    while page.next is not None:
        page = store.events(replace(asked, cursor=page.next))
        yield page.events


def _filters(request: Request, written: str | None) -> dict[str, Any]:
    """The filters among the query parameters, and those in the JSON of `filters`."""
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name not in _NOT_FILTERS:
            given.setdefault(name, []).append(value)
    plain = {name: values[0] if len(values) == 1 else {"in": values} for name, values in given.items()}
    return {**written_filters(written), **plain}


def written_filters(written: str | None) -> dict[str, Any]:
    """Filters that are JSON in a query parameter. Raises UsageError."""
    try:
        filters = json.loads(written or "{}")
        json.dumps(filters, ensure_ascii=False).encode()  # no store takes half a character
    except ValueError:
        filters = None
    if not isinstance(filters, dict):
        raise UsageError("filters must be a JSON object", hint='like {"input_tokens": {">": 1000}}', field="filters")
    return filters


@router.get("/live", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def live(
    parts: TheParts,
    _caller: Reader,
    calls: Annotated[bool, Query(description="`false`: that there is news, without what it is")] = True,
) -> StreamingResponse:
    """Server-Sent Events: a `tick` at once and whenever calls were stored, at most twice a second. Its data:
    `{"at", "calls": [the last ones]}`, or `{}` without calls."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    if parts.live is None:
        parts.kept()
        raise UnavailableError("nothing is live in the sample: its calls are made up")
    told = parts.live.watch() if calls else bare(parts.live.watch())
    return StreamingResponse(told, media_type="text/event-stream", headers=headers)
