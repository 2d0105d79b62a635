"""`taximeter chargeback`: what each team, customer or other payer is charged for a month."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import DataOption, Tabular, UrlOption, WhereOption, filters, names, said_as
from taximeter.cli.rendering import coverage_notes, csv_text, json_text, minute, usd
from taximeter.cli.sources import open_source
from taximeter.errors import UsageError


class Unattributed(StrEnum):
    line = "line"
    shared = "shared"


def chargeback(
    by: Annotated[
        str | None, said_as("--by", "FIELD", "Who is charged: team, tenant, tags.NAME, ... [default: as configured]")
    ] = None,
    month: Annotated[str | None, said_as("--month", "YYYY-MM", "The month. [default: last month]")] = None,
    since: Annotated[str | None, said_as("--since", "T", "In place of a month: last_quarter, a date, ...")] = None,
    until: Annotated[str | None, said_as("--until", "T", "Until when, not included.")] = None,
    where: WhereOption = None,
    unattributed: Annotated[
        Unattributed | None,
        typer.Option(
            "--unattributed",
            help="What cannot be attributed: a line of its own, or shared by cost. [default: as configured]",
            show_default=False,
        ),
    ] = None,
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Time zone in which months begin.")] = "UTC",
    fiscal_start_month: Annotated[
        int,
        typer.Option(
            "--fiscal-start-month", metavar="N", min=1, max=12, help="The month with which years and quarters begin."
        ),
    ] = 1,
    format_: Annotated[Tabular, typer.Option("--format", help="How to print it.")] = Tabular.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Charge teams, customers or others for a month: cost and mark-up, in lines that sum to their total to the cent."""
    said = {
        "by": None if by is None else _one(by),
        "month": month,
        "from": since,
        "to": until,
        "filters": filters(where) or None,
        "unattributed": None if unattributed is None else unattributed.value,
        "timezone": tz,
        "fiscal_start_month": fiscal_start_month,
    }
    with open_source(data, url) as source:
        answer = source.chargeback({name: value for name, value in said.items() if value is not None})
    _show(answer, format_)
    return 0


def _one(by: str) -> str:
    fields = names(by)
    if len(fields) != 1:
        raise UsageError(f"--by {by}: one field is charged by", hint="such as --by team")
    return fields[0]


def _show(answer: Mapping[str, Any], format_: Tabular) -> None:
    rows, totals = answer["rows"], answer["totals"]
    if format_ is Tabular.json:
        write(json_text(answer))
    elif format_ is Tabular.csv:
        sys.stdout.write(csv_text(rows, [answer["by"], *totals]))
    elif not rows:
        note("No calls in that time.")
    else:
        OUT.print(_table(answer))
    if format_ is Tabular.table:
        for line in coverage_notes(answer["coverage"]):
            ERR.print(line, style="yellow")


def _table(answer: Mapping[str, Any]) -> Table:
    period = f"{minute(answer['from'])} to {minute(answer['to'])} UTC"
    drawn = Table(title=period, title_justify="left", show_footer=True, header_style="bold")
    drawn.add_column(answer["by"], footer="total")
    totals = answer["totals"]
    for column in totals:
        drawn.add_column(column, footer=_cell(column, totals), justify="right", no_wrap=True)
    for row in answer["rows"]:
        drawn.add_row(row[answer["by"]] or "(not said)", *(_cell(column, row) for column in totals))
    return drawn


def _cell(column: str, row: Mapping[str, Any]) -> str | Text:
    value = row[column]
    if column == "amount_usd":
        return Text(f"${value}", style="bold")
    return f"{value:,}" if isinstance(value, int) else usd(value)
