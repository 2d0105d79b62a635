"""The reads that run in a DuckDB store: each is stopped when its time is over, and all of them when the store closes.

DuckDB closes cursors together with the connection that they came from, and refuses to while one is at work. And an
interrupt that comes between two statements of a read is lost, so it is repeated until the read is over.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from taximeter.errors import StoreError
from taximeter.store.events.port import Cancellation

AGAIN_SECONDS: Final = 0.05
"""An interrupt is repeated after this."""


class Reads:
    """Which reads are running. Any thread may call any method."""

    def __init__(self, name: str, most_seconds: float) -> None:
        self._name = name
        self._most_seconds = most_seconds
        self._running: list[Cancellation] = []
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def running(self, cancellation: Cancellation) -> Iterator[None]:
        """For the time of one read. Raises StoreError when the store is closed."""
        over = threading.Event()
        timer = threading.Timer(self._most_seconds, _stop_until, (over, cancellation))
        timer.daemon = True
        self._begin(cancellation)
        try:
            timer.start()
            yield
        finally:
            timer.cancel()
            over.set()
            self._end(cancellation)

    def close(self) -> None:
        """No read begins any more; returns when those that were running are over."""
        with self._changed:
            self._closed = True
            while self._running:
                for cancellation in self._running:
                    cancellation.cancel()
                self._changed.wait(AGAIN_SECONDS)

    def _begin(self, cancellation: Cancellation) -> None:
        with self._changed:
            if self._closed:
                raise StoreError(f"{self._name} was closed")
            self._running.append(cancellation)

    def _end(self, cancellation: Cancellation) -> None:
        with self._changed:
            self._running = [running for running in self._running if running is not cancellation]
            self._changed.notify_all()


def _stop_until(over: threading.Event, cancellation: Cancellation) -> None:
    while not over.is_set():
        cancellation.cancel()
        over.wait(AGAIN_SECONDS)
