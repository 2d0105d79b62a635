"""Pages of events: stored rows as records, and the cursor from one page to the next."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.money import format_usd
from taximeter.errors import UsageError
from taximeter.store.events.answers import Found
from taximeter.store.events.columns import COLUMN_NAMES, COLUMNS
from taximeter.store.events.port import DerivationPage, EventPage
from taximeter.store.events.query import EventQuery

_ALWAYS: Final = "cost_usd"
"""Part of every record: null says "unpriced"."""

_ABSENT: Final[Mapping[str, Any]] = {
    **{column.name: False for column in COLUMNS if column.kind == "flag"},
    "attempt": 1,
}
"""What is said of a field that a record has nothing for, where that is not null."""

_EMPTY: Final = frozenset(column.name for column in COLUMNS if column.kind in ("texts", "units"))


def page(query: EventQuery, found: Sequence[Found]) -> EventPage:
    """A page from its rows, of which there may be one more than the page holds."""
    kept = found[: query.limit]
    more = len(found) > query.limit
    recorded = whole_record if query.columns == COLUMN_NAMES else known_record
    return EventPage([recorded(row) for row in kept], _cursor(kept[-1]) if more else None)


def derivation_page(query: EventQuery, found: list[tuple[Any, ...]]) -> DerivationPage:
    """A page of plain rows, of which there may be one more than the page holds."""
    kept = found[: query.limit]
    more = len(found) > query.limit
    return DerivationPage(kept, _cursor({"event_id": kept[-1][0], "started_at": kept[-1][1]}) if more else None)


def whole_record(row: Found) -> dict[str, Any]:
    """The record of a row with every field, values as they are in JSON."""
    return {name: _absent(name) if value is None else _json(name, value) for name, value in row.items()}


def _absent(name: str) -> Any:
    return {} if name in _EMPTY else _ABSENT.get(name)


def known_record(row: Found) -> dict[str, Any]:
    """The record of a row, with values as they are in JSON and without what is not known."""
    known = {name: _json(name, value) for name, value in row.items() if value is not None and value is not False}
    return {_ALWAYS: None, **known}


def _json(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(to_unix_us(value.replace(tzinfo=UTC)))
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return format_usd(value)
    if name == "units":
        return {unit: _number(amount) for unit, amount in value.items()}
    if isinstance(value, Mapping):
        return {key: _json(key, part) for key, part in value.items()}
    return json.loads(value) if name == "by_model" else value


def _number(amount: Decimal) -> int | str:
    return int(amount) if amount == int(amount) else format_usd(amount)


def _cursor(row: Found) -> str:
    started_us = to_unix_us(row["started_at"].replace(tzinfo=UTC))
    return base64.urlsafe_b64encode(f"{started_us}/{row['event_id']}".encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> tuple[int, str] | None:
    """The start and id of the last event of the page before. Raises UsageError for anything but our own cursors."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        started_us, _, event_id = text.partition("/")
        return int(started_us), str(UUID(event_id))
    except (ValueError, binascii.Error) as error:
        hint = "use `next` of the page before as it is"
        raise UsageError("the cursor cannot be read", hint=hint, field="cursor") from error
