"""A gateway on a real socket before a provider on a real socket, both on one thread; the tests are their clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from taximeter.clock import SystemClock
from taximeter.gateway import Admission, Gateway, GatewaySettings, KnownAnswers, LineLog, Price, Provider, Recorder
from taximeter.gateway.identities import KnownIds
from taximeter.server.http_protocol import HttpProtocol

KEY = "tm-gateway-key"
PROVIDER_KEY = "sk-the-real-one"
WAIT_SECONDS = 120
NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True)
class TestKey:
    __test__ = False

    id: str = "key_1"
    scope: str = "gateway"
    attributes: Mapping[str, str] = field(default_factory=dict)
    attributes_win: bool = True


KEYS = {
    KEY: TestKey(),
    "tm-admin-key": TestKey("key_admin", "admin"),
    "tm-read-key": TestKey("key_read", "read"),
    "tm-team-key": TestKey("key_team", "gateway", {"team": "core", "user": "bound"}, attributes_win=True),
    "tm-default-key": TestKey("key_default", "gateway", {"team": "core", "user": "bound"}, attributes_win=False),
}


class MemoryLog:
    """Records in memory; `full` refuses them, `broken` fails, `in_memory` is a disk that refuses them."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.full = False
        self.broken = False
        self.in_memory = False
        self._changed = threading.Condition()

    def append(self, line: bytes) -> bool:
        if self.broken:
            raise RuntimeError("a bug of ours")
        if self.full:
            return False
        with self._changed:
            self.lines.append(json.loads(line))
            self._changed.notify_all()
        return True

    def of(self, kind: str | None) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("record") == kind]

    def wait_for(self, number: int, kind: str | None = None) -> list[dict[str, Any]]:
        """The first `number` records of a kind (None: events), once they are there."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(kind)) >= number, WAIT_SECONDS), self.lines
        return self.of(kind)[:number]


@dataclass
class SeenRequest:
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for given, value in self.headers if given.lower() == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Play = Callable[["Stage"], Awaitable[None]]


class Stage:
    """The provider's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, provider: ScriptedProvider) -> None:
        self.reader = reader
        self.writer = writer
        self.provider = provider
        self.request = SeenRequest("", "", [], b"")

    def head(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        """One chunk, given the time to arrive by itself."""
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()
        for _ in range(3):
            await asyncio.sleep(0)

    def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")

    def break_off(self) -> None:
        self.writer.transport.abort()

    async def until_gone(self) -> None:
        """Wait until the other side closes the connection."""
        with contextlib.suppress(ConnectionError):
            await self.reader.read(1)


class ScriptedProvider:
    """Plays `plays` one after the other, the last of them for ever."""

    def __init__(self) -> None:
        self.plays: list[Play] = []
        self.seen: list[SeenRequest] = []
        self.connections = 0
        self.asked = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        stage = Stage(reader, writer, self)
        try:
            while not writer.is_closing():
                stage.request = await _read_request(reader)
                self.seen.append(stage.request)
                self.asked.set()
                await self._next_play()(stage)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    def _next_play(self) -> Play:
        return self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> SeenRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
    request = SeenRequest(method, target, headers, b"")
    request.body = await reader.readexactly(int(request.header("content-length") or 0))
    return request


def whole(body: bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> Play:
    """An answer in one piece."""

    async def play(stage: Stage) -> None:
        more = [(name.replace("_", "-"), value) for name, value in headers.items()]
        stage.head(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *more])
        stage.writer.write(body)

    return play


SSE_HEADERS = [("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")]


def stream(pieces: Sequence[bytes], *, cut: bool = False, headers: Sequence[tuple[str, str]] = ()) -> Play:
    """A stream of pieces, each arriving by itself; `cut` breaks the connection off after the last."""

    async def play(stage: Stage) -> None:
        stage.head(200, [*SSE_HEADERS, *headers])
        for piece in pieces:
            await stage.chunk(piece)
        if cut:
            stage.break_off()
        else:
            stage.end()

    return play


@dataclass
class Reply:
    """What a client got. `complete` is False when the connection broke off inside the body."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Rig:
    def __init__(self, provider: ScriptedProvider, log: MemoryLog, gateway: Gateway, port: int, upstream: int) -> None:
        self.provider = provider
        self.log = log
        self.gateway = gateway
        self.port = port
        self.upstream_port = upstream

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def plays(self, *plays: Play) -> None:
        self.provider.plays = list(plays)

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "POST",
        key: str | None = KEY,
        raw: bytes | None = None,
        given: Mapping[str, str] = NO_HEADERS,
        **headers: str,
    ) -> Reply:
        """One request on a connection of its own. Headers are `given`, or keywords with underscores."""
        with self.open(path, body, method=method, key=key, raw=raw, given=given, **headers) as connection:
            return read_reply(connection, method)

    @contextlib.contextmanager
    def open(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "POST",
        key: str | None = KEY,
        raw: bytes | None = None,
        given: Mapping[str, str] = NO_HEADERS,
        **headers: str,
    ) -> Iterator[socket.socket]:
        """The same, up to the point where the answer would be read."""
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent = {"host": "gateway", "content-length": str(len(content)), "connection": "close"}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        sent |= given
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if "transfer-encoding" in sent:
            del sent["content-length"]
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS) as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
            with contextlib.suppress(ConnectionError):
                connection.sendall(content)
            yield connection


def read_reply(connection: socket.socket, method: str = "GET") -> Reply:
    """Read an answer to its end, noticing whether it has one."""
    received = bytearray()
    while data := _receive(connection):
        received += data
    head, _, rest = bytes(received).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split(" ")[1]) if head else 0
    if headers.get("transfer-encoding") == "chunked":
        body, complete = _unchunked(rest)
    else:
        length = headers.get("content-length")
        body, complete = rest, length is None or method == "HEAD" or len(rest) == int(length)
    return Reply(status, headers, body, complete)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    body = bytearray()
    while data:
        size_line, _, data = data.partition(b"\r\n")
        size = int(size_line, 16)
        if size == 0:
            return bytes(body), True
        body += data[:size]
        data = data[size + 2 :]
    return bytes(body), False


@contextlib.contextmanager
def running(
    settings: GatewaySettings | None = None,
    price: Price | None = None,
    *,
    with_keys: bool = True,
    provider_key: str | None = PROVIDER_KEY,
    more_providers: Callable[[int], Sequence[Provider]] = lambda _: (),
    log: LineLog | None = None,
    known_ids: KnownIds | None = None,
    admission: Admission | None = None,
    known_answers: KnownAnswers | None = None,
) -> Iterator[Rig]:
    """A gateway with the providers `openai` and `anthropic`, both played by one scripted provider.

    It writes to `log`; without one, to the rig's. `known_ids` and `known_answers` stand for the store, `admission` for
    the limits.
    """
    started: list[Rig] = []
    failures: list[BaseException] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        provider, memory, clock = ScriptedProvider(), MemoryLog(), SystemClock()
        upstream = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
        port = upstream.sockets[0].getsockname()[1]
        providers = [
            Provider("openai", "openai", f"http://127.0.0.1:{port}/v1", provider_key),
            Provider("anthropic", "anthropic", f"http://127.0.0.1:{port}", provider_key),
            *more_providers(port),
        ]
        keys = KEYS.get if with_keys else None
        recorder = Recorder(log or memory, clock)
        gateway = Gateway(
            {p.name: p for p in providers},
            keys,
            recorder,
            price,
            clock,
            settings,
            known_ids=known_ids,
            admission=admission,
            known_answers=known_answers,
        )
        config = uvicorn.Config(
            gateway,
            log_level="critical",
            date_header=False,
            server_header=False,
            http=HttpProtocol,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
        )
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            server = uvicorn.Server(config)
            config.load()
            server.lifespan = config.lifespan_class(config)
            await server.startup([listening])
            started.append(Rig(provider, memory, gateway, listening.getsockname()[1], port))
            ready.set()
            await asyncio.to_thread(stop.wait)
            await provider.close()
            await server.shutdown([listening])
        upstream.close()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=_event_loop) as runner:
                runner.run(serve())
        except BaseException as error:  # shown in the thread of the test
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(WAIT_SECONDS)
    try:
        if not failures:
            yield started[0]
    finally:
        stop.set()
        thread.join(WAIT_SECONDS)
    if failures:
        raise failures[0]


def _event_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
