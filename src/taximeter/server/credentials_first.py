"""Who asks is known before a body is read, and a body has a size and a time at most.

The framework behind the API reads bodies whole, however large, and only then looks who sent them.
"""

from __future__ import annotations

import json
import re
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taximeter.errors import TaximeterError, TooLargeError, UsageError
from taximeter.server.access import PLAIN_READS, Access
from taximeter.server.answers import answer_error
from taximeter.server.bodies import read_in_time

MOST_BODY_BYTES: Final = 64 * 1024 * 1024
"""The bills of a provider are the largest that is sent to the API."""


_MAYBE_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]|\x00")
"""Written with a backslash or as its bytes; a zero is in JSON of UTF-16 and UTF-32, which are read as well."""


class CredentialsFirst:
    """Gives an application whole bodies, of those with a credential alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in PLAIN_READS:
            await self._app(scope, receive, send)
            return
        access: Access = scope["app"].state.parts.access
        try:
            await run_in_threadpool(access.caller, scope)  # sessions are looked up in the metadata
            body = await _body(scope, receive)
            _refuse_halves(body)
        except TaximeterError as refusal:
            await answer_error(send, refusal)
            return
        await self._app(scope, _after(body, receive), send)


async def _body(scope: Scope, receive: Receive) -> bytes:
    try:
        return await read_in_time(scope, receive, MOST_BODY_BYTES)
    except TooLargeError:
        message = f"the body of a request to the API has {MOST_BODY_BYTES} bytes at most"
        raise TooLargeError(message, limit_bytes=MOST_BODY_BYTES) from None


def _refuse_halves(body: bytes) -> None:
    """JSON can write half a character, which no store takes. Raises UsageError."""
    if _MAYBE_HALF.search(body) is None:
        return
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError("the body has half a character: a surrogate without its other half", field="body") from None
    except (ValueError, RecursionError):  # what is no JSON its route refuses
        return


def _after(body: bytes, receive: Receive) -> Receive:
    """What is received: the body, then what comes after it, such as that the client has gone."""
    waiting = [body]

    async def received() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return received
