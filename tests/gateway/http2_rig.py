"""A provider that speaks HTTP/2 and plays scenes, one for each request."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway_rig import ScriptedProvider
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from taximeter.gateway.http2 import Http2
from taximeter.gateway.upstream import Origin, UpstreamSettings

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass
class Seen:
    """A request; `headers` as `hpack` read them, which says of some that they may not be remembered."""

    headers: Sequence[Any]
    body: bytearray = field(default_factory=bytearray)

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


class Scene:
    """The provider's side of one exchange."""

    def __init__(self, connection: Http2Connection, number: int, request: Seen) -> None:
        self.connection = connection
        self.number = number
        self.request = request
        self.heard = asyncio.Event()
        self.left = asyncio.Event()
        self.room = asyncio.Event()

    def head(self, status: int, *headers: tuple[str, str], end: bool = False) -> None:
        http = self.connection.http
        http.send_headers(self.number, [(":status", str(status)), *headers], end_stream=end)
        self.connection.flush()

    async def part(self, data: bytes, *, end: bool = False) -> None:
        """As fast as the windows let it through."""
        http = self.connection.http
        while data or end:
            room = min(http.local_flow_control_window(self.number), http.max_outbound_frame_size)
            if data and room <= 0:
                self.room.clear()
                await self.room.wait()
                continue
            piece, data = data[:room], data[room:]
            http.send_data(self.number, piece, end_stream=end and not data)
            self.connection.flush()
            end = end and bool(data)
            await asyncio.sleep(0)

    def trailer(self, *headers: tuple[str, str]) -> None:
        self.connection.http.send_headers(self.number, headers, end_stream=True)
        self.connection.flush()

    def reset(self, code: ErrorCodes) -> None:
        self.connection.http.reset_stream(self.number, code)
        self.connection.flush()


Play = Callable[[Scene], Awaitable[None]]


class Http2Connection(asyncio.Protocol):
    def __init__(self, provider: Http2Provider) -> None:
        self.provider = provider
        whatever_is_played: dict[str, Any] = {"validate_outbound_headers": False, "normalize_outbound_headers": False}
        self.http = H2Connection(H2Configuration(client_side=False, header_encoding=None, **whatever_is_played))
        self.scenes: dict[int, Scene] = {}
        self.transport: Any = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.provider.connections.append(self)
        self.http.local_settings = Settings(client=False, initial_values=self.provider.says)
        self.http.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.http.receive_data(data):
            self._take(event)
        self.flush()

    def _take(self, event: events.Event) -> None:
        match event:
            case events.RequestReceived():
                seen = Seen(event.headers)
                self.provider.seen.append(seen)
                scene = self.scenes[event.stream_id] = Scene(self, event.stream_id, seen)
                task = asyncio.get_running_loop().create_task(self._play(scene))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case events.DataReceived():
                self.scenes[event.stream_id].request.body += event.data
                if self.provider.hears:
                    self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case events.StreamEnded():
                self.scenes[event.stream_id].heard.set()
            case events.StreamReset():
                self.scenes[event.stream_id].left.set()
                self.provider.left.append(event.stream_id)
            case events.WindowUpdated() | events.RemoteSettingsChanged():
                for scene in self.scenes.values():
                    scene.room.set()

    async def _play(self, scene: Scene) -> None:
        with contextlib.suppress(ProtocolError):
            await self.provider.next_play()(scene)

    def goodbye(self, last: int, code: int = 0) -> None:
        """GOAWAY as servers send it that go on: `h2` would end the connection at once."""
        self.transport.write(b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4) + code.to_bytes(4))

    def flush(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(self.http.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:
        for scene in self.scenes.values():
            scene.left.set()

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.transport.abort()


class Http2Provider:
    """Plays `plays` one after the other, the last of them for ever. `says` are its settings; one that does not `hear`
    opens no window for what is sent to it."""

    def __init__(self, *plays: Play, says: dict[SettingCodes, int] | None = None, hears: bool = True) -> None:
        self.plays = list(plays)
        self.seen: list[Seen] = []
        self.connections: list[Http2Connection] = []
        self.left: list[int] = []
        self.says = says or {}
        self.hears = hears
        self.server: asyncio.Server | None = None

    def accepts_no_more(self) -> None:
        assert self.server is not None
        self.server.close()

    def next_play(self) -> Play:
        return self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]


class Either(asyncio.Protocol):
    """Speaks HTTP/2 with who begins so, and leaves the others to HTTP/1.1."""

    def __init__(self, provider: Http2Provider, older: ScriptedProvider) -> None:
        self._provider = provider
        self._older = older

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        if data.startswith(PREFACE[:3]):
            protocol: asyncio.Protocol = Http2Connection(self._provider)
        else:
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader, self._older.serve)
        self._transport.set_protocol(protocol)
        loop.call_soon(self._hand_over, protocol, data)

    def _hand_over(self, protocol: asyncio.Protocol, data: bytes) -> None:
        protocol.connection_made(self._transport)
        protocol.data_received(data)


@asynccontextmanager
async def asked(
    provider: Http2Provider,
    settings: UpstreamSettings | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    ca_file: str | None = None,
    older: ScriptedProvider | None = None,
) -> AsyncIterator[tuple[Http2, Origin]]:
    """A client, and where the provider is."""
    loop = asyncio.get_running_loop()
    made = (lambda: Http2Connection(provider)) if older is None else (lambda: Either(provider, older))
    provider.server = server = await loop.create_server(made, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    origin = Origin("https" if tls else "http", "localhost" if tls else "127.0.0.1", port, ca_file, http2=True)
    client = Http2(settings)
    try:
        yield client, origin
    finally:
        await client.aclose()
        for connection in provider.connections:
            connection.end()
        server.close()


@contextmanager
def served(provider: Http2Provider) -> Iterator[int]:
    """The provider in a thread of its own; its port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: Http2Connection(provider), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()
