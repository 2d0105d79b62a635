"""Options that several commands share, written once."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from taximeter.core.attribution import SHORT_NAMES
from taximeter.errors import UsageError

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        file_okay=False,
        help="The data directory. [default: $TAXIMETER_DATA, else the user's own]",
        show_default=False,
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Ask this server, with the key in $TAXIMETER_KEY.", show_default=False),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FIELD=VALUE",
        help="Only such calls. Repeatable; the same field twice means either. Also != > >= < <= ~ !~, FIELD?, !FIELD.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration. [default: $TAXIMETER_CONFIG, else ./taximeter.yaml]",
        show_default=False,
    ),
]


class Form(StrEnum):
    """How an answer is printed: for people, or stable for programs."""

    table = "table"
    json = "json"


class Tabular(StrEnum):
    """As `Form`, and as a table for other programs."""

    table = "table"
    csv = "csv"
    json = "json"


FormOption = Annotated[Form, typer.Option("--format", help="For people, or stable JSON for programs.")]
OnceOption = Annotated[bool, typer.Option("--once", help="Print once and end.")]

COMMA: Final = ","


def said_as(flag: str, metavar: str, help_: str) -> Any:
    """An option whose default stands in its help."""
    return typer.Option(flag, metavar=metavar, help=help_, show_default=False)


def names(listed: str) -> list[str]:
    """`user,feature` → the fields `user_id`, `feature`."""
    return [SHORT_NAMES.get(name, name) for part in listed.split(COMMA) if (name := part.strip())]


_CONDITION: Final = re.compile(r"(?P<name>[^=!<>~?]+?)\s*(?P<sign>!=|>=|<=|!~|=|>|<|~)(?P<value>.*)", re.DOTALL)
_EXISTENCE: Final = re.compile(r"(?P<missing>!?)(?P<name>[^=!<>~?]+)\??")
_OPERATORS: Final = {
    "=": "in",
    "!=": "not",
    "~": "contains",
    "!~": "not_contains",
    **{sign: sign for sign in (">", ">=", "<", "<=")},
}


def filters(where: list[str] | None) -> dict[str, object]:
    """`feature=chat` → the query's filters. `=` and `!=` of one field given more than once mean any, or none, of the
    values; `user?` that there is one, `!user` that there is none.

    Raises UsageError for what is none of these, and for another operator given twice for a field.
    """
    found: dict[str, dict[str, Any]] = {}
    for written in where or []:
        field, operator, value = _condition(written)
        operators = found.setdefault(field, {})
        if operator in ("in", "not"):
            operators.setdefault(operator, []).append(value)
        elif operator in operators:
            raise UsageError(f"--where {written}: {field} has such a condition already", hint="give it once")
        else:
            operators[operator] = value
    return {field: _plain(operators) for field, operators in found.items()}


def _condition(written: str) -> tuple[str, str, object]:
    if compared := _CONDITION.fullmatch(written.strip()):
        return _full(compared["name"]), _OPERATORS[compared["sign"]], compared["value"].strip()
    existence = _EXISTENCE.fullmatch(written.strip())
    if existence is None or not (existence["missing"] or written.strip().endswith("?")):
        raise UsageError(f"--where {written}: not FIELD=VALUE", hint="such as --where feature=chat")
    return _full(existence["name"]), "exists", not existence["missing"]


def _full(name: str) -> str:
    return SHORT_NAMES.get(name.strip(), name.strip())


def _plain(operators: dict[str, Any]) -> object:
    """The shortest form that says the same."""
    if operators.keys() != {"in"}:
        return operators
    values = operators["in"]
    return values[0] if len(values) == 1 else {"in": values}
