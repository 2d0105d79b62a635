"""HTTP/2 to the providers that are set to it (`http2: true`), and HTTP/1.1 to all others.

A call is sent again where that is safe: on a new connection when the one that it went out on had been used before and
closed before any byte of an answer, if the request may be repeated; and whenever the server says that it has not looked
at it (RFC 9113, 8.7). A server that does not speak HTTP/2 is asked in HTTP/1.1 from then on.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from taximeter.gateway.connecting import connected, tls_context
from taximeter.gateway.http1 import Http1
from taximeter.gateway.http2_connection import Connection, SpeaksHttp1, Unanswered
from taximeter.gateway.upstream import Answer, Origin, Outgoing, UpstreamFailure, UpstreamSettings

MOST_SENDINGS: Final = 3
"""How often one call is sent at most."""


class Http2:
    """Belongs to the event loop it is first used on."""

    def __init__(self, settings: UpstreamSettings | None = None) -> None:
        self._settings = settings or UpstreamSettings()
        self._http1 = Http1(self._settings)
        self._pools: dict[Origin, _Pool] = {}
        self._only_http1: set[Origin] = set()

    async def send(self, origin: Origin, request: Outgoing) -> Answer:
        if not origin.http2 or origin in self._only_http1:
            return await self._http1.send(origin, request)
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = _Pool(origin, self._settings)
        try:
            return await _sent(pool, request)
        except SpeaksHttp1:
            self._only_http1.add(origin)
            return await self._http1.send(origin, request)

    def open_connections(self, origin: Origin) -> int:
        """Connections to `origin` at this moment, idle ones included."""
        pool = self._pools.get(origin)
        return self._http1.open_connections(origin) + (0 if pool is None else len(pool.connections))

    async def aclose(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        await self._http1.aclose()


async def _sent(pool: _Pool, request: Outgoing) -> Answer:
    for left in reversed(range(MOST_SENDINGS)):
        connection = await pool.acquire()
        used = connection.used
        try:
            return await connection.exchange(request)
        except Unanswered:
            if not left:
                raise
        except UpstreamFailure as failure:
            if not (left and used and request.repeatable and connection.lost and failure.kind == "closed_early"):
                raise
    raise AssertionError("unreachable")


class _Pool:
    """The connections to one origin, the fullest first, and those who wait for room on one."""

    def __init__(self, origin: Origin, settings: UpstreamSettings) -> None:
        self.origin = origin
        self.settings = settings
        self.connections: list[Connection] = []
        self._loop = asyncio.get_running_loop()
        self._tls = tls_context(origin, ("h2", "http/1.1"))
        self._connecting: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._sweep_seconds = min(1.0, settings.keep_idle_seconds / 4)
        self._sweeping: asyncio.TimerHandle | None = None

    async def acquire(self) -> Connection:
        """A connection with room for an exchange. Raises UpstreamFailure, SpeaksHttp1."""
        until = self._loop.time() + self.settings.connect_seconds
        while True:
            for connection in self.connections:
                if connection.has_room():
                    return connection
            if len(self.connections) < self.settings.connections_max:
                await self._another()
            else:
                await self._wait_in_line(until)

    async def _another(self) -> None:
        """One more connection: all who need one wait for the same."""
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        await asyncio.shield(self._connecting)

    def _connected(self, connecting: asyncio.Task[None]) -> None:
        self._connecting = None
        if not connecting.cancelled():
            connecting.exception()  # nobody may be left who waits for it

    async def _connect(self) -> None:
        origin, connection = self.origin, Connection(self.origin, self.settings, self._changed)
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                await connected(origin, connection, self._tls)
        except TimeoutError:
            message = f"{origin.host}:{origin.port} did not accept a connection in time"
            raise UpstreamFailure("connect_timeout", message) from None
        except ssl.SSLError as error:
            raise UpstreamFailure("tls_failed", f"TLS with {origin.host} failed: {error.reason}") from error
        except OSError as error:
            message = f"cannot connect to {origin.host}:{origin.port}: {error.strerror or error}"
            raise UpstreamFailure("connect_failed", message) from error
        if not connection.speaks_http2():
            connection.close()
            raise SpeaksHttp1(f"{origin.host} does not speak HTTP/2")
        connection.idle_since = self._loop.time()
        self.connections.append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._sweep_seconds, self._sweep)

    async def _wait_in_line(self, until: float) -> None:
        """Until there may be room."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(until):
                await waiter
        except TimeoutError:
            message = f"all {self.settings.connections_max} connections to {self.origin.host} are busy"
            raise UpstreamFailure("no_free_connection", message) from None

    def _changed(self, connection: Connection) -> None:
        if connection.lost and connection in self.connections:
            self.connections.remove(connection)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in list(self.connections):
            if connection.idle() and now - connection.idle_since > self.settings.keep_idle_seconds:
                connection.close()
        self._sweeping = self._loop.call_later(self._sweep_seconds, self._sweep) if self.connections else None

    def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in list(self.connections):
            connection.close()
