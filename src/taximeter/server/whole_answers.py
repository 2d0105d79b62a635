"""Answers that are there as a whole leave in one write.

uvicorn writes the head of an answer when it is told of it, and then the body: two packets, each of which the client's
side has to wake up for. A write to a socket is the dearest thing of a call that the gateway passes on.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from taximeter.server.answers import App, Message, Receive, Scope

_FOR_UVICORN: Final = frozenset({b"connection", b"transfer-encoding"})
"""Headers that change how an answer is framed or what becomes of its connection."""

_JOIN_BYTES_MAX: Final = 64 * 1024
"""Copying larger bodies would cost more than a write."""

_CONTROL: Final = bytes({*range(32), 127} - {9})
"""Characters that no header may contain."""


class WholeAnswer:
    """An ASGI `send` before uvicorn's own: it keeps the head of an answer with a length until its body comes.

    What is not there as a whole, and whatever is unusual, goes to uvicorn as it came.
    """

    __slots__ = ("_cycle", "_start")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        start, self._start = self._start, None
        if start is None:
            if message["type"] == "http.response.start" and _may_be_whole(message):
                self._start = message
            else:
                await self._cycle.send(message)  # type: ignore[arg-type]
        elif not self._write(start, message):
            await self._cycle.send(start)  # type: ignore[arg-type]
            await self._cycle.send(message)  # type: ignore[arg-type]

    def _write(self, start: Message, message: Message) -> bool:
        """Write it all at once, unless that is uvicorn's to do."""
        cycle, headers, body = self._cycle, start["headers"], message.get("body", b"")
        size_bytes = len(body)
        if message.get("more_body") or size_bytes > _JOIN_BYTES_MAX:
            return False
        if dict(headers)[b"content-length"] != b"%d" % size_bytes:
            return False
        if cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive or cycle.scope["method"] == "HEAD":
            return False
        lines = [*map(b": ".join, [*cycle.default_headers, *headers]), b""]
        head = b"\r\n".join(lines)
        if len(head.translate(None, _CONTROL)) != len(head) - 2 * len(lines) + 2:
            return False  # uvicorn refuses it
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"%s%s\r\n%s" % (STATUS_LINE[start["status"]], head, body))
        cycle.message_event.set()
        cycle.on_response()
        return True


def _may_be_whole(start: Message) -> bool:
    names = dict(start["headers"])
    return b"content-length" in names and _FOR_UVICORN.isdisjoint(names)


def at_once(app: App, cycle: RequestResponseCycle) -> App:
    """The application, whose whole answers leave in one write."""

    def answering(scope: Scope, receive: Receive, _send: object) -> Awaitable[None]:
        return app(scope, receive, WholeAnswer(cycle).send)

    return answering
