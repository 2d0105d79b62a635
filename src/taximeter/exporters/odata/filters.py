"""`$filter`: an expression as text, read into a tree that is asked of rows. Pure.

Comparisons (`eq ne gt ge lt le`), `in`, `and`, `or`, `not`, `contains`, `startswith` and `endswith`, over columns and
literals. `null` is equal to null alone; every other comparison with it is false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol

from taximeter.clock import to_unix_us
from taximeter.errors import UsageError
from taximeter.exporters.odata.tables import DATE, FLAG, MOMENT, NUMERIC, TEXT

Row = Mapping[str, Any]
LONGEST: Final = 8_000
"""Characters of a filter."""
DEEPEST: Final = 50
"""Parentheses, functions and `not` within each other."""

NUMBER: Final = "a number"
NULL: Final = "null"

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_FUNCTIONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "contains": lambda text, part: part in text,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d))
      | (?P<date>\d{4}-\d\d-\d\d)
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>[(),])
    )""",
    re.VERBOSE,
)


class Expression(Protocol):
    """Something that has a value for every row. `kind` is a type of the protocol, `a number` or `null`."""

    @property
    def kind(self) -> str: ...

    def of(self, row: Row) -> Any: ...


@dataclass(frozen=True, slots=True)
class Literal:
    kind: str
    value: Any

    def of(self, _row: Row) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: str

    def of(self, row: Row) -> Any:
        value = row[self.name]
        return to_unix_us(datetime.fromisoformat(value)) if self.kind == MOMENT and value is not None else value


@dataclass(frozen=True, slots=True)
class Compared:
    left: Expression
    sign: str
    right: Expression
    kind: str = FLAG

    def of(self, row: Row) -> bool:
        left, right = self.left.of(row), self.right.of(row)
        if left is None or right is None:
            return (left is right) if self.sign == "eq" else (left is not right) if self.sign == "ne" else False
        return _COMPARISONS[self.sign](left, right)


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Expression, ...]
    kind: str = FLAG

    def of(self, row: Row) -> bool:
        return all(part.of(row) is True for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Expression, ...]
    kind: str = FLAG

    def of(self, row: Row) -> bool:
        return any(part.of(row) is True for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    part: Expression
    kind: str = FLAG

    def of(self, row: Row) -> bool:
        return self.part.of(row) is not True


@dataclass(frozen=True, slots=True)
class Called:
    name: str
    text: Expression
    part: Expression
    kind: str = FLAG

    def of(self, row: Row) -> bool:
        text, part = self.text.of(row), self.part.of(row)
        return text is not None and part is not None and _FUNCTIONS[self.name](text, part)


def read_filter(text: str, columns: Mapping[str, str]) -> Expression:
    """Raises UsageError for what is no expression over these columns, and for what is not understood here."""
    if len(text) > LONGEST:
        raise _wrong(f"is longer than {LONGEST} characters")
    reader = _Reader(list(_tokens(text)), columns)
    found = _truth(reader.either())
    if reader.next is not None:
        raise _wrong(f"has {reader.next[1]!r} where it should end")
    return found


def bounds(expression: Expression, column: str) -> Iterator[tuple[str, Any]]:
    """The comparisons of a column with literals that hold for all rows of the answer: (sign, value)."""
    if isinstance(expression, All):
        for part in expression.parts:
            yield from bounds(part, column)
    elif isinstance(expression, Compared):
        left, right = expression.left, expression.right
        if isinstance(left, Column) and left.name == column and isinstance(right, Literal):
            yield expression.sign, right.value
        elif isinstance(right, Column) and right.name == column and isinstance(left, Literal):
            yield _TURNED.get(expression.sign, expression.sign), left.value


_TURNED: Final = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
Token = tuple[str, str]


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _wrong(f"cannot be read at {text[at:].strip()[:20]!r}")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


class _Reader:
    """Recursive descent: `or` binds least, then `and`, then `not`, then comparisons."""

    def __init__(self, tokens: list[Token], columns: Mapping[str, str]) -> None:
        self._tokens, self._columns = tokens, columns
        self._at = self._depth = 0

    @property
    def next(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _takes(self, *words: str) -> str | None:
        """The next token when it is one of these words or signs, which is passed."""
        if self.next is not None and self.next[0] in ("name", "sign") and self.next[1] in words:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _needs(self, sign: str) -> None:
        if self._takes(sign) is None:
            raise _wrong(f"lacks {sign!r}" + ("" if self.next is None else f" before {self.next[1]!r}"))

    def either(self) -> Expression:
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(map(_truth, parts)))

    def _both(self) -> Expression:
        parts = [self._negated()]
        while self._takes("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else All(tuple(map(_truth, parts)))

    def _negated(self) -> Expression:
        if not self._takes("not"):
            return self._compared()
        with_depth = self._deeper(self._negated)
        return Not(_truth(with_depth))

    def _compared(self) -> Expression:
        left = self._operand()
        if sign := self._takes(*_COMPARISONS):
            return _comparison(left, sign, self._operand())
        if not self._takes("in"):
            return left
        self._needs("(")
        wanted = [_comparison(left, "eq", self._operand())]
        while self._takes(","):
            wanted.append(_comparison(left, "eq", self._operand()))
        self._needs(")")
        return AnyOf(tuple(wanted))

    def _operand(self) -> Expression:
        if self._takes("("):
            inside = self._deeper(self.either)
            self._needs(")")
            return inside
        if self.next is None:
            raise _wrong("ends too early")
        kind, text = self.next
        self._at += 1
        return self._named(text) if kind == "name" else _literal(kind, text)

    def _named(self, name: str) -> Expression:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if not self._takes("("):
            return Column(name, column_kind(name, self._columns, "$filter"))
        if name not in _FUNCTIONS:
            raise NotSupportedError(f"the function {name!r} in $filter")
        text = self._deeper(self._operand)
        self._needs(",")
        part = self._deeper(self._operand)
        self._needs(")")
        if {text.kind, part.kind} != {TEXT}:
            raise _wrong(f"has {name} of something that is not text")
        return Called(name, text, part)

    def _deeper(self, read: Callable[[], Expression]) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _wrong(f"is more than {DEEPEST} deep")
        found = read()
        self._depth -= 1
        return found


_CONSTANTS: Final = {"true": Literal(FLAG, True), "false": Literal(FLAG, False), "null": Literal(NULL, None)}


class NotSupportedError(UsageError):
    """Right by the protocol, and not done here."""

    code = "not_implemented"
    http_status = 501

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not supported")


def column_kind(name: str, columns: Mapping[str, str], option: str) -> str:
    """Raises UsageError when there is no such column."""
    if name not in columns:
        raise UsageError(f"there is no column {name!r} for {option}", field=option, allowed=list(columns))
    return columns[name]


def _literal(kind: str, text: str) -> Literal:
    try:
        if kind == "text":
            return Literal(TEXT, text[1:-1].replace("''", "'"))
        if kind == "number":
            return Literal(NUMBER, Decimal(text))
        if kind == "date":
            return Literal(DATE, datetime.fromisoformat(text).date().isoformat())
        if kind == "moment":
            return Literal(MOMENT, to_unix_us(datetime.fromisoformat(text)))
    except InvalidOperation as error:
        raise _wrong(f"has {text!r}, a number with too many digits") from error
    except ValueError as error:
        raise _wrong(f"has {text!r}: {error}") from error
    raise _wrong(f"has {text!r} where a value belongs")


def _comparison(left: Expression, sign: str, right: Expression) -> Expression:
    left, right = _as_moment(left, right.kind), _as_moment(right, left.kind)
    kinds = {NUMBER if kind in NUMERIC else kind for kind in (left.kind, right.kind)} - {NULL}
    if len(kinds) > 1:
        raise _wrong("compares " + " with ".join(sorted(kinds)))
    return Compared(left, sign, right)


def _as_moment(one: Expression, other_kind: str) -> Expression:
    """A date that is compared with a moment is where it begins (UTC)."""
    if other_kind == MOMENT and isinstance(one, Literal) and one.kind == DATE:
        return Literal(MOMENT, to_unix_us(datetime.fromisoformat(one.value).replace(tzinfo=UTC)))
    return one


def _truth(expression: Expression) -> Expression:
    if expression.kind != FLAG:
        raise _wrong("is not true or false of a row")
    return expression


def _wrong(what: str) -> UsageError:
    return UsageError(f"$filter {what}", field="$filter")
