"""`taximeter why`: what a change of spend consists of, and who is behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import DataOption, Form, FormOption, UrlOption, WhereOption, filters, names
from taximeter.cli.rendering import json_text, usd
from taximeter.cli.sources import open_source

BAR_CELLS: Final = 24
"""Width of the longest bar."""

_IN_WORDS: Final = {
    "volume": "more or fewer requests",
    "feature_mix": "a shift between features",
    "model_mix": "a shift between models",
    "retries": "retries",
    "input_tokens": "input tokens a call",
    "output_tokens": "output tokens a call",
    "cache": "share of the input from caches",
    "price": "prices",
    "fees": "searches and other fees",
}


def why(
    since: Annotated[
        str, typer.Option("--since", metavar="T", help="The period to explain: from when, as for `report`.")
    ] = "24h",
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="T", help="Until when, not included. [default: now]", show_default=False),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            "--against", metavar="WHAT", help="previous, week_before, or FROM..TO: what to compare the period with."
        ),
    ] = "previous",
    where: WhereOption = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="FIELDS",
            help="Where to look for contributors. [default: feature, model, user and others]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many contributors.")] = 10,
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Time zone of dates and of weeks.")] = "UTC",
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Split the change of spend between two periods into its causes, exactly, and rank who is behind it."""
    question = {
        "from": since,
        "to": until or "now",
        "against": _against(against),
        "filters": filters(where),
        "timezone": tz,
        "limit": limit,
        **({"dimensions": names(by)} if by else {}),
    }
    with open_source(data, url) as source:
        answer = source.why(question)
    if form is Form.json:
        write(json_text(answer))
    else:
        _show(answer)
    return 0


def _against(text: str) -> str | dict[str, str]:
    start, dots, end = text.partition("..")
    return {"from": start, "to": end} if dots else text


def _show(answer: Mapping[str, Any]) -> None:
    period, before = answer["period"], answer["against"]
    OUT.print(Text.assemble(f"{_span(period)}: ", (usd(answer["after_usd"]), "bold")))
    OUT.print(f"{_span(before)}: {usd(answer['before_usd'])}{_scaled(before)}")
    OUT.print(Text.assemble("change: ", (_signed(answer["change_usd"]), "bold"), f"{_percent(answer)}\n"))
    if not answer["factors"]:
        note("Nothing changed.")
        return
    OUT.print(_causes(answer["factors"]))
    OUT.print(_people(answer["contributors"]))
    unpriced = answer["coverage"]["unpriced_calls"] + answer["coverage"]["unpriced_calls_before"]
    if unpriced:
        ERR.print(f"{unpriced:,} calls without a price yet, not in these amounts", style="yellow")


def _span(span: Mapping[str, str]) -> str:
    return f"{_minute(span['from'])} to {_minute(span['to'])} UTC"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _scaled(before: Mapping[str, str]) -> str:
    return "" if Decimal(before["scaled_by"]) == 1 else f" (its usage x {before['scaled_by']}, to be as long)"


def _signed(amount: str) -> str:
    return f"-{usd(amount[1:])}" if amount.startswith("-") else f"+{usd(amount)}"


def _percent(answer: Mapping[str, Any]) -> str:
    before = Decimal(answer["before_usd"])
    return f" ({Decimal(answer['change_usd']) / before:+.1%})" if before else ""


def _causes(factors: Sequence[Mapping[str, str]]) -> Table:
    drawn = Table(title="what it consists of", title_justify="left", header_style="bold")
    drawn.add_column("cause")
    drawn.add_column("change", justify="right")
    drawn.add_column("")
    largest = max(abs(Decimal(one["change_usd"])) for one in factors)
    for one in factors:
        drawn.add_row(_IN_WORDS[one["factor"]], _signed(one["change_usd"]), _bar(Decimal(one["change_usd"]), largest))
    return drawn


def _bar(amount: Decimal, largest: Decimal) -> Text:
    cells = max(1, round(abs(amount) / largest * BAR_CELLS))
    return Text("█" * cells, style="red" if amount > 0 else "green")


def _people(contributors: Sequence[Mapping[str, Any]]) -> Table:
    drawn = Table(title="who is behind it, the best explanation first", title_justify="left", header_style="bold")
    for column, justify in (("", "left"), ("value", "left"), ("before", "right"), ("after", "right")):
        drawn.add_column(column, justify=justify)  # type: ignore[arg-type]
    drawn.add_column("change", justify="right")
    drawn.add_column("share", justify="right")
    drawn.add_column("mostly")
    for one in contributors:
        amounts = usd(one["before_usd"]), usd(one["after_usd"]), _signed(one["change_usd"])
        cause = _IN_WORDS[one["factors"][0]["factor"]] if one["factors"] else ""
        drawn.add_row(one["dimension"], one["value"] or "(not said)", *amounts, f"{one['share']:.0%}", cause)
    return drawn
