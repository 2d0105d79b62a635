"""The database of the metadata, its schema up to date, whichever engine it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from taximeter.errors import SchemaError, StoreError
from taximeter.store.metadata.places import WRITES, open_place

NEWEST_STEP: Final = "0010"
"""The last step under `migrations/versions`. Known without Alembic, whose import costs half a second."""


class Database:
    """An engine whose schema is up to date. `location` is a file, or the address of a PostgreSQL.

    Raises SchemaError when it was written by a newer version or is damaged, StoreError when it cannot be opened,
    ConfigurationError when it is no address or its client library is missing.
    """

    def __init__(self, location: Path | str) -> None:
        self._place = open_place(location)
        self._writer = self._place.engine.execution_options(**{WRITES: True})
        with ExitStack() as undo:
            undo.callback(self.close)
            self._bring_up_to_date()
            undo.pop_all()

    @property
    def name(self) -> str:
        """Where it is, for people: no password in it."""
        return self._place.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._store_errors(), self._place.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on an error."""
        with self._store_errors(), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._place.engine.dispose()

    def _bring_up_to_date(self) -> None:
        """One start at a time: the others wait, and find it done."""
        with self.writing() as connection:
            self._place.alone(connection)
            step = self._step(connection)
            if step == NEWEST_STEP:
                return
            if step is not None and step > NEWEST_STEP:
                raise SchemaError(
                    f"{self.name} has schema {step}, this version of taximeter knows schemas up to {NEWEST_STEP}",
                    hint="it was written by a newer version: upgrade taximeter, or use another one",
                )
            _upgrade(connection)

    def _step(self, connection: Connection) -> str | None:
        tables = sa.inspect(connection).get_table_names()
        if "alembic_version" in tables:
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        if tables:
            raise SchemaError(
                f"{self.name} has tables, but no record of its schema",
                hint="it is not ours, or damaged: restore a backup, or move it away to begin anew",
            )
        return None

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._place.told(error) from error
        except SQLAlchemyError as error:
            raise StoreError(f"{self.name} cannot do it now: {error}") from error


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or put them in the place of those with the same key: every column they name."""
    if not rows:
        return
    key = [column.name for column in table.primary_key.columns]
    inserted = _insert(connection, table)
    changed = {name: inserted.excluded[name] for name in rows[0] if name not in key}
    connection.execute(inserted.on_conflict_do_update(index_elements=key, set_=changed), list(rows))


def add_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless there is one with its key, whoever put it there; whether it was new."""
    added = _insert(connection, table).on_conflict_do_nothing().values(row)
    return connection.execute(added, execution_options={"preserve_rowcount": True}).rowcount > 0


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Both engines know the same upsert, each by a class of its own."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
