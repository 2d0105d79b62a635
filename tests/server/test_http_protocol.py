"""Requests reach an application as they do under uvicorn's own protocol, whatever way they take."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from taximeter.server.http_protocol import HEAD_SECONDS, MOST_HEAD_BYTES, HttpProtocol

POST = b"POST /v1/x?a=b%20c HTTP/1.1\r\nHost: h\r\n"
REQUESTS = {
    "with a body": POST + b"Content-Length: 5\r\nX-One: 1\r\n\r\nhello",
    "without a body": b"GET /a%20b/c HTTP/1.1\r\nhost: h\r\nx-empty:\r\nx-spaces: \t a b\t \r\n\r\n",
    "kept alive by name": POST + b"Connection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok",
    "the last one": POST + b"Connection: close\r\ncontent-length: 2\r\n\r\nok",
    "in chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "after a question": POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    "of the old protocol": b"GET / HTTP/1.0\r\nhost: h\r\n\r\n",
    "a header twice": POST + b"x-tag: a\r\nX-Tag: b\r\ncontent-length: 2\r\n\r\nok",
    "an address that is whole": b"GET http://h/path?q HTTP/1.1\r\nhost: h\r\n\r\n",
    "with a fragment": b"GET /path?q#f HTTP/1.1\r\nhost: h\r\n\r\n",
    "after an empty line": b"\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n",
    "a length with a space": POST + b"content-length: 2 \r\n\r\nok",
}
BROKEN = {
    "no request": b"hello\r\n\r\n",
    "no method that there is": b"FETCH / HTTP/1.1\r\nhost: h\r\n\r\n",
    "a line that is no header": POST + b"content-length 2\r\n\r\nok",
    "a space before the colon": POST + b"content-length : 2\r\n\r\nok",
    "a folded line": POST + b"x-a: b\r\n c\r\n\r\n",
    "a line that ends too soon": POST + b"x-a: b\nx-c: d\r\n\r\n",
    "a zero byte": POST + b"x-a: b\0\r\n\r\n",
    "two lengths": POST + b"content-length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "a length that is none": POST + b"content-length: +2\r\n\r\nok",
    "a length and chunks": POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a way to elsewhere": b"CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n",
    "a character that no address has": b"GET /\xe4 HTTP/1.1\r\nhost: h\r\n\r\n",
}
HEARD = ("method", "path", "raw_path", "query_string", "http_version", "headers", "type", "scheme", "client", "state")


class Wire(asyncio.Transport):
    """Keeps what is written to it, and whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


Outcome = tuple[list[Any], bytes, bool]


def outcome(kind: type[HttpToolsProtocol], pieces: Sequence[bytes], *, answers_first: bool = False) -> Outcome:
    """What an application hears of requests that come in these pieces; what the client gets, and whether that ends.

    `answers_first`: the application does not wait for the body.
    """
    heard: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", not answers_first
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        heard.append(({name: scope[name] for name in HEARD}, body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def serve() -> Outcome:
        config = uvicorn.Config(app, access_log=False, log_level="critical", lifespan="off")
        protocol, wire = kind(config, ServerState(), {}), Wire()
        protocol.connection_made(wire)
        for piece in pieces:
            assert wire.reading
            if not wire.closed:
                protocol.data_received(piece)
            for _ in range(10):
                await asyncio.sleep(0)
        written, closed = wire.written, wire.closed
        protocol.connection_lost(None)
        await asyncio.gather(*protocol.tasks)
        return heard, written, closed

    return asyncio.run(serve())


def at_every_byte(data: bytes) -> list[list[bytes]]:
    return [[data], *([data[:cut], data[cut:]] for cut in range(1, len(data)))]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_heard_as_ever_wherever_it_is_cut(name: str) -> None:
    for pieces in at_every_byte(REQUESTS[name]):
        expected = outcome(HttpToolsProtocol, pieces)
        assert len(expected[0]) == 1
        assert outcome(HttpProtocol, pieces) == expected


H2C = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c\r\n"
"""What Java's own client says before the first request on a connection, whatever the request is."""


def after_its_line(request: bytes, headers: bytes) -> bytes:
    line, _, rest = request.partition(b"\r\n")
    return line + b"\r\n" + headers + rest


@pytest.mark.parametrize("name", ["with a body", "without a body", "in chunks", "after a question"])
def test_a_request_that_offers_another_protocol_is_heard_without_the_offer(name: str) -> None:
    expected = outcome(HttpProtocol, [REQUESTS[name]])
    for pieces in at_every_byte(after_its_line(REQUESTS[name], H2C)):
        assert outcome(HttpProtocol, pieces) == expected


def test_only_a_get_becomes_a_websocket() -> None:
    """Nothing ended a connection on which something else had asked for one."""
    offer = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    asked = outcome(HttpProtocol, [after_its_line(REQUESTS["with a body"], offer)])
    assert asked == outcome(HttpProtocol, [REQUESTS["with a body"]])


def test_what_else_a_connection_is_told_beside_an_offer_holds() -> None:
    offered = outcome(
        HttpProtocol, [POST + b"Connection: close, upgrade\r\nUpgrade: TLS/1.0\r\ncontent-length: 2\r\n\r\nok"]
    )
    assert offered == outcome(HttpProtocol, [POST + b"Connection: close\r\ncontent-length: 2\r\n\r\nok"])


def test_requests_behind_one_that_offers_another_protocol_are_heard() -> None:
    both = after_its_line(REQUESTS["with a body"], H2C) + REQUESTS["in chunks"]
    (one, two), written, closed = outcome(HttpProtocol, [both])
    assert (one[1], two[1]) == (b"hello", b"hello")
    assert (written.count(b"HTTP/1.1 200 OK"), closed) == (2, False)


def test_as_many_offers_as_one_reading_holds_are_heard() -> None:
    """Each took a level of the stack."""
    asked = REQUESTS["without a body"]
    assert outcome(HttpProtocol, [after_its_line(asked, H2C) * 4_000]) == outcome(HttpProtocol, [asked * 4_000])


@pytest.mark.parametrize("length", [None, b"7"])
@pytest.mark.parametrize(("method", "body"), [(b"GET", b"one two"), (b"HEAD", b"")])
def test_a_client_of_the_old_protocol_is_told_no_chunks(length: bytes | None, method: bytes, body: bytes) -> None:
    """ApacheBench, and proxies as they are set up by default."""
    headers = [] if length is None else [(b"content-length", length)]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in (b"one ", b"two", b""):
            await send({"type": "http.response.body", "body": part, "more_body": bool(part)})

    async def written() -> tuple[bytes, bool]:
        protocol, wire = HttpProtocol(uvicorn.Config(app, log_config=None, lifespan="off"), ServerState(), {}), Wire()
        protocol.connection_made(wire)
        protocol.data_received(method + b" / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        await asyncio.gather(*protocol.tasks)
        return wire.written, wire.closed

    answer, closed = asyncio.run(written())
    head, _, told = answer.partition(b"\r\n\r\n")
    assert (b"transfer-encoding" in head, b"content-length" in head) == (False, length is not None)
    assert (told, closed) == (body, True)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_request_is_refused_as_ever_wherever_it_is_cut(name: str) -> None:
    for pieces in at_every_byte(BROKEN[name]):
        expected = outcome(HttpToolsProtocol, pieces)
        assert expected[2]
        assert outcome(HttpProtocol, pieces) == expected


@pytest.mark.parametrize("names", list(itertools.product(REQUESTS, repeat=2)), ids=" then ".join)
def test_requests_one_after_the_other(names: tuple[str, str]) -> None:
    pieces = [REQUESTS[name] for name in names]
    assert outcome(HttpProtocol, pieces) == outcome(HttpToolsProtocol, pieces)
    assert outcome(HttpProtocol, [b"".join(pieces)]) == outcome(HttpToolsProtocol, [b"".join(pieces)])


def test_what_is_broken_after_a_good_request() -> None:
    for good, broken in itertools.product(("with a body", "in chunks"), BROKEN):
        pieces = [REQUESTS[good], BROKEN[broken]]
        assert outcome(HttpProtocol, pieces) == outcome(HttpToolsProtocol, pieces)


def test_a_body_that_is_not_waited_for_belongs_to_no_other_request() -> None:
    first, second = REQUESTS["with a body"], REQUESTS["without a body"]
    for pieces in at_every_byte(first):
        expected = outcome(HttpToolsProtocol, [*pieces, second], answers_first=True)
        assert len(expected[0]) == 2
        assert outcome(HttpProtocol, [*pieces, second], answers_first=True) == expected


def test_a_body_that_nobody_takes_is_not_read_on_without_end() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.sleep(0)

    async def reading_after(*pieces: bytes) -> bool:
        protocol, wire = HttpProtocol(uvicorn.Config(app, log_config=None, lifespan="off"), ServerState(), {}), Wire()
        protocol.connection_made(wire)
        for piece in pieces:
            protocol.data_received(piece)
        for task in protocol.tasks:
            task.cancel()
        await asyncio.gather(*protocol.tasks, return_exceptions=True)
        return wire.reading

    head = POST + b"content-length: 200000\r\n\r\n"
    assert asyncio.run(reading_after(head, b"x" * 60_000))
    assert not asyncio.run(reading_after(head, b"x" * 60_000, b"x" * 60_000))


class HandLoop:
    """A clock turned by hand, and the timer that waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now = 1000.0
        self.timer: tuple[float, Any] | None = None

    def create_task(self, coroutine: Any) -> Any:
        return self._loop.create_task(coroutine)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Any) -> Any:
        return self.call_at(self.now + delay, callback)

    def call_at(self, when: float, callback: Any) -> Any:
        assert self.timer is None
        self.timer = when, callback
        return self

    def cancel(self) -> None:
        self.timer = None

    def turn_to(self, now: float) -> None:
        self.now = now
        if self.timer is not None and self.timer[0] <= now:
            (_, callback), self.timer = self.timer, None
            callback()


def closed_at(*events: tuple[float, bytes], ends: float, seconds: int = 10) -> float | None:
    """When a connection was closed that is idle but for these pieces of requests."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def serve() -> float | None:
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_keep_alive=seconds)
        loop = HandLoop(asyncio.get_running_loop())
        protocol, wire = HttpProtocol(config, ServerState(), {}, loop), Wire()
        protocol.connection_made(wire)
        pieces = dict(events)
        now = 0.0
        while now < ends and not wire.closed:
            now += 1
            loop.turn_to(1000 + now)
            if now in pieces:
                protocol.data_received(pieces[now])
                await asyncio.gather(*protocol.tasks)
        if wire.closed:
            return now
        protocol.connection_lost(None)
        assert loop.timer is None
        return None

    return asyncio.run(serve())


GET = REQUESTS["without a body"]
EMPTY_LINE = b"\r\n"
LONG = POST + b"content-length: 5\r\n\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([(1, GET)], 11, id="after one request"),
        pytest.param([(1, GET), (5, GET), (9, GET)], 19, id="after the last of several"),
        pytest.param([(1, GET), (5, GET[:20])], None, id="not while a request comes"),
        pytest.param([(1, GET), (5, GET[:20]), (15, GET[20:])], 25, id="after one that came slowly"),
        pytest.param([], 10, id="in which nothing came"),
        pytest.param([(1, EMPTY_LINE)], 10, id="in which only an empty line came"),
        pytest.param([(1, GET), (5, EMPTY_LINE)], 11, id="after an empty line"),
        pytest.param([(1, LONG), (5, b"hello")], 11, id="after a body that was answered before its end"),
        pytest.param([(1, LONG), (5, b"hel")], 11, id="in the middle of a body that was answered"),
        pytest.param([(1, CHUNKED), (5, b"0\r\n\r\n")], 11, id="after chunks that were answered before their end"),
        pytest.param([(1, LONG), (5, b"hello" + GET)], 15, id="after the request behind such a body"),
    ],
)
def test_an_idle_connection_is_closed(events: list[tuple[float, bytes]], expected: float | None) -> None:
    assert closed_at(*events, ends=50) == expected


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([b"GET / HTTP/1.1\r\n"], 1 + HEAD_SECONDS, id="that stops"),
        pytest.param([b"GET / HTTP/1.1\r\n", *[b"x-a: b\r\n"] * 150], 1 + HEAD_SECONDS, id="that drips"),
        pytest.param([GET, b"GET / HTTP/1.1\r\n"], 2 + HEAD_SECONDS, id="after a whole one"),
    ],
)
def test_a_head_that_does_not_end_ends_its_connection(pieces: list[bytes], expected: float) -> None:
    events = enumerate(pieces, start=1)
    assert closed_at(*events, ends=200) == expected


ENDLESS = {
    "header": [b"GET / HTTP/1.1\r\nx-a: ", *itertools.repeat(b"b" * 1000, 1000)],
    "line": [b"GET /", *itertools.repeat(b"b" * 1000, 1000)],
    "list of headers": [b"GET / HTTP/1.1\r\n", *itertools.repeat(b"x-a: b\r\n" * 100, 1000)],
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_head_without_end_is_refused(name: str) -> None:
    heard, written, closed = outcome(HttpProtocol, ENDLESS[name])
    assert (heard, closed) == ([], True)
    assert written.startswith(b"HTTP/1.1 431 ")
    assert str(MOST_HEAD_BYTES).encode() in written


def test_a_head_is_as_long_as_it_may_be() -> None:
    head = b"GET / HTTP/1.1\r\nhost: h\r\nx-a: " + b"b" * (MOST_HEAD_BYTES - 1000)
    heard, written, closed = outcome(HttpProtocol, [head, b"\r\n\r\n"])
    assert len(heard) == 1
    assert written.startswith(b"HTTP/1.1 200 ")
    assert not closed
