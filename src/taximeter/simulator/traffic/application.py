"""The sample application at work: visits arrive in waves, each makes one call, and nothing piles up."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from random import Random
from typing import Final

import taximeter
from taximeter.clock import Clock
from taximeter.simulator.traffic.calling import Clients, attributed, call, call_async, road_of
from taximeter.simulator.traffic.product import Road, Visit, drawn_visit
from taximeter.simulator.traffic.rhythm import wave

MOST_AT_ONCE: Final = 64
"""Calls under way; visits beyond that are turned away, so that a slow gateway does not make a queue."""

FIRST_RUSH: Final = 5
"""Visits in the first moment, so that a page is alive at once."""

GRACE_SECONDS: Final = 1.5


class Application:
    """Drives visits at about `rate` a second until it is stopped. `outcomes` counts how they ended."""

    def __init__(self, roads: Mapping[Road, Clients], rate: float, clock: Clock, chance: Random) -> None:
        self._roads = roads
        self._rate = rate
        self._clock = clock
        self._chance = chance
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self.outcomes: Counter[str] = Counter()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self, seconds: float | None = None) -> None:
        """Work until `stop`, SIGTERM, SIGINT or the end of `seconds`; then let calls under way end, for a moment."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if seconds is not None:
            loop.call_later(seconds, self.stop)
        for _ in range(FIRST_RUSH):
            self._begin()
        await self._receive_visitors()
        await self._wind_down()

    async def _receive_visitors(self) -> None:
        began = self._clock.monotonic()
        while not self._stopped.is_set():
            rate = self._rate * wave(self._clock.monotonic() - began)
            try:
                await asyncio.wait_for(self._stopped.wait(), self._chance.expovariate(rate))
            except TimeoutError:
                self._begin()

    def _begin(self) -> None:
        if len(self._under_way) >= MOST_AT_ONCE:
            self.outcomes["turned_away"] += 1
            return
        task = asyncio.create_task(self._serve(drawn_visit(self._chance)))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()  # the product apologises to its user and goes on
        self.outcomes["cancelled" if task.cancelled() else type(error).__name__ if error else "ok"] += 1

    async def _serve(self, visit: Visit) -> None:
        on = road_of(visit, self._roads)
        if visit.synchronous:
            await asyncio.wrap_future(_in_a_thread(on, visit))
        else:
            await call_async(on, visit)
        if "sdk" in self._roads:
            self._tell_outcome(visit)

    def _tell_outcome(self, visit: Visit) -> None:
        goal = visit.feature.goal
        if goal is not None and self._chance.random() < goal.share:
            with attributed(visit):
                taximeter.outcome(goal.name, value_usd=goal.value_usd)

    async def _wind_down(self) -> None:
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for clients in self._roads.values():
            await clients.close()


def _in_a_thread(on: Clients, visit: Visit) -> Future[None]:
    """`call` in a thread that does not keep the process from ending, as the threads of an executor would."""
    promise: Future[None] = Future()

    def work() -> None:
        try:
            call(on, visit)
        except Exception as error:  # noqa: BLE001 - handed on to whoever awaits the call
            promise.set_exception(error)
        else:
            promise.set_result(None)

    promise.set_running_or_notify_cancel()
    threading.Thread(target=work, name="visit", daemon=True).start()
    return promise
