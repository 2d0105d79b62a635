"""Running the simulated providers: as a process of their own, or in a thread of a test."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import threading
from random import Random
from types import FrameType, TracebackType
from typing import Never, Self

import uvicorn

from taximeter.clock import SystemClock
from taximeter.simulator.connection import RudeProtocol
from taximeter.simulator.ledger import SYNC_SECONDS
from taximeter.simulator.providers import Providers
from taximeter.simulator.recordings import shipped
from taximeter.simulator.settings import Settings

START_SECONDS = 10
DRAIN_SECONDS = 2
BACKLOG = 2048


def bound(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes a free one. Raises OSError when it is taken."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError:
        taken.close()
        raise
    taken.listen(BACKLOG)
    return taken


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


def _server(providers: Providers) -> uvicorn.Server:
    config = uvicorn.Config(
        providers,
        http=RudeProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        backlog=BACKLOG,
    )
    return uvicorn.Server(config)


def _providers(settings: Settings) -> Providers:
    chance = Random(settings.seed)  # noqa: S311 - play, not secrets
    return Providers(settings, shipped(), SystemClock(), chance)


async def _run(server: uvicorn.Server, providers: Providers, listener: socket.socket) -> None:
    syncing = asyncio.create_task(_sync_regularly(providers))
    try:
        await server.serve(sockets=[listener])
    finally:
        syncing.cancel()
        providers.ledger.close()


def _run_here(server: uvicorn.Server, providers: Providers, listener: socket.socket) -> None:
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_run(server, providers, listener))


async def _sync_regularly(providers: Providers) -> None:
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        providers.ledger.sync()


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Prints one JSON line with the URL when connections are accepted."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_well)  # uvicorn raises the signal again when it has drained
    providers, listener = _providers(settings), bound(host, port)
    sys.stdout.write(json.dumps({"url": url_of(listener), "event": "ready"}) + "\n")
    sys.stdout.flush()
    _run_here(_server(providers), providers, listener)


def _end_well(_signal: int, _frame: FrameType | None) -> Never:
    raise SystemExit(0)


class RunningSimulator:
    """The simulated providers in a thread, on a free port: `with RunningSimulator(Settings()) as simulator:`."""

    def __init__(self, settings: Settings, *, port: int = 0) -> None:
        self._providers = _providers(settings)
        self._listener = bound("127.0.0.1", port)
        self._server = _server(self._providers)
        self._thread = threading.Thread(target=self._work, name="simulator", daemon=True)
        self.url = url_of(self._listener)
        self.openai_url = self.url + "/v1"
        self.anthropic_url = self.url

    @property
    def ledger(self) -> dict[str, object]:
        """What `GET /_simulator/ledger` says."""
        report: dict[str, object] = json.loads(self._providers.ledger.report())
        return report

    def _work(self) -> None:
        _run_here(self._server, self._providers, self._listener)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        self._listener.close()
