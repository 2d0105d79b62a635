"""One HTTP/2 connection to a provider, and the exchanges that share it. The frames are read and written by `h2`.

How far a provider may be ahead of a slow client is bounded for each exchange by a window of its own. The window of the
connection is kept wide open, so that one client that does not read holds up nobody else.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias, cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import NeverIndexedHeaderTuple

from taximeter.gateway.http2_goodbyes import Goodbye, Goodbyes
from taximeter.gateway.upstream import (
    BODY_EXPECTED,
    STATUSES,
    STATUSES_WITHOUT_BODY,
    FailureKind,
    Headers,
    Origin,
    Outgoing,
    UpstreamFailure,
    UpstreamSettings,
)

EXCHANGES_BEFORE_TOLD: Final = 100
"""How many exchanges a connection carries at most before its server has said how many it takes."""

MOST_REQUESTS: Final = 1_000_000
"""On one connection, where each needs a number of its own below two to the thirtieth."""

WIDEST_BYTES: Final = 2**30
"""The window of the connection."""

MOST_UNREAD_BYTES: Final = 1_048_576
"""Of what a server makes us say (that we are there, that we have its settings) while it does not read."""

_NOTHING: Final = memoryview(b"")
_NAMES: Final = {int(code): code.name for code in ErrorCodes}
_SECRET: Final = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-amz-security-token"})

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_FORBIDDEN: Final = re.compile(rb"[\0\r\n]")
_OF_ONE_HOP: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})

_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))
"""A peer that is gone takes all exchanges with it, so the kernel asks for it, or hears that what was sent is not
confirmed: else it would go on to send for a quarter of an hour. Servers take pings of HTTP/2 amiss."""


class Unanswered(UpstreamFailure):
    """The server says that it has not looked at the request: whatever that is, it may be sent again."""


class SaidGoodbye(Unanswered):
    """It has not, because it closes the connection in an orderly way, after so many requests or so much time."""


class SpeaksHttp1(Exception):  # noqa: N818 - a fact about the server
    """The server wants HTTP/1.1, and has not looked at the request either."""


Failure: TypeAlias = Callable[[], Exception]
"""Makes what is raised, anew each time: that knows its frames, they know the connection, and this would know it."""


class Exchange:
    """A request and its answer."""

    framed = True

    def __init__(self, connection: Connection, number: int, request: Outgoing) -> None:
        self.number = number
        self.for_head = request.method == b"HEAD"
        self.unsent = memoryview(request.body)
        self.status = 0
        self.headers: Headers = []
        self._connection = connection
        self._missing_bytes: int | None = None
        self._complete = False
        self._failure: Failure | None = None
        self._chunks: list[bytes] = []
        self._window_bytes = 0
        self._handed_over = False
        self._waiter: asyncio.Future[None] | None = None

    # ── what callers do ──────────────────────────────────────────────────────────────────────────────────

    def ended(self) -> bool:
        return self._handed_over

    async def begun(self) -> None:
        """Return when the head of the answer is there."""
        while not self.status:
            await self._more("first_byte_timeout", self._connection.settings.first_byte_seconds)

    async def chunk(self) -> bytes:
        while not (self._chunks or self._complete or self._handed_over):
            await self._more("idle_timeout", self._connection.settings.idle_seconds)
        chunks, self._chunks = self._chunks, []
        window_bytes, self._window_bytes = self._window_bytes, 0
        if self._complete:
            self._handed_over = True
        else:
            self._connection.fetched(self, window_bytes)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        self._handed_over = True
        self._connection.give_up(self)

    async def _more(self, kind: FailureKind, seconds: float) -> None:
        """Wait until something happened. Raises the failure, if that is what happened."""
        if self._failure is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._waiter
            except TimeoutError:
                self._connection.give_up(self)
                self.fail(partial(UpstreamFailure, kind, f"{self._connection.host} was silent for too long"))
            except BaseException:
                self._connection.give_up(self)
                raise
            finally:
                self._waiter = None
        if self._failure is not None and not self._chunks and not self._complete:
            raise self._failure()

    # ── what the connection does ─────────────────────────────────────────────────────────────────────────

    def head(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        length = dict(headers).get(b"content-length")
        if length is not None and not self.for_head and status not in STATUSES_WITHOUT_BODY:
            self._missing_bytes = int(length)
        self._wake()

    def take(self, data: bytes, window_bytes: int) -> None:
        """A piece of the answer, which took so much of the window."""
        if not data:  # padding, of which nobody is told
            self._connection.fetched(self, window_bytes)
            return
        self._window_bytes += window_bytes
        if self._missing_bytes is not None:
            self._missing_bytes -= len(data)
        self._chunks.append(data)
        self._wake()

    def end(self) -> None:
        if self._missing_bytes:  # `h2` counts only up to a last piece of data, not up to a trailer
            message = f"{self._connection.host} ended the answer {self._missing_bytes} bytes too early"
            self.fail(partial(UpstreamFailure, "closed_early", message))
        else:
            self._complete = True
            self._wake()

    def fail(self, failure: Failure) -> None:
        if not self._complete and self._failure is None:
            self._failure = failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.Protocol):
    """`changed` is called when there may be room for another exchange, and when the connection is lost."""

    def __init__(
        self,
        origin: Origin,
        settings: UpstreamSettings,
        changed: Callable[[Connection], None],
        before_told: int = EXCHANGES_BEFORE_TOLD,
    ) -> None:
        self.host = origin.host
        self.settings = settings
        self.used = False
        self.idle_since = 0.0
        self._changed = changed
        self._address = [(b":scheme", origin.scheme.encode()), (b":authority", origin.authority)]
        # `h2` takes a malformed answer as the end of all: we look ourselves, and only that answer ends.
        configuration = H2Configuration(client_side=True, header_encoding=None, validate_inbound_headers=False)
        self._h2 = H2Connection(configuration)
        self._goodbyes = Goodbyes()
        self._exchanges: dict[int, Exchange] = {}
        self._free_bytes: dict[int, int] = {}
        self._consumed_bytes = 0
        self._requests = 0
        self._most_begun: int | None = None
        self._body_bytes = 0
        self._reads = True
        self._unread_bytes = 0
        self._before_told = min(before_told, EXCHANGES_BEFORE_TOLD)
        self.told = False
        self._leaving = False
        self._transport: asyncio.Transport | None = None
        self._on: Mapping[type, Callable[[Any], None]] = {
            events.ResponseReceived: self._head,
            events.DataReceived: self._data,
            events.StreamEnded: self._end,
            events.StreamReset: self._reset,
            events.WindowUpdated: self._window,
            events.RemoteSettingsChanged: self._told,
        }

    # ── its place in a pool ──────────────────────────────────────────────────────────────────────────────

    @property
    def lost(self) -> bool:
        return self._transport is None

    @property
    def open(self) -> bool:
        """Whether exchanges may begin on it, now or when others have ended."""
        return self._transport is not None and not self._transport.is_closing() and not self._leaving

    @property
    def most(self) -> int:
        """How many exchanges it takes at once, which the server may have `told`, or shown by refusing one more."""
        most = self._h2.remote_settings.max_concurrent_streams if self.told else self._before_told
        return most if self._most_begun is None else min(most, self._most_begun)

    def has_room(self) -> bool:
        """Whether another exchange may begin on it now."""
        return self.open and len(self._exchanges) < self.most

    def idle(self) -> bool:
        return not self._exchanges

    def close(self) -> None:
        """Whatever still runs on it breaks off."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            with suppress(ProtocolError):
                self._h2.close_connection()
            self._flush()
            transport.close()
            # With TLS the end comes when the server has taken leave too, which may be never.
            self._fail_all("closed_early", f"the connection to {self.host} was closed before the answer was complete")

    # ── exchanges ────────────────────────────────────────────────────────────────────────────────────────

    async def exchange(self, request: Outgoing) -> Exchange:
        """Send a request and return when the head of its answer is there. Raises UpstreamFailure, SpeaksHttp1."""
        exchange = self._begin(request)
        await exchange.begun()
        return exchange

    def _begin(self, request: Outgoing) -> Exchange:
        body = request.body
        head = [(b":method", request.method), *self._address, (b":path", request.target)]
        head += [NeverIndexedHeaderTuple(*one) if one[0] in _SECRET else one for one in request.headers]
        if body or request.method in BODY_EXPECTED:
            head.append((b"content-length", b"%d" % len(body)))
        number = self._h2.get_next_available_stream_id()
        try:
            self._h2.send_headers(number, head, end_stream=not body)
        except ProtocolError as error:
            self._leave()  # what is packed from now on refers to headers that never left
            raise UpstreamFailure("protocol_error", f"the request does not fit into HTTP/2: {error}") from error
        exchange = self._exchanges[number] = Exchange(self, number, request)
        self._requests += 1
        self._leaving = self._leaving or self._requests >= MOST_REQUESTS
        self._send(exchange)
        self._flush()
        return exchange

    def _send(self, exchange: Exchange) -> None:
        """As much of the body as the windows let through."""
        unsent, number, http = exchange.unsent, exchange.number, self._h2
        while unsent and (room := min(http.local_flow_control_window(number), http.max_outbound_frame_size)) > 0:
            piece, unsent = unsent[:room], unsent[room:]
            http.send_data(number, piece.tobytes(), end_stream=not unsent)
            self._body_bytes += len(piece)
        exchange.unsent = unsent or _NOTHING

    def fetched(self, exchange: Exchange, window_bytes: int) -> None:
        """So much of an exchange's window is free again. The provider hears of it when it is half of the window."""
        number = exchange.number
        if number not in self._exchanges:
            return
        free_bytes = self._free_bytes.pop(number, 0) + window_bytes
        if free_bytes * 2 < self.settings.buffer_bytes:
            self._free_bytes[number] = free_bytes
            return
        with suppress(ProtocolError):
            self._h2.increment_flow_control_window(free_bytes, number)
        self._flush()

    def give_up(self, exchange: Exchange) -> None:
        """Nobody wants the rest of an answer."""
        if exchange.number in self._exchanges:
            with suppress(ProtocolError):
                self._h2.reset_stream(exchange.number, ErrorCodes.CANCEL)
            self._flush()
            self._over(exchange)

    def _over(self, exchange: Exchange) -> None:
        self.used = True
        if self._most_begun is not None and exchange.status:
            self._most_begun += 1  # one that was answered makes room to try one more
        self._exchanges.pop(exchange.number, None)
        self._free_bytes.pop(exchange.number, None)
        if not self._exchanges:
            self.idle_since = asyncio.get_running_loop().time()
            if self._leaving:
                self.close()
        self._changed(self)

    def _leave(self) -> None:
        """Nothing new begins; what has begun goes on."""
        self._leaving = True
        if not self._exchanges:
            self.close()

    def _fail(self, exchange: Exchange, failure: Failure) -> None:
        exchange.fail(failure)
        self._over(exchange)

    def _fail_all(self, kind: FailureKind, message: str) -> None:
        for exchange in list(self._exchanges.values()):
            self._fail(exchange, partial(UpstreamFailure, kind, message))

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        _keep_alive(transport.get_extra_info("socket"))
        ours = {
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: self.settings.buffer_bytes,
            SettingCodes.MAX_HEADER_LIST_SIZE: self.settings.head_bytes_max,
        }
        self._h2.local_settings = Settings(client=True, initial_values=ours)
        self._h2.decoder.max_header_list_size = self.settings.head_bytes_max
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WIDEST_BYTES)
        self._flush()

    def speaks_http2(self) -> bool:
        """What was settled with TLS; without it nobody was asked."""
        assert self._transport is not None
        tls = self._transport.get_extra_info("ssl_object")
        return tls is None or tls.selected_alpn_protocol() == "h2"

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._fail_all("closed_early", f"{self.host} closed the connection before the answer was complete")
        self._changed(self)

    def data_received(self, data: bytes) -> None:
        body_bytes = self._body_bytes
        try:
            for frame in self._goodbyes.apart(data):
                if isinstance(frame, Goodbye):
                    self._goodbye(*frame)
                else:
                    self._receive(frame)
        except ProtocolError as error:
            self._flush()
            self._fail_all("protocol_error", f"{self.host} did not answer in HTTP/2: {error}")
            self.close()
            return
        said_bytes = self._flush()
        if not self._reads:
            self._unread_bytes += said_bytes - (self._body_bytes - body_bytes)
            if self._unread_bytes > MOST_UNREAD_BYTES:
                self._break_off("protocol_error", f"{self.host} asks and does not read the answers")

    def pause_writing(self) -> None:
        self._reads = False

    def resume_writing(self) -> None:
        self._reads, self._unread_bytes = True, 0

    def _break_off(self, kind: FailureKind, message: str) -> None:
        """Without a goodbye, which would wait behind what is not read."""
        self._leaving = True
        self._fail_all(kind, message)
        if self._transport is not None:
            self._transport.abort()

    def _receive(self, frame: bytes) -> None:
        """One by one, because `h2` tells nothing of what it has read when it stumbles over a later one."""
        for event in self._h2.receive_data(frame):
            take = self._on.get(type(event))
            if take is not None:
                take(event)

    def _goodbye(self, last: int, code: int) -> None:
        """The server answers what it has begun, up to `last`, and nothing else."""
        self._leave()
        message = f"{self.host} closes the connection ({_name_of(code)})"
        for exchange in [exchange for number, exchange in self._exchanges.items() if number > last]:
            orderly = code == ErrorCodes.NO_ERROR and not exchange.status
            goodbye: Failure = partial(SaidGoodbye, "closed_early", message)
            self._fail(exchange, goodbye if orderly else _unanswered(exchange, code, message))

    def _flush(self) -> int:
        """How many bytes there were to send."""
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
        return len(data)

    # ── h2 ───────────────────────────────────────────────────────────────────────────────────────────────

    def _head(self, event: events.ResponseReceived) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is None:
            return
        try:
            status, headers = _head_in(event.headers)
        except ValueError as error:
            self._cancel(exchange, f"{self.host} answered with {error}")
        else:
            exchange.head(status, headers)

    def _cancel(self, exchange: Exchange, message: str) -> None:
        exchange.fail(partial(UpstreamFailure, "protocol_error", message))
        self.give_up(exchange)

    def _data(self, event: events.DataReceived) -> None:
        self._widen(event.flow_controlled_length)
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.take(event.data, event.flow_controlled_length)

    def _widen(self, window_bytes: int) -> None:
        """Keep the connection's own window open."""
        self._consumed_bytes += window_bytes
        if self._consumed_bytes * 2 >= WIDEST_BYTES:
            self._h2.increment_flow_control_window(self._consumed_bytes)
            self._consumed_bytes = 0

    def _end(self, event: events.StreamEnded) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is None:
            return
        exchange.end()
        if exchange.unsent:
            self.give_up(exchange)  # answered without having heard all of it
        else:
            self._over(exchange)

    def _reset(self, event: events.StreamReset) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None:
            code = int(event.error_code)
            message = f"{self.host} broke off the answer ({_name_of(code)})"
            refused = code in (ErrorCodes.REFUSED_STREAM, ErrorCodes.HTTP_1_1_REQUIRED)
            if code == ErrorCodes.REFUSED_STREAM and not exchange.status:
                self._most_begun = max(1, len(self._exchanges) - 1)
            broken: Failure = partial(UpstreamFailure, "closed_early", message)
            self._fail(exchange, _unanswered(exchange, code, message) if refused else broken)

    def _window(self, event: events.WindowUpdated) -> None:
        self._send_on([event.stream_id] if event.stream_id else list(self._exchanges))

    def _told(self, event: events.RemoteSettingsChanged) -> None:
        self.told = True
        if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
            self._send_on(list(self._exchanges))
        self._changed(self)

    def _send_on(self, numbers: list[int]) -> None:
        for number in numbers:
            exchange = self._exchanges.get(number)
            if exchange is not None and exchange.unsent:
                with suppress(ProtocolError):  # reset meanwhile, of which we hear in a moment
                    self._send(exchange)


def _head_in(raw: Iterable[tuple[bytes, bytes]]) -> tuple[int, Headers]:
    """Status and headers. Raises ValueError for what is malformed (RFC 9113, 8.1.1): as it was written, another answer
    could hide in it on the way to a client that speaks HTTP/1.1."""
    said, headers = b"", Headers()
    for name, value in raw:
        if name == b":status" and not said and not headers:
            said = value
        elif not _NAME.fullmatch(name) or _FORBIDDEN.search(value) or name in _OF_ONE_HOP:
            raise ValueError(f"the malformed header {name!r}")
        else:
            headers.append((bytes(name), bytes(value)))
    status = int(said) if said.isdigit() else 0
    if status not in STATUSES:
        raise ValueError(f"the status {status}")
    return status, headers


def _unanswered(exchange: Exchange, code: int, message: str) -> Failure:
    """For what was not looked at, which whoever has answered cannot say any more."""
    if exchange.status:
        return partial(UpstreamFailure, "closed_early", message)
    if code == ErrorCodes.HTTP_1_1_REQUIRED:
        return partial(SpeaksHttp1, message)
    return partial(Unanswered, "closed_early", message)


def _name_of(code: int) -> str:
    """The name of an error code (RFC 9113, 7), or its number."""
    return _NAMES.get(code, str(code))


def _keep_alive(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
