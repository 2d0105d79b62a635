"""`taximeter reconcile`: a provider's bill beside what was metered."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from taximeter.cli.console import OUT, note, write
from taximeter.cli.options import DataOption, Tabular, UrlOption, WhereOption, filters, said_as
from taximeter.cli.rendering import csv_text, json_text, minute, usd
from taximeter.cli.sources import open_source


class By(StrEnum):
    day = "day"
    model = "model"


_AMOUNTS: Final = ("billed_usd", "metered_usd", "difference_usd", "unmetered_usd", "price_usd", "unexplained_usd")


def reconcile(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE...]",
            help="The provider's bill and usage report, as `import` reads them; nothing of them is stored.",
            show_default=False,
        ),
    ] = None,
    provider: Annotated[str | None, said_as("--provider", "NAME", "One provider. [default: all with a bill]")] = None,
    month: Annotated[str | None, said_as("--month", "YYYY-MM", "The month, in UTC. [default: last month]")] = None,
    since: Annotated[str | None, said_as("--since", "T", "In place of a month: last_quarter, a date, ...")] = None,
    until: Annotated[str | None, said_as("--until", "T", "Until when, not included.")] = None,
    by: Annotated[By, typer.Option("--by", help="What a row is.")] = By.day,
    billed_usd: Annotated[
        str | None, said_as("--billed-usd", "USD", "The amount of the bill, where it was not imported.")
    ] = None,
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="SHARE", help="A smaller share of the bill is no difference.")
    ] = "0.01",
    where: WhereOption = None,
    format_: Annotated[Tabular, typer.Option("--format", help="How to print it.")] = Tabular.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Compare a provider's own bill with what was metered. Exit code 1 when they differ, or there is no bill."""
    said = {
        "provider": provider,
        "month": month,
        "from": since,
        "to": until,
        "by": by.value,
        "billed_usd": billed_usd,
        "report": _rows_of(files) if files else None,
        "tolerance": tolerance,
        "filters": filters(where) or None,
    }
    with open_source(data, url) as source:
        told = source.reconcile({name: value for name, value in said.items() if value is not None})
    _show(told, format_)
    return 0 if told["within"] else 1


def _rows_of(files: list[str]) -> list[dict[str, Any]]:
    from taximeter.cli.import_run import rows_of_files  # it needs the store, which takes a second to load

    return rows_of_files(files)


def _show(told: Mapping[str, Any], format_: Tabular) -> None:
    if format_ is Tabular.json:
        write(json_text(told))
        return
    if format_ is Tabular.csv:
        sys.stdout.write(csv_text(told["rows"], ["provider", told["by"], *told["totals"]]))
        return
    if told["rows"]:
        OUT.print(_table(told))
    for reason in told["reasons"]:
        note(_sentence(reason))


def _sentence(reason: Mapping[str, Any]) -> str:
    calls = None if reason["calls"] is None else f"{reason['calls']:,} calls"
    about = ", ".join(part for part in (None if reason["usd"] is None else usd(reason["usd"]), calls) if part)
    return f"{about}: {reason['text']}" if about else reason["text"]


def _table(told: Mapping[str, Any]) -> Table:
    period = f"{minute(told['from'])} to {minute(told['to'])} UTC"
    drawn = Table(title=period, title_justify="left", show_footer=True, header_style="bold")
    totals = told["totals"]
    drawn.add_column("provider", footer="total")
    drawn.add_column(told["by"])
    for name in _AMOUNTS:
        drawn.add_column(name.removesuffix("_usd"), footer=usd(totals[name]), justify="right", no_wrap=True)
    drawn.add_column("", footer=_percent(totals), justify="right")
    drawn.add_column("calls", footer=f"{totals['calls']:,}", justify="right")
    for row in told["rows"]:
        amounts = [usd(row[name]) for name in _AMOUNTS]
        drawn.add_row(row["provider"], row[told["by"]] or "(not said)", *amounts, _percent(row), f"{row['calls']:,}")
    return drawn


def _percent(amounts: Mapping[str, Any]) -> str:
    share = amounts["difference_share"]
    return "" if share is None else f"{share:+.1%}"
