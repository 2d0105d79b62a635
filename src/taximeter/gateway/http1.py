"""HTTP/1.1 to providers.

The adapter speaks through raw protocols and httptools, with a pool of kept-alive connections for each origin. It is
as small as it is for a reason: on this path the HTTP machinery decides what a call costs (see docs/architecture.md).

A request is written once. It is written a second time only when it went out on a connection that had been used
before, that connection closed before any byte of an answer, and the request says that it may be repeated.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from typing import Any, Final, cast

import httptools

from taximeter.core.http_heads import END_OF_HEAD, headers_in
from taximeter.gateway.connecting import connected, tls_context
from taximeter.gateway.upstream import (
    BODY_EXPECTED,
    STATUSES,
    STATUSES_WITHOUT_BODY,
    Answer,
    FailureKind,
    Headers,
    Origin,
    Outgoing,
    UpstreamFailure,
    UpstreamSettings,
)

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_JOIN_BYTES_MAX: Final = 64 * 1024
"""Request bodies up to this size travel in one write with their head; copying larger ones would cost more."""

_SURELY_ALIVE_SECONDS: Final = 0.25


class Http1:
    """HTTP/1.1 with a pool for each origin. Belongs to the event loop it is first used on."""

    def __init__(self, settings: UpstreamSettings | None = None) -> None:
        self._settings = settings or UpstreamSettings()
        self._pools: dict[Origin, _Pool] = {}

    async def send(self, origin: Origin, request: Outgoing) -> Answer:
        pool = self._pools.get(origin) or self._open(origin)
        wire = _wire(pool, request)
        connection, reused = await pool.acquire()
        try:
            return await connection.exchange(request, wire)
        except UpstreamFailure as failure:
            if not (reused and request.repeatable and failure.kind == "closed_early" and not connection.answered):
                raise
            lost = failure
        try:
            connection = await pool.connect()
        except UpstreamFailure:
            raise lost from None  # what was lost on its way may cost something
        return await connection.exchange(request, wire)

    def _open(self, origin: Origin) -> _Pool:
        pool = self._pools[origin] = _Pool(origin, self._settings)
        return pool

    def open_connections(self, origin: Origin) -> int:
        """Connections to `origin` at this moment, idle ones included."""
        pool = self._pools.get(origin)
        return 0 if pool is None else pool.open_connections

    async def aclose(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        await asyncio.sleep(0)


def _wire(pool: _Pool, request: Outgoing) -> tuple[bytes, bytes]:
    """Head and body as they are written; a small body is already part of the head."""
    body, lines = request.body, [*map(b": ".join, request.headers)]
    if body or request.method in BODY_EXPECTED:
        lines.append(b"content-length: %d" % len(body))
    lines.append(b"\r\n")
    joined, apart = (body, b"") if len(body) <= _JOIN_BYTES_MAX else (b"", body)
    parts = request.method, pool.before_target, request.target, pool.after_target, b"\r\n".join(lines), joined
    return b"".join(parts), apart


class _Pool:
    """The connections to one origin: idle ones, used last in first out, and those who wait for one."""

    def __init__(self, origin: Origin, settings: UpstreamSettings) -> None:
        self.origin = origin
        through = origin.proxy if origin.scheme == "http" else None
        # A proxy is asked for the whole address, unless it only carries what is encrypted.
        self.before_target = b" " if through is None else b" http://" + origin.authority
        known = b"" if through is None else through.credentials
        self.after_target = b" HTTP/1.1\r\nhost: " + origin.authority + b"\r\n" + known
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self._tls = tls_context(origin)
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._connecting = 0
        self._waiters: deque[asyncio.Future[_Connection | None]] = deque()
        self._closed = False
        shortest = min(settings.first_byte_seconds, settings.idle_seconds, settings.keep_idle_seconds)
        self._sweep_seconds = min(1.0, shortest / 4)
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def open_connections(self) -> int:
        return len(self._open)

    async def acquire(self) -> tuple[_Connection, bool]:
        """A connection, and whether it had been used before. Raises UpstreamFailure."""
        while self._idle:
            connection = self._idle.pop()
            if connection.alive():
                return connection, True
            connection.abort()
        while len(self._open) + self._connecting >= self.settings.connections_max:
            handed_over = await self._wait_in_line()
            if handed_over is not None:
                return handed_over, True
        return await self.connect(), False

    async def connect(self) -> _Connection:
        """A connection that nobody has used. Raises UpstreamFailure."""
        self._connecting += 1
        try:
            connection = await self._connect()
        finally:
            self._connecting -= 1
        self._open.add(connection)
        if self._sweeping is None:
            self._sweeping = self.loop.call_later(self._sweep_seconds, self._sweep)
        return connection

    async def _wait_in_line(self) -> _Connection | None:
        """A connection that somebody gave back, or None when there is room for a new one."""
        waiter: asyncio.Future[_Connection | None] = self.loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.done() and not waiter.cancelled() and (connection := waiter.result()) is not None:
                self.release(connection)
            if isinstance(error, asyncio.CancelledError):
                raise
        message = f"all {self.settings.connections_max} connections to {self.origin.host} are busy"
        raise UpstreamFailure("no_free_connection", message)

    async def _connect(self) -> _Connection:
        connection = _Connection(self)
        await connected(self.origin, connection, self._tls, self.settings.connect_seconds)
        return connection

    def release(self, connection: _Connection) -> None:
        """Take back a connection whose answer was read to its end."""
        if not connection.reusable() or self._closed:
            connection.abort()
        elif self._waiters and self._hand_to_next(connection):
            return
        elif len(self._idle) < self.settings.idle_connections_max:
            connection.idle_since = self.loop.time()
            self._idle.append(connection)
        else:
            connection.abort()

    def lost(self, connection: _Connection) -> None:
        """Forget a connection that is closed, and let the next in the line open one."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._hand_to_next(None)

    def _hand_to_next(self, connection: _Connection | None) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _sweep(self) -> None:
        """One timer for all connections: a timer for each call would cost more than the call's own parsing."""
        now = self.loop.time()
        for connection in list(self._open):
            connection.expire(now)
        while self._idle and now - self._idle[0].idle_since > self.settings.keep_idle_seconds:
            self._idle.popleft().abort()
        self._sweeping = self.loop.call_later(self._sweep_seconds, self._sweep) if self._open else None

    def close(self) -> None:
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for connection in list(self._open):
            connection.abort()


class _Http1Answer:
    """The answer of one exchange. It lets go of its connection at the end, because others will use that."""

    __slots__ = ("_connection", "framed", "headers", "status")

    def __init__(self, connection: _Connection) -> None:
        self._connection: _Connection | None = connection
        self.status = connection.status
        self.headers = connection.headers
        self.framed = connection.framed

    def ended(self) -> bool:
        return self._connection is None

    async def chunk(self) -> bytes:
        connection = self._connection
        if connection is None:
            return b""
        data = await connection.chunk()
        if connection.finish():
            self._connection = None
        return data

    def close(self) -> None:
        if self._connection is not None:
            self._connection.give_up()
            self._connection = None


class _Connection(asyncio.Protocol):
    """One connection and the exchange that runs on it; the callbacks of httptools fill its state."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._loop = pool.loop
        self._parser: Any = None
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._deadline_kind: FailureKind = "first_byte_timeout"
        self.idle_since = 0.0
        self._busy = False
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.answered = False
        self._head_request = False
        self._head = b""
        self._head_bytes = 0
        self._head_done = False
        self._interim = False
        self.framed = False
        self._keep = False
        self._complete = False
        self._failure: UpstreamFailure | None = None
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._paused = False

    # ── the exchange ─────────────────────────────────────────────────────────────────────────────────────

    async def exchange(self, request: Outgoing, wire: tuple[bytes, bytes]) -> Answer:
        """Write the request and wait for the head of its answer."""
        self._reset()
        self._busy = True
        self._head_request = request.method == b"HEAD"
        transport = self._transport
        if transport is None or transport.is_closing():
            self._fail("closed_early", "the connection was closed before the request was sent")
        else:
            transport.write(wire[0])
            if wire[1]:
                transport.write(wire[1])
        try:
            while not self._head_done:
                await self._more("first_byte_timeout", self._pool.settings.first_byte_seconds)
        except BaseException:
            self.give_up()
            raise
        return _Http1Answer(self)

    async def chunk(self) -> bytes:
        while not self._chunks:
            if self._complete:
                return b""
            try:
                await self._more("idle_timeout", self._pool.settings.idle_seconds)
            except BaseException:
                self.give_up()
                raise
        chunks, self._chunks = self._chunks, []
        self._buffered = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def give_up(self) -> None:
        """End the exchange and the connection with it."""
        if self._busy:
            self._busy = False
            self.abort()

    def finish(self) -> bool:
        """Give the connection back once everything was handed over; whether that is so."""
        if not self._complete or self._chunks:
            return False
        if self._busy:
            self._busy = False
            self._pool.release(self)
        return True

    async def _more(self, kind: FailureKind, seconds: float) -> None:
        """Wait until something happened. Raises the failure, if that is what happened."""
        if self._failure is None:
            self._deadline_kind = kind
            self._deadline = self._loop.time() + seconds
            self._waiter = waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None
                self._deadline = 0.0
        if self._failure is not None and not self._chunks and not self._complete:
            # Another one: what is raised knows its frames, they know the connection, and that would know it.
            raise UpstreamFailure(self._failure.kind, self._failure.message)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, kind: FailureKind, message: str) -> None:
        if self._failure is None:
            self._failure = UpstreamFailure(kind, message)
        self._wake()

    def expire(self, now: float) -> None:
        """Fail the exchange when what it waits for is overdue."""
        if self._deadline and now >= self._deadline:
            self._fail(self._deadline_kind, f"{self._pool.origin.host} was silent for too long")

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────

    def alive(self) -> bool:
        """Whether an idle connection can be used: nothing may be waiting on it, not even its end."""
        if self._transport is None or self._transport.is_closing() or self._poll is None:
            return False
        # The loop tells of a connection that closes, a moment later. One used a moment ago is not asked for itself.
        return self._loop.time() - self.idle_since < _SURELY_ALIVE_SECONDS or not self._poll.poll(0)

    def reusable(self) -> bool:
        transport = self._transport
        return (
            self._keep
            and self._complete
            and transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0
        )

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLHUP)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._parser = None  # it knows the connection; they would wait for the garbage collector together
        self._pool.lost(self)
        if not self._busy or self._complete:
            return
        if self._head_done and not self.framed and exc is None:
            self._complete = True
            self._wake()
        else:
            self._fail("closed_early", f"{self._pool.origin.host} closed the connection before the answer was complete")

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self.abort()
            return
        self.answered = True
        if not self._head_done:
            self._head = self._head + data if self._head else data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._broken(error)
        if not self._head_done:
            self._head_bytes += len(data)
            if self._head_bytes > self._pool.settings.head_bytes_max:
                self._fail("protocol_error", f"the head of {self._pool.origin.host}'s answer is too large")
        elif self._chunks or self._complete:
            self._wake()

    def _broken(self, error: Any) -> None:
        self._keep = False
        if not self._complete:
            self._fail("protocol_error", f"{self._pool.origin.host} did not answer in HTTP: {error}")

    # ── httptools ────────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        if self._complete:
            self._keep = False

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._head_done or self._complete:
            return
        head, _, behind = self._head.lstrip(b"\r\n").partition(END_OF_HEAD)
        self._head = behind if self._interim else b""
        if self._interim:
            return
        if status not in STATUSES:
            self._fail("protocol_error", f"{self._pool.origin.host} answered with the status {status}")
            return
        self.status = status
        self.headers = headers = headers_in(head.split(b"\r\n")[1:])
        self.framed = not _FRAMING.isdisjoint(dict(headers))
        self._head_done = True
        self._keep = self._parser.should_keep_alive()
        if self._head_request or status in STATUSES_WITHOUT_BODY:
            self._keep = False
            self._complete = True
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self._complete:
            return
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > self._pool.settings.buffer_bytes and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._interim and self._head_done:
            self._complete = True
