"""`taximeter top`: who is spending right now."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from taximeter.cli.console import OUT, write
from taximeter.cli.options import DataOption, Form, FormOption, OnceOption, UrlOption, WhereOption, filters, names
from taximeter.cli.rendering import coverage_notes, json_text, table
from taximeter.cli.sources import Source, open_source

REFRESH_SECONDS = 2.0


def top(
    by: Annotated[
        str, typer.Option("--by", metavar="FIELDS", help="Whom to rank, with commas.")
    ] = "user,feature,model",
    since: Annotated[str, typer.Option("--since", metavar="T", help="How far back to add up.")] = "1h",
    where: WhereOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many to show.")] = 20,
    once: OnceOption = False,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """The biggest spenders of the last hour, every two seconds anew. Ends with Ctrl-C."""
    with open_source(data, url) as source:
        if form is Form.json:
            write(json_text(source.query(_question(by, since, where, limit))))
            return 0
        if once or not OUT.is_terminal:
            OUT.print(_screen(source, by, since, where, limit))
            return 0
        with Live(_screen(source, by, since, where, limit), console=OUT, auto_refresh=False, screen=True) as live:
            while True:
                time.sleep(REFRESH_SECONDS)
                live.update(_screen(source, by, since, where, limit), refresh=True)


def _screen(source: Source, by: str, since: str, where: list[str] | None, limit: int) -> Group:
    answer = source.query(_question(by, since, where, limit))
    notes = [Text(line, style="yellow") for line in coverage_notes(answer["coverage"])]
    return Group(table(answer["rows"], answer["totals"], title=f"spending, last {since}"), *notes)


def _question(by: str, since: str, where: list[str] | None, limit: int) -> dict[str, Any]:
    return {
        "measures": ["cost_usd", "calls", "input_tokens", "output_tokens"],
        "group_by": names(by),
        "filters": filters(where),
        "from": since,
        "order_by": "-cost_usd",
        "limit": limit,
    }
