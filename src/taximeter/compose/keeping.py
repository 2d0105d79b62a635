"""What a data directory consists of, and what fills it. `docs/architecture.md` draws it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from taximeter.clock import Clock
from taximeter.compose.stored_calls import StoredCalls
from taximeter.ingest.collector import Collector, Prices, Store
from taximeter.ingest.roads import Roads
from taximeter.spool import SpoolReader
from taximeter.store.events import DuckDBEvents

EVENTS_FILE: Final = "events.duckdb"
METADATA_FILE: Final = "metadata.sqlite"
SPOOL_DIRECTORY: Final = "spool"


def collector_of(
    data: Path,
    prices: Prices,
    store: DuckDBEvents,
    clock: Clock,
    on_stored: Callable[[int], None] | None = None,
    into: Store | None = None,
) -> Collector:
    """The collector from the directory's spool into its store, which may be given through something before it (`into`).
    The spool is made when it is not there.
    """
    spool = data / SPOOL_DIRECTORY
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    roads = Roads(clock.now_us(), StoredCalls(store))
    return Collector(SpoolReader(spool), prices, into or store, clock, roads=roads, on_stored=on_stored)
