"""Other engines beside the store: the same events in a table of theirs, asked the same questions without roll-ups.

The ClickHouse engine is chDB, with the store's own table and neither versions nor a search for duplicates to read past.
PostgreSQL is Debian's, with an index by time and one by user and time.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
from sqlglot import expressions as exp

from taximeter.core.cost import COMPONENTS
from taximeter.store.events import Answer, OutcomeQuery, Query
from taximeter.store.events import clickhouse_dialect as clickhouse
from taximeter.store.events.answers import Found
from taximeter.store.events.asking import Run, ask
from taximeter.store.events.clickhouse_client import SETTINGS, values_of
from taximeter.store.events.clickhouse_schema import schema_files, statements
from taximeter.store.events.columns import COLUMNS
from taximeter.store.events.rolling import with_model
from taximeter.store.events.slots import Statement

EVENTS: Final = exp.to_table("events")
KEPT: Final = tuple(column for column in COLUMNS if column.kind not in ("units", "json") and column.name != "cost")
"""The columns that a history fills or leaves empty; amounts by component stand beside them, each on its own."""

COST_COLUMNS: Final = tuple(f"cost_{name}" for name in COMPONENTS)


class MissingEngineError(Exception):
    """An engine is not there; the text says why."""


@dataclass(frozen=True)
class Other:
    """An engine that answers a store's queries from the events alone."""

    run: Run
    bytes_on_disk: int

    def query(self, query: Query, /) -> Answer:
        return ask(query, self.run, None)

    def outcomes(self, _: OutcomeQuery, /) -> list[dict[str, Any]]:
        """The histories that are made here have none."""
        return []


def _exported(file: Path, to: Path, options: str, changed: dict[str, str]) -> None:
    """The history as a file that other engines read."""
    columns = [f"{changed.get(column.name, column.name)} AS {column.name}" for column in KEPT]
    columns += [f"cost.{name} AS cost_{name}" for name in COMPONENTS]
    with duckdb.connect(str(file), read_only=True, config={"memory_limit": "1GB", "threads": 2}) as connection:
        connection.execute(f"COPY (SELECT {', '.join(columns)} FROM events) TO '{to}' ({options})")


# --- ClickHouse ----------------------------------------------------------------------------------------------------


@contextmanager
def clickhouse_engine(file: Path, folder: Path) -> Iterator[Other]:
    """Raises MissingEngineError when chDB is not installed."""
    try:
        from chdb.session import Session
    except ImportError as error:
        raise MissingEngineError("ClickHouse was left out: chDB is not installed") from error
    parquet = folder / "events.parquet"
    _exported(file, parquet, "FORMAT parquet", {"event_id": "event_id::VARCHAR"})
    opened: Any = Session
    session = opened(str(folder / "clickhouse"))
    try:
        _fill_clickhouse(session, parquet)
        yield Other(lambda statement: _found(session, clickhouse.said(statement)), _bytes_of_clickhouse(session))
    finally:
        session.close()


def _fill_clickhouse(session: Any, parquet: Path) -> None:
    session.query("CREATE DATABASE IF NOT EXISTS plain")
    session.query("USE plain")
    session.query("SET max_threads = 2")
    for name, value in SETTINGS.items():
        session.query(f"SET {name} = '{value}'")
    (schema, *_) = schema_files()
    session.query(next(statements(schema.sql)))
    names = ", ".join(column.name for column in KEPT)
    values = names.replace("event_id", "toUUID(event_id)", 1)
    cost = f"tuple({', '.join(COST_COLUMNS)})"
    session.query(f"INSERT INTO events ({names}, cost) SELECT {values}, {cost} FROM file('{parquet}', 'Parquet')")
    session.query("OPTIMIZE TABLE events FINAL")
    session.query(f"CREATE VIEW calls AS {clickhouse.sql(with_model(EVENTS))}")


def _found(session: Any, statement: str) -> list[Found]:
    said = bytes(session.query(statement, "JSONCompactEachRowWithNamesAndTypes").bytes())
    names, types, *rows = [json.loads(line) for line in said.splitlines()]
    return [dict(zip(names, values_of(row, types), strict=True)) for row in rows]


def _bytes_of_clickhouse(session: Any) -> int:
    (found,) = _found(session, "SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = 'events'")
    return int(found["bytes"])


# --- PostgreSQL ----------------------------------------------------------------------------------------------------

_TYPES: Final = {
    "timestamp": "timestamp",
    "count": "bigint",
    "milliseconds": "double precision",
    "flag": "boolean",
    "money": "numeric(18, 12)",
    "texts": "jsonb",
}
"""By the kind of a column; all others are text."""

NOBODY: Final = "nobody"
"""Who runs it when we are root, as which it refuses to run."""


@contextmanager
def postgres(file: Path, folder: Path) -> Iterator[Other]:
    """Raises MissingEngineError when PostgreSQL is not installed."""
    csv = folder / "events.csv"
    _exported(file, csv, "FORMAT csv, HEADER false", {"tags": "to_json(tags)"})
    with _server(folder / "postgres") as address:
        import psycopg

        with psycopg.connect(address, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
            _fill_postgres(connection, csv)
            size: Any = connection.execute("SELECT pg_total_relation_size('events')").fetchone()
            yield Other(lambda statement: _asked(connection, statement), int(size[0]))


def _fill_postgres(connection: Any, csv: Path) -> None:
    columns = [f"{column.name} {_TYPES.get(column.kind, 'text')}" for column in KEPT]
    columns += [f"{name} numeric(18, 12)" for name in COST_COLUMNS]
    connection.execute(f"CREATE TABLE events ({', '.join(columns)})")
    with connection.cursor().copy("COPY events FROM STDIN (FORMAT csv)") as copy, csv.open("rb") as lines:
        while block := lines.read(1 << 20):
            copy.write(block)
    connection.execute("CREATE INDEX ON events (started_at)")
    connection.execute("CREATE INDEX ON events (user_id, started_at)")
    connection.execute("VACUUM ANALYZE events")
    connection.execute(f"CREATE VIEW calls AS {with_model(EVENTS).sql(dialect='postgres')}")


def _asked(connection: Any, statement: Statement) -> list[Found]:
    tree = statement.build(statement.shape).transform(_in_words)
    cursor = connection.execute(tree.sql(dialect="postgres"), statement.values)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _in_words(node: Any) -> Any:
    if isinstance(node, exp.Dot) and isinstance(node.this, exp.Column):
        return exp.column(f"{node.this.name}_{node.expression.name}")
    return exp.Max(this=node.this) if isinstance(node, exp.AnyValue) else node


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    """The address of a server of one's own."""
    programs = _programs()
    directory.parent.chmod(0o755)
    directory.mkdir()
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(directory, NOBODY)
        as_whom = {"user": NOBODY, "group": "nogroup", "extra_groups": []}
    said = {"cwd": directory, "stdout": subprocess.DEVNULL, "check": True, **as_whom}
    made = ["--username=bench", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions"]
    subprocess.run([programs / "initdb", "-D", directory, *made], **said)
    port = _free_port()
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "512MB"}
    options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
    control: list[str | Path] = [programs / "pg_ctl", "-D", directory, "-w", "-t", "120"]
    subprocess.run([*control, "-l", directory / "log", "-o", options, "start"], **said)
    try:
        yield f"postgresql://bench@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], **said)


def _programs() -> Path:
    here = shutil.which("initdb")
    found = [Path(here).resolve()] if here else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found or not (found[-1].parent / "pg_ctl").exists():
        raise MissingEngineError("PostgreSQL was left out: scripts/ensure_programs.py installs it")
    return found[-1].parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
