"""Serving the application: one socket, uvicorn with httptools and uvloop, and an orderly end."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final

import uvicorn

from taximeter.errors import UnavailableError, UsageError
from taximeter.server.answers import App
from taximeter.server.http_protocol import HttpProtocol

BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75
LONGEST_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Largest message of a websocket."""
DRAIN_SECONDS: Final = 20
"""Longest wait, at the end, for answers that are under way."""

Step = Callable[[], Awaitable[None]]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises UnavailableError when the address is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise UsageError(f"'{host}' is not an address to listen on", hint="such as --host 127.0.0.1") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        hint = "choose another one with --port" if error.errno == errno.EADDRINUSE else None
        raise UnavailableError(f"cannot listen on {host}:{port}: {error.strerror}", hint=hint) from None
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """`http://127.0.0.1:8787`; a socket for all addresses is reached through this machine's own."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Lets `before_end` do its work on a thread between the first signal and the end; a second one cuts it short."""

    def __init__(self, config: uvicorn.Config, before_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_end = before_end
        self._leaving = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._leaving:
            super().handle_exit(sig, frame)
            return
        self._leaving = True
        threading.Thread(target=self._leave, args=(sig,), name="taximeter-end", daemon=True).start()

    def _leave(self, sig: int) -> None:
        try:
            self._before_end()
        finally:
            super().handle_exit(sig, None)


def serve(app: App, listener: socket.socket, *, on_start: Step, on_end: Step, before_end: Callable[[], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP: stop accepting, let answers under way come to their end, then `on_end`.

    `on_start` and `on_end` run on the event loop; `before_end` is called on a thread of its
    own when the signal comes, while everything is still served.
    """
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="websockets-sansio",
        ws_max_size=LONGEST_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        backlog=BACKLOG,
    )
    server = _Server(config, before_end)
    # uvicorn listens only from when it serves, and raises the signal again when it has drained: `on_start` is before
    # that, and the end in good order still ahead of us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    _listen_for_hangup(server)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_run(server, listener, on_start, on_end))


async def _run(server: _Server, listener: socket.socket, on_start: Step, on_end: Step) -> None:
    await on_start()
    try:
        await server.serve(sockets=[listener])
    finally:
        await on_end()


def _listen_for_hangup(server: _Server) -> None:
    """The terminal closes: end in good order, unless whoever started the process wants it to stay (`nohup`)."""
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        signal.signal(hangup, lambda _number, frame: server.handle_exit(signal.SIGTERM, frame))
