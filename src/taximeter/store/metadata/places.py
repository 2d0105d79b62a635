"""Where metadata may be kept: a SQLite file, or a PostgreSQL. What differs between the two is here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from taximeter.errors import ConfigurationError, Mistake, SchemaError, StoreError
from taximeter.store.metadata.postgres_address import place_of, read_address

BUSY_SECONDS: Final = 5
"""How long a writer waits for another one."""

MIGRATION_SECONDS: Final = 120
"""How long a start waits for another one that brings the schema up to date."""

WRITES: Final = "taximeter_writes"
"""The execution option of connections that will write."""

POSTGRES_DEFAULTS: Final = {
    "connect_timeout": "5",
    "application_name": "taximeter",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""Parameters of a connection that an address may state otherwise: a server that has vanished is given up in seconds."""

_MIGRATION_LOCK: Final = 8_787_000_001
"""Any number will do that nobody else in the same database takes."""

_NO_RIGHT: Final = "42501"
_NO_TABLE: Final = ("42P01", "42703", "3F000")


@dataclass(frozen=True, slots=True)
class Place:
    """An engine, and what its kind does its own way. `name` says where it is, without a password.

    `alone` makes a transaction the only one of its kind; `told` makes an error one for people.
    """

    engine: Engine
    name: str
    alone: Callable[[Connection], None]
    told: Callable[[DBAPIError], StoreError]


def open_place(location: Path | str) -> Place:
    """A file, or the address of a PostgreSQL. Connects to nothing yet.

    Raises ConfigurationError when its driver is not installed, or it is no address.
    """
    return _sqlite(location) if isinstance(location, Path) else _postgres(location)


# ── SQLite ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _sqlite(path: Path) -> Place:
    engine = sa.create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)

    def told(error: DBAPIError) -> StoreError:
        if isinstance(error, OperationalError):
            return StoreError(f"{path} cannot do it now: {error.orig}")
        hint = "restore a backup, or move it away to begin anew (keys have to be made again)"
        return SchemaError(f"{path} is damaged: {error.orig}", hint=hint)

    return Place(engine, str(path), lambda _connection: None, told)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # We begin transactions ourselves: the driver would leave changes of the schema outside of them.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    # Readers go on while another process writes.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # Who reads first and writes then would not wait for another writer, but fail.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")


# ── PostgreSQL ─────────────────────────────────────────────────────────────────────────────────────────────────


def _postgres(address: str) -> Place:
    given = read_address(address, _mistake)
    parameters: dict[str, Any] = {**POSTGRES_DEFAULTS, **given}

    def connect() -> Any:
        import psycopg

        # No prepared statements: a pooler in between may hand the next transaction to another session.
        return psycopg.connect(**parameters, prepare_threshold=None)

    engine = sa.create_engine(
        "postgresql+psycopg://", creator=connect, pool_pre_ping=True, hide_parameters=True, pool_size=8, pool_timeout=5
    )
    event.listen(engine, "begin", _begin_postgres)
    name = place_of(given)
    return Place(engine, name, _alone_in_postgres, lambda error: _told_by_postgres(name, error))


def _begin_postgres(connection: Connection) -> None:
    if connection.get_execution_options().get(WRITES):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")


def _alone_in_postgres(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{MIGRATION_SECONDS}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")


def _told_by_postgres(name: str, error: DBAPIError) -> StoreError:
    state = getattr(error.orig, "sqlstate", None)
    said = " ".join(str(error.orig).split())
    if state == _NO_RIGHT:
        hint = "give its user the right to create and use tables, in a schema of its search_path"
        return StoreError(f"{name} does not allow it: {said}", hint=hint)
    if state in _NO_TABLE:
        hint = "restore a backup, or use an empty database to begin anew (keys have to be made again)"
        return SchemaError(f"{name} is damaged: {said}", hint=hint)
    return StoreError(f"{name} cannot do it now: {said}")


def _mistake(message: str) -> ConfigurationError:
    return ConfigurationError("configuration", [Mistake("store.metadata", message)])
