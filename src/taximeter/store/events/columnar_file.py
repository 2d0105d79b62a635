"""Rows as a Parquet or Arrow file, page by page: money as decimals, moments as timestamps, tags as a map.

What has other parts is JSON in a text: columns that say of themselves that they are JSON are bytes to some readers.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from taximeter.core.cost import COMPONENTS
from taximeter.errors import UsageError
from taximeter.store.events.columns import COLUMNS

Pages = Iterable[Sequence[dict[str, Any]]]

_TYPES: Final = {
    "text": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "count": "BIGINT",
    "milliseconds": "DOUBLE",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "money": "DECIMAL(18, 12)",
    "texts": "MAP(VARCHAR, VARCHAR)",
    "units": "MAP(VARCHAR, DECIMAL(18, 6))",
    "json": "VARCHAR",
    "sum": "DECIMAL(38, 12)",
    "cost": "STRUCT(" + ", ".join(f'"{name}" DECIMAL(18, 12)' for name in COMPONENTS) + ")",
}
CALLS: Final[Mapping[str, str]] = {c.name: c.name if c.name == "cost" else c.kind for c in COLUMNS}
"""The columns of calls, and what is in each: the kind of a field, `cost` in its components, or a `sum` of amounts."""
ROWS_AT_ONCE: Final = 50_000


def write_parquet(file: Path, pages: Pages, columns: Mapping[str, str] = CALLS) -> int:
    """How many rows that were."""
    with _table(pages, columns) as (connection, written):
        connection.table("told").write_parquet(str(file), compression="zstd")
    return written


def write_arrow(file: Path, pages: Pages, columns: Mapping[str, str] = CALLS) -> int:
    """An Arrow IPC file. Raises UsageError without `pyarrow`."""
    try:
        import pyarrow as arrow
    except ImportError as error:
        raise UsageError("an Arrow file needs pyarrow", hint="pip install pyarrow, or export Parquet") from error
    with _table(pages, columns) as (connection, written):
        reader = connection.table("told").to_arrow_reader(ROWS_AT_ONCE)
        with arrow.OSFile(str(file), "wb") as out, arrow.ipc.new_file(out, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    return written


@contextmanager
def _table(pages: Pages, columns: Mapping[str, str]) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
    """The rows in a table on disk, so that many need little memory."""
    with (
        tempfile.TemporaryDirectory(prefix="taximeter-") as folder,
        duckdb.connect(str(Path(folder) / "rows.duckdb")) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        types = {name: _TYPES[kind] for name, kind in columns.items()}
        made = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
        connection.execute(f"CREATE TABLE told ({made})")
        insert = "INSERT INTO told SELECT unnest(row) FROM (SELECT unnest(from_json($1, $2)) AS row)"
        structure = json.dumps([types])
        written = 0
        for page in filter(len, pages):
            connection.execute(insert, [json.dumps(list(page)), structure])
            written += len(page)
        yield connection, written
