"""The caller's side of a request: its body, its patience, and the answer it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from taximeter.gateway.refusals import body_too_large
from taximeter.gateway.upstream import Headers

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
CallOnHangup = Callable[[Callable[[], None] | None], None]

_NONE: Final[Mapping[str, Any]] = {}

HANGUP: Final = "taximeter.hangup"
"""An extension of ASGI that our server has: what to call when the caller hangs up, None for nothing. Waiting for the
message that says so takes a task for each call, which costs a twentieth of all that a call does."""

WHOLE: Final = "taximeter.response.whole"
"""Another one: the type of a message that is a whole answer, where two would be told one after the other."""

WATCH_AFTER_SECONDS: Final = 0.005


class ClientGone(Exception):  # noqa: N818 - nothing went wrong here
    """The caller left before the request was complete."""


class Client:
    """Wraps ASGI's receive and send. Sending to somebody who has left does nothing."""

    __slots__ = ("_call_on_hangup", "_on_gone", "_receive", "_send", "_takes_whole", "_timer", "_watcher", "gone")

    keeps = False
    """Whether the answer is also for others: it is told to its end then, also when the caller has left."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extensions = scope.get("extensions", _NONE)
        self._call_on_hangup: CallOnHangup | None = extensions.get(HANGUP)
        self._takes_whole = WHOLE in extensions
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._on_gone: Callable[[], None] | None = None
        self.gone = False

    async def body(self, limit_bytes: int) -> bytes:
        """The whole request body. Raises Refusal beyond the limit, ClientGone when it does not come."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            _check_size(len(body), limit_bytes)
            return body
        parts = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts += message.get("body", b"")
            _check_size(len(parts), limit_bytes)
            if not message.get("more_body"):
                return bytes(parts)
            message = await self._receive()

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Call `on_gone` when the caller hangs up, until `close`.

        Under another server it begins a moment later (`WATCH_AFTER_SECONDS`): a task for an answer that is there sooner
        is saved.
        """
        self._on_gone = on_gone
        if self._call_on_hangup is not None:
            self._call_on_hangup(self._hung_up)
            return
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._begin_watching)

    def _begin_watching(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._hung_up()

    def _hung_up(self) -> None:
        if self._on_gone is not None:
            self.gone = True
            self._on_gone()

    def close(self) -> None:
        """Stop watching."""
        self._on_gone = None
        if self._call_on_hangup is not None:
            self._call_on_hangup(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def start(self, status: int, headers: Headers) -> Awaitable[None]:
        return self._tell({"type": "http.response.start", "status": status, "headers": headers})

    def part(self, data: bytes, *, more: bool) -> Awaitable[None]:
        return self._tell({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """An answer that is there as a whole."""
        if self._takes_whole:
            await self._tell({"type": WHOLE, "status": status, "headers": headers, "body": body})
        else:
            await self.start(status, headers)
            await self.part(body, more=False)

    async def _tell(self, message: Message) -> None:
        if self.gone:
            return
        try:
            await self._send(message)
        except OSError:  # how an ASGI server says that the caller has left
            self.gone = True
            if self._on_gone is not None:
                self._on_gone()


def _check_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise body_too_large(limit_bytes)
