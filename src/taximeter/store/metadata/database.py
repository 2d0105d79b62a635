"""The connection to the metadata: SQLite in a file today, any engine of SQLAlchemy by its address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from taximeter.errors import SchemaError, StoreError

NEWEST_STEP: Final = "0005"
"""The last step under `migrations/versions`. Known without Alembic, whose import costs half a second."""

BUSY_SECONDS: Final = 5
"""How long a writer waits for another process that writes."""


class Database:
    """An engine whose schema is up to date. `location` is a file, or the address of a server.

    Raises SchemaError when it was written by a newer version or is damaged, StoreError when it cannot be opened.
    """

    def __init__(self, location: Path | str) -> None:
        self._where = str(location)
        self._engine = _sqlite(location) if isinstance(location, Path) else sa.create_engine(location)
        try:
            self._bring_up_to_date()
        except StoreError:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._store_errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on an error."""
        with self._store_errors(), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _bring_up_to_date(self) -> None:
        with self.writing() as connection:
            step = self._step(connection)
            if step == NEWEST_STEP:
                return
            if step is not None and step > NEWEST_STEP:
                raise SchemaError(
                    f"{self._where} has schema {step}, this version of taximeter knows schemas up to {NEWEST_STEP}",
                    hint="it was written by a newer version: upgrade taximeter, or use another data directory",
                )
            _upgrade(connection)

    def _step(self, connection: Connection) -> str | None:
        tables = sa.inspect(connection).get_table_names()
        if "alembic_version" in tables:
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        if tables:
            raise SchemaError(
                f"{self._where} has tables, but no record of its schema",
                hint="it is not ours, or damaged: restore a backup, or move it away to begin anew",
            )
        return None

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise StoreError(f"{self._where} cannot do it now: {error.orig}") from error
        except DatabaseError as error:
            hint = "restore a backup, or move it away to begin anew (keys have to be made again)"
            raise SchemaError(f"{self._where} is damaged: {error.orig}", hint=hint) from error
        except SQLAlchemyError as error:
            raise StoreError(f"{self._where} cannot do it now: {error}") from error


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _sqlite(path: Path) -> Engine:
    engine = sa.create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    # We begin transactions ourselves: the driver would leave changes of the schema outside of them.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    # Readers go on while another process writes.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
