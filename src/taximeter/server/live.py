"""The live stream: one look at the store for all watchers, at most twice a second, when the collector has committed.

A look is shared by everybody until something new is stored, those who only come included. A watcher that reads slowly
gets the newest tick, not all of them: ticks are pictures of now.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from taximeter.errors import StoreError

SHORTEST_PAUSE_SECONDS: Final = 0.5
KEEP_ALIVE_SECONDS: Final = 15.0
"""A comment is sent after so long without news, so that proxies keep the connection."""

Tick = Mapping[str, Any]
_TICK: Final = "event: tick\ndata: "

_log: Final = logging.getLogger(__name__)


class Live:
    """Watchers of what is stored. `look` blocks and returns the tick of now, or raises StoreError; it runs on a
    thread."""

    def __init__(self, look: Callable[[], Tick]) -> None:
        self._look = look
        self._watchers: set[asyncio.Queue[str | None]] = set()
        self._news = asyncio.Event()
        self._looking = asyncio.Lock()
        self._stored_batches = 0
        self._seen_batches = -1
        self._seen = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Call on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())

    def stored(self) -> None:
        """Something new is stored. From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._note_news)

    def _note_news(self) -> None:
        self._stored_batches += 1
        self._news.set()

    async def stop(self) -> None:
        """Ends every watcher's stream."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._end_streams()

    def hang_up(self) -> None:
        """Ends every stream soon. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_streams)

    def _end_streams(self) -> None:
        for queue in self._watchers:
            _offer(queue, None)

    async def watch(self) -> AsyncGenerator[str, None]:
        """Server-Sent Events: a tick at once, then one whenever something is new. Raises StoreError at its beginning
        when the store cannot be looked at."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)
        self._watchers.add(queue)
        try:
            yield await self._tick()
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if text is None:
                    return
                yield text
        finally:
            self._watchers.discard(queue)

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._watchers:
                await self._tell_all()
            await asyncio.sleep(SHORTEST_PAUSE_SECONDS)

    async def _tell_all(self) -> None:
        try:
            text = await self._tick()
        except StoreError as error:
            _log.warning("live: %s", error)  # the next news come with another try
            return
        for queue in self._watchers:
            _offer(queue, text)

    async def _tick(self) -> str:
        """What there is to see now. Raises StoreError."""
        async with self._looking:
            if self._seen_batches != self._stored_batches:
                batches = self._stored_batches
                tick = await asyncio.to_thread(self._look)
                self._seen, self._seen_batches = f"{_TICK}{json.dumps(tick)}\n\n", batches
            return self._seen


async def bare(stream: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """Ticks without what they tell: twice a second, the last calls are a megabyte a minute."""
    async with contextlib.aclosing(stream):
        async for text in stream:
            yield f"{_TICK}{{}}\n\n" if text.startswith(_TICK) else text


def _offer(queue: asyncio.Queue[str | None], text: str | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(text)
