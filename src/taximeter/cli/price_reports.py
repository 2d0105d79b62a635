"""`taximeter prices unpriced`, `caching` and `differences`: calls without a price, what caching did to the bill, and
where providers name other amounts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from taximeter.cli.console import OUT, note, write
from taximeter.cli.options import DataOption, Form, FormOption, UrlOption, WhereOption, filters, names
from taximeter.cli.rendering import json_text, table, usd
from taximeter.cli.sources import open_source

CACHING_COLUMNS: Final = (
    "cache_saving_usd",
    "cache_hit_rate",
    "cache_hit_calls_rate",
    "calls",
    "written_calls",
    "written_off_calls",
    "written_off_usd",
)
"""What a table shows; JSON has more."""

SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="T", help="From when: 24h, 30d, or a date.", show_default=False)
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="T", help="Until when, not included. [default: now]", show_default=False),
]


class CachingInterval(StrEnum):
    hour = "hour"
    day = "day"
    week = "week"
    month = "month"


def unpriced(
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Calls without a price, by model and reason: how many, since when, and what they may cost at most."""
    with open_source(data, url) as source:
        told = source.price_report("unpriced", _range(since, until, where))
    if form is Form.json:
        write(json_text(told))
        return 0
    if not told["rows"]:
        note("every call has a price")
        return 0
    drawn = Table(
        "model", "tier", "reason", "calls", "tokens", "first seen", "last seen", "at most", header_style="bold"
    )
    for row in told["rows"]:
        who = f"{row['provider'] or '?'}/{row['model'] or '?'}"
        counts = f"{row['unpriced_calls']:,}", f"{row['unpriced_tokens']:,}"
        at_most = "?" if row["at_most_usd"] is None else usd(row["at_most_usd"])
        seen = row["first_seen"][:19], row["last_seen"][:19]
        drawn.add_row(who, row["service_tier"] or "", row["unpriced_reason"] or "?", *counts, *seen, at_most)
    OUT.print(drawn)
    note("they are priced by themselves when a price comes: taximeter prices set, import, refresh")
    return 0


def caching(
    by: Annotated[
        str, typer.Option("--by", metavar="FIELDS", help="Fields to group by, with commas.")
    ] = "feature,model",
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    interval: Annotated[
        CachingInterval | None, typer.Option("--interval", help="One row for each of these.", show_default=False)
    ] = None,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """What prompt caching saved, how often it hit, and what was written for nobody."""
    request = {**_range(since, until, where), "group_by": names(by)}
    if interval is not None:
        request["interval"] = interval.value
    with open_source(data, url) as source:
        told = source.price_report("caching", request)
    if form is Form.json:
        write(json_text(told))
        return 0
    measured = {name for name in told["totals"] if name not in CACHING_COLUMNS}
    OUT.print(table([_without(row, measured) for row in told["rows"]], _without(told["totals"], measured)))
    for assumption in told["assumptions"]:
        note(f"assumed: {assumption}")
    return 0


def differences(
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="SHARE", help="A smaller difference is none.")
    ] = "0.01",
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """How the amounts that providers name themselves differ from the computed ones. Exit code 1 when some do."""
    with open_source(data, url) as source:
        told = source.price_report("differences", {**_range(since, until, where), "tolerance": tolerance})
    differing = any(row["differing_calls"] for row in told["rows"])
    if form is Form.json:
        write(json_text(told))
        return int(differing)
    if not told["rows"]:
        note("no provider named an amount")
        return 0
    drawn = Table(
        "model", "calls", "differing", "computed", "reported", "difference", "", "largest", header_style="bold"
    )
    for row in told["rows"]:
        amounts = [usd(row[name]) for name in ("computed_cost_usd", "reported_cost_usd", "difference_usd")]
        share = "" if row["difference_percent"] is None else f"{row['difference_percent']}%"
        counts = f"{row['calls']:,}", f"{row['differing_calls']:,}"
        name = f"{row['provider'] or '?'}/{row['model'] or '?'}"
        drawn.add_row(name, *counts, *amounts, share, row["largest_event_id"] or "")
    OUT.print(drawn)
    if differing:
        note("look at one: taximeter prices history EVENT_ID, GET /api/v1/prices/explain?event_id=EVENT_ID")
    return int(differing)


def _without(row: Mapping[str, Any], names_left_out: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names_left_out}


def _range(since: str | None, until: str | None, where: list[str] | None) -> dict[str, Any]:
    given = {"from": since, "to": until, "filters": filters(where) or None}
    return {name: value for name, value in given.items() if value is not None}
