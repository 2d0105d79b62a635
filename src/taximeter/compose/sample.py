"""A sample history for those who look around before they have calls of their own.

It is made when it is first asked for: a month of invented calls, priced like real ones, in a store of its own, with
rules and limits of its own beside it. No job runs over it and no channel is open, so that nothing of it is told to
anybody. It is let go of when nobody has asked for a while, and while the server ends; what a server that died left of
it, the next one deletes.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from taximeter.alerts.sources import MeterHealth
from taximeter.clock import Clock
from taximeter.compose.alerting import open_alerting
from taximeter.compose.jobs import Jobs
from taximeter.compose.keeping import EVENTS_FILE, METADATA_FILE
from taximeter.compose.limits import Limiting
from taximeter.compose.repricing import Repricer
from taximeter.config.settings import Settings
from taximeter.core.ids import EventIds
from taximeter.errors import StoreError, UnavailableError
from taximeter.ingest.collector import CostSplicer, PricedRecord
from taximeter.pricing import PriceBook
from taximeter.server.parts import Sampled
from taximeter.simulator.traffic.history import outcome_of
from taximeter.simulator.traffic.story import story
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata import Metadata

SAMPLE_DIRECTORY: Final = "sample-history"

LOOK_SECONDS: Final = 60.0
KEPT_SECONDS: Final = 900.0
"""So long after the last question it is let go of."""
STALE_SECONDS: Final = 3600.0
"""After this it is made anew for the next question: its last hour has to be the last hour."""

BATCH_EVENTS: Final = 10_000
MEMORY_LIMIT_MB: Final = 128

INVENTED: Final = "the sample"
"""Who set its rules and limits."""
RULES: Final[tuple[Mapping[str, Any], ...]] = (
    {"name": "a-user-in-a-loop", "measure": "cost_usd", "over": "1h", "each": ["user_id"], "critical": "> 1"},
    {"name": "dear-day-of-a-feature", "measure": "cost_usd", "over": "24h", "each": ["feature"], "warning": "> 2"},
    {"name": "provider-in-trouble", "measure": "error_rate", "over": "4h", "each": ["provider"], "warning": "> 0.4"},
)
LIMITS: Final[tuple[Mapping[str, Any], ...]] = (
    {"name": "support-a-month", "scope": {"team": "support"}, "measure": "cost_usd", "limit": "15", "window": "month"},
    {"name": "agent-a-day", "scope": {"feature": "coding-agent"}, "measure": "cost_usd", "limit": "2", "window": "day"},
)


@dataclass(frozen=True, slots=True)
class _Made:
    sampled: Sampled
    closing: ExitStack
    at_seconds: float


class Sample:
    """The sample history of a process. Any thread may call any method; those who ask together wait for one making."""

    def __init__(self, data: Path, prices: Callable[[], PriceBook], clock: Clock) -> None:
        self._folder = data / SAMPLE_DIRECTORY
        self._prices = prices
        self._clock = clock
        self._lock = threading.Lock()
        self._made: _Made | None = None
        self._asked_at_seconds = 0.0
        self._closed = False
        self._delete()

    def __call__(self) -> Sampled:
        """Raises StoreError, UnavailableError at the end of the process."""
        with self._lock:
            if self._closed:
                raise UnavailableError("the server is ending")
            self._asked_at_seconds = self._clock.monotonic()
            if self._made is None:
                self._made = self._make()
            return self._made.sampled

    def let_go(self) -> None:
        """Of what nobody has asked for in a while, or what is no longer of now."""
        now = self._clock.monotonic()
        with self._lock:
            made = self._made
            if made is not None and (
                now - self._asked_at_seconds > KEPT_SECONDS or now - made.at_seconds > STALE_SECONDS
            ):
                self._drop()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._drop()

    def _make(self) -> _Made:
        self._delete()
        try:
            self._folder.mkdir(mode=0o700)
        except OSError as error:
            raise StoreError(f"{self._folder} cannot be made: {error.strerror}") from error
        with ExitStack() as closing:
            closing.callback(self._delete)
            sampled = _sampled(self._folder, self._prices(), self._clock, closing)
            return _Made(sampled, closing.pop_all(), self._clock.monotonic())

    def _drop(self) -> None:
        if self._made is not None:
            made, self._made = self._made, None
            made.closing.close()

    def _delete(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _sampled(folder: Path, prices: PriceBook, clock: Clock, closing: ExitStack) -> Sampled:
    store = DuckDBEvents(folder / EVENTS_FILE, memory_limit_mb=MEMORY_LIMIT_MB)
    closing.callback(store.close)
    priced = _priced(prices, clock.now_us())
    while lines := list(islice(priced, BATCH_EVENTS)):
        store.append(lines, {})
    metadata = Metadata(folder / METADATA_FILE, clock=clock)
    closing.callback(metadata.close)
    limiting = Limiting(Settings(), metadata.limits, lambda: prices, clock, store)
    for limit in LIMITS:
        limiting.desk.set(limit, INVENTED)
    limiting.desk.fill()
    never_started = Jobs(clock)
    alerting = open_alerting(Settings(), store, metadata, MeterHealth, clock, never_started, lambda: "")
    for rule in RULES:
        alerting.rules.set(rule, INVENTED)
    alerting.watch.evaluate()
    return Sampled(
        store=store,
        alerting=alerting,
        limits=limiting.desk,
        repricings=Repricer(store, lambda: prices, clock, EventIds(os.urandom)),
        calculator_uses=metadata.calculator_uses,
    )


def _priced(prices: PriceBook, now_us: int) -> Iterator[bytes]:
    """The lines as a collector would store them."""
    splicer = CostSplicer(prices)
    for record in story(now_us):
        if (outcome := outcome_of(record)) is not None:
            yield msgspec.json.encode(outcome)
        yield splicer.spliced(msgspec.json.encode(record), cast(PricedRecord, record), record["started_at"])
