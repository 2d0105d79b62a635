"""A data directory opened by a command, while no server runs on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from taximeter.clock import SystemClock
from taximeter.compose.charging import terms_of
from taximeter.compose.keeping import SPOOL_DIRECTORY, collector_of, open_events
from taximeter.compose.repricing import Repricer
from taximeter.config.settings import Settings
from taximeter.core.ids import EventIds
from taximeter.ingest.collector import Collector
from taximeter.pricing import PriceBook, load_price_book
from taximeter.pricing.shelf import PRICES_DIRECTORY
from taximeter.reports.chargeback import Terms
from taximeter.spool import SpoolReader
from taximeter.store.events.moving import Movable
from taximeter.store.ownership import own


@dataclass(frozen=True, slots=True)
class Offline:
    """A data directory opened by a command: its store, and the collector that has to catch up first."""

    store: Movable
    prices: PriceBook
    collector: Collector
    spool: SpoolReader
    repricer: Repricer
    terms: Terms

    def waiting_bytes(self) -> int:
        """Bytes in the spool that the store does not have."""
        return self.spool.unread_bytes(self.store.marks())


@contextmanager
def offline(settings: Settings, data: Path) -> Iterator[Offline]:
    """Own the directory for a moment. Raises DirectoryInUseError, StoreError."""
    clock = SystemClock()
    with ExitStack() as closing:
        closing.enter_context(own(data, pid=os.getpid(), brief=True))
        prices = load_price_book(settings.prices.overrides, data / PRICES_DIRECTORY, settings.prices.prefer_reported)
        store = open_events(settings, data, clock)
        closing.callback(store.close)
        collector = collector_of(data, prices, store, clock)
        repricer = Repricer(store, lambda: prices, clock, EventIds(os.urandom))
        spool, terms = SpoolReader(data / SPOOL_DIRECTORY), terms_of(settings.chargeback)
        yield Offline(store, prices, collector, spool, repricer, terms)
