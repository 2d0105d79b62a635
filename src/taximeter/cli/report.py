"""`taximeter report`: who spent what on what."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from taximeter.cli.comparing import all_rows, show_comparison
from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import DataOption, UrlOption, WhereOption, filters, names
from taximeter.cli.rendering import columns_of, coverage_notes, csv_text, json_text, table
from taximeter.cli.sources import open_source
from taximeter.errors import UsageError

DEFAULT_BY: Final = "model"
DEFAULT_SINCE: Final = "30d"
DEFAULT_MEASURES: Final = "cost_usd,calls,input_tokens,output_tokens"

TABLE_GROUPS: Final = 1000
"""Groups of a table without `--limit`: nobody reads more, and there may be a million. The others are one row."""


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


class Interval(StrEnum):
    minute = "minute"
    hour = "hour"
    day = "day"
    week = "week"
    month = "month"
    quarter = "quarter"
    year = "year"


def _said(flag: str, metavar: str, help_: str, default: str | None = None) -> Any:
    """An option that is not in the question unless it is given."""
    shown = f"{help_} [default: {default}]" if default else help_
    return typer.Option(flag, metavar=metavar, help=shown, show_default=False)


def report(
    question: Annotated[
        str | None, _said("--question", "NAME", "A question that is ready, such as top-users; options narrow it.")
    ] = None,
    by: Annotated[
        str | None, _said("--by", "FIELDS", "Fields to group by, with commas: user,feature,model.", DEFAULT_BY)
    ] = None,
    measures: Annotated[
        str | None, _said("--measures", "NAMES", "What to add up, with commas.", DEFAULT_MEASURES)
    ] = None,
    since: Annotated[
        str | None,
        _said("--since", "T", "From when: 15m, 24h, 30d, today, this_month, or a date.", DEFAULT_SINCE),
    ] = None,
    until: Annotated[str | None, _said("--until", "T", "Until when, not included.", "now")] = None,
    where: WhereOption = None,
    interval: Annotated[
        Interval | None, typer.Option("--interval", help="One row for each of these.", show_default=False)
    ] = None,
    compare: Annotated[
        str | None,
        _said("--compare", "WITH", "previous_period, same_weekday, previous_month, previous_year or FROM..TO."),
    ] = None,
    order_by: Annotated[
        str | None, _said("--order-by", "NAME", "What ranks: a measure or field, -NAME for the largest first.")
    ] = None,
    tz: Annotated[str | None, _said("--tz", "ZONE", "Time zone of dates and intervals.", "UTC")] = None,
    fiscal_start_month: Annotated[
        int | None,
        typer.Option(
            "--fiscal-start-month",
            metavar="N",
            min=1,
            max=12,
            help="The month with which years and quarters begin. [default: 1]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            min=1,
            help=f"At most so many groups, the others together. [default: {TABLE_GROUPS} in a table, else all]",
            show_default=False,
        ),
    ] = None,
    offset: Annotated[
        int | None,
        typer.Option("--offset", metavar="N", min=0, help="Groups to skip before those.", show_default=False),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Add up usage and cost by any fields, from the server when one runs, otherwise from the data directory."""
    if format_ is Format.parquet and sys.stdout.isatty():
        raise UsageError(
            "Parquet is not for terminals", hint="send it to a file: ... --format parquet > report.parquet"
        )
    said = {
        "group_by": names(by) if by is not None else None,
        "measures": names(measures) if measures is not None else None,
        "from": since,
        "to": until,
        "filters": filters(where) or None,
        "interval": interval.value if interval else None,
        "compare": _between(compare),
        "order_by": order_by,
        "timezone": tz,
        "fiscal_start_month": fiscal_start_month,
        "limit": limit,
        "offset": offset,
    }
    given = {name: value for name, value in said.items() if value is not None}
    with open_source(data, url) as source:
        if question is not None:
            answer = source.question(question, given)
            show(answer, format_, {**answer["question"]["asks"], **given}, answer["question"]["about"])
        else:
            asked = _with_defaults(given, format_)
            show(source.query(asked), format_, asked)
    return 0


def _with_defaults(given: dict[str, Any], format_: Format) -> dict[str, Any]:
    defaults = {
        "group_by": [DEFAULT_BY],
        "measures": names(DEFAULT_MEASURES),
        "from": DEFAULT_SINCE,
        "timezone": "UTC",
        **({"limit": TABLE_GROUPS} if format_ is Format.table else {}),
    }
    return {**defaults, **given}


def _between(compare: str | None) -> str | dict[str, str] | None:
    """`2026-10-01..2026-11-01` is a time of one's own."""
    if compare is None or ".." not in compare:
        return compare
    start, _, end = compare.partition("..")
    return {"from": start, "to": end}


def show(answer: dict[str, Any], format_: Format, asked: dict[str, Any], about: str | None = None) -> None:
    rows, totals = answer["rows"], answer["totals"]
    if format_ is Format.json:
        write(json_text(answer))
    elif format_ is Format.csv:
        listed = all_rows(answer)
        sys.stdout.write(csv_text(listed, columns_of(listed, totals)))
    elif format_ is Format.parquet:
        sys.stdout.buffer.write(_parquet(all_rows(answer)))
    elif not rows:
        note("No calls in that time. Widen it with --since, or see `taximeter doctor`.")
    else:
        OUT.print(table(rows, totals, title=_title(asked, about)))
        show_comparison(answer, asked)
        for line in coverage_notes(answer["coverage"]):
            ERR.print(line, style="yellow")
        if any(row.get("other") for row in rows):
            shown = f"{asked['limit']:,} of {answer['groups']:,} groups and the others together."
            note(f"{shown} More: --limit N, --offset N, all: --format csv")


def _title(asked: dict[str, Any], about: str | None) -> str:
    time = f"since {asked['from']}, until {asked.get('to', 'now')} ({asked.get('timezone', 'UTC')})"
    return f"{about}; {time}" if about else time


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    from taximeter.store.events import parquet

    return parquet(rows)
