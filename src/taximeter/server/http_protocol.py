"""HTTP/1.1 as we serve it: uvicorn's protocol, with a shorter way for usual requests.

A usual request is one whose head is there as a whole when its connection has nothing else to do, and that says how long
its body is: nearly all are. The same parser checks it, but does not hand it out header by header. Everything else goes
uvicorn's own way: pipelined requests, chunked bodies, `Expect`, upgrades, HTTP/1.0, heads that come in pieces.

A request that offers to go on in another protocol than websockets is read as if it did not. Java's own client offers
HTTP/2 with each of its requests, and the parser takes what is behind such a head, its body, for the other protocol.

Nobody has shown a credential before the head of a request is there, so heads end: after so many bytes, or so long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from taximeter.core.http_heads import END_OF_HEAD, Header, headers_in
from taximeter.server.whole_answers import WHOLE, Cycle, unchunked

HANGUP: Final = "taximeter.hangup"
"""An extension of ASGI, which the gateway looks for: `HttpProtocol.call_on_hangup`."""

MOST_HEAD_BYTES: Final = 256 * 1024
"""Of one request that comes in pieces: its line and its headers."""
HEAD_SECONDS: Final = 60
"""Longest time for these to come."""

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"connection"})
"""Headers that say how a request is framed, or what becomes of its connection."""
_CONNECTIONS: Final = frozenset({b"keep-alive", b"close"})
_OFFERS: Final = frozenset({b"upgrade", b"http2-settings"})
"""Headers, and words of `connection`, that offer another protocol."""
_MOST_LENGTH_DIGITS: Final = 15
_SUPPORTED: Final[dict[str, object]] = {}


class _Framing:
    """What a parser is told to tell: where a message ends."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended = False

    def on_message_complete(self) -> None:
        self.ended = True


class HttpProtocol(HttpToolsProtocol):
    """One connection. When it has ended it is gone at once: it and its last request know each other, and would wait for
    the garbage collector together, which stops all calls for as long as it looks."""

    _on_hangup: Callable[[], None] | None = None
    _lost = False
    _between = True
    """Whether the last request that uvicorn's parser was given has ended, and nothing behind it has begun."""
    _missing_bytes = 0
    """Of the body of a usual request."""
    _idle_since: float | None = None
    """When the last answer ended, or the connection began, if no request began since: an empty line is none, nor is the
    rest of a body that was answered before its end."""
    _head_since: float | None = None
    """When a head began that is not here as a whole."""
    _head_bytes = 0
    """What is here of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._framing = _Framing()
        self._checker: Any = httptools.HttpRequestParser(self._framing)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._look_later()

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        try:
            while data and self._between:
                taken_bytes = self._more_of_body(data) if self._missing_bytes else self._begin_usual(data)
                if not taken_bytes:
                    break
                data = data[taken_bytes:]
        except httptools.HttpParserError:
            self._refuse_request()
            return
        if data:
            self._feed(data)
            if self._head_since is not None:
                self._weigh_head(len(data))

    def _feed(self, data: bytes) -> None:
        """Uvicorn's own way."""
        head, rest = b"", memoryview(data)
        while True:
            try:
                self.parser.feed_data(head)
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserError:
                self._refuse_request()
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                if self.parser.get_method() == b"CONNECT":
                    self._refuse_request()
                    return
                head, rest = _without_offer(self.parser.get_method(), self.url, self.headers), rest[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)

    def _begin_usual(self, data: bytes) -> int:
        """Begin the request that `data` begins with, if it is a usual one: how many bytes are of it, 0 if it is not.

        Raises HttpParserError.
        """
        before: RequestResponseCycle | None = self.cycle
        if before is not None and not before.response_complete:
            return 0
        head, found, body = data.partition(END_OF_HEAD)
        request, *lines = head.split(b"\r\n")
        method, _, rest = request.partition(b" ")
        target, _, version = rest.partition(b" ")
        if not found or version != b"HTTP/1.1" or target[:1] != b"/" or target.find(b"#") >= 0 or not method.isalpha():
            return 0
        headers = headers_in(lines)
        framing = _framing_of(headers)
        if framing is None:
            return 0
        length_bytes, stays = framing
        missing_bytes = length_bytes - len(body)
        taken = data
        if missing_bytes < 0:
            body = body[:length_bytes]
            taken = data[:missing_bytes]
        self._check(taken, ends=missing_bytes <= 0)
        self._missing_bytes = max(missing_bytes, 0)
        self._begin(method, target, headers, body, stays)
        return len(taken)

    def _more_of_body(self, data: bytes) -> int:
        """Take in more of the body of a usual request: how many bytes are of it. Raises HttpParserError."""
        body = data if len(data) <= self._missing_bytes else data[: self._missing_bytes]
        self._missing_bytes -= len(body)
        self._check(body, ends=not self._missing_bytes)
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            cycle.more_body = bool(self._missing_bytes)
            if cycle.more_body and len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()
        return len(body)

    def _check(self, data: bytes, *, ends: bool) -> None:
        """Have it checked. Raises HttpParserError, also where the parser does not find the end where we do."""
        framing = self._framing
        framing.ended = False
        self._checker.feed_data(data)
        if framing.ended is not ends:
            raise httptools.HttpParserError("the end of a request is not where its head says")

    def _refuse_request(self) -> None:
        message = "Invalid HTTP request received."
        self.logger.warning(message)
        self.send_400_response(message)

    def _weigh_head(self, more_bytes: int) -> None:
        self._head_bytes += more_bytes
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse_head(431, f"the head of a request has {MOST_HEAD_BYTES} bytes at most")
        else:
            self._look_later()

    def _refuse_head(self, status: int, message: str) -> None:
        """The connection ends; the answer before this request has ended already, or is cut."""
        self._head_since = None
        if not self._is_answering:
            head = f"content-type: text/plain\r\ncontent-length: {len(message)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + message.encode())
        self.transport.close()

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_message_begin(self) -> None:
        self._between = False
        self._idle_since = None
        self._head_since, self._head_bytes = self.loop.time(), 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._is_offer:
            return
        self._idle_since = self._head_since = None
        self._stop_looking()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._is_offer:
            return
        super().on_message_complete()
        self._between = True

    def _should_upgrade(self) -> bool:
        is_get: bool = self.parser.get_method() == b"GET"
        return is_get and super()._should_upgrade()

    @property
    def _is_offer(self) -> bool:
        """Whether the head that is here offers another protocol than websockets: no request begins with it."""
        offers: bool = self.parser.should_upgrade()
        return offers and not self._should_upgrade()

    # ── requests and their answers ───────────────────────────────────────────────────────────────────────

    def _begin(self, method: bytes, target: bytes, headers: list[Header], body: bytes, stays: bool) -> None:
        self._idle_since = None
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("ascii")
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "headers": headers,
            "state": self.app_state.copy(),
            "method": method.decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "extensions": {HANGUP: self.call_on_hangup, WHOLE: _SUPPORTED},
        }
        self.scope = scope
        self.cycle = cycle = Cycle(self, scope, body)
        cycle.keep_alive = stays
        cycle.more_body = self._missing_bytes > 0
        if body or not cycle.more_body:
            cycle.message_event.set()
        super()._start_asgi_task(cycle, self.app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope["extensions"] = {HANGUP: self.call_on_hangup}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, unchunked(app, cycle) if cycle.scope["http_version"] == "1.0" else app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        self._look_later()

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────

    def _unset_keepalive_if_required(self) -> None:
        """The timer stays: one for each request would cost more than reading its head."""

    def _look_later(self) -> None:
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._look_at_waiting)

    def _stop_looking(self) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def _look_at_waiting(self) -> None:
        self.timeout_keep_alive_task = None
        now = self.loop.time()
        if self._idle_since is not None:
            due = self._idle_since + self.timeout_keep_alive
        elif self._head_since is not None:
            if self._is_answering:  # its time begins when there is nothing else to wait for
                self._head_since = now
            due = self._head_since + HEAD_SECONDS
        else:
            return
        if now < due:
            self.timeout_keep_alive_task = self.loop.call_at(due, self._look_at_waiting)
        elif self._idle_since is not None:
            self.timeout_keep_alive_handler()
        else:
            self._refuse_head(408, f"the head of a request has {HEAD_SECONDS} seconds to come")

    def call_on_hangup(self, function: Callable[[], None] | None) -> None:
        """What to call when the client hangs up, instead of what was given before; None: nothing."""
        self._on_hangup = function
        if self._lost and function is not None:
            self.loop.call_soon(function)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost = True
        self._stop_looking()
        on_hangup, self._on_hangup = self._on_hangup, None
        if on_hangup is not None:
            on_hangup()
        self.cycle = self.scope = None  # type: ignore[assignment]
        self.pipeline.clear()


def _without_offer(method: bytes, target: bytes, headers: list[Header]) -> bytes:
    """The head of a request of HTTP/1.1 that stays there."""
    lines = [b"%s %s HTTP/1.1" % (method, target)]
    for name, value in headers:
        if name == b"connection":
            words = [word for word in value.split(b",") if word.strip().lower() not in _OFFERS]
            lines += [b"connection:" + b",".join(words)] if words else []
        elif name not in _OFFERS:
            lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join(lines) + END_OF_HEAD


def _framing_of(headers: list[Header]) -> tuple[int, bool] | None:
    """How long the body of a request is, and whether its connection stays; None when it is none of the usual ones."""
    length_bytes, stays = None, True
    for name, value in [header for header in headers if header[0] in _FRAMING]:
        if name == b"content-length" and length_bytes is None and value.isdigit() and len(value) <= _MOST_LENGTH_DIGITS:
            length_bytes = int(value)
        elif name == b"connection" and value.lower() in _CONNECTIONS:
            stays = stays and value.lower() != b"close"
        else:
            return None
    return length_bytes or 0, stays
