"""`taximeter prices reprice` and `history`: stored calls at today's price book, and what they cost before."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import DataOption, Form, FormOption, UrlOption, WhereOption, filters
from taximeter.cli.progress import progress_bar
from taximeter.cli.rendering import json_text, usd
from taximeter.cli.sources import Source, open_source

ROWS_SHOWN: Final = 60
"""Days and models in a table; JSON has them all."""


def reprice(
    from_: Annotated[str, typer.Option("--from", metavar="T", help="From when: a date, an instant, or 30d.")],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="T", help="Until when, not included. [default: now]", show_default=False),
    ] = None,
    where: WhereOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
    why: Annotated[str | None, typer.Option("--note", metavar="WHY", help="Why; kept with the run.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="On a terminal, do not ask before writing.")] = False,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Price stored calls again by today's price book; what they cost before is kept. Exit code 1 when it failed."""
    request: dict[str, Any] = {"from": from_, "filters": filters(where), "dry_run": dry_run}
    request |= {name: given for name, given in (("to", to), ("note", why)) if given is not None}
    with open_source(data, url) as source:
        if not (dry_run or yes or form is Form.json) and sys.stdin.isatty() and sys.stdout.isatty():
            planned = _performed(source, {**request, "dry_run": True})
            _show(planned)
            if not planned["outcome"]["calls"] or not typer.confirm("Write this?"):
                return 0
            request["to"] = planned["request"]["to"]
        run = _performed(source, request)
    if form is Form.json:
        write(json_text(run))
    else:
        _show(run)
    return 0 if run["state"] == "done" else 1


def _performed(source: Source, request: Mapping[str, Any]) -> dict[str, Any]:
    with progress_bar("pricing again") as progress:
        return source.reprice(request, progress)


def _show(run: Mapping[str, Any]) -> None:
    found = run["outcome"]
    if found.get("error"):
        ERR.print(found["error"], soft_wrap=True)
        return
    if found["by"]:
        OUT.print(_differences(found))
    if len(found["by"]) > ROWS_SHOWN:
        note(f"and {len(found['by']) - ROWS_SHOWN:,} more days and models; --format json has them all")
    would = "would change" if run["request"]["dry_run"] else "changed"
    note(f"{found['examined']:,} calls looked at, {found['calls']:,} {would}; {run['price_version']}")
    if not run["request"]["dry_run"]:
        note(f"re-pricing {run['id']}; what they cost before is kept: taximeter prices history EVENT_ID")


def _differences(found: Mapping[str, Any]) -> Table:
    titles = ("calls", "newly priced", "newly unpriced", "before", "after", "difference")
    table = Table("day", "model", header_style="bold", show_footer=True)
    table.columns[0].footer = "total"
    for title, footer in zip(titles, _cells(found), strict=True):
        table.add_column(title, footer=footer, justify="right", no_wrap=True)
    for row in found["by"][:ROWS_SHOWN]:
        table.add_row(row["day"], f"{row['provider'] or '?'}/{row['model'] or '?'}", *_cells(row))
    return table


def _cells(row: Mapping[str, Any]) -> list[str]:
    counts = [f"{row[name]:,}" for name in ("calls", "newly_priced", "newly_unpriced")]
    return [*counts, *(usd(row[name]) for name in ("old_cost_usd", "new_cost_usd", "difference_usd"))]


def history(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The call.")],
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """What a stored call cost by earlier derivations: who replaced them, when and why."""
    with open_source(data, url) as source:
        told = source.cost_history(event_id)
    if form is Form.json:
        write(json_text(told))
        return 0
    table = Table("until", "USD", "rule", "price book", "replaced by", "why", header_style="bold")
    table.add_row("now", *_derivation(told["current"]), "", "")
    for old in told["superseded"]:
        table.add_row(old["superseded_at"], *_derivation(old), old.get("asked_by") or "?", old.get("note") or "")
    OUT.print(table)
    return 0


def _derivation(cost: Mapping[str, Any]) -> list[str]:
    rule = cost["price_rule"] or cost["unpriced_reason"] or "?"
    return [usd(cost["cost_usd"]), rule, cost["price_version"] or "?"]
