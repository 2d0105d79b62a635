"""An answer beside that of another time, as it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.table import Table

from taximeter.cli.console import OUT
from taximeter.cli.rendering import cell, table

ASKED: Final = "asked"
COMPARED: Final = "compared"
PERIOD: Final = "period"
"""The column that says of which of the two times a row is."""


def all_rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows, those of the other time after them."""
    if "comparison" not in answer:
        return list(answer["rows"])
    times = ((ASKED, answer["rows"]), (COMPARED, answer["comparison"]["rows"]))
    return [{PERIOD: name, **row} for name, rows in times for row in rows]


def show_comparison(answer: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """A table of what became of every measure; by time, the whole table of the other time."""
    if "comparison" not in answer:
        return
    then = answer["comparison"]
    title = f"compared with {then['from']} to {then['to']}"
    if asked.get("interval"):
        OUT.print(table(then["rows"], then["totals"], title=title))
    else:
        OUT.print(_changes(answer["totals"], then["totals"], title))


def _changes(now: Mapping[str, Any], before: Mapping[str, Any], title: str) -> Table:
    drawn = Table("measure", title=title, title_justify="left", header_style="bold")
    for heading in ("before", "now", "change"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for name in now:
        drawn.add_row(name, cell(name, before[name]), cell(name, now[name]), change(before[name], now[name]))
    return drawn


def change(before: object, now: object) -> str:
    """`+12.5%`; a dash where there is nothing to divide by."""
    if before is None or now is None or not Decimal(str(before)):
        return "–"
    return f"{Decimal(str(now)) / Decimal(str(before)) - 1:+.1%}"
