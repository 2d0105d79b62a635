"""The schema of a ClickHouse store: numbered files, applied in order.

ClickHouse has no transactions. Every statement of a file can be repeated, and the number of a file is written when all
of its statements are through: a migration that was cut off is done again at the next start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from sqlglot import expressions as exp

from taximeter.store.events import clickhouse_dialect as dialect
from taximeter.store.events.clickhouse_client import ClickHouseClient, ClickHouseError, text
from taximeter.store.events.columns import COLUMN_NAMES
from taximeter.store.events.rolling import with_model
from taximeter.store.events.schema_files import SchemaFile, damaged, files_in, missing

_NO_DATABASE: Final = 81
_STEPS: Final = """
    CREATE TABLE IF NOT EXISTS schema_steps (number UInt32, name String) ENGINE = MergeTree ORDER BY number
"""


@cache
def schema_files() -> tuple[SchemaFile, ...]:
    """The files that this version of taximeter knows, in order."""
    return files_in("clickhouse")


def bring_up_to_date(client: ClickHouseClient, files: Sequence[SchemaFile] | None = None) -> int:
    """Make the database when it is not there, apply the files that are missing; the number of the last one.

    Raises SchemaError when the tables were made by a newer version, or are not a whole store of ours.
    """
    files = schema_files() if files is None else files
    where = str(client.address)
    _make_database(client)
    for file in missing(_applied(client, where), files, where):
        for statement in statements(file.sql):
            client.write(statement)
        client.write(f"INSERT INTO schema_steps VALUES ({file.number}, {text(file.name)})")
    _check_columns(client, where)
    client.write(f"CREATE OR REPLACE VIEW calls AS {dialect.sql(_calls())}")
    return files[-1].number


def statements(sql: str) -> Iterator[str]:
    """The statements of a file: what ends with a semicolon at the end of a line."""
    return (statement for part in sql.split(";\n") if (statement := part.strip()))


def _make_database(client: ClickHouseClient) -> None:
    try:
        client.read("SELECT 1")
    except ClickHouseError as error:
        if error.code != _NO_DATABASE:
            raise
        client.write(f"CREATE DATABASE IF NOT EXISTS {client.address.database}", database="default")


def _applied(client: ClickHouseClient, where: str) -> list[int]:
    tables = columns_of(client, "name", "tables", "database = currentDatabase()")
    if tables and "schema_steps" not in tables:
        raise damaged(where, "it has tables, but no record of its schema")
    client.write(_STEPS)
    _, rows = client.read("SELECT DISTINCT number FROM schema_steps ORDER BY number")
    return [int(number) for (number,) in rows]


def columns_of(client: ClickHouseClient, what: str, table: str, condition: str) -> set[str]:
    """A column of one of the server's tables about itself."""
    _, rows = client.read(f"SELECT {what} FROM system.{table} WHERE {condition}")
    return {str(value) for (value,) in rows}


def _check_columns(client: ClickHouseClient, where: str) -> None:
    there = columns_of(client, "name", "columns", "database = currentDatabase() AND table = 'events'")
    if lacking := set(COLUMN_NAMES) - there:
        raise damaged(where, f"the table events lacks {', '.join(sorted(lacking))}")


def _calls() -> exp.Select:
    """The documented face for queries, as in every engine; made anew at every start, because families are data of this
    version."""
    columns = [exp.column(name, quoted=True) for name in COLUMN_NAMES]
    events = exp.select(*columns).from_(exp.Final(this=exp.to_table("events")))
    return with_model(events.subquery("counted"))
