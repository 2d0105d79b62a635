"""HTTP/2 to the providers that are set to it (`http2: true`), and HTTP/1.1 to all others.

A call is sent again where that is safe: on a new connection when the one that it went out on had been used before and
closed before any byte of an answer, if the request may be repeated; and whenever the server says that it has not looked
at it (RFC 9113, 8.7), with growing pauses and for as long as a call waits for room. A server that does not speak HTTP/2
is asked in HTTP/1.1 from then on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

from taximeter.gateway.connecting import connected, not_accepted, tls_context
from taximeter.gateway.http1 import Http1
from taximeter.gateway.http2_connection import (
    EXCHANGES_BEFORE_TOLD,
    Connection,
    SaidGoodbye,
    SpeaksHttp1,
    Unanswered,
)
from taximeter.gateway.upstream import Answer, Origin, Outgoing, UpstreamFailure, UpstreamSettings

MOST_SENDINGS: Final = 3
"""How often one call is sent at most, goodbyes and refusals not counted."""

AT_ONCE: Final = 2
"""After so many refusals a call is sent again at once: there may be room on another connection. Then it pauses."""

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0

MOST_GOODBYES: Final = 20
"""How many connections may take leave from one call: each has answered others, unless the server is ill."""

MOST_CONNECTING: Final = 4
"""So many connections to an origin are opened at once; meanwhile room may come free on the others."""

MOST_SHUT: Final = 3
"""So many connections on which the server lets nobody begin, and no more are opened to it."""


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
    lost: UpstreamFailure | None = None
    failed = goodbyes = 0
    refusals = Refusals(pool.settings.connect_seconds)
    while True:
        try:
            connection = await pool.acquire()
        except UpstreamFailure as failure:
            raise lost or failure from None  # what was lost on its way may cost something
        used = connection.used
        try:
            return await connection.exchange(request)
        except SaidGoodbye:
            goodbyes += 1
            if goodbyes == MOST_GOODBYES:
                raise
        except Unanswered:
            pause = refusals.pause(asyncio.get_running_loop().time())
            if pause is None:
                raise
            await asyncio.sleep(pause)
        except UpstreamFailure as failure:
            failed += 1
            repeatable = used and request.repeatable and connection.lost and failure.kind == "closed_early"
            if failed == MOST_SENDINGS or not repeatable:
                raise
            lost = failure


class Refusals:
    """The refusals of one call, which is sent again until it has been refused for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._first_at: float | None = None
        self._pauses = -AT_ONCE

    def pause(self, now: float) -> float | None:
        """Seconds until it is sent again after one more refusal; None when it has waited long enough."""
        if self._first_at is None:
            self._first_at = now
        self._pauses += 1
        if self._pauses <= 0:
            return 0.0
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self._pauses - 1, 10), LONGEST_PAUSE_SECONDS)
        return pause if now + pause - self._first_at <= self._seconds else None


class _Pool:
    """The connections to one origin, the fullest first, and the line of those who wait for room on one."""

    def __init__(self, origin: Origin, settings: UpstreamSettings) -> None:
        self.origin = origin
        self.settings = settings
        self.connections: list[Connection] = []
        self._loop = asyncio.get_running_loop()
        self._tls = tls_context(origin, ("h2", "http/1.1"))
        self._each = EXCHANGES_BEFORE_TOLD
        self._connecting: set[asyncio.Task[None]] = set()
        self._line: deque[asyncio.Future[Exception | None]] = deque()
        self._closed = False
        self._sweep_seconds = min(1.0, settings.keep_idle_seconds / 4)
        self._sweeping: asyncio.TimerHandle | None = None

    async def acquire(self) -> Connection:
        """A connection with room for an exchange, which begins before anything else. Raises UpstreamFailure,
        SpeaksHttp1."""
        if self._closed:
            raise self._was_closed()
        if not self._line and (connection := self._with_room()) is not None:
            return connection
        turn = self._join()
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                while True:
                    if (failure := await turn) is not None:
                        raise failure
                    if (connection := self._with_room()) is not None:
                        return connection
                    turn = self._stay()
        except TimeoutError:
            raise self._waited_too_long() from None
        finally:
            self._line.remove(turn)
            self._go_on()

    def _join(self) -> asyncio.Future[Exception | None]:
        """The end of the line. What comes there is a failure, or a turn to look for room."""
        turn: asyncio.Future[Exception | None] = self._loop.create_future()
        self._line.append(turn)
        self._go_on()
        return turn

    def _stay(self) -> asyncio.Future[Exception | None]:
        """The first place in the line again: the room was gone before its turn came."""
        turn = self._line[0] = self._loop.create_future()
        self._go_on()
        return turn

    def _with_room(self) -> Connection | None:
        for connection in self.connections:
            if connection.has_room():
                return connection
        return None

    def _go_on(self) -> None:
        """The first in the line has its turn when there is room, and lets the next one go on."""
        if not self._line or self._closed:
            return
        if self._with_room() is None:
            self._open_enough()
        elif not self._line[0].done():
            self._line[0].set_result(None)

    def _open_enough(self) -> None:
        """Open what the line needs, unless the server lets nobody begin on what is open."""
        if sum(connection.idle() and not connection.has_room() for connection in self.connections) >= MOST_SHUT:
            return
        needed = min(-(-len(self._line) // self._each), MOST_CONNECTING)
        allowed = self.settings.connections_max - len(self.connections)
        for _ in range(min(needed, allowed) - len(self._connecting)):
            connecting = self._loop.create_task(self._connect())
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connected)

    def _connected(self, connecting: asyncio.Task[None]) -> None:
        self._connecting.discard(connecting)
        failure = None if connecting.cancelled() else connecting.exception()
        if failure is None:
            self._go_on()
        elif isinstance(failure, SpeaksHttp1) or not any(connection.open for connection in self.connections):
            self._turn_away(cast(Exception, failure))

    def _turn_away(self, failure: Exception) -> None:
        for turn in self._line:
            if not turn.done():
                turn.set_result(failure)

    async def _connect(self) -> None:
        origin, connection = self.origin, Connection(self.origin, self.settings, self._changed, self._each)
        await connected(origin, connection, self._tls, self.settings.connect_seconds)
        if not connection.speaks_http2():
            connection.close()
            raise SpeaksHttp1(f"{origin.host} does not speak HTTP/2")
        connection.idle_since = self._loop.time()
        self.connections.append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._sweep_seconds, self._sweep)

    def _waited_too_long(self) -> UpstreamFailure:
        if not self.connections:
            return not_accepted(self.origin)
        return UpstreamFailure("no_free_connection", f"all connections to {self.origin.host} are busy")

    def _was_closed(self) -> UpstreamFailure:
        return UpstreamFailure("connect_failed", f"the connections to {self.origin.host} were closed")

    def _changed(self, connection: Connection) -> None:
        if connection.told:
            self._each = max(1, connection.most)
        if connection.lost and connection in self.connections:
            self.connections.remove(connection)
        self._go_on()

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
        self._closed = True
        self._turn_away(self._was_closed())
        for connecting in self._connecting:
            connecting.cancel()
        for connection in list(self.connections):
            connection.close()
