"""What a gateway itself takes of the time to the first token, told from within its process.

From outside nobody can tell the gateway's own work from the wait for a processor that others have. Inside, each call is
timed where it comes, leaves, is answered and handed on, and the event loop says how late it is, with and without that
wait.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from taximeter.gateway.client import Message, Receive, Scope, Send
from taximeter.gateway.upstream import Answer, Origin, Outgoing, Upstream

App = Callable[[Scope, Receive, Send], Awaitable[None]]

TICK_SECONDS: Final = 0.002
_OWN_WAITS: Final = Path("/proc/thread-self/schedstat")
"""Nanoseconds on a processor, and waiting for one."""


Moments = tuple[float, float, float, float]
"""Of one call: it came, it left for the provider, the head of the answer was there, its first piece was handed out.
Seconds of the monotonic clock, which all processes of a machine share."""


@dataclass(slots=True)
class _Passing:
    came: float
    left: float = 0.0
    answered: float = 0.0
    handed_out: bool = False


_passing: Final[ContextVar[_Passing]] = ContextVar("passing")


@dataclass(frozen=True)
class Told:
    """The moments of each call that was answered; p50 and p99 in milliseconds of how late the event loop came to a
    timer, and how much of that it did not wait for a processor."""

    calls: list[Moments]
    late: tuple[float, float]
    late_by_itself: tuple[float, float]


class Inside:
    """Stands around the gateway and around its way to the provider."""

    def __init__(self) -> None:
        self._calls: list[Moments] = []
        self._late: list[float] = []
        self._late_by_itself: list[float] = []
        self._ticking: asyncio.Task[None] | None = None

    def around(self, gateway: App) -> App:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await gateway(scope, receive, send)
                return
            if self._ticking is None:
                self._ticking = asyncio.create_task(self._tick())
            passing = _Passing(time.perf_counter())
            _passing.set(passing)

            async def handed_out(message: Message) -> None:
                await send(message)
                if passing.answered and not passing.handed_out and message.get("body"):
                    passing.handed_out = True
                    self._calls.append((passing.came, passing.left, passing.answered, time.perf_counter()))

            await gateway(scope, receive, handed_out)

        return app

    def to_provider(self, upstream: Upstream) -> Upstream:
        return _Timed(upstream)

    async def _tick(self) -> None:
        while True:
            waited, due = _waited_seconds(), time.perf_counter() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            late = time.perf_counter() - due
            self._late.append(late)
            self._late_by_itself.append(max(late - (_waited_seconds() - waited), 0.0))

    def write(self, path: Path) -> None:
        told = Told(self._calls, _ends(self._late), _ends(self._late_by_itself))
        path.write_text(json.dumps(asdict(told)))


def read(path: Path) -> Told:
    """What a gateway that has ended wrote."""
    return Told(**json.loads(path.read_text()))


class _Timed:
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def send(self, origin: Origin, request: Outgoing) -> Answer:
        passing = _passing.get()
        passing.left = time.perf_counter()
        answer = await self._upstream.send(origin, request)
        passing.answered = time.perf_counter()
        return answer

    async def aclose(self) -> None:
        await self._upstream.aclose()


def _waited_seconds() -> float:
    return int(_OWN_WAITS.read_text().split()[1]) / 1e9


def _ends(seconds: list[float]) -> tuple[float, float]:
    return quantile(seconds, 0.5) * 1000, quantile(seconds, 0.99) * 1000


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]
