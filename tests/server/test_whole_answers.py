"""What a client's side sees of an answer, packet by packet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from taximeter.server.http_protocol import HttpProtocol

LENGTH_5 = (b"content-length", b"5")
Told = Sequence[Mapping[str, Any]]


class Wire(asyncio.Transport):
    """Keeps what is written to it, one write after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        if data:
            self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Mapping[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, more: bool = False) -> Mapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def written(told: Told, *, method: str = "GET", version: str = "1.1") -> Wire:
    """What leaves, when an application tells this."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in told:
            await send(message)

    async def answer() -> Wire:
        config = uvicorn.Config(app, access_log=False, log_level="critical", lifespan="off")
        protocol, wire = HttpProtocol(config, ServerState(), {}), Wire()
        protocol.connection_made(wire)
        protocol.data_received(f"{method} / HTTP/{version}\r\nhost: x\r\n\r\n".encode())
        await asyncio.gather(*protocol.tasks)
        return wire

    return asyncio.run(answer())


def test_a_whole_answer_leaves_in_one_write() -> None:
    told = [start((b"content-type", b"text/plain"), LENGTH_5), part(b"hello")]
    assert written(told).writes == [b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"]


def test_its_connection_stays_open_for_the_next_one() -> None:
    assert not written([start(LENGTH_5), part(b"hello")]).closed


@pytest.mark.parametrize(
    ("told", "writes"),
    [
        pytest.param(
            [start(), part(b"he", more=True), part(b"llo")],
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"],
            id="a stream's head does not wait for its first part",
        ),
        pytest.param(
            [start(LENGTH_5), part(b"he", more=True), part(b"llo")],
            [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b"he", b"llo"],
            id="parts of a known length",
        ),
        pytest.param(
            [start((b"content-length", b"65537")), part(b"x" * 65537)],
            [b"HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n", b"x" * 65537],
            id="what is too large to be copied",
        ),
        pytest.param(
            [start((b"content-length", b"0"), status=204), part(b"")],
            [b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"],
            id="nothing",
        ),
    ],
)
def test_the_writes_of(told: Told, writes: list[bytes]) -> None:
    assert written(told).writes == writes


@pytest.mark.parametrize("value", [b"two\r\nlines: 1", b"half a\rline", b"a\0character"])
def test_a_header_cannot_be_smuggled_in(value: bytes) -> None:
    wire = written([start((b"x-note", value), LENGTH_5), part(b"hello")])
    assert wire.closed or wire.writes[0].startswith(b"HTTP/1.1 500 ")
    assert value not in b"".join(wire.writes)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([start(LENGTH_5), part(b"hel")], id="shorter than its length"),
        pytest.param([start(LENGTH_5)], id="without a body"),
    ],
)
def test_an_answer_that_is_not_what_its_head_says_ends_its_connection(told: Told) -> None:
    wire = written(told)
    assert wire.closed


def test_a_client_that_asks_for_the_head_gets_no_body() -> None:
    wire = written([start(LENGTH_5), part(b"hello")], method="HEAD")
    assert b"".join(wire.writes) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


def test_a_client_of_the_old_protocol_is_told_that_the_connection_closes() -> None:
    wire = written([start(LENGTH_5), part(b"hello")], version="1.0")
    assert b"".join(wire.writes) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    assert wire.closed
