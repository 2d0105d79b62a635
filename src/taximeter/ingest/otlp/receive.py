"""Receiving OTLP: decode, decide, keep what waits, hand over what counts, answer.

In this order, and the answer last:
  1. decode the body                                     what is malformed is counted and told in the answer
  2. decide (`trace_memory`, `agents`)                   memory only; the same spans again lead to the same decisions
  3. what waits goes to disk                             a crash from here on holds it again
  4. what counts goes to the receiver of events, which returns when it is on disk
  5. what waits no longer is dropped
  6. answer
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Protocol, TypeVar

from taximeter.clock import Clock
from taximeter.errors import SpoolError, TaximeterError
from taximeter.ingest.otlp import json_form, protobuf
from taximeter.ingest.otlp.arrivals import Signal
from taximeter.ingest.otlp.deciding import Decider
from taximeter.ingest.otlp.held_file import Caller, HeldFile
from taximeter.ingest.otlp.span import Arrived
from taximeter.ingest.otlp.trace_memory import GRACE_SECONDS, Held, Taken, TraceMemory
from taximeter.ingest.wire import WireEvent

THREAD_BYTES: Final = 65_536
"""Larger bodies are worked on in a thread, so that the event loop stays free."""

MOST_EVENTS: Final = 20_000
"""Handed over at once."""

TICK_SECONDS: Final = 1.0
"""How often it is looked whether something has waited long enough."""


class Form(Protocol):
    """One of the two forms that requests and answers have."""

    def decode(self, signal: Signal, body: bytes) -> Arrived: ...

    def success(self, signal: Signal, rejected: int, message: str) -> bytes: ...

    def failure(self, code: int, message: str) -> bytes: ...


FORMS: Final[Mapping[str, Form]] = {"application/x-protobuf": protobuf, "application/json": json_form}
"""By content type."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Events(Protocol):
    """Takes events and returns when they are durable: `ingest.receive.Receiver`. Raises SpoolError."""

    async def receive_events(
        self,
        events: Sequence[WireEvent],
        *,
        attributes: Mapping[str, object] | None,
        attributes_win: bool,
        api_key_id: str | None,
    ) -> Mapping[str, Any]: ...


class OtlpReceiver:
    """Takes in export requests. `traces_with_calls` says which of some traces the store has calls of; it may block."""

    def __init__(
        self,
        events: Events,
        file: HeldFile,
        clock: Clock,
        traces_with_calls: Callable[[Sequence[str]], set[str]],
    ) -> None:
        self._events = events
        self._file = file
        self._clock = clock
        self._traces_with_calls = traces_with_calls
        self._deciding = asyncio.Lock()
        self._unsent: list[Taken] = []
        self._decider = Decider(clock.now_us())
        self.memory.resume(file.read(clock.now_us() + GRACE_SECONDS * 1_000_000))
        self.rejected = 0

    @property
    def memory(self) -> TraceMemory:
        """The spans of late."""
        return self._decider.memory

    @property
    def counts(self) -> dict[str, int]:
        """Spans and log records by what became of them."""
        tally = self.memory.tally
        return {
            "call": tally.calls,
            "aggregate": tally.aggregates,
            "folded": tally.folded,
            "twin": tally.twins,
            "covered": tally.covered,
            "other": tally.other,
            "ignored": self._decider.ignored,
            "rejected": self.rejected,
        }

    @property
    def held(self) -> int:
        """Spans that wait for calls below them."""
        return self.memory.held

    async def receive(
        self,
        signal: Signal,
        body: bytes,
        content_type: str,
        *,
        attributes: Mapping[str, str] | None = None,
        attributes_win: bool = True,
        api_key_id: str | None = None,
    ) -> bytes:
        """Take in an export request; returns the answer's body when what counts is durable.

        `content_type` is one of `FORMS`; the rest is bound to the key it came with. Raises UsageError for a body
        that is no such request, SpoolError when the disk does not take it (the sender
        should repeat the request; repeated spans count once).
        """
        form, caller = FORMS[content_type], Caller(attributes, attributes_win, api_key_id)
        arrived: Arrived = await self._work(len(body), lambda: form.decode(signal, body))
        rejected = await self._keep(arrived, caller, len(body))
        self.rejected += arrived.malformed
        problem = arrived.problem or (rejected[0] if rejected else "")
        return form.success(signal, arrived.malformed + len(rejected), problem)

    async def _keep(self, arrived: Arrived, caller: Caller, size: int) -> list[str]:
        """Decide, and keep what comes of it; why some events were rejected. Raises SpoolError."""
        taken = Taken()
        try:
            async with self._deciding:
                taken = await self._work(size, lambda: self._decider.decide(arrived, caller, self._clock.now_us()))
                if taken.held:
                    await asyncio.to_thread(self._file.add, taken.held)
            await self._hand_over_unsent()
            return await self._hand_over(taken)
        except SpoolError:
            if taken.waited:
                self._unsent.append(Taken(taken.waited))
            raise

    def failure(self, content_type: str, code: int, message: str) -> bytes:
        """The body of a refusal: a `google.rpc.Status`, in the request's form where that is known."""
        return FORMS.get(content_type, json_form).failure(code, message)

    async def _work(self, size: int, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work) if size > THREAD_BYTES else work()

    async def _hand_over_unsent(self) -> None:
        """Give what no sender repeats; what is not taken stays. Two at a time may give the same, which counts once."""
        while self._unsent:
            first = self._unsent[0]
            await self._hand_over(first)
            self._unsent = [one for one in self._unsent if one is not first]

    async def _hand_over(self, taken: Taken) -> list[str]:
        """Give what counts to the receiver of events, then drop what waits no longer; why some were rejected."""
        problems: list[str] = []
        for caller, events in _by_caller(taken.ready):
            for start in range(0, len(events), MOST_EVENTS):
                received = await self._events.receive_events(
                    events[start : start + MOST_EVENTS],
                    attributes=caller.attributes,
                    attributes_win=caller.attributes_win,
                    api_key_id=caller.api_key_id,
                )
                problems += [rejection["message"] for rejection in received["rejected"]]
        if taken.released:
            await asyncio.to_thread(self._file.drop, taken.released)
        self.rejected += len(problems)
        return problems

    # ── what waits ────────────────────────────────────────────────────────────────────────────────────────────

    async def keep_settling(self) -> None:
        """Settle what has waited long enough, until cancelled. Trouble with disk or store is tried again."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.settle()
            except TaximeterError as error:
                _log.warning("held spans wait on: %s", error)

    async def settle(self) -> None:
        """Count what has waited long enough. Raises StoreError or SpoolError; then it waits on."""
        async with self._deciding:
            ripe = self.memory.ripe(self._clock.now_us())
            if ripe:
                known = await self._known(ripe)
                self._unsent.append(self.memory.settle(ripe, known))
        await self._hand_over_unsent()

    async def _known(self, ripe: Sequence[Held]) -> set[str]:
        traces = sorted({one.trace_id for one in ripe if one.doubtful and one.is_aggregate})
        return await asyncio.to_thread(self._traces_with_calls, traces) if traces else set()


def _by_caller(ready: Iterable[tuple[WireEvent, Caller]]) -> Iterator[tuple[Caller, list[WireEvent]]]:
    """Events together with whoever sent them; nearly always one."""
    for caller, group in groupby(ready, itemgetter(1)):
        yield caller, [event for event, _ in group]
