"""Our own events, as `POST /v1/events` takes them and `GET /api/v1/events` gives them: JSON, JSON lines, CSV."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from taximeter.core.event import FIELDS
from taximeter.ingest.imports.cells import EMPTY, nested
from taximeter.ingest.imports.row import Draft, Options, Outcome, Row, Values

_FROM_TEXT: Final[dict[str, Any]] = {
    "count": int,
    "milliseconds": float,
    "flag": lambda written: written.lower() in ("true", "1"),
}
"""What cells of CSV become, by the kind of their field; other kinds stay text."""

_KINDS: Final = {field.name: field.kind for field in FIELDS}
_OBJECTS: Final = ("tags", "units")


class Native:
    name = "taximeter"
    title = "taximeter events"

    def recognises(self, values: Values) -> bool:
        return "event_id" in values and "started_at" in values

    def reader(self, _options: Options) -> _Reader:
        return _Reader()


class _Reader:
    def read(self, row: Row) -> Iterable[Outcome]:
        """The event with its own id and source; what it cost was computed here, and is computed again."""
        values = {name: _read(name, value) for name, value in row.values.items() if name in _KINDS}
        return (Draft(row.place, {name: value for name, value in values.items() if value is not None}),)

    def finish(self) -> Iterable[Outcome]:
        return ()


def _read(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.strip().lower() in EMPTY:
        return None
    if name in _OBJECTS:
        return dict(nested({name: value}, name)) or None
    try:
        return _FROM_TEXT.get(_KINDS[name], str)(value)
    except ValueError:
        return value  # the check of events says what is wrong with it
