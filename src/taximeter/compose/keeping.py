"""What a data directory consists of, and what fills it. `docs/architecture.md` draws it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from taximeter.clock import Clock
from taximeter.compose.stored_calls import StoredCalls
from taximeter.config.settings import Settings
from taximeter.core.ids import uuid7
from taximeter.ingest.collector import Collector, Prices, Store
from taximeter.ingest.roads import Roads
from taximeter.spool import SpoolReader
from taximeter.store.events import ClickHouseEvents, DuckDBEvents, EventStore
from taximeter.store.events.moving import Movable

EVENTS_FILE: Final = "events.duckdb"
METADATA_FILE: Final = "metadata.sqlite"
SPOOL_DIRECTORY: Final = "spool"
COLLECTOR_FILE: Final = "collector"
"""The name under which this directory's collector keeps its marks in a store that several collectors share."""


def open_events(settings: Settings, data: Path, clock: Clock) -> Movable:
    """The events store of the settings. Raises StoreError, UsageError for an address that is none."""
    timeout_seconds = settings.server.query_timeout_seconds
    if settings.store.events == "embedded":
        return DuckDBEvents(data / EVENTS_FILE, query_timeout_seconds=timeout_seconds)
    return ClickHouseEvents(
        settings.store.events,
        writer=_new_id(clock),
        collector=_collector_name(data, clock),
        query_timeout_seconds=timeout_seconds,
    )


def _collector_name(data: Path, clock: Clock) -> str:
    file = data / COLLECTOR_FILE
    if not file.exists():
        file.touch(mode=0o600)
    if not file.stat().st_size:
        file.write_text(_new_id(clock), "utf-8")
    return file.read_text("utf-8")


def _new_id(clock: Clock) -> str:
    return uuid7(clock.now_us() // 1000, os.urandom(10))


def collector_of(
    data: Path,
    prices: Prices,
    store: EventStore,
    clock: Clock,
    on_stored: Callable[[int], None] | None = None,
    into: Store | None = None,
    hurried: Callable[[], bool] = lambda: False,
) -> Collector:
    """The collector from the directory's spool into its store, which may be given through something before it (`into`).
    It gives way to senders while it is `hurried`. The spool is made when it is not there.
    """
    spool = data / SPOOL_DIRECTORY
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    roads = Roads(clock.now_us(), StoredCalls(store))
    return Collector(
        SpoolReader(spool), prices, into or store, clock, roads=roads, on_stored=on_stored, hurried=hurried
    )
