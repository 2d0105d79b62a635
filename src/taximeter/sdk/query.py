"""Asking a server for totals from Python: `taximeter.query(...)`. Standard library only; pandas, polars and pyarrow are
imported by those who ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from taximeter import config

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

DEFAULT_URL: Final = "http://127.0.0.1:8787"
TIMEOUT_SECONDS: Final = 60.0
"""How long an answer is waited for."""

_MOMENTS: Final = ("time", "first_seen", "last_seen")
_MONEY: Final = ("cost_per_call", "_usd")
"""How the names of amounts end."""

PRECISION, SCALE = 38, 12
"""Digits of an amount in a table, in all and after the point."""


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of totals: money as Decimal, counts as int, rates and times in milliseconds as float, moments as datetime.

    `columns` are those of every row: `time` when there is an interval, the fields that were grouped by, the measures,
    and `other` when there is a limit: True in the row of all groups beyond it. `coverage` says how complete it is.
    """

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    coverage: dict[str, int]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_pandas(self) -> pandas.DataFrame:
        """Money is Decimal in columns of objects: sums stay exact."""
        import pandas

        return pandas.DataFrame(self.rows, columns=list(self.columns))

    def to_polars(self) -> polars.DataFrame:
        """Money is Decimal(38, 12)."""
        import polars

        kinds = {Decimal: polars.Decimal(PRECISION, SCALE), datetime: polars.Datetime("us", "UTC")}
        types = {name: kinds[_kind(name)] for name in self.columns if _kind(name) in kinds}
        rows = [_in_utc(row) for row in self.rows]
        return polars.DataFrame(rows, schema=list(self.columns), schema_overrides=types)

    def to_arrow(self) -> pyarrow.Table:
        """Money is decimal128(38, 12)."""
        import pyarrow

        kinds = {Decimal: pyarrow.decimal128(PRECISION, SCALE), datetime: pyarrow.timestamp("us", "UTC")}
        columns = {
            name: pyarrow.array([row[name] for row in self.rows], type=kinds.get(_kind(name))) for name in self.columns
        }
        return pyarrow.table(columns)


def query(
    measures: str | Sequence[str] = ("cost_usd", "calls"),
    *,
    group_by: str | Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    since: str | datetime = "30d",
    until: str | datetime | None = None,
    interval: str | None = None,
    timezone: str = "UTC",
    order_by: str | None = None,
    limit: int | None = None,
    offset: int = 0,
    url: str | None = None,
    key: str | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Result:
    """Totals of a server, as `POST /api/v1/query` answers them; names may also be one text with commas.

        taximeter.query("cost_usd,calls", group_by="user", since="this_month").to_pandas()

    The server is `url`, else `$TAXIMETER_URL`, else the one of this machine; the key is `key`, else `$TAXIMETER_KEY`.
    Raises TaximeterError.
    """
    from taximeter.sdk.remote import Remote  # whoever only records needs no HTTP client

    asked = {
        "measures": _names(measures),
        "group_by": _names(group_by),
        "filters": filters,
        "from": _moment(since),
        "to": None if until is None else _moment(until),
        "interval": interval,
        "timezone": timezone,
        "order_by": order_by,
        "limit": limit,
        "offset": offset or None,
    }
    remote = Remote(url or config.variable("URL") or DEFAULT_URL, key or config.variable("KEY"), timeout_seconds)
    answer = remote.post("/api/v1/query", {name: value for name, value in asked.items() if value is not None})
    rows = [_typed(row) for row in answer["rows"]]
    if limit is not None:
        rows = [{**row, "other": row.get("other", False)} for row in rows]
    columns = tuple(rows[0]) if rows else _columns(asked)
    return Result(columns, rows, _typed(answer["totals"]), answer["coverage"])


def _columns(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """Of an answer without rows."""
    time = ["time"] if asked["interval"] else []
    return (*time, *asked["group_by"], *asked["measures"], *(["other"] if asked["limit"] is not None else []))


def _names(named: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in named.split(",")] if isinstance(named, str) else list(named)


def _moment(moment: str | datetime) -> str:
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _kind(name: str) -> type:
    """What the texts of a column are."""
    if name in _MOMENTS:
        return datetime
    return Decimal if name.endswith(_MONEY) else str


def _typed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    kind = _kind(name)
    if not isinstance(value, str) or kind is str:
        return value
    return Decimal(value) if kind is Decimal else datetime.fromisoformat(value)


def _in_utc(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in row.items()}
