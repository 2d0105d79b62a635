"""Options that several commands share, written once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

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
        help="Only such calls. Repeatable; the same field twice means either.",
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


FormOption = Annotated[Form, typer.Option("--format", help="For people, or stable JSON for programs.")]
OnceOption = Annotated[bool, typer.Option("--once", help="Print once and end.")]

COMMA: Final = ","


def names(listed: str) -> list[str]:
    """`user,feature` → the fields `user_id`, `feature`."""
    return [SHORT_NAMES.get(name, name) for part in listed.split(COMMA) if (name := part.strip())]


def filters(where: list[str] | None) -> dict[str, object]:
    """`feature=chat` → the query's filters; a field given more than once may have any of its values.

    Raises UsageError for what is not FIELD=VALUE.
    """
    found: dict[str, list[str]] = {}
    for condition in where or []:
        name, equals, value = condition.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--where {condition}: not FIELD=VALUE", hint="such as --where feature=chat")
        field = SHORT_NAMES.get(name.strip(), name.strip())
        found.setdefault(field, []).append(value.strip())
    return {field: values[0] if len(values) == 1 else {"in": values} for field, values in found.items()}
