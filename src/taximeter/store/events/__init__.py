"""The events store: the port, the query tree, and the engines behind it."""

from taximeter.store.events.clickhouse_store import ClickHouseEvents
from taximeter.store.events.duckdb_store import DuckDBEvents
from taximeter.store.events.parquet_file import parquet
from taximeter.store.events.parsing import parse_event_query, parse_query
from taximeter.store.events.port import Appended, Cancellation, EventPage, EventStore, Table
from taximeter.store.events.query import Answer, EventQuery, OutcomeQuery, Query

__all__ = [
    "Answer",
    "Appended",
    "Cancellation",
    "ClickHouseEvents",
    "DuckDBEvents",
    "EventPage",
    "EventQuery",
    "EventStore",
    "OutcomeQuery",
    "Query",
    "Table",
    "parquet",
    "parse_event_query",
    "parse_query",
]
