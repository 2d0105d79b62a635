"""`taximeter report`: who spent what on what."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import DataOption, UrlOption, WhereOption, filters, names
from taximeter.cli.rendering import columns_of, coverage_notes, csv_text, json_text, table
from taximeter.cli.sources import open_source
from taximeter.errors import UsageError

DEFAULT_MEASURES = "cost_usd,calls,input_tokens,output_tokens"

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


def report(
    by: Annotated[
        str, typer.Option("--by", metavar="FIELDS", help="Fields to group by, with commas: user,feature,model.")
    ] = "model",
    measures: Annotated[
        str, typer.Option("--measures", metavar="NAMES", help="What to add up, with commas.")
    ] = DEFAULT_MEASURES,
    since: Annotated[
        str, typer.Option("--since", metavar="T", help="From when: 15m, 24h, 30d, today, month, or a date.")
    ] = "30d",
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="T", help="Until when, not included. [default: now]", show_default=False),
    ] = None,
    where: WhereOption = None,
    interval: Annotated[
        Interval | None, typer.Option("--interval", help="One row for each of these.", show_default=False)
    ] = None,
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Time zone of dates and intervals.")] = "UTC",
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
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Add up usage and cost by any fields, from the server when one runs, otherwise from the data directory."""
    if format_ is Format.parquet and sys.stdout.isatty():
        raise UsageError(
            "Parquet is not for terminals", hint="send it to a file: ... --format parquet > report.parquet"
        )
    question = build_question(
        by=names(by),
        measures=names(measures),
        since=since,
        until=until,
        where=where,
        interval=interval,
        tz=tz,
        limit=TABLE_GROUPS if limit is None and format_ is Format.table else limit,
    )
    with open_source(data, url) as source:
        answer = source.query(question)
        show(answer, format_, question)
    return 0


def build_question(
    *,
    by: list[str],
    measures: list[str],
    since: str,
    until: str | None = None,
    where: list[str] | None,
    interval: Interval | None = None,
    tz: str = "UTC",
    limit: int | None = None,
) -> dict[str, Any]:
    """The body of `POST /api/v1/query` for these options. Raises UsageError."""
    question: dict[str, Any] = {
        "measures": measures,
        "group_by": by,
        "filters": filters(where),
        "from": since,
        "timezone": tz,
    }
    said = {"to": until, "interval": interval.value if interval else None, "limit": limit}
    return question | {name: value for name, value in said.items() if value is not None}


def show(answer: dict[str, Any], format_: Format, question: dict[str, Any]) -> None:
    rows, totals = answer["rows"], answer["totals"]
    if format_ is Format.json:
        write(json_text(answer))
    elif format_ is Format.csv:
        sys.stdout.write(csv_text(rows, columns_of(rows, totals)))
    elif format_ is Format.parquet:
        sys.stdout.buffer.write(_parquet(rows))
    elif not rows:
        note("No calls in that time. Widen it with --since, or see `taximeter doctor`.")
    else:
        OUT.print(table(rows, totals, title=_title(question)))
        for line in coverage_notes(answer["coverage"]):
            ERR.print(line, style="yellow", markup=False)
        if any(row.get("other") for row in rows):
            note(f"The first {question['limit']:,} groups and the others together. More: --limit N, all: --format csv")


def _title(question: dict[str, Any]) -> str:
    return f"since {question['from']}, until {question.get('to', 'now')} ({question['timezone']})"


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    from taximeter.store.events import parquet

    return parquet(rows)
