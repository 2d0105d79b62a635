"""Websockets to a provider: a port of one method, and its adapter over the library `websockets`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from taximeter.gateway.connecting import tls_context
from taximeter.gateway.upstream import AnswerInHand, Headers, Origin, UpstreamFailure, UpstreamSettings

LONGEST_MESSAGE_BYTES: Final = 64 * 1024 * 1024
PING_SECONDS: Final = 30.0
"""How often a silent provider is asked whether it is there, and how long it may take to say so."""
ABNORMAL: Final = 1006
"""The code of a connection that broke off without a word."""

_SILENT: Final = logging.getLogger("taximeter.gateway.sockets")
_SILENT.setLevel(logging.CRITICAL)  # the library logs heads, and they hold keys


class Peer(Protocol):
    """The provider's side of one websocket."""

    @property
    def subprotocol(self) -> str | None: ...

    def messages(self) -> AsyncIterator[str | bytes]:
        """What comes, until it is closed."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Raises UpstreamFailure when it is closed."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None: ...

    @property
    def close_code(self) -> int:
        """How it was closed."""
        ...

    @property
    def close_reason(self) -> str: ...


class Sockets(Protocol):
    """The port."""

    async def connect(
        self, origin: Origin, target: bytes, headers: Headers, subprotocols: Sequence[str]
    ) -> Peer | AnswerInHand:
        """The open websocket, or the answer of a provider that will not have it. Raises UpstreamFailure."""
        ...


class _Connect(connect):
    """Does not follow a provider to somewhere else: who called decides about that."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebSockets:
    """The adapter."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings

    async def connect(
        self, origin: Origin, target: bytes, headers: Headers, subprotocols: Sequence[str]
    ) -> Peer | AnswerInHand:
        scheme = "wss" if origin.scheme == "https" else "ws"
        opening = _Connect(
            f"{scheme}://{origin.authority.decode()}{target.decode('latin-1')}",
            additional_headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            user_agent_header=None,
            compression=None,
            ssl=tls_context(origin),
            proxy=None if origin.proxy is None else origin.proxy.url,
            open_timeout=self._settings.connect_seconds,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            max_size=LONGEST_MESSAGE_BYTES,
            logger=_SILENT,
        )
        try:
            return _Peer(await opening)
        except InvalidStatus as refused:
            answer = refused.response
            told = [(name.lower().encode(), value.encode()) for name, value in answer.headers.raw_items()]
            return AnswerInHand(answer.status_code, told, bytes(answer.body or b""))
        except TimeoutError:
            raise UpstreamFailure("connect_timeout", f"{origin.host} did not open a websocket in time") from None
        except (InvalidHandshake, WebSocketException) as error:
            message = f"{origin.host} did not answer as a websocket does: {type(error).__name__}"
            raise UpstreamFailure("protocol_error", message) from None
        except OSError as error:
            message = f"cannot connect to {origin.host}:{origin.port}: {error.strerror or type(error).__name__}"
            raise UpstreamFailure("connect_failed", message) from None


class _Peer:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def subprotocol(self) -> str | None:
        return self._connection.subprotocol

    async def messages(self) -> AsyncIterator[str | bytes]:
        try:
            while True:
                yield await self._connection.recv()
        except ConnectionClosed:
            return

    async def send(self, message: str | bytes) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed:
            raise UpstreamFailure("closed_early", "the websocket is closed") from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._connection.close(code, reason)

    @property
    def close_code(self) -> int:
        return self._connection.close_code or ABNORMAL

    @property
    def close_reason(self) -> str:
        return self._connection.close_reason or ""
