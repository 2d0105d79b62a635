"""The answer to a user's statement: its size checked, its values as they are in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.money import format_usd
from taximeter.errors import UsageError
from taximeter.store.events.port import Table
from taximeter.store.events.sql_check import MOST_SQL_ROWS


def table_of(columns: tuple[tuple[str, str], ...], rows: Sequence[Sequence[Any]]) -> Table:
    """Raises UsageError when there are more than `MOST_SQL_ROWS` rows."""
    if len(rows) > MOST_SQL_ROWS:
        raise UsageError(f"the answer has more than {MOST_SQL_ROWS} rows", hint="add a LIMIT", field="sql")
    return Table(columns, tuple(tuple(row) for row in rows))


def as_json(table: Table) -> dict[str, Any]:
    """`{"columns": [{"name", "type"}], "rows": [[...]]}`: decimals as text, moments as RFC 3339."""
    columns = [{"name": name, "type": kind} for name, kind in table.columns]
    return {"columns": columns, "rows": [[_json(value) for value in row] for row in table.rows]}


def _json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return format_usd(value)
    if isinstance(value, datetime):
        return rfc3339(to_unix_us(value if value.tzinfo else value.replace(tzinfo=UTC)))
    if isinstance(value, Mapping):
        return {str(key): _json(part) for key, part in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Sequence):
        return [_json(part) for part in value]
    return str(value)
