"""Statements in DuckDB's words."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from sqlglot import expressions as exp

from taximeter.store.events.rolling import model
from taximeter.store.events.rollups import EVENTS, LEVELS
from taximeter.store.events.slots import TEXTS_KEPT, Statement
from taximeter.store.events.statements import CALLS
from taximeter.store.events.vocabulary import MODEL, MODEL_FAMILY

DIALECT: Final = "duckdb"


def said(statement: Statement) -> tuple[str, dict[str, Any]]:
    """The text, and the values of the parameters in it by their numbers."""
    text, numbers = _text(statement.build, statement.shape)
    return text, {str(number): statement.values[number - 1] for number in numbers}


@lru_cache(maxsize=TEXTS_KEPT)
def _text(build: Callable[[Any], exp.Query], shape: Any) -> tuple[str, frozenset[int]]:
    """With the numbers of the slots in it: DuckDB takes no value that a text has no place for."""
    tree = _without_views(build(shape))
    return sql(tree), frozenset(int(slot.this.name) for slot in tree.find_all(exp.Parameter))


def _without_views(tree: exp.Expr) -> exp.Expr:
    """A statement that needs no family of models asks the tables themselves: planning the views' list of families takes
    longer than a small answer does."""
    named = {column.name for column in tree.find_all(exp.Column)}
    if MODEL_FAMILY in named:
        return tree
    for table in list(tree.find_all(exp.Table)):
        if table.name in _TABLES:
            own = exp.to_table(_TABLES[table.name])
            is_with_model = MODEL in named and table.name in _WITH_MODEL
            table.replace(_with_model(own, table.name) if is_with_model else exp.alias_(own, table.name, table=True))
    return tree


def _with_model(table: exp.Expr, name: str) -> exp.Expr:
    return exp.select("*", exp.alias_(model(), MODEL)).from_(table).subquery(name)


_TABLES: Final = {CALLS: EVENTS, **{level.view: level.table for level in LEVELS}}
_WITH_MODEL: Final = {CALLS, *(level.view for level in LEVELS if MODEL in level.askable)}


def sql(tree: exp.Expr) -> str:
    return tree.sql(dialect=DIALECT)
