"""The schema of the DuckDB store: numbered files, applied in order, each with its number in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import duckdb

from taximeter.store.events.columns import COLUMN_NAMES
from taximeter.store.events.duckdb_views import Views
from taximeter.store.events.rollups import EVENTS
from taximeter.store.events.schema_files import SchemaFile, damaged, files_in, missing
from taximeter.store.events.statements import CALLS


@cache
def schema_files() -> tuple[SchemaFile, ...]:
    """The files that this version of taximeter knows, in order."""
    return files_in("duckdb")


def bring_up_to_date(
    connection: duckdb.DuckDBPyConnection, where: str, files: Sequence[SchemaFile] | None = None
) -> int:
    """Apply the files that are missing and return the number of the last one.

    Raises SchemaError when the file was written by a newer version, or is not a whole store of ours.
    """
    files = schema_files() if files is None else files
    applied = _applied(connection, where)
    for file in missing(applied, files, where):
        _apply(connection, file)
    _check_columns(connection, where)
    Views(connection).keep(CALLS, EVENTS, has_model=True)  # the documented face for queries
    return files[-1].number


def _applied(connection: duckdb.DuckDBPyConnection, where: str) -> list[int]:
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if "schema_steps" in tables:
        rows = connection.execute("SELECT number FROM schema_steps ORDER BY number").fetchall()
        return [int(number) for (number,) in rows]
    if tables:
        raise damaged(where, "it has tables, but no record of its schema")
    connection.execute("CREATE TABLE schema_steps (number INTEGER NOT NULL, name VARCHAR NOT NULL)")
    return []


def _apply(connection: duckdb.DuckDBPyConnection, file: SchemaFile) -> None:
    connection.execute("BEGIN")
    try:
        connection.execute(file.sql)
        connection.execute("INSERT INTO schema_steps VALUES (?, ?)", [file.number, file.name])
        connection.execute("COMMIT")
    except duckdb.Error:
        connection.execute("ROLLBACK")
        raise


def _check_columns(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    query = "SELECT column_name FROM duckdb_columns() WHERE table_name = 'events'"
    missing = set(COLUMN_NAMES) - {name for (name,) in connection.execute(query).fetchall()}
    if missing:
        raise damaged(where, f"the table events lacks {', '.join(sorted(missing))}")
