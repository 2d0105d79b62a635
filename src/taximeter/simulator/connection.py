"""One request and its answer on the wire, over ASGI, with the rudeness that HTTP servers usually hide."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TRANSPORT = "taximeter.transport"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class RudeProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the transport handed on in the scope, so that answers can be cut and reset."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"of": self.transport}}


class BodyTooLarge(Exception):  # noqa: N818 - answered with a 413
    """The request body exceeds the limit."""


class Connection:
    """The exchange of one request. After `cut` or `reset` nothing more is sent."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive
        self._send = send
        self._transport: asyncio.Transport = scope["extensions"][TRANSPORT]["of"]

    @property
    def abandoned(self) -> bool:
        """Whether the caller has left."""
        return self._transport.is_closing()

    async def body(self, limit_bytes: int) -> bytes:
        """The whole request body. Raises `BodyTooLarge`."""
        message = await self._receive()
        raw: bytes = message.get("body", b"")
        while message.get("more_body"):
            if len(raw) > limit_bytes:
                raise BodyTooLarge
            message = await self._receive()
            raw += message.get("body", b"")
        if len(raw) > limit_bytes:
            raise BodyTooLarge
        return raw

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        await self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.write(body, more=False)

    async def cut(self) -> None:
        """Close after what was sent, in the middle of the answer."""
        self._transport.close()
        await self.abandoned_by_caller()

    async def reset(self) -> None:
        """Throw the connection away: the caller sees it reset by its peer."""
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()
        await self.abandoned_by_caller()

    async def abandoned_by_caller(self) -> None:
        """Wait until the caller leaves."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
