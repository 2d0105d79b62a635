"""The tables of the store as an OData 4.0 feed, under `/odata/v1/`.

Authentication is that of every read; what only knows user names and passwords gives the key as the password. Whatever
this feed does not do is refused with 501, as the protocol wants it, and never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from taximeter.core.money import format_usd
from taximeter.errors import NotFoundError, TaximeterError, UsageError
from taximeter.exporters.odata.filters import NotSupportedError, column_kind, read_filter
from taximeter.exporters.odata.reading import Asked, count, page, selected
from taximeter.exporters.odata.tables import COUNT, MONEY, TABLES, Table, metadata, service
from taximeter.server.answers import error_headers
from taximeter.server.parts import Parts
from taximeter.server.routes.dependencies import SAMPLE, is_sample, parts_of

PREFIX: Final = "/odata/v1"
router: Final = APIRouter(prefix=PREFIX, include_in_schema=False)

VERSION: Final = {"OData-Version": "4.0"}
OPTIONS: Final = ("$select", "$filter", "$orderby", "$top", "$skip", "$count", "$skiptoken", "$format")
MOST_DIGITS: Final = 15
"""Of a number of rows."""

JSON: Final = "application/json;odata.metadata=minimal"

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


@router.get("/")
@router.get("")
def root(request: Request) -> Response:
    return _answered(request, lambda _parts, _options: _json(service(_root(request))))


@router.get("/$metadata")
def described(request: Request) -> Response:
    return _answered(
        request, lambda _parts, _options: Response(metadata(), headers=VERSION, media_type="application/xml")
    )


@router.get("/{name}/$count")
def counted(request: Request, name: str) -> Response:
    def answer(parts: Parts, options: Mapping[str, str]) -> Response:
        allowed = ("$filter", "$format")
        if other := [option for option in options if option not in allowed]:
            raise NotSupportedError(f"{other[0]} with $count")
        number = count(_asked(_table(name), options), parts.kept())
        return Response(str(number), headers=VERSION, media_type="text/plain")

    return _answered(request, answer)


@router.get("/{path:path}")
def rows(request: Request, path: str) -> Response:
    def answer(parts: Parts, options: Mapping[str, str]) -> Response:
        table = _table(path)
        asked, columns = _asked(table, options), _columns(table, options)
        found = page(asked, parts.kept())
        told = "" if options.get("$select", "*") == "*" else f"({','.join(columns)})"
        body: dict[str, Any] = {"@odata.context": f"{_root(request)}$metadata#{table.name}{told}"}
        if _flag(options, "$count"):
            body["@odata.count"] = count(asked, parts.kept())
        body["value"] = (
            _as_texts(table, selected(found.rows, columns)) if _exact(request) else selected(found.rows, columns)
        )
        if found.rest is not None:
            body["@odata.nextLink"] = _next(request, options, found.rest)
        return _json(body)

    return _answered(request, answer)


def _exact(request: Request) -> bool:
    """Whether numbers are wanted as text, because the reader has floating-point numbers only."""
    return "ieee754compatible=true" in request.headers.get("accept", "").lower().replace(" ", "")


def _as_texts(table: Table, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    said = {name: _TEXTS[kind] for name, kind in table.columns.items() if kind in _TEXTS}
    return [
        {name: said[name](value) if name in said and value is not None else value for name, value in row.items()}
        for row in found
    ]


_TEXTS: Final[Mapping[str, Callable[[Any], str]]] = {COUNT: str, MONEY: format_usd}
"""Types whose values floating-point numbers cannot hold."""


def _answered(request: Request, answer: Callable[[Parts, Mapping[str, str]], Response]) -> Response:
    """The answer, or the protocol's form of an error."""
    try:
        parts = parts_of(request)
        parts.access.allowed(request.scope, "read")
        return answer(parts, _options(request))
    except TaximeterError as error:
        status = 400 if error.http_status == 422 else error.http_status
        said = {"error": {"code": error.code, "message": str(error)}}
        return Response(
            _encode(said), status, headers={**error_headers(error), **_asks(error), **VERSION}, media_type=JSON
        )


def _asks(error: TaximeterError) -> dict[str, str]:
    """Spreadsheets ask their user for a name and a password only when they are told to."""
    return {"www-authenticate": 'Basic realm="taximeter", charset="UTF-8"'} if error.http_status == 401 else {}


def _options(request: Request) -> dict[str, str]:
    """The protocol's own options; what others send besides is theirs. Raises UsageError."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if not name.startswith("$"):
            continue
        if name not in OPTIONS:
            raise NotSupportedError(f"the option {name}")
        if name in given:
            raise UsageError(f"{name} is given twice", field=name)
        given[name] = value.strip()
    if (form := given.get("$format", "json").lower()) != "json" and not form.startswith("application/json"):
        raise FormatError(f"answers are JSON, not {form}")
    return given


class FormatError(UsageError):
    code = "unsupported_format"
    http_status = 415


def _table(path: str) -> Table:
    if (table := TABLES.get(path)) is not None:
        return table
    if path.partition("(")[0] in TABLES or path.partition("/")[0] in TABLES:
        raise NotSupportedError("a single row, or a part of one,")
    raise NotFoundError(f"there is no table {path!r}", hint="there are: " + ", ".join(TABLES))


def _asked(table: Table, options: Mapping[str, str]) -> Asked:
    """Raises UsageError."""
    written = options.get("$filter")
    return Asked(
        table=table,
        filter=None if written is None else read_filter(written, table.columns),
        order=tuple(_order(part, table) for part in options.get("$orderby", "").split(",") if part.strip()),
        skip=_number(options, "$skip") or 0,
        top=_number(options, "$top"),
        token=options.get("$skiptoken"),
    )


def _order(part: str, table: Table) -> tuple[str, bool]:
    name, *direction = part.split()
    if len(direction) > 1 or (direction and direction[0] not in ("asc", "desc")):
        raise UsageError(f"cannot order by {part.strip()!r}", hint="like cost_usd desc", field="$orderby")
    column_kind(name, table.columns, "$orderby")
    return name, direction == ["desc"]


def _columns(table: Table, options: Mapping[str, str]) -> list[str]:
    names = [name.strip() for name in options.get("$select", "*").split(",")]
    if "*" in names:
        return list(table.columns)
    for name in names:
        column_kind(name, table.columns, "$select")
    return list(dict.fromkeys(names))


def _number(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > MOST_DIGITS:
        raise UsageError(f"{name} must be a whole number", field=name)
    return int(text)


def _flag(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name, "false")
    if text not in ("true", "false"):
        raise UsageError(f"{name} must be true or false", field=name)
    return text == "true"


def _next(request: Request, options: Mapping[str, str], rest: Asked) -> str:
    """The address of the rows that follow: the same question, from the token on."""
    going_on = {"$skiptoken": rest.token, "$skip": rest.skip or None, "$top": rest.top, "$count": None}
    going_on[SAMPLE] = "1" if is_sample(request) else None
    asked = {**options, **going_on}
    said = urlencode({name: value for name, value in asked.items() if value is not None}, quote_via=quote, safe="$,'()")
    return f"{_root(request)}{rest.table.name}?{said}"


def _root(request: Request) -> str:
    """As those who ask reach it: behind a proxy, the address in the request may be another one."""
    reached = parts_of(request).public_url or str(request.base_url)
    return f"{reached.rstrip('/')}{PREFIX}/"


def _json(body: Mapping[str, Any]) -> Response:
    return Response(_encode(body), headers=VERSION, media_type=JSON)
