"""Receiving events and outcomes: check, leave out what came before, append to the spool, wait for fsync, answer.

In this order, and the answer last: what is answered for as accepted survives a power loss. Whether an event was
received before is asked of a bounded memory and, for older ids of events, of the store; should both miss a duplicate,
the store still counts it once, and only the answer's `duplicates` is short of one.

Ids are reserved by their request until it has ended. Another request with the same event waits for that end: only
then it is known whether the event is a duplicate, or has to be kept after all because the first request failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypedDict

from taximeter.clock import Clock
from taximeter.core.attribution import NOBODY, attribution
from taximeter.core.ids import uuid7
from taximeter.errors import SpoolError, StoreError
from taximeter.ingest.wire import (
    Batch,
    Rejection,
    Stamp,
    WireEvent,
    is_outcome_key,
    validate_batch,
    validate_events,
)
from taximeter.spool import Spool

MOST_REMEMBERED: Final = 400_000
"""Event ids kept in memory: about 60 MB when full."""

THREAD_BYTES: Final = 65_536
"""Larger bodies are checked in a thread, so that the event loop stays free."""

THREAD_EVENTS: Final = 200
"""So are more events than that."""


class Received(TypedDict):
    """The answer to `POST /v1/events`."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]


class RecentIds:
    """The ids received last, in two generations: when the younger is full, the older is forgotten."""

    def __init__(self, now_us: int, most: int = MOST_REMEMBERED) -> None:
        self._half = most // 2
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._young_since = self._old_since = _earliest_id(now_us)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._young or event_id in self._old

    def may_predate(self, event_id: str) -> bool:
        """Whether an id that is not here may have been received before this memory begins.

        An id made since then can only have come since then. Any other kind of UUID says nothing of its time.
        """
        return event_id[14] != "7" or event_id < self._old_since

    def remember(self, event_ids: Iterable[str], now_us: int) -> None:
        self._young.update(event_ids)
        if len(self._young) >= self._half:
            self._old, self._old_since = self._young, self._young_since
            self._young, self._young_since = set(), _earliest_id(now_us)


def _stamp(attributes: Mapping[str, object] | None, attributes_win: bool, api_key_id: str | None) -> Stamp:
    return Stamp(attribution(**attributes) if attributes else NOBODY, api_key_id, attributes_win)


def _earliest_id(now_us: int) -> str:
    return uuid7(now_us // 1000, bytes(10))


class Receiver:
    """Takes in events for one spool. `known_ids` asks the store which of some ids it has; it may block."""

    def __init__(self, spool: Spool, known_ids: Callable[[list[str]], set[str]], clock: Clock) -> None:
        self._spool = spool
        self._known_ids = known_ids
        self._clock = clock
        self._recent = RecentIds(clock.now_us())
        self._reserved: dict[str, asyncio.Future[None]] = {}
        self._waiting = 0

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return self._waiting > 0

    @contextmanager
    def _waited_for(self) -> Iterator[None]:
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def receive(
        self,
        body: bytes,
        content_type: str,
        *,
        attributes: Mapping[str, object] | None = None,
        attributes_win: bool = True,
        api_key_id: str | None = None,
    ) -> Received:
        """Take in the events of a request body; returns when the accepted ones are durable.

        `attributes` are bound to the key; they win over the events' own, or fill in what those leave out. Raises
        UsageError for a body that is not JSON, TooLargeError for too many events, SpoolError when the disk does not
        take them (the sender should repeat the request; repeated events count once).
        """
        stamp, now_us = _stamp(attributes, attributes_win, api_key_id), self._clock.now_us()
        with self._waited_for():
            if len(body) > THREAD_BYTES:
                batch = await asyncio.to_thread(validate_batch, body, content_type, now_us, stamp)
            else:
                batch = validate_batch(body, content_type, now_us, stamp)
            return await self._receive(batch)

    async def receive_events(
        self,
        events: Sequence[WireEvent],
        *,
        attributes: Mapping[str, object] | None = None,
        attributes_win: bool = True,
        api_key_id: str | None = None,
    ) -> Received:
        """The same for events that were made out of another form. They are completed in place; to repeat them after a
        SpoolError does no harm."""
        stamp, now_us = _stamp(attributes, attributes_win, api_key_id), self._clock.now_us()
        with self._waited_for():
            if len(events) > THREAD_EVENTS:
                batch = await asyncio.to_thread(validate_events, events, now_us, stamp)
            else:
                batch = validate_events(events, now_us, stamp)
            return await self._receive(batch)

    async def _receive(self, batch: Batch) -> Received:
        accepted = await self._take_in(self._unseen(batch))
        return {
            "accepted": accepted,
            "duplicates": len(batch.accepted_lines) - accepted,
            "rejected": batch.rejected,
        }

    def _unseen(self, batch: Batch) -> dict[str, bytes]:
        """The first of each id that is not remembered."""
        fresh: dict[str, bytes] = {}
        for event_id, line in batch.accepted_lines:
            if event_id not in fresh and event_id not in self._recent:
                fresh[event_id] = line
        return fresh

    async def _take_in(self, lines: Mapping[str, bytes]) -> int:
        """Keep the lines that are new, and return how many those were. Nobody waits while holding a reservation."""
        taken = 0
        while lines:
            others = {ended for event_id in lines if (ended := self._reserved.get(event_id)) is not None}
            free = {event_id: line for event_id, line in lines.items() if event_id not in self._reserved}
            taken += await self._take_reserved(free)
            if not others:
                break
            await asyncio.wait(others)
            lines = {
                event_id: line
                for event_id, line in lines.items()
                if event_id not in free and event_id not in self._recent
            }
        return taken

    async def _take_reserved(self, lines: Mapping[str, bytes]) -> int:
        if not lines:
            return 0
        ended = asyncio.get_running_loop().create_future()
        self._reserved.update(dict.fromkeys(lines, ended))
        try:
            stored = await self._stored(lines)
            fresh = {event_id: line for event_id, line in lines.items() if event_id not in stored} if stored else lines
            await self._keep(fresh)
            self._recent.remember(fresh, self._clock.now_us())
        finally:
            for event_id in lines:
                del self._reserved[event_id]
            ended.set_result(None)
        return len(fresh)

    async def _stored(self, lines: Iterable[str]) -> set[str]:
        older = [key for key in lines if not is_outcome_key(key) and self._recent.may_predate(key)]
        if not older:
            return set()
        try:
            return await asyncio.to_thread(self._known_ids, older)
        except StoreError:
            return set()  # it leaves duplicates out itself as soon as it can be written again

    async def _keep(self, fresh: Mapping[str, bytes]) -> None:
        """Only what is durable is remembered as received: a repeated request must not be answered for in vain."""
        if not fresh:
            return
        if not self._spool.extend(list(fresh.values())):
            raise SpoolError("the spool is full", hint=self._spool.health().problem, retry_after_seconds=1)
        await self._spool.durable()
