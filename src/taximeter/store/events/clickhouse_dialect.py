"""The statements of the store in ClickHouse's words.

The trees are the same for every engine; what sqlglot does not say exactly as it is meant is said here:

- moments are DateTime64(6), with microseconds, and not DateTime
- a percentile is the nearest rank, which is `quantileExactWeighted` with weights of 1
- ids sort as their text does (ClickHouse sorts UUIDs by their second half first)
- amounts compare with decimals: a plain 0.1 would be a float
- a quotient is one of floats, as it is in DuckDB: decimals would be cut to the scale of the dividend
- amounts as text have twelve digits behind the point

Values are written into the text as literals: those of the protocol would go into the address, which is too short for a
thousand of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import sqlglot
from sqlglot import expressions as exp

from taximeter.core.money import SCALE
from taximeter.store.events.clickhouse_client import text
from taximeter.store.events.columns import COLUMNS, OUTCOME_FACTS
from taximeter.store.events.slots import TEXTS_KEPT, Statement, moment_text
from taximeter.store.events.statements import EACH_OF

DIALECT: Final = "clickhouse"
_MONEY: Final = frozenset(column.name for column in (*COLUMNS, *OUTCOME_FACTS.columns) if column.kind == "money")
_ID: Final = "event_id"


def sql(tree: exp.Expr) -> str:
    words: exp.Expr = tree.transform(_in_words)
    return words.sql(dialect=DIALECT)


def said(statement: Statement) -> str:
    """The text with its values."""
    first, *others = _pieces(statement.build, statement.shape)
    written = [_literal(statement.values[number - 1], form) + piece for number, form, piece in others]
    return "".join((first, *written))


Piece = tuple[int, str, str]
"""A value's number and form, and the text that follows it."""


@lru_cache(maxsize=TEXTS_KEPT)
def _pieces(build: Callable[[Any], exp.Query], shape: Any) -> tuple[Any, ...]:
    words: exp.Expr = build(shape).transform(_in_words)
    slotted: exp.Expr = words.transform(lambda node: _slot(node) if isinstance(node, exp.Parameter) else node)
    first, *split = _SLOT.split(slotted.sql(dialect=DIALECT))
    return (first, *zip(map(int, split[::3]), split[1::3], split[2::3], strict=True))


_PLAIN, _AS_TEXT = "plain", "text"
_SLOT: Final = re.compile(rf"\[slot (\d+) ({_PLAIN}|{_AS_TEXT})\]")
"""Nothing else looks like this in a text: all that users said is in slots."""


def _slot(node: Any, form: str = _PLAIN) -> exp.Expr:
    return exp.var(f"[slot {node.this.name} {form}]")


def _literal(value: Any, form: str) -> str:
    if isinstance(value, datetime):
        return f"toDateTime64('{moment_text(value)}', 6, 'UTC')"
    if isinstance(value, tuple):
        return f"({', '.join(map(text, value))})"
    if form == _AS_TEXT or isinstance(value, str):
        return text(f"{value:f}" if isinstance(value, Decimal) else str(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _in_words(node: Any) -> Any:
    rule = _RULES.get(type(node))
    return node if rule is None else rule(node)


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _cast(node: exp.Cast) -> exp.Expr:
    if node.is_type(exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ):
        return _call("toDateTime64", node.this, exp.Literal.number(6), exp.Literal.string("UTC"))
    if node.is_type(exp.DataType.Type.UUID):
        return _call("toUUID", node.this)
    if node.is_type(exp.DataType.Type.VARCHAR):
        return _as_text(node)
    return node


def _as_text(node: exp.Cast) -> exp.Expr:
    if _is_id(node.this):
        return _call("toString", node.this)
    if isinstance(node.this, exp.Dot) or _is_money(node.this):
        return _call("toDecimalString", node.this, _scale())
    return node


def _scale() -> exp.Expr:
    return exp.Literal.number(SCALE)


def _percentile(node: exp.WithinGroup) -> exp.Expr:
    return _quantile(node.expression.expressions[0].this, node.this.this)


def _quantile_of_a_user(node: exp.PercentileDisc) -> exp.Expr:
    """DuckDB's `quantile_disc(column, share)`."""
    share = node.expression
    return _quantile(node.this, share) if isinstance(share, exp.Literal) else node


def _quantile(column: exp.Expr, share: exp.Expr) -> exp.Expr:
    said: exp.Expr = sqlglot.parse_one(f"quantileExactWeighted({share.name})(x, 1)", read=DIALECT)
    over_column: exp.Expr = said.transform(lambda part: column if isinstance(part, exp.Column) else part)
    return over_column


def _is_id(node: Any) -> bool:
    return isinstance(node, exp.Column) and node.name == _ID


def _in_order(node: Any) -> exp.Expr:
    """An id as a number that sorts as its text does."""
    return _call("toUInt128", node)


def _ordered(node: exp.Ordered) -> exp.Expr:
    if _is_id(node.this):
        node.set("this", _in_order(node.this.copy()))
    return node


def _compared(node: Any) -> Any:
    if _is_id(node.this):
        node.set("this", _in_order(node.this.copy()))
        node.set("expression", _in_order(node.expression.copy()))
    elif _is_money(node.this):
        node.set("expression", _exact(node.expression))
    return node


def _one_of(node: exp.In) -> exp.Expr:
    if many := _list_in(node.args.get("query")):
        return exp.In(this=node.this, field=many)
    if _is_money(node.this):
        node.set("expressions", [_exact(value) for value in node.expressions])
    return node


def _list_in(query: Any) -> exp.Expr | None:
    """The slot of a list, if the query is one. Its literal is a list in brackets, as IN takes it."""
    each = query and query.find(exp.Anonymous)
    found: exp.Expr | None = each.find(exp.Parameter) if each and each.name == EACH_OF else None
    return found


def _is_money(node: Any) -> bool:
    return isinstance(node, exp.Column) and node.name in _MONEY


def _exact(value: Any) -> Any:
    if isinstance(value, exp.Parameter):
        return _call("toDecimal128", _slot(value, _AS_TEXT), _scale())
    if isinstance(value, exp.Literal) and not value.is_string:
        return _call("toDecimal128", exp.Literal.string(value.name), _scale())
    return value


def _quotient(node: exp.Div) -> exp.Expr:
    if isinstance(node.this, exp.Anonymous):  # said already
        return node
    return exp.Div(this=_call("toFloat64", node.this), expression=_call("toFloat64", node.expression))


_RULES: Final[dict[type[Any], Callable[[Any], Any]]] = {
    exp.Cast: _cast,
    exp.WithinGroup: _percentile,
    exp.PercentileDisc: _quantile_of_a_user,
    exp.Ordered: _ordered,
    exp.LT: _compared,
    exp.GT: _compared,
    exp.LTE: _compared,
    exp.GTE: _compared,
    exp.In: _one_of,
    exp.Div: _quotient,
}
