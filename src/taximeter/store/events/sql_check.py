"""Statements of users: read here, refused unless they are one plain question of the documented schema, and written
anew from what was understood, so that what runs is what was checked.

What may be called is listed, what may not be is everything else: a new function of an engine is closed until somebody
opens it. The engine's own locks (no access to files, no settings, a read-only transaction) stand behind this.
"""

from __future__ import annotations

import re
from typing import Any, Final

import sqlglot
from sqlglot import expressions as exp
from sqlglot.errors import SqlglotError

from taximeter.errors import UsageError

WRITTEN_IN: Final = "duckdb"
"""The dialect in which statements are written, whichever engine answers."""

TABLES: Final = ("calls", "outcomes")
MOST_CHARACTERS: Final = 20_000
MOST_SQL_ROWS: Final = 10_000
"""Rows of one answer."""

_REFUSED: Final[tuple[type[exp.Expr], ...]] = (
    exp.DML,
    exp.DDL,
    exp.Command,
    exp.Into,
    exp.Lock,
    exp.Parameter,
    exp.Placeholder,
    exp.Pragma,
    exp.Set,
    exp.Copy,
    exp.Attach,
    *(kind for kind in exp.ALL_FUNCTIONS if kind.__name__.startswith(("Current", "Session", "Read", "AI", "ToFile"))),
)
_ALL_THE_SAME: Final = (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.CurrentDatetime)
"""Functions that are refused by their kind's name, and only tell the time."""

_TABLE_FUNCTIONS: Final = (exp.GenerateSeries, exp.Unnest, exp.Explode)
_OTHER_FUNCTIONS: Final = frozenset(
    """
    now age century date_part datepart datesub date_sub decade element_at epoch_us epoch_ns even fdiv fmod format
    gcd histogram isodow isoyear json_array_length json_extract json_extract_string json_keys json_structure json_type
    kurtosis lcm list_aggregate list_distinct list_max list_min list_sum list_unique mad make_timestamp map_contains
    map_entries map_extract map_from_entries map_values printf product regr_avgx regr_avgy regr_count regr_intercept
    regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile skewness struct_extract trunc typeof week weekday
    weekofyear yearweek yearday
    """.split()  # noqa: SIM905 - sixty lines of a word each read worse
)
"""Functions that the parser has no type of its own for, and that read nothing but their arguments."""

LARGEST_MADE: Final = 1_000
"""Characters to which a text may be filled up or repeated."""

_SIZE_IN: Final[dict[type[exp.Expr], str]] = {exp.Repeat: "times", exp.Pad: "expression", exp.Space: "this"}
"""Functions that make much out of little, and where they are told how much. An engine makes one value in one go:
neither its limit of memory nor an interruption reaches into that."""

_COARSE: Final = frozenset({"MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
_WHOLE: Final = re.compile(r"0*[1-9]\d*")
_TOO_WIDE_FORMAT: Final = re.compile(r"\{[^{}]*(?:\d{4}|\{)")
_TOO_WIDE_PRINTF: Final = re.compile(r"%[^a-zA-Z%]*(?:\d{4}|\*)")
"""A place for a value with a width of more than three digits, or with one that is given elsewhere."""


def checked(sql: str) -> exp.Query:
    """The statement as a tree. Raises UsageError, with the reason, for anything but one harmless SELECT."""
    if not sql.strip():
        raise _refused("there is no statement", "such as SELECT model, sum(cost_usd) FROM calls GROUP BY model")
    if len(sql) > MOST_CHARACTERS:
        raise _refused(f"the statement has more than {MOST_CHARACTERS} characters")
    try:
        statements = [statement for statement in sqlglot.parse(sql, read=WRITTEN_IN) if statement is not None]
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise _refused("only one statement is allowed, and that is a SELECT")
        _check(statements[0], frozenset())
    except SqlglotError as error:
        raise _refused(f"this is no SQL: {_first_line(error)}") from error
    except RecursionError as error:
        raise _refused("the statement is nested too deeply") from error
    return statements[0]


def bounded(statement: exp.Query) -> exp.Select:
    """The statement with one row more than an answer may have."""
    return exp.select("*").from_(statement.subquery("asked")).limit(MOST_SQL_ROWS + 1)


def _check(node: exp.Expr, visible: frozenset[str]) -> None:
    """`visible` are the names given by WITH that hold at this place."""
    if isinstance(node, _REFUSED) and not isinstance(node, _ALL_THE_SAME):
        raise _refused(f"{node.key.upper()} is not allowed", "a statement only reads")
    with_ = node.args.get("with_")
    if with_ is not None:
        for named in with_.expressions:
            _check(named.this, visible | {_name(named)} if with_.args.get("recursive") else visible)
            visible |= {_name(named)}
    if isinstance(node, exp.Table):
        _check_table(node, visible)
    if isinstance(node, exp.Anonymous) and str(node.this).lower() not in _OTHER_FUNCTIONS:
        raise _refused(f"the function {node.this} is not allowed", "see docs/sql.md")
    _check_size(node)
    for child in node.iter_expressions():
        if child is not with_:
            _check(child, visible)


def _check_size(node: exp.Expr) -> None:
    """Whether no value of this function grows without a bound that is seen here."""
    if (size := _SIZE_IN.get(type(node))) is not None:
        told = node.args.get(size)
        if not (isinstance(told, exp.Literal) and not told.is_string and float(told.this) <= LARGEST_MADE):
            raise _refused(f"{node.key.upper()} needs a plain number up to {LARGEST_MADE} for its size")
        if isinstance(node, exp.Repeat) and not isinstance(node.this, exp.Literal):
            raise _refused("REPEAT needs a plain text: what is repeated could be one that was")
    elif isinstance(node, exp.GenerateSeries) and not isinstance(node.parent, exp.Table):
        _check_step(node.args.get("step"))
    elif isinstance(node, exp.Format):
        _check_widths(node.this, "{{", _TOO_WIDE_FORMAT)
    elif isinstance(node, exp.Anonymous) and str(node.this).lower() == "printf":
        _check_widths(next(iter(node.expressions), None), "%%", _TOO_WIDE_PRINTF)


def _check_step(step: object) -> None:
    """Whether a series that is a value goes on by whole minutes or more."""
    unit = step.text("unit").upper().removesuffix("S") if isinstance(step, exp.Interval) else ""
    if not (isinstance(step, exp.Interval) and unit in _COARSE and _WHOLE.fullmatch(step.text("this"))):
        raise _refused("a series of numbers is a table: FROM range(10)", "one of moments may step by whole minutes")


def _check_widths(pattern: Any, escaped: str, too_wide: re.Pattern[str]) -> None:
    plain = isinstance(pattern, exp.Literal) and pattern.is_string
    if not plain or too_wide.search(pattern.this.replace(escaped, "")):
        raise _refused("format and printf need a plain text, with widths of three digits at most")


def _name(named: exp.Expr) -> str:
    return named.alias.lower()


def _check_table(table: exp.Table, visible: frozenset[str]) -> None:
    if isinstance(table.this, _TABLE_FUNCTIONS):
        return
    name = table.name.lower() if isinstance(table.this, exp.Identifier) else None
    if name is None or table.args.get("db") or table.args.get("catalog") or name not in (*TABLES, *visible):
        allowed: list[Any] = list(TABLES)
        shown = table.this.sql(dialect=WRITTEN_IN) if name is None else table.sql(dialect=WRITTEN_IN)
        raise UsageError(
            f"there is no table {shown}", hint="allowed: " + ", ".join(allowed), field="sql", allowed=allowed
        )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].replace("\x1b[4m", "").replace("\x1b[0m", "")


def _refused(why: str, hint: str | None = None) -> UsageError:
    return UsageError(why, hint=hint, field="sql")
