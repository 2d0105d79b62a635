"""Answers that are made outside the API's framework: JSON and errors in the one wire shape."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from taximeter.errors import TaximeterError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

RETRY_SECONDS: Final = 5
"""What `Retry-After` says when the store or the spool cannot take something now."""

_JSON: Final = (b"content-type", b"application/json")


async def answer(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    """One whole answer; its length is added to `headers`."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def close_socket(_: Scope, receive: Receive, send: Send) -> None:
    """Refuse a websocket: its client is told 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})


async def answer_json(send: Send, status: int, content: object, headers: Headers = ()) -> None:
    await answer(send, status, json.dumps(content).encode(), [_JSON, *headers])


async def answer_error(send: Send, error: TaximeterError) -> None:
    headers = [(name.encode(), value.encode()) for name, value in error_headers(error).items()]
    await answer_json(send, error.http_status, error_body(error), headers)


def error_body(error: TaximeterError) -> dict[str, object]:
    return {"error": error.as_dict()}


def error_headers(error: TaximeterError) -> dict[str, str]:
    if error.http_status == 503:
        return {"retry-after": str(error.facts.get("retry_after_seconds", RETRY_SECONDS))}
    return {"www-authenticate": "Bearer"} if error.http_status == 401 else {}


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None
