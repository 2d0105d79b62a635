"""The API behind the page: FastAPI under `/api`, OpenAPI 3.1 at `/api/openapi.json`, one shape for every error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taximeter.errors import NotFoundError, TaximeterError, UsageError
from taximeter.exporters.forms import Form
from taximeter.server.answers import error_body, error_headers
from taximeter.server.credentials_first import CredentialsFirst
from taximeter.server.files import MEDIA
from taximeter.server.parts import Parts
from taximeter.server.routes import (
    alerts,
    calculator,
    chargeback,
    findings,
    focus,
    forecast,
    keeping,
    keys,
    limits,
    odata,
    price_reports,
    prices,
    reconcile,
    repricing,
    rules,
    spending,
    standing,
    why,
)
from taximeter.server.routes.dependencies import Anybody
from taximeter.server.shapes import ErrorAnswer

PREFIX: Final = "/api/v1"
OPENAPI_PATH: Final = "/api/openapi.json"

SMALL_BYTES: Final = 1_000
"""Answers below are one packet anyway."""
GZIP_LEVEL: Final = 4
"""A seventh of the size, in less than a millisecond for 65 kB; higher levels make it hardly less."""
NOT_PACKED: Final = (*DEFAULT_EXCLUDED_CONTENT_TYPES, MEDIA[Form.parquet], MEDIA[Form.arrow])

_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": ErrorAnswer, "description": about}
    for code, about in {
        401: "no valid credential",
        403: "the credential may not",
        422: "the request is wrong; `field` says where",
        503: "not now; see Retry-After",
    }.items()
}

_ROUTERS: Final = (
    spending.router,
    focus.router,
    keeping.router,
    why.router,
    chargeback.router,
    reconcile.router,
    forecast.router,
    calculator.router,
    standing.router,
    keys.router,
    price_reports.router,
    prices.router,
    repricing.router,
    limits.router,
    alerts.router,
    rules.router,
    findings.router,
)


def build_api(parts: Parts | None, version: str) -> FastAPI:
    """The application. Without `parts` it can only describe itself."""
    api = FastAPI(title="taximeter", version=version, openapi_url=None, docs_url=None, redoc_url=None)
    api.state.parts = parts
    api.add_middleware(
        GZipMiddleware, minimum_size=SMALL_BYTES, compresslevel=GZIP_LEVEL, exclude_content_types=NOT_PACKED
    )
    api.add_middleware(CredentialsFirst)
    api.add_middleware(_ForNobodyElse)
    for router in _ROUTERS:
        api.include_router(router, prefix=PREFIX, responses=_ERRORS)
    api.include_router(odata.router)
    api.add_api_route(OPENAPI_PATH, _describe(api), include_in_schema=False)
    api.add_exception_handler(TaximeterError, _refuse)
    api.add_exception_handler(RequestValidationError, _refuse_form)
    api.add_exception_handler(HTTPException, _refuse_route)
    return api


class _ForNobodyElse:
    """Tells browsers and what stands between to keep no answer, and to take it for nothing but what it says it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("cache-control", "no-store")
                headers.setdefault("x-content-type-options", "nosniff")
            await send(message)

        await self._app(scope, receive, guarded)


def _describe(api: FastAPI) -> Any:
    def openapi(_caller: Anybody) -> Response:
        return JSONResponse(description(api))

    return openapi


def description(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the ways to authenticate."""
    from taximeter.server.ingest_shapes import describe_ingest  # a start need not wait for what few look at

    document = api.openapi()
    document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    describe_ingest(document)
    document["security"] = [{"key": []}]
    return document


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TaximeterError)
    return JSONResponse(error_body(error), error.http_status, headers=error_headers(error))


async def _refuse_form(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _refuse(request, _usage_error(error.errors()))


def _usage_error(errors: Sequence[Any]) -> UsageError:
    """The first mistake in words, all of them as facts."""
    mistakes = [{"field": ".".join(map(str, e["loc"][1:])) or "body", "message": e["msg"]} for e in errors]
    first = mistakes[0]
    return UsageError(f"{first['field']}: {first['message']}", field=first["field"], mistakes=mistakes)


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _refuse(request, NotFoundError(f"there is no {request.url.path}", hint=f"see {OPENAPI_PATH}"))
    body = {"error": {"code": "usage", "message": str(error.detail), "hint": f"see {OPENAPI_PATH}"}}
    return JSONResponse(body, error.status_code, headers=error.headers)
