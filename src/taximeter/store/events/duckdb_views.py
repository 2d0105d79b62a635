"""Views in DuckDB, made anew where they are not what this version would make.

Families of models are data of this version and not of the file, so a view is not a step of the schema. DuckDB keeps its
own wording of a view; what it was made of stands in its comment, which goes when the view is made anew. To make all of
them takes a twentieth of a start.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Final

import duckdb
from sqlglot import expressions as exp

from taximeter.store.events import duckdb_dialect
from taximeter.store.events.rolling import with_model

_COLUMNS: Final = """
    SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index
"""
_MADE_OF: Final = "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"


class Views:
    """The views of a store, and the tables under them as they were when this was made: to ask for each takes longer."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._made_of: dict[str, str | None] = dict(connection.execute(_MADE_OF).fetchall())
        self._columns: dict[str, dict[str, str]] = {}
        for table, name, kind in connection.execute(_COLUMNS).fetchall():
            self._columns.setdefault(table, {})[name] = kind

    def columns(self, table: str) -> Mapping[str, str]:
        """Their types by name; none of a table that is not there."""
        return self._columns.get(table, {})

    def keep(self, name: str, table: str, *, has_model: bool) -> None:
        """The rows of a table under another name, with `model` and `model_family` where it `has_model`."""
        text = f"CREATE OR REPLACE VIEW {name} AS {_every_column(has_model)} FROM {table}"
        made_of = sha256(repr((text, self.columns(table))).encode()).hexdigest()
        if self._made_of.get(name) != made_of:
            self._connection.execute(text)
            self._connection.execute(f"COMMENT ON VIEW {name} IS '{made_of}'")


@cache
def _every_column(has_model: bool) -> str:
    nowhere = exp.to_table("nowhere")
    rows = with_model(nowhere) if has_model else exp.select("*").from_(nowhere)
    rows.set("from_", None)
    return duckdb_dialect.sql(rows)
