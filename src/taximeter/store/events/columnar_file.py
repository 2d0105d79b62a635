"""Calls as a Parquet or Arrow file, page by page: money as decimals, moments as timestamps, tags as a map."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from taximeter.core.cost import COMPONENTS
from taximeter.core.event import Kind
from taximeter.errors import UsageError
from taximeter.store.events.columns import COLUMNS

Pages = Iterable[Sequence[dict[str, Any]]]

_TYPES: Final[dict[Kind, str]] = {
    "text": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "count": "BIGINT",
    "milliseconds": "DOUBLE",
    "flag": "BOOLEAN",
    "money": "DECIMAL(18, 12)",
    "texts": "MAP(VARCHAR, VARCHAR)",
    "units": "MAP(VARCHAR, DECIMAL(18, 6))",
    "json": "JSON",
}
_COST: Final = "STRUCT(" + ", ".join(f'"{name}" DECIMAL(18, 12)' for name in COMPONENTS) + ")"
_STRUCTURE: Final = {c.name: _COST if c.name == "cost" else _TYPES[c.kind] for c in COLUMNS}
ROWS_AT_ONCE: Final = 50_000


def write_parquet(file: Path, pages: Pages) -> int:
    """How many calls that were."""
    with _table(pages) as (connection, written):
        connection.table("calls").write_parquet(str(file), compression="zstd")
    return written


def write_arrow(file: Path, pages: Pages) -> int:
    """An Arrow IPC file. Raises UsageError without `pyarrow`."""
    try:
        import pyarrow as arrow
    except ImportError as error:
        raise UsageError("an Arrow file needs pyarrow", hint="pip install pyarrow, or export Parquet") from error
    with _table(pages) as (connection, written):
        reader = connection.table("calls").to_arrow_reader(ROWS_AT_ONCE)
        with arrow.OSFile(str(file), "wb") as out, arrow.ipc.new_file(out, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    return written


@contextmanager
def _table(pages: Pages) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
    """The calls in a table on disk, so that many need little memory."""
    with (
        tempfile.TemporaryDirectory(prefix="taximeter-") as folder,
        duckdb.connect(str(Path(folder) / "calls.duckdb")) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in _STRUCTURE.items())
        connection.execute(f"CREATE TABLE calls ({columns})")
        insert = "INSERT INTO calls SELECT unnest(row) FROM (SELECT unnest(from_json($1, $2)) AS row)"
        structure = json.dumps([_STRUCTURE])
        written = 0
        for page in pages:
            connection.execute(insert, [json.dumps(list(page)), structure])
            written += len(page)
        yield connection, written
