"""Processes of the gateway's benchmark: the gateway with everything on, and a provider that streams at a pace."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
import uvloop

from bench.gateway_inside import Inside
from taximeter.clock import SystemClock
from taximeter.compose.garbage import forget_what_stays
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.event import UsageEvent
from taximeter.gateway import Gateway, Provider, Recorder
from taximeter.gateway.http1 import Http1
from taximeter.pricing import load_price_book, priceable_from_event
from taximeter.server.http_protocol import HttpProtocol
from taximeter.spool import Spool

CHUNK_SECONDS = 0.004
BRIEF_CHUNKS = 4
BETWEEN_STREAMS_SECONDS = 0.007
SWITCH_INTERVAL_SECONDS = 0.0005


@dataclass(frozen=True)
class BenchKey:
    id: str = "key_bench"
    scope: str = "gateway"
    attributes: Mapping[str, str] = field(default_factory=lambda: {"team": "core"})
    attributes_win: bool = True


def gateway(port: int, whole_port: int, paced_port: int, spool: Path, told: Path | None = None) -> None:
    """Keys, headers, records in a spool, extraction and the price header: as in production. With `told`, what it takes
    itself is written there when it ends."""
    clock = SystemClock()
    ports = {"openai": whole_port, "paced": paced_port}
    providers = {n: Provider(n, "openai", f"http://127.0.0.1:{p}/v1", "sk-real") for n, p in ports.items()}
    recorder = Recorder(Spool(spool, clock=clock, writer="gateway"), clock)
    key, book = BenchKey(), load_price_book()

    def price(event: UsageEvent) -> Cost | Unpriced:
        return book.price(priceable_from_event(event))

    forget_what_stays()  # as the server does, and the next
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn repeats it when it has ended, and there is more to do
    inside = Inside()
    upstream = None if told is None else inside.to_provider(Http1())
    app = Gateway(providers, {"tm-bench-key": key}.get, recorder, price, clock, upstream=upstream)
    uvicorn.run(
        app if told is None else inside.around(app),
        port=port,
        http=HttpProtocol,
        loop="uvloop",
        log_level="warning",
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        backlog=4096,
        timeout_graceful_shutdown=1,  # streams that are drained would take their time
    )
    if told is not None:
        inside.write(told)


def _chunk(event: bytes) -> bytes:
    data = b"data: " + event + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(content: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": finish_reason}
    chunk = {"id": "chatcmpl-Example0001", "object": "chat.completion.chunk", "created": 1760000000}
    more = {"model": "gpt-4o-mini-2024-07-18", "service_tier": "default", "system_fingerprint": "fp_example"}
    return json.dumps({**chunk, **more, "choices": [choice], "usage": None}, separators=(",", ":")).encode()


_USAGE = _chunk(
    b'{"id":"chatcmpl-Example0001","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18","choices":[],'
    b'"usage":{"prompt_tokens":220,"completion_tokens":200,"total_tokens":420}}'
)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Paced(asyncio.Protocol):
    """Answers every request with a stream whose chunks come one by one; with `stall` in it, with one chunk only, with
    `brief` with few."""

    chunks = 200
    pause_seconds = CHUNK_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._text = _chunk(_event(" harbour"))
        self._received = b""
        self._left = 0

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if not found or len(body) < length:
            return
        self._received = b""
        self._transport.write(_HEAD + self._text)
        if b'"stall"' not in body:
            self._left = BRIEF_CHUNKS if b'"brief"' in body else self.chunks
            self._next()

    def _next(self) -> None:
        if self._transport.is_closing():
            return
        self._left -= 1
        if self._left == 2:
            self._transport.write(_chunk(_event("", "stop")))
        elif self._left == 1:
            self._transport.write(_USAGE)
        elif self._left == 0:
            self._transport.write(_chunk(b"[DONE]") + b"0\r\n\r\n")
            return
        else:
            self._transport.write(self._text)
        asyncio.get_running_loop().call_later(self.pause_seconds, self._next)


async def paced(port: int, chunks: int, pause_seconds: float) -> None:
    Paced.chunks, Paced.pause_seconds = chunks, pause_seconds
    server = await asyncio.get_running_loop().create_server(Paced, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


class Reader(asyncio.Protocol):
    """Reads one stream after the other, on one connection."""

    def __init__(self, asked: bytes) -> None:
        self._asked = asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"0\r\n\r\n"):
            self._transport.write(self._asked)


async def read_streams(port: int, number: int) -> None:
    from bench.first_token import request

    asked, loop = request("/paced/v1/chat/completions"), asyncio.get_running_loop()
    for _ in range(number):
        await loop.create_connection(lambda: Reader(asked), "127.0.0.1", port)
        await asyncio.sleep(BETWEEN_STREAMS_SECONDS)  # streams of a real day do not march in step
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "streams":
        uvloop.run(read_streams(int(sys.argv[2]), int(sys.argv[3])))
    elif sys.argv[1] == "gateway":
        port, whole_port, paced_port = map(int, sys.argv[2:5])
        spool, *told = map(Path, sys.argv[5:])
        gateway(port, whole_port, paced_port, spool, *told)
    else:
        pause_seconds = float(sys.argv[4]) if len(sys.argv) > 4 else CHUNK_SECONDS
        uvloop.run(paced(int(sys.argv[2]), int(sys.argv[3]), pause_seconds))
