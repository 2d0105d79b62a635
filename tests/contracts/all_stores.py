"""Each port has one suite, run over all its adapters: a new adapter is a new line in one of these lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from taximeter.store.events import DuckDBEvents, EventStore
from taximeter.store.events.duckdb_store import FIRST_MOMENT_US
from taximeter.store.events.rollups import LEVELS

OpenEvents = Callable[[Path], EventStore]
"""Opens the store that is kept in a folder, which may be empty."""

EVENT_STORES: Final[dict[str, OpenEvents]] = {
    "duckdb": lambda folder: DuckDBEvents(folder / "events.duckdb"),
}


def emptied(store: EventStore) -> EventStore:
    """The store without anything in it, which is sooner done than opening another one."""
    assert isinstance(store, DuckDBEvents)
    for table in (
        "events",
        "superseded_costs",
        "repricings",
        "marks",
        "rollup_dirty",
        "deleted_users",
        "kept_from",
        *(level.table for level in LEVELS),
    ):
        store._writer.execute(f"DELETE FROM {table}")
    store._deleted_users, store._events_from_us = {}, FIRST_MOMENT_US
    return store


METADATA_STORES: Final = ("sqlite", "postgres")
