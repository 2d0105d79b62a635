"""One request and its answer. Answers that are there as a whole leave in one write.

uvicorn writes the head of an answer when it is told of it, and then the body: two packets, each of which the client's
side has to wake up for. A write to a socket is the dearest thing of a call that the gateway passes on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

Headers = list[tuple[bytes, bytes]]

WHOLE: Final = "taximeter.response.whole"
"""An extension of ASGI, which the gateway looks for: the type of a message that is a whole answer."""

_FRAMING: Final = frozenset({b"content-length", b"connection", b"transfer-encoding"})
"""Headers that say how an answer is framed or what becomes of its connection."""

_JOIN_BYTES_MAX: Final = 64 * 1024
"""Copying larger bodies would cost more than a write."""

_CONTROL: Final = bytes({*range(32), 127} - {9})
"""Characters that no header may contain."""

_LENGTH: Final = b"content-length"


class Wakeup:
    """An `asyncio.Event` that is only made when somebody has to wait: a request that is there as a whole waits for
    nothing."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: asyncio.Event | None = None

    def set(self) -> None:
        self._is_set = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        self._is_set = False
        if self._event is not None:
            self._event.clear()

    async def wait(self) -> None:
        if not self._is_set:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()


def unchunked(app: Any, cycle: RequestResponseCycle) -> Any:
    """The application, for one request of HTTP/1.0: what has no length ends with its connection, because its clients
    know no chunks."""

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        framed = True

        async def told(message: Any) -> None:
            nonlocal framed
            if message["type"] == "http.response.start":
                framed = _LENGTH in dict(message.get("headers", ()))
                if not framed:
                    cycle.chunked_encoding = False
            elif not framed:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, told)

    return answering


class Cycle(RequestResponseCycle):
    """uvicorn's, which keeps the head of an answer with a length until its body comes.

    What is not there as a whole, and whatever is unusual, is told to uvicorn's own as it came.
    """

    disconnected = False
    waiting_for_100_continue = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    logger = logging.getLogger("uvicorn.error")
    access_logger = logging.getLogger("uvicorn.access")
    _start: Any = None
    _is_taken = False
    """Whether somebody has the end of the body."""

    def __init__(self, protocol: HttpToolsProtocol, scope: HTTPScope, body: bytes) -> None:
        """`body` is what has come of it so far. super's would set again what stands above."""
        self.scope = scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.default_headers = protocol.server_state.default_headers
        self.access_log = protocol.access_log
        self.keep_alive = True
        self.on_response = protocol.on_response_complete
        self.message_event = Wakeup()  # type: ignore[assignment]
        self.body = body  # type: ignore[assignment]

    async def receive(self) -> Any:
        if self.more_body or self._is_taken or self.disconnected or self.response_complete:
            return await super().receive()
        self._is_taken = True
        self.message_event.clear()
        self.flow.resume_reading()
        body, self.body = self.body, bytearray()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    async def send(self, message: Any) -> None:
        """Also takes a message of the type `WHOLE`: `status`, `headers` and `body` of an answer in one."""
        kind = message["type"]
        if kind == WHOLE:
            await self._whole(message["status"], message["headers"], message["body"])
            return
        start, self._start = self._start, None
        if kind == "http.response.start":
            if _LENGTH in dict(message["headers"]):
                self._start = message
                return
        elif start is not None and message.get("more_body"):
            await super().send(start)
        elif start is not None:
            await self._whole(start["status"], start["headers"], message.get("body", b""))
            return
        await super().send(message)

    async def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        if not self._written(status, headers, body):
            await super().send({"type": "http.response.start", "status": status, "headers": headers})
            await super().send({"type": "http.response.body", "body": body, "more_body": False})

    def _written(self, status: int, headers: Headers, body: bytes) -> bool:
        """Write all of an answer at once, unless that is uvicorn's to do: then nothing is written."""
        size_bytes = len(body)
        if size_bytes > _JOIN_BYTES_MAX or self.access_log or self.response_started or self.disconnected:
            return False
        if self.flow.write_paused or not self.keep_alive or self.scope["method"] == "HEAD":
            return False
        framing = [header for header in headers if header[0] in _FRAMING]
        if framing != [(_LENGTH, b"%d" % size_bytes)]:
            return False
        lines = [*map(b": ".join, [*self.default_headers, *headers]), b""]
        head = b"\r\n".join(lines)
        if len(head.translate(None, _CONTROL)) != len(head) - 2 * len(lines) + 2:
            return False  # uvicorn refuses it
        self.response_started = self.response_complete = True
        self.transport.write(b"%s%s\r\n%s" % (STATUS_LINE[status], head, body))
        self.message_event.set()
        self.on_response()
        return True
