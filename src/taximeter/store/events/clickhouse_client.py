"""One conversation with a ClickHouse server over its HTTP interface, with the standard library's client.

A statement that writes is sent once: whether it took effect when no answer comes nobody knows, and who repeats it has
to know that it can be repeated. Statements that read are sent again when a kept connection turns out to be closed.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from taximeter.errors import QueryStoppedError, StoreError, UsageError
from taximeter.store.events.answers import Found
from taximeter.store.events.port import Cancellation

SCHEMES: Final[Mapping[str, int]] = {"clickhouse": 8123, "clickhouses": 8443}
"""Plain and over TLS, and their usual ports."""

CONNECT_SECONDS: Final = 10.0
ANSWER_GRACE_SECONDS: Final = 5.0
"""How much longer than the server may take we wait: it ends first, and says why."""

CONNECTIONS_KEPT: Final = 8
STATEMENT_BYTES: Final = 256 << 20

_OF_THE_PROTOCOL: Final = {"wait_end_of_query": 1}
"""An error half way is an error, not a cut answer with status 200."""

SETTINGS: Final[Mapping[str, object]] = {
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 1,
    "output_format_json_named_tuples_as_objects": 1,
    "date_time_input_format": "best_effort",
    "input_format_null_as_default": 1,
    "input_format_skip_unknown_fields": 1,
    "session_timezone": "UTC",
    "prefer_column_name_to_alias": 1,  # SELECT sum(x) AS x, max(x): the second x is the column, as in SQL
    "aggregate_functions_null_for_empty": 1,
    "enable_extended_results_for_datetime_functions": 1,
    "do_not_merge_across_partitions_select_final": 1,
    "async_insert": 0,
    "insert_deduplicate": 0,
    "mutations_sync": 2,
    "max_query_size": STATEMENT_BYTES,
    "max_ast_elements": 1_000_000,
    "max_expanded_ast_elements": 2_000_000,
}
"""What statements rely on, whatever the profile of the user says."""

TOOK_TOO_LONG: Final = frozenset({159, 394})
TOOK_TOO_MUCH_MEMORY: Final = frozenset({241})


class ClickHouseError(Exception):
    """What the server said about a statement; `code` is the number of ClickHouse's error, 0 when it gave none."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and who asks."""

    host: str
    port: int
    secure: bool
    user: str
    password: str
    database: str

    def __str__(self) -> str:
        """Without the password."""
        return f"clickhouse{'s' if self.secure else ''}://{self.host}:{self.port}/{self.database}"


def parse_address(url: str) -> Address:
    """From `clickhouse://USER:PASSWORD@HOST:8123/DATABASE`, all but the host optional. Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_address() from error
    if parts.scheme not in SCHEMES or not parts.hostname or parts.query or parts.fragment:
        raise _no_address()
    return Address(
        host=parts.hostname,
        port=port or SCHEMES[parts.scheme],
        secure=parts.scheme == "clickhouses",
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=_database(parts),
    )


def _database(parts: SplitResult) -> str:
    name = unquote(parts.path.strip("/")) or "taximeter"
    if not name.isidentifier():
        raise UsageError(f"{name!r} is no name for a database", hint="letters, digits and _ only")
    return name


def _no_address() -> UsageError:
    return UsageError(
        "this is no address of a ClickHouse server",
        hint="clickhouse://USER:PASSWORD@HOST:8123/DATABASE, or clickhouses:// for TLS",
    )


class ClickHouseClient:
    """Statements to one server. Methods may be called from any thread; each call has a connection of its own.

    Raises StoreError when no answer comes, ClickHouseError for what the server refuses.
    """

    def __init__(self, address: Address, *, timeout_seconds: float) -> None:
        self.address = address
        self._timeout_seconds = timeout_seconds
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    def write(self, statement: str, data: bytes = b"", *, database: str | None = None) -> None:
        """A statement that changes something; `data` follows an INSERT ... FORMAT."""
        settings = {} if database is None else {"database": database}
        self._exchange(statement, data, settings, None, again=False)

    def read(
        self, statement: str, *, cancellation: Cancellation | None = None
    ) -> tuple[list[tuple[str, str]], list[list[Any]]]:
        """Columns as (name, type) and rows; values as Python's, moments in UTC without a zone.

        Raises QueryStoppedError when it is cancelled or takes too long.
        """
        asked = f"{statement} FORMAT JSONCompactEachRowWithNamesAndTypes"
        settings = {
            "readonly": 2,
            "max_execution_time": self._timeout_seconds,
            "cancel_http_readonly_queries_on_client_close": 1,
        }
        body = self._exchange(asked, b"", settings, cancellation, again=True)
        names, types, *rows = [json.loads(line) for line in body.splitlines()] or [[], []]
        columns = list(zip(names, types, strict=True))
        return columns, [values_of(row, types) for row in rows]

    def found(self, statement: str, *, cancellation: Cancellation | None = None) -> list[Found]:
        """Rows by the names of their columns."""
        columns, rows = self.read(statement, cancellation=cancellation)
        names = [name for name, _ in columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(
        self,
        statement: str,
        data: bytes,
        settings: Mapping[str, object],
        cancellation: Cancellation | None,
        *,
        again: bool,
    ) -> bytes:
        path, body = self._request(statement, data, settings)
        kept = self._kept()
        if kept is not None:
            try:
                return self._answer(kept, path, body, cancellation)
            except _NoAnswerError:
                if not again or (cancellation is not None and cancellation.cancelled):
                    raise
        return self._answer(self._connection(), path, body, cancellation)

    def _request(self, statement: str, data: bytes, settings: Mapping[str, object]) -> tuple[str, bytes]:
        """Data behind the statement would be read as part of it up to the first line break, so either the statement
        is in the address, or it is all there is."""
        asked = {"database": self.address.database, **_OF_THE_PROTOCOL, **SETTINGS, **settings}
        if data:
            return "/?" + urlencode({**asked, "query": statement}), data
        return "/?" + urlencode(asked), statement.encode("utf-8", "surrogatepass")

    def _kept(self) -> http.client.HTTPConnection | None:
        with self._lock:
            if self._closed:
                raise StoreError(f"{self.address} was closed")
            while self._idle:
                connection = self._idle.pop()
                if _is_open(connection):
                    return connection
                connection.close()
        return None

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self.address.secure else http.client.HTTPConnection
        connection = kind(self.address.host, self.address.port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise self._away(error) from error
        connection.sock.settimeout(self._timeout_seconds + ANSWER_GRACE_SECONDS)
        return connection

    def _answer(
        self, connection: http.client.HTTPConnection, path: str, body: bytes, cancellation: Cancellation | None
    ) -> bytes:
        cancellation = cancellation or Cancellation()
        try:
            with _stopped_by(cancellation, connection):
                connection.request("POST", path, body, self._headers())
                with connection.getresponse() as response:  # it may be all that still holds the socket
                    content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._no_answer(error, cancellation) from error
        self._keep(connection, response)
        if response.status != 200:
            raise _refused(response, content)
        return content

    def _headers(self) -> dict[str, str]:
        headers = {"X-ClickHouse-User": self.address.user, "Content-Type": "application/octet-stream"}
        if self.address.password:
            headers["X-ClickHouse-Key"] = self.address.password
        return headers

    def _keep(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        with self._lock:
            if not response.will_close and not self._closed and len(self._idle) < CONNECTIONS_KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def _no_answer(self, error: Exception, cancellation: Cancellation) -> StoreError:
        if cancellation.cancelled or isinstance(error, TimeoutError):
            return stopped()
        return self._away(error)

    def _away(self, error: Exception) -> _NoAnswerError:
        reason = str(error) or type(error).__name__
        hint = "is the server up, and the address right?"
        return _NoAnswerError(f"{self.address} does not answer: {reason}", hint=hint)


class _NoAnswerError(StoreError):
    pass


def stopped() -> QueryStoppedError:
    return QueryStoppedError("the query was stopped: it took too long or was cancelled", hint="ask for less")


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Nothing is to be read from a connection that waits, unless the server has closed it."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)


@contextmanager
def _stopped_by(cancellation: Cancellation, connection: http.client.HTTPConnection) -> Iterator[None]:
    """A server ends a reading statement whose client has hung up."""
    if cancellation.cancelled:
        raise OSError("cancelled before it began")
    cancellation.guard(lambda: _hang_up(connection))
    try:
        yield
    finally:
        cancellation.guard(None)


def _hang_up(connection: http.client.HTTPConnection) -> None:
    try:
        connection.sock.shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):  # it is closed already
        return


def _refused(response: http.client.HTTPResponse, content: bytes) -> ClickHouseError:
    text = content.decode("utf-8", "replace").strip()
    code = response.headers.get("X-ClickHouse-Exception-Code", "")
    return ClickHouseError(int(code) if code.isdecimal() else 0, text or f"HTTP {response.status}")


# --- values --------------------------------------------------------------------------------------------------------


def text(value: str) -> str:
    """Text as a literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
    return f"'{escaped}'"


def values_of(row: list[Any], types: list[str]) -> list[Any]:
    """Values as Python's, from a row of JSONCompactEachRowWithNamesAndTypes and the types of its columns."""
    return [None if value is None else _reader(kind)(value) for value, kind in zip(row, types, strict=True)]


def _reader(kind: str) -> Callable[[Any], Any]:
    bare = kind
    for wrapper in ("LowCardinality(", "Nullable("):
        bare = bare.removeprefix(wrapper)
    for beginning, read in _READERS.items():
        if bare.startswith(beginning):
            return read
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _number(value: Any) -> float:
    return float(value)


def _decimals(value: dict[str, str]) -> dict[str, Decimal]:
    return {key: Decimal(amount) for key, amount in value.items()}


def _components(value: dict[str, str | None]) -> dict[str, Decimal] | None:
    """Amounts by name; None when none of them is known."""
    known = {name: Decimal(amount) for name, amount in value.items() if amount is not None}
    return known or None


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "DateTime": _moment,
    "Date": _moment,
    "Decimal": Decimal,
    "Float": _number,
    "Map(String, Decimal": _decimals,
    "Tuple(input Nullable(Decimal": _components,
}
"""By the beginning of a type; values of all others are as they are in JSON."""
