"""Filters: `{"feature": "chat", "user_id": {"in": ["a", "b"]}}` as conditions that all have to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from taximeter.core.money import parse_usd
from taximeter.errors import UsageError
from taximeter.store.events.slots import Slot
from taximeter.store.events.vocabulary import FILTERABLE, TAG_PREFIX, dimension

Value = str | int | Decimal | bool
Operator = Literal["in", "not", "exists", "contains", "not_contains", ">", ">=", "<", "<="]
OPERATORS: Final[tuple[Operator, ...]] = ("in", "not", "exists", "contains", "not_contains", ">", ">=", "<", "<=")
SAME_AS: Final[Mapping[str, Operator]] = {"is": "in", "is_not": "not", "not_in": "not"}
"""Other names of operators, as people say them. `missing` is `exists` the other way round."""

MISSING: Final = "missing"
ALLOWED: Final = (*OPERATORS, *SAME_AS, MISSING)
NUMERIC: Final = ("count", "milliseconds", "money")

MOST_VALUES: Final = 1_000
"""Values in one condition."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`field` `operator` one of `values`. A value of None means "not set".

    `in` holds when the field is one of the values, `not` when it is none of them (a field that is not set is
    none of them, unless None is among the values). `exists` has one bool. What is not set does not contain anything,
    so `not_contains` holds for it. In the shape of a statement values are slots.
    """

    field: str
    operator: Operator
    values: tuple[Value | Slot | None, ...]


def parse_filters(filters: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Conditions from the JSON form. Raises UsageError naming the field that is wrong and what is allowed."""
    if not isinstance(filters, Mapping):
        raise UsageError("filters must be an object", hint='like {"feature": "chat"}', field="filters")
    return tuple(condition for name, wanted in filters.items() for condition in _conditions(name, wanted))


def _conditions(name: str, wanted: Any) -> list[Condition]:
    place = f"filters.{name}"
    field = dimension(name, field="filters", allowed=tuple(FILTERABLE))
    if not isinstance(wanted, Mapping):
        return [Condition(field, "in", _values(field, wanted, place))]
    if not wanted:
        raise UsageError(f"{place} is empty", hint="allowed: " + ", ".join(ALLOWED), field=place)
    return [_condition(field, operator, value, place) for operator, value in wanted.items()]


def _condition(field: str, name: str, value: Any, place: str) -> Condition:
    if name == MISSING:
        (missing,) = _existence(field, value, place)
        return Condition(field, "exists", (not missing,))
    operator = SAME_AS.get(name) or next((known for known in OPERATORS if known == name), None)
    if operator is None:
        raise UsageError(
            f"unknown operator {name!r} in {place}",
            hint="allowed: " + ", ".join(ALLOWED),
            field=place,
            allowed=list(ALLOWED),
        )
    return Condition(field, operator, _OPERANDS.get(operator, _bound)(field, value, place))


def kind_of(field: str) -> str:
    """The kind of a dimension; tags are text."""
    return "text" if field.startswith(TAG_PREFIX) else FILTERABLE[field]


def _existence(_field: str, value: Any, place: str) -> tuple[Value | None, ...]:
    if not isinstance(value, bool):
        raise UsageError(f"{place}: exists and missing must be true or false", field=place)
    return (value,)


def _substring(field: str, value: Any, place: str) -> tuple[Value | None, ...]:
    if kind_of(field) != "text" or field == "event_id":
        raise UsageError(f"{field} is not text, it cannot contain", field=place)
    if not isinstance(value, str):
        raise UsageError(f"{place}.contains must be text", field=place)
    return (value,)


def _bound(field: str, value: Any, place: str) -> tuple[Value | None, ...]:
    if kind_of(field) not in NUMERIC:
        raise UsageError(f"{field} is not a number, it cannot be compared", field=place)
    if value is None:
        raise UsageError(f"{place} has no bound", field=place)
    return (_value(field, value, place),)


def _values(field: str, value: Any, place: str) -> tuple[Value | None, ...]:
    many = isinstance(value, Sequence) and not isinstance(value, str)
    values = value if many else [value]
    if len(values) > MOST_VALUES:
        raise UsageError(f"{place} has {len(values)} values; at most {MOST_VALUES}", field=place)
    return tuple(_value(field, one, place) for one in values)


_OPERANDS: Final = {
    "in": _values,
    "not": _values,
    "exists": _existence,
    "contains": _substring,
    "not_contains": _substring,
}
"""How the operand of an operator is read; comparisons have a bound."""


def _value(field: str, value: Any, place: str) -> Value | None:
    if value is None:
        return None
    kind = kind_of(field)
    try:
        if kind in NUMERIC:
            return _number(value)
        if kind == "flag":
            return _flag(value)
        return _text(field, value)
    except ValueError as error:
        raise UsageError(f"{place}: {error}", field=place) from error


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"not a number: {value!r}")
    return parse_usd(str(value))


_FLAGS: Final = {"true": True, "false": False}


def _flag(value: Any) -> bool:
    flag = value if isinstance(value, bool) else _FLAGS.get(str(value).lower())
    if flag is None:
        raise ValueError(f"must be true or false, not {value!r}")
    return flag


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"must be text, not {value!r}")
    return str(UUID(str(value))) if field == "event_id" else str(value)
