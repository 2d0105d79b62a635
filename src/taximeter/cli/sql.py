"""`taximeter sql`: a SELECT of one's own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from taximeter.cli.console import OUT, write
from taximeter.cli.options import DataOption, UrlOption
from taximeter.cli.rendering import csv_text, json_text, table
from taximeter.cli.report import Format
from taximeter.cli.sources import open_source
from taximeter.errors import UsageError

FROM_STDIN = "-"


def sql(
    statement: Annotated[str, typer.Argument(metavar="SELECT", help="The statement; - reads it from stdin.")],
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Answer a SELECT over `calls`, read-only and within limits; see docs/sql.md."""
    if format_ is Format.parquet and sys.stdout.isatty():
        raise UsageError(
            "Parquet is not for terminals", hint="send it to a file: ... --format parquet > answer.parquet"
        )
    with open_source(data, url) as source:
        answer = source.sql(sys.stdin.read() if statement == FROM_STDIN else statement)
    names = [column["name"] for column in answer["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in answer["rows"]]
    if format_ is Format.json:
        write(json_text(answer))
    elif format_ is Format.csv:
        sys.stdout.write(csv_text(rows, names))
    elif format_ is Format.parquet:
        from taximeter.store.events import parquet

        sys.stdout.buffer.write(parquet(rows))
    else:
        OUT.print(table(rows, dict.fromkeys(names)))
    return 0
