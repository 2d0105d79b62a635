"""Each port has one suite, run over all its adapters: a new adapter is a new line in one of these lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import clickhouse_here
from clickhouse_here import open_clickhouse

from taximeter.store.events import ClickHouseEvents, DuckDBEvents, EventStore
from taximeter.store.events.rollups import LEVELS, Level

OpenEvents = Callable[[Path], EventStore]
"""Opens the store that is kept in a folder, which may be empty."""

EVENT_STORES: Final[dict[str, OpenEvents]] = {
    "clickhouse": open_clickhouse,
    "duckdb": lambda folder: DuckDBEvents(folder / "events.duckdb", arrange_from=1),
}


def emptied(store: EventStore) -> EventStore:
    """The store without anything in it, which is sooner done than opening another one."""
    if isinstance(store, ClickHouseEvents):
        return clickhouse_here.emptied(store)
    assert isinstance(store, DuckDBEvents)
    for table in (
        "events",
        "outcome_facts",
        "superseded_costs",
        "repricings",
        "marks",
        "rollup_dirty",
        "rollup_so_far",
        "arranged",
        "deleted_users",
        "kept_from",
        *(level.table for level in LEVELS),
    ):
        store._writer.execute(f"DELETE FROM {table}")
    store._deleted_users, store._kept_from = {}, {}
    return store


def with_other_sums(store: EventStore, table: str, amount: str) -> None:
    """Change a column of a level's table behind the store's back."""
    if isinstance(store, ClickHouseEvents):
        store._client.write(f"ALTER TABLE {table} UPDATE {amount} WHERE 1")
        return
    assert isinstance(store, DuckDBEvents)
    store._writer.execute(f"UPDATE {table} SET {amount}")


def without_events(store: EventStore) -> None:
    """Delete all events behind the store's back."""
    if isinstance(store, ClickHouseEvents):
        store._client.write("TRUNCATE TABLE events")
        return
    assert isinstance(store, DuckDBEvents)
    store._writer.execute("DELETE FROM events")


def without_level(store: EventStore, *levels: Level) -> None:
    """As a version that did not know the levels left the store, which is closed."""
    for level in levels:
        if isinstance(store, ClickHouseEvents):
            statements = [f"DROP VIEW {level.view}", f"DROP TABLE {level.table}"]
            marks = ("rollup_dirty", "rollup_units")
            statements += [f"ALTER TABLE {table} DELETE WHERE level = '{level.name}'" for table in marks]
            for statement in statements:
                store._client.write(statement)
        else:
            assert isinstance(store, DuckDBEvents)
            store._writer.execute(f"DROP VIEW {level.view}; DROP TABLE {level.table}")
            for table in ("rollup_dirty", "rollup_so_far"):
                store._writer.execute(f"DELETE FROM {table} WHERE level = '{level.name}'")
    store.close()


METADATA_STORES: Final = ("sqlite", "postgres")
