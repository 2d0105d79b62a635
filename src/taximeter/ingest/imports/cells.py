"""What stands in a cell: counts, amounts, instants and texts, however a tool writes them. Nothing is None.

What is there and cannot be read is a mistake of the row (`RowError`), not a zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from taximeter.clock import to_unix_us
from taximeter.core.attribution import LONGEST_VALUE
from taximeter.core.money import LARGEST_USD
from taximeter.core.usage import LARGEST_COUNT
from taximeter.ingest.imports.row import RowError, Values

EMPTY: Final = frozenset({"", "null", "none", "nan", "undefined", "n/a", "-", "not_available", "not_specified"})
"""Texts that say nothing, in lower case."""

MILLISECONDS_FROM: Final = 10**11
MICROSECONDS_FROM: Final = 10**14
"""Numbers from here on are not seconds since 1970 but milliseconds, or microseconds."""

_GROUPED: Final = re.compile(r"[1-9]\d{0,2},\d{3}")
"""One comma, before three digits: of thousands, or of a fraction."""

_GROUPED_BY_A_POINT: Final = re.compile(r"[1-9]\d{0,2}\.000")
"""The same of a count, which has no fraction."""

_MARKED_BY_POINTS: Final = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
_MARKED_BY_COMMAS: Final = re.compile(r"(?:\d+|\d{1,3}(?:\.\d{3})+),\d+(?:[eE][-+]?\d+)?")

_EARLIEST_US: Final = to_unix_us(datetime.min.replace(tzinfo=UTC))
_LATEST_US: Final = to_unix_us(datetime.max.replace(tzinfo=UTC))


def first(values: Values, *names: str) -> Any:
    """The first of these keys that says something."""
    for name in names:
        value = values.get(name)
        if value is not None and not (isinstance(value, str) and value.strip().lower() in EMPTY):
            return value
    return None


def text(values: Values, *names: str) -> str | None:
    value = first(values, *names)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()[:LONGEST_VALUE] if isinstance(value, str | int | float | Decimal) else None


def whole(values: Values, *names: str) -> int | None:
    """A count: 1200, "1,200", 12.0. Raises RowError."""
    value = first(values, *names)
    if value is None:
        return None
    if isinstance(value, str) and _GROUPED.fullmatch(value.strip()):
        value = value.replace(",", "")
    elif isinstance(value, str) and _GROUPED_BY_A_POINT.fullmatch(value.strip()):
        raise _ambiguous(names[0], value)
    number = _number(value, names[0])
    if number != number.to_integral_value() or not 0 <= number <= LARGEST_COUNT:
        raise RowError(f"{names[0]} is no count: {str(value)[:64]!r}")
    return int(number)


def usd(values: Values, *names: str) -> Decimal | None:
    """An amount in US dollars: 0.0123, "$1,234.56", "1.234,56", "0,0123"; a float is read as the shortest decimal that
    means it. Raises RowError, also for "1,234", which is one thing here and another there."""
    value = first(values, *names)
    if value is None:
        return None
    if isinstance(value, str) and _GROUPED.fullmatch(value.strip()):
        raise _ambiguous(names[0], value)
    amount = _number(value, names[0])
    if not 0 <= amount <= LARGEST_USD:
        raise RowError(f"{names[0]} is no amount: {str(value)[:64]!r}")
    return amount


def _ambiguous(name: str, written: str) -> RowError:
    return RowError(f"{name} can be read in two ways: {written.strip()[:64]!r}")


def _number(value: object, name: str) -> Decimal:
    written = _with_a_point(value) if isinstance(value, str) else str(value)
    try:
        number = Decimal(written) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise RowError(f"{name} is no number: {str(value)[:64]!r}")
    return number


def _with_a_point(written: str) -> str:
    """The last of its marks, unless it comes several times, is where the fraction of a number begins."""
    plain = written.strip().removeprefix("US").lstrip("$").strip()
    if _MARKED_BY_POINTS.fullmatch(plain):
        return plain.replace(",", "")
    if _MARKED_BY_COMMAS.fullmatch(plain):
        return plain.replace(".", "").replace(",", ".")
    return plain


def milliseconds(values: Values, *names: str, per_unit: int = 1) -> float | None:
    """A duration, None when it is not there or not believable: nothing is billed by it."""
    value = first(values, *names)
    try:
        number = float(value) * per_unit
    except (TypeError, ValueError):
        return None
    return number if 0 <= number <= 1e12 else None


def instant_us(values: Values, *names: str) -> int:
    """Microseconds since the epoch. Without a zone it is UTC. Raises RowError, also when it is not there."""
    value = first(values, *names)
    if value is None:
        raise RowError(f"{names[0]} is missing")
    return _instant(value, names[0])


def maybe_instant_us(values: Values, *names: str) -> int | None:
    value = first(values, *names)
    return None if value is None else _instant(value, names[0])


def _instant(value: object, name: str) -> int:
    if isinstance(value, datetime):
        return to_unix_us(value if value.tzinfo else value.replace(tzinfo=UTC))
    written = str(value).strip()
    try:
        return _of_number(float(written))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(written.removesuffix(" UTC"))
        return to_unix_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise RowError(f"{name} is no instant: {written[:64]!r}") from error


def _of_number(number: float) -> int:
    """Raises OverflowError for a moment that no calendar has, and for an infinite one; ValueError for NaN."""
    per_unit = 1 if number >= MICROSECONDS_FROM else 1_000 if number >= MILLISECONDS_FROM else 1_000_000
    unix_us = round(number * per_unit)
    if not _EARLIEST_US <= unix_us <= _LATEST_US:
        raise OverflowError("no year from 1 to 9999")
    return unix_us


def between_ms(start_us: int, end_us: int | None) -> float | None:
    return (end_us - start_us) / 1_000 if end_us is not None and end_us >= start_us else None


def nested(values: Values, *names: str) -> Mapping[str, Any]:
    """An object, or the object in a JSON text; empty when there is none."""
    value = first(values, *names)
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return {}
    return value if isinstance(value, Mapping) else {}


def listed(values: Values, *names: str) -> list[str]:
    """An array of texts, or the one in a JSON text."""
    value = first(values, *names)
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return []
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def known(**tags: str | None) -> dict[str, str]:
    """Tags without those that say nothing."""
    return {name: value for name, value in tags.items() if value}
