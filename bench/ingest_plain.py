"""The lower bound of ingest: DuckDB alone reads the same lines from files, without a server, a price or a check."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from bench.ingest_events import lines
from taximeter.store.events import DuckDBEvents
from taximeter.store.events.columns import COLUMN_NAMES


def measure(number: int, batch: int) -> dict[str, float]:
    """CPU microseconds and seconds of wall time for one event, `batch` events a transaction."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = _write(folder, lines(number), batch)
        DuckDBEvents(folder / "events.duckdb").close()  # makes the table
        connection = duckdb.connect(str(folder / "events.duckdb"), config={"threads": 1})
        types = dict(
            connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'events'"
            ).fetchall()
        )
        structure = ", ".join(f"{column}: '{types[column]}'" for column in COLUMN_NAMES)
        names = ", ".join(COLUMN_NAMES)
        defaults = {"attempt": "1", "not_billed": "false", "usage_estimated": "false", "usage_conflict": "false"}
        values = ", ".join(f"coalesce({n}, {defaults[n]})" if n in defaults else n for n in COLUMN_NAMES)
        values = values.replace("ingested_at", "coalesce(ingested_at, started_at)")
        began, cpu_began = time.perf_counter(), time.process_time()
        for file in files:
            connection.execute(
                f"INSERT INTO events ({names}) SELECT {values} FROM "
                f"read_json('{file}', columns = {{{structure}}}, format = 'newline_delimited')"
            )
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
        (stored,) = connection.execute("SELECT count(*) FROM events").fetchone() or (0,)
        assert stored == number, f"{stored} of {number}"
        connection.close()
    return {"seconds": seconds, "cpu_us": cpu_seconds / number * 1e6}


def _write(folder: Path, made: list[bytes], batch: int) -> list[Path]:
    files = []
    for start in range(0, len(made), batch):
        file = folder / f"{start}.ndjson"
        file.write_bytes(b"\n".join(made[start : start + batch]) + b"\n")
        files.append(file)
    return files


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
