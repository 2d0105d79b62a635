"""Limits, put together: what counts them, what they begin with, and the jobs that look after them.

At a start, before the first call is admitted:
  1. hold again what calls held that had left when the last process ended     (begin records of the spool)
  2. collect what is in the spool                                             (dead calls end, and are posted)
  3. book what the store knows                                                (never less than that)
A crash in between is made good by the next start, which does the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from taximeter.clock import Clock, SystemClock, rfc3339
from taximeter.compose.jobs import Jobs
from taximeter.compose.keys import open_desk
from taximeter.compose.offline import offline
from taximeter.config.settings import Settings
from taximeter.gateway.limiting import LimitedCalls
from taximeter.gateway.tools import Price
from taximeter.ingest.collector import Collector
from taximeter.ingest.posting import KnowingStore, PostingStore
from taximeter.limits.amounts import Amounts
from taximeter.limits.counters import Counters, CountersAway
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.counters.redis import RedisCounters
from taximeter.limits.priced import HighestRates
from taximeter.limits.rules import Subject, subject_of_record
from taximeter.pricing import PriceBook, load_price_book
from taximeter.pricing.priceable import parse_instant
from taximeter.pricing.shelf import PRICES_DIRECTORY
from taximeter.server.limit_desk import LimitDesk
from taximeter.spool import list_segments
from taximeter.store.events import EventStore
from taximeter.store.metadata import LimitBook

REFRESH_SECONDS: Final = 1.0
"""How soon a limit that another process set is in force here."""
EXPIRE_SECONDS: Final = 10.0
SAMPLE_SECONDS: Final = 10.0
FILL_SECONDS: Final = 300.0
"""How soon what was priced late, or posted to counters that were away, is booked from the store."""

HOLD_AGAIN_SECONDS: Final = 5.0
"""How long counters that came back empty admit nobody: every process holds again what its calls under way hold, and
what has ended meanwhile comes to the store."""

BACKGROUND_THREADS: Final = 16
"""Threads that talk to Redis for the gateway."""

_HELD: Final = b'"held"'

_log = logging.getLogger(__name__)


class Limiting:
    """The limits of one process. `desk` is for routes, `calls` for the gateway, `posting` for the collector."""

    def __init__(
        self,
        settings: Settings,
        book: LimitBook,
        prices: Callable[[], PriceBook],
        clock: Clock,
        store: EventStore | None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._shared = settings.store.counters != "memory"
        counters: Counters = RedisCounters(settings.store.counters, clock) if self._shared else MemoryCounters()
        self.desk = LimitDesk(
            settings.limits, book, counters, HighestRates(prices), clock, store=store, fail=settings.admission.fail
        )
        self._counters = counters
        self._generation: str | None = None
        self._empty_since: float | None = None
        self._posting: PostingStore | None = None

    def posting(self, store: KnowingStore) -> PostingStore:
        """The store for the collector, behind which everything stored is posted."""
        self._posting = PostingStore(store, self._post, lambda: bool(self.desk.guard.rules.limits), self._let_go)
        self.desk.while_nothing_is_told = self._posting.fill_beside
        return self._posting

    def _post(self, event_id: str, subject: Subject, at_us: int, came_to: Amounts, *, seen: bool) -> None:
        self.desk.guard.post(event_id, subject, at_us, came_to, self._clock.now_us(), seen=seen)

    def _let_go(self, event_id: str) -> None:
        self.desk.guard.end_unmade(event_id, self._clock.now_us())

    def calls(self, price: Price) -> LimitedCalls:
        """Admission for the gateway."""
        admission = self._settings.admission
        return LimitedCalls(
            lambda: self.desk.guard,
            price,
            self._clock,
            wait_seconds=admission.wait_seconds,
            fail_closed=admission.fail == "closed",
            background=ThreadPoolExecutor(BACKGROUND_THREADS, "taximeter-limits") if self._shared else None,
        )

    def begin(self, spool: Path, collector: Collector) -> None:
        """Know what was spent and what is held, before the first call. Raises StoreError."""
        try:
            if not self._shared:
                self._restore(spool)
            if self.desk.defined():
                while collector.step():
                    pass
            self.desk.write_down()
            self.desk.fill()
            self._counters.filled(self._new_generation())
        except CountersAway as error:
            self.desk.guard.away = str(error)
            _log.warning("limits: %s", error)

    def _restore(self, spool: Path) -> None:
        for event_id, left in left_behind(spool).items():
            amounts = Amounts(left.held["cost_nano_usd"], left.held["input_tokens"], left.held["output_tokens"])
            at_us = parse_instant(left.begin["started_at"])
            subject = subject_of_record(left.begin)
            if left.ended:
                self.desk.guard.restore_ended(event_id, subject, at_us, amounts)
            else:
                self.desk.guard.restore(event_id, subject, at_us, amounts, self._clock.now_us())

    def look_after(self, jobs: Jobs) -> None:
        """The periodic work."""
        jobs.every("limits_refresh", REFRESH_SECONDS, self._quietly(self._refresh))
        jobs.every("limits_expire", EXPIRE_SECONDS, self._quietly(self.desk.expire))
        jobs.every("limits_burn", SAMPLE_SECONDS, self._quietly(self.desk.sample))
        jobs.every("limits_fill", FILL_SECONDS, self._quietly(self._fill))

    def _refresh(self) -> None:
        self.desk.write_down()
        self.desk.refresh()
        self._look_at_counters()
        self.desk.guard.let_go(self._clock.now_us())
        if self._posting is not None:
            self._posting.post_pending()
            if self._posting.overflowed:
                self._posting.fill_instead(self.desk.fill, self._counters.void)

    def _look_at_counters(self) -> None:
        """Counters that came back empty are told, before they admit anybody,
          1. what is held: by every process, for its calls under way   (a call that ends now is told by its event)
          2. what is spent: by whoever has a store                     (and what waits to be told is in there)
        Raises CountersAway.
        """
        generation = self._counters.generation()
        if generation is None or generation != self._generation:
            self.desk.guard.hold_again(self._clock.now_us())
        if generation is None and self._posting is not None and self._were_empty_for(HOLD_AGAIN_SECONDS):
            self._posting.fill_instead(self.desk.fill, self._counters.void)
            self._counters.filled(generation := self._new_generation())
        self._generation = generation
        if generation is None:
            self.desk.guard.away = "the counters came back empty, and are being filled"
        else:
            self._empty_since = self.desk.guard.away = None

    def _were_empty_for(self, seconds: float) -> bool:
        """Whether they are seen empty for so long already."""
        now = self._clock.monotonic()
        if self._empty_since is None:
            self._empty_since = now
        return now - self._empty_since >= seconds

    def _new_generation(self) -> str:
        return rfc3339(self._clock.now_us())

    def _fill(self) -> None:
        """Book what the store knows: what was priced late. Raises CountersAway and StoreError."""
        if self._posting is not None:
            self._posting.fill_beside(self.desk.fill)

    def _quietly(self, function: Callable[[], None]) -> Callable[[], None]:
        """Counters that are away are told by the guard, not by every job."""

        def run() -> None:
            try:
                function()
            except CountersAway as error:
                self.desk.guard.away = str(error)

        return run


@dataclass(slots=True)
class Left:
    """A call of a dead process: its begin record, and what it held at last. `ended`: its event says an estimate."""

    begin: dict[str, Any]
    held: dict[str, int]
    ended: bool = False


def left_behind(spool: Path) -> Mapping[str, Left]:
    """The calls in a spool that were held and whose end nobody saw."""
    left: dict[str, Left] = {}
    for record in _records(spool):
        event_id, held = str(record.get("event_id")), record.get("held")
        if record.get("record") == "begin":
            if isinstance(held, dict):
                left[event_id] = Left(record, held)
        elif event_id not in left:
            continue
        elif "record" in record:
            left[event_id].held = held if isinstance(held, dict) else left[event_id].held
        elif record.get("usage_estimated") or record.get("status") == "interrupted":
            left[event_id].ended = True
        else:
            del left[event_id]
    return left


def _records(spool: Path) -> Iterator[dict[str, Any]]:
    """Every line of every segment that could be read, in their order."""
    for segment in sorted(list_segments(spool), key=lambda one: (one.writer, one.number)):
        content = segment.path.read_bytes()
        if _HELD not in content:
            continue
        for line in content.split(b"\n"):
            try:
                record = msgspec.json.decode(line) if line else None
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # torn
            if isinstance(record, dict):
                yield record


@contextmanager
def open_limit_desk(settings: Settings, data: Path) -> Iterator[LimitDesk]:
    """The limits of a directory no server is running on, as its store has them. Raises DirectoryInUseError, StoreError.

    Counters in Redis stay as they are.
    """
    clock = SystemClock()
    with offline(settings, data) as here, open_desk(data, settings, clock) as keys:
        while here.collector.step():
            pass
        book = load_price_book(settings.prices.overrides, data / PRICES_DIRECTORY)
        counters = MemoryCounters()
        desk = LimitDesk(
            settings.limits,
            keys.limits,
            counters,
            HighestRates(lambda: book),
            clock,
            store=here.store,
            fail=settings.admission.fail,
        )
        desk.fill()
        yield desk
