"""Lines as ClickHouse reads them.

Its parser of numbers does not notice every value that does not fit, so each line is checked here, by a compiled
decoder. A line that is as it should be goes to the server as it is; of any other, values of a wrong type are left out,
which reads as not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

import msgspec

from taximeter.core.cost import COMPONENTS
from taximeter.core.event import Field, Kind
from taximeter.core.money import SCALE
from taximeter.store.events.clickhouse_client import ClickHouseClient, ClickHouseError, text
from taximeter.store.events.columns import EVENT_FACTS, Facts
from taximeter.store.events.lines import HIGHEST_ID, Lines, has_time

_Money = Annotated[str, msgspec.Meta(pattern=r"\A-?\d{1,6}(\.\d{1,12})?\Z")]
_Amount = Annotated[str, msgspec.Meta(pattern=r"\A-?\d{1,12}(\.\d{1,6})?\Z")]
_Count = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_FewUnits = Annotated[int, msgspec.Meta(gt=-(10**12), lt=10**12)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]

_TYPES: Final[dict[Kind, Any]] = {
    "text": str | None,
    "timestamp": _Moment | None,
    "count": _Count | None,
    "milliseconds": float | None,
    "flag": bool | None,
    "money": _Money | None,
    "texts": dict[str, str | None] | None,
    "units": dict[str, _FewUnits | _Amount] | None,
    "json": list[Any] | dict[str, Any] | None,
}
_COST: Final = dict[str, _Money | None] | None

EARLIEST_US: Final = -2_208_988_800_000_000
LATEST_US: Final = 10_413_792_000_000_000
"""What a DateTime64 holds: from 1900 until 2300."""

_NOT_READABLE: Final = frozenset({6, 26, 27, 38, 41, 53, 69, 70, 72, 117, 130, 349, 376, 407, 457, 636})
"""Errors of ClickHouse that are about the data of an insert."""


class Inserter:
    """Inserts lines into a table of facts."""

    def __init__(self, client: ClickHouseClient, facts: Facts = EVENT_FACTS) -> None:
        self._client = client
        self._facts = facts
        self._types = _types(facts)
        self._row = msgspec.json.Decoder(
            msgspec.defstruct("Row", [(name, kind, None) for name, kind in self._types.items()], gc=False)
        )
        self._insert = f"INSERT INTO {facts.table} ({', '.join(facts.names)}) FORMAT JSONEachRow"

    def insert(self, lines: Sequence[bytes]) -> list[bytes]:
        """Insert lines that are known to be new; those of them that could be inserted, found by halving when one
        cannot."""
        try:
            self._client.write(self._insert, b"\n".join([self._fitting(line) for line in lines]))
        except ClickHouseError as error:
            if error.code not in _NOT_READABLE:
                raise
            if len(lines) == 1:
                return []
            middle = len(lines) // 2
            return self.insert(lines[:middle]) + self.insert(lines[middle:])
        return list(lines)

    def known(self, ids: Iterable[int]) -> set[int]:
        """Those of `ids` that are stored. UUIDv7 are looked for between the lowest and the highest of them, which is a
        small part of the table."""
        timed: list[int] = []
        others: list[int] = []
        for event_id in ids:
            (timed if has_time(event_id) else others).append(event_id)
        found = self._known_between(min(timed), max(timed), timed) if timed else set()
        return found | (self._known_between(0, HIGHEST_ID, others) if others else set())

    def _known_between(self, lowest: int, highest: int, ids: Sequence[int]) -> set[int]:
        wanted = ", ".join([text(_uuid(event_id)) for event_id in ids])
        key = self._facts.key
        numbers = f"toUInt128({key})"
        _, rows = self._client.read(
            f"SELECT DISTINCT toString({numbers}) FROM {self._facts.table} WHERE {key} IN ({wanted}) "
            f"AND {numbers} BETWEEN toUInt128('{lowest}') AND toUInt128('{highest}')"
        )
        return {int(number) for (number,) in rows}

    def _fitting(self, line: bytes) -> bytes:
        try:
            self._row.decode(line)
        except msgspec.MsgspecError:
            return self._cleaned(line)
        return line

    def _cleaned(self, line: bytes) -> bytes:
        """The line with what fits into the columns, in one line."""
        record = json.loads(line.decode("utf-8", "replace"))
        values = ((column.name, self._value(column, record.get(column.name))) for column in self._facts.columns)
        return json.dumps({name: value for name, value in values if value is not None}).encode()

    def _value(self, column: Field, value: Any) -> Any:
        if column.kind == "money" and isinstance(value, int | float | str):
            value = _amount(value)
        if column.name == "cost" and isinstance(value, dict):
            value = {component: _amount(value.get(component)) for component in COMPONENTS}
        try:
            json.dumps(value, ensure_ascii=False).encode()
            msgspec.convert(value, self._types[column.name], strict=column.kind != "timestamp")
        except (msgspec.ValidationError, UnicodeEncodeError):
            return None
        return value


def _types(facts: Facts) -> Mapping[str, Any]:
    return {column.name: _COST if column.name == "cost" else _TYPES[column.kind] for column in facts.columns}


def _uuid(event_id: int) -> str:
    digits = f"{event_id:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def without_strange_times(by_id: Lines) -> list[bytes]:
    """Take the lines out that began when no DateTime64 can say."""
    strange = [event_id for event_id, (_, start_us) in by_id.items() if not EARLIEST_US <= start_us < LATEST_US]
    return [by_id.pop(event_id)[0] for event_id in strange]


_LAST_DIGIT: Final = Decimal(1).scaleb(-SCALE)


def _amount(value: Any) -> str | None:
    """An amount that was not written as text of twelve digits at most; None when it is none, or beyond the column."""
    try:
        return f"{Decimal(str(value)).quantize(_LAST_DIGIT):f}"
    except InvalidOperation:
        return None
