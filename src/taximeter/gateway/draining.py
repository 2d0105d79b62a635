"""Answers that are read to their end though their clients have left: for how long, and how many of one provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from taximeter.gateway.upstream import Origin

Stop = Callable[[], None]

SHARE: Final = 2
"""One connection in so many may be taken by answers that nobody waits for: the others are for callers who do."""


class Draining:
    """All of a gateway. Where a provider's share is taken, the one that has been drained for longest gives way."""

    def __init__(self, seconds: float, connections_max: int) -> None:
        self._seconds = seconds
        self._most = max(connections_max // SHARE, 1)
        self._by_origin: dict[Origin, dict[Stop, asyncio.TimerHandle]] = {}

    def begin(self, origin: Origin, stop: Stop) -> Callable[[], None]:
        """Drain an answer of `origin`; `stop` is called when that has to end. Returns what tells that it has ended."""
        draining = self._by_origin.setdefault(origin, {})
        if len(draining) >= self._most:
            oldest = next(iter(draining))
            self._end(origin, oldest)
            oldest()
        draining[stop] = asyncio.get_running_loop().call_later(self._seconds, stop)
        return lambda: self._end(origin, stop)

    def _end(self, origin: Origin, stop: Stop) -> None:
        timer = self._by_origin[origin].pop(stop, None)
        if timer is not None:
            timer.cancel()
