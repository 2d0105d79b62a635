"""LiteLLM's spend logs, straight from its PostgreSQL: the rows of `LiteLLM_SpendLogs`, as its exported files have them.

The server makes each row a JSON object; prompts and answers stay where they are. Nothing is written, and the rows are
those of one moment, however long reading takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from taximeter.errors import ConfigurationError, Mistake, NotFoundError, UnavailableError
from taximeter.ingest.imports.files import rows_in
from taximeter.ingest.imports.row import LeftOut, Row
from taximeter.store.metadata.postgres_address import place_of, read_address

if TYPE_CHECKING:
    import psycopg

SCHEMES: Final = ("postgresql://", "postgres://")
TABLE: Final = "LiteLLM_SpendLogs"
UNREAD: Final = frozenset({"messages", "response", "proxy_server_request"})
"""Columns with what was said."""

ROWS_AT_ONCE: Final = 1_000
CONNECT_SECONDS: Final = 10

_COLUMNS: Final = (
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
)
_COUNT: Final = 'SELECT count(*) FROM "LiteLLM_SpendLogs"'


def is_address(named: str) -> bool:
    """Whether it is no file, but the address of a database."""
    return named.startswith(SCHEMES)


class SpendTable:
    """The table at an address such as `postgresql://USER:PASSWORD@HOST:5432/litellm`. Use it in a `with` block.

    `size` and `read` count rows; `name` says where it is, without a password. Raises ConfigurationError when the
    address is none or the client library is not there, UnavailableError when the server refuses or breaks off,
    NotFoundError when it has no such table.
    """

    def __init__(self, address: str) -> None:
        given = read_address(address, _mistake, database="litellm")
        self.name: Final = place_of(given)
        self.read = 0
        with ExitStack() as closing:
            self._connection = closing.enter_context(self._connected(given))
            self._columns = self._readable()
            self.size = self._count()
            self._closing = closing.pop_all()

    def __enter__(self) -> SpendTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def rows(self) -> Iterator[Row | LeftOut]:
        """The rows in the order of their time; `Row.place` counts them from 1."""
        from psycopg import sql

        columns = sql.SQL(", ").join(map(sql.Identifier, self._columns))
        kept = sql.SQL('SELECT {} FROM {} ORDER BY "startTime"').format(columns, sql.Identifier(TABLE))
        statement = sql.SQL("SELECT row_to_json(kept)::text FROM ({}) AS kept").format(kept)
        with self._told(), self._connection.cursor("spend_logs") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            for (written,) in cursor.execute(statement):
                self.read += 1
                yield from rows_in(self.read, written.encode())

    @contextmanager
    def _connected(self, given: Mapping[str, Any]) -> Iterator[psycopg.Connection[Any]]:
        import psycopg

        with self._told():
            connection = psycopg.connect(**{"connect_timeout": CONNECT_SECONDS, **given})
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with closing(connection):
            yield connection

    def _readable(self) -> list[str]:
        with self._told():
            found = [str(name) for (name,) in self._connection.execute(_COLUMNS, [f'"{TABLE}"'])]
        if "startTime" not in found:
            raise NotFoundError(f"{self.name} has no table {TABLE}", hint="name LiteLLM's own database")
        return [name for name in found if name not in UNREAD]

    def _count(self) -> int:
        with self._told():
            return sum(int(count) for (count,) in self._connection.execute(_COUNT))

    @contextmanager
    def _told(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise UnavailableError(f"{self.name}: {' '.join(str(error).split())}") from None


def _mistake(message: str) -> ConfigurationError:
    return ConfigurationError("import", [Mistake("postgresql", message)])
