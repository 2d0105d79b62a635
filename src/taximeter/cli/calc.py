"""`taximeter calc`: what a workload costs, on paper or on one's own history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import (
    ConfigOption,
    DataOption,
    Form,
    FormOption,
    UrlOption,
    WhereOption,
    filters,
)
from taximeter.cli.progress import progress_bar
from taximeter.cli.rendering import json_text, usd
from taximeter.cli.sources import running_server
from taximeter.clock import SystemClock
from taximeter.config import data_directory, variable
from taximeter.core.money import format_usd
from taximeter.errors import UsageError
from taximeter.sdk.remote import Remote

if TYPE_CHECKING:
    from taximeter.pricing import PriceBook

NEEDED: Final = ("model", "input_tokens", "output_tokens", "calls_per_day")
"""What a workload cannot do without."""

ON_PAPER: Final = ("input_tokens", "output_tokens", "calls_per_day", "compare", "batch_share")
"""What only a workload has."""

ON_HISTORY: Final = ("filters", "from", "to", "service_tier", "token_ratio")
"""What only recorded calls have."""

HISTORY_SECONDS: Final = 300.0
"""How long a server may take for a million calls on a busy machine."""

HISTORY_COLUMNS: Final = ("model", "calls", "compared", "cost", "would cost", "more", "%")
UNKNOWN: Final = "–"
_OTHER_NAMES: Final = {"filters": "where", "from": "since", "to": "until"}


def calc(
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="The model, as MODEL or PROVIDER/MODEL.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option("--compare", metavar="M2,M3", help="Others to stand beside it.", show_default=False),
    ] = None,
    input_tokens: Annotated[
        int | None,
        typer.Option("--input-tokens", metavar="N", help="Of one call, with what is cached.", show_default=False),
    ] = None,
    output_tokens: Annotated[
        int | None, typer.Option("--output-tokens", metavar="N", help="Of one call.", show_default=False)
    ] = None,
    calls_per_day: Annotated[
        int | None, typer.Option("--calls-per-day", metavar="N", help="Calls a day.", show_default=False)
    ] = None,
    cached_share: Annotated[
        str | None,
        typer.Option(
            "--cached-share", metavar="S", help="Of the input, read from a cache: 0 to 1.", show_default=False
        ),
    ] = None,
    batch_share: Annotated[
        str | None,
        typer.Option("--batch-share", metavar="S", help="Of the calls, made by batch: 0 to 1.", show_default=False),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="At the prices of that moment.", show_default=False)
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="A price file in place of the usual one.", show_default=False),
    ] = None,
    from_history: Annotated[
        bool, typer.Option("--from-history", help="What the recorded calls would have cost instead.")
    ] = False,
    where: WhereOption = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="T", help="Calls from when on: 24h, 30d, a date. [default: 30d]"),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="T", help="Calls until when. [default: now]", show_default=False),
    ] = None,
    service_tier: Annotated[
        str | None,
        typer.Option("--service-tier", metavar="TIER", help="In another tier: batch, flex, ...", show_default=False),
    ] = None,
    token_ratio: Annotated[
        str | None,
        typer.Option("--token-ratio", metavar="R", help="Tokens of M for each recorded one.", show_default=False),
    ] = None,
    form: FormOption = Form.table,
    config: ConfigOption = None,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Calculate what a workload costs by day, month and year, or what recorded calls would have cost instead."""
    given: dict[str, Any] = {
        "model": model,
        "compare": [name.strip() for name in compare.split(",") if name.strip()] if compare else None,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "calls_per_day": calls_per_day,
        "batch_share": batch_share,
        "cached_share": cached_share,
        "at": at,
        "prices": _text_of(prices),
        "filters": filters(where) or None,
        "from": since,
        "to": until,
        "service_tier": service_tier,
        "token_ratio": token_ratio,
    }
    request = {name: value for name, value in given.items() if value is not None}
    _refuse(request, from_history)
    answers = _Answers(config, data or data_directory(), url)
    answer = answers.on_history(request) if from_history else answers.on_paper(request)
    if form is Form.json:
        write(json_text(answer))
    elif from_history:
        _show_history(answer)
    else:
        OUT.print(_paper_table(answer))
    return 0 if _answered(answer) else 1


def _refuse(request: Mapping[str, Any], from_history: bool) -> None:
    """Raises UsageError for an option of the other kind of question, and for what is needed and not given."""
    for name in ON_PAPER if from_history else ON_HISTORY:
        if name in request:
            hint = "leave out --from-history" if from_history else "add --from-history"
            raise UsageError(f"{_option(name)} does not go with this question", hint=hint)
    for name in () if from_history else NEEDED:
        if name not in request:
            raise UsageError(f"{_option(name)} is needed", hint="or --from-history, for the calls that were recorded")


def _option(name: str) -> str:
    return "--" + _OTHER_NAMES.get(name, name).replace("_", "-")


def _answered(answer: Mapping[str, Any]) -> bool:
    """Whether there is an amount: of the chosen model, or of any recorded call."""
    if "models" in answer:
        return answer["models"][0]["cost"] is not None
    return bool(answer["compared"]["calls"]) or not answer["calls"]


def _text_of(prices: Path | None) -> str | None:
    """A price file as it goes into a request. Raises ConfigurationError with every mistake in it."""
    if prices is None:
        return None
    from taximeter.pricing.price_file import read_file

    return read_file(prices, "override").text


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers in the shapes of the API: from the server, when there is one to ask, otherwise calculated here."""

    config: Path | None
    data: Path
    url: str | None

    def on_paper(self, request: Mapping[str, Any]) -> dict[str, Any]:
        remote = self._remote()
        if remote is not None:
            answer: dict[str, Any] = remote.post("/api/v1/calculator", request)
            return answer
        from taximeter.reports.calculator import calculate

        return calculate(request, self._book(), SystemClock().now_us()).as_dict()

    def on_history(self, request: Mapping[str, Any]) -> dict[str, Any]:
        remote = self._remote()
        if remote is not None:
            patient = replace(remote, timeout_seconds=HISTORY_SECONDS)
            answer: dict[str, Any] = patient.post("/api/v1/what-if", request)
            return answer
        from taximeter.cli.offline import open_directory

        book = self._book()
        with open_directory(self.data) as source, progress_bar("pricing again") as progress:
            return source.what_if(request, book, progress)

    def _remote(self) -> Remote | None:
        return Remote(self.url, variable("KEY")) if self.url else running_server(self.data)

    def _book(self) -> PriceBook:
        from taximeter.config import file
        from taximeter.pricing import load_price_book
        from taximeter.pricing.shelf import PRICES_DIRECTORY

        prices = file.load(self.config).settings.prices
        return load_price_book(prices.overrides, self.data / PRICES_DIRECTORY, prices.prefer_reported)


def _paper_table(answer: Mapping[str, Any]) -> Table:
    table = Table(title=_workload(answer["workload"]), title_justify="left", header_style="bold")
    for column in ("model", "class", "context", "price checked"):
        table.add_column(column)
    for column in ("per call", "per day", "per month", "per year", "more per month", "%"):
        table.add_column(column, justify="right", no_wrap=True)
    for line in answer["models"]:
        window = line["context_window_tokens"]
        facts = (
            f"{line['provider']}/{line['model']}",
            line["tier_class"] or UNKNOWN,
            UNKNOWN if window is None else f"{window:,}" + (" (too small)" if line["exceeds_context_window"] else ""),
            line["price_checked_on"] or UNKNOWN,
        )
        table.add_row(*facts, *_amounts(line))
    return table


def _amounts(line: Mapping[str, Any]) -> list[str]:
    if line["cost"] is None:
        return [f"unpriced: {line['unpriced_reason']}"]
    amounts = [usd(line["cost"][f"per_{period}_usd"]) for period in ("call", "day", "month", "year")]
    difference = line["difference"]
    if difference is None:
        return [*amounts, UNKNOWN, UNKNOWN]
    return [*amounts, _more(difference["per_month_usd"]), _percent(difference["percent"])]


def _more(amount: str) -> str:
    value = Decimal(amount)
    return usd(value) if not value else f"{'-' if value < 0 else '+'}{usd(value.copy_abs())}"


def _percent(percent: str | None) -> str:
    return UNKNOWN if percent is None else f"{Decimal(percent):+,.1f}%"


def _workload(workload: Mapping[str, Any]) -> str:
    tokens = f"{workload['input_tokens']:,} input + {workload['output_tokens']:,} output tokens"
    shares = {"cached_share": "of the input from a cache", "batch_share": "of the calls by batch"}
    told = [f"{format_usd(Decimal(workload[n]) * 100)}% {text}" for n, text in shares.items() if workload[n] != "0"]
    days = f"a month is {workload['days_per_month']} days, a year {workload['days_per_year']}"
    return ", ".join([tokens, f"{workload['calls_per_day']:,} calls a day", *told, days])


def _show_history(answer: Mapping[str, Any]) -> None:
    if not answer["calls"]:
        note("No calls in that time. Widen it with --since, or see `taximeter doctor`.")
        return
    OUT.print(_history_table(answer))
    monthly = answer["compared_per_month"]
    OUT.print(f"as of 30 days: {usd(monthly['what_if_cost_usd'])} instead of {usd(monthly['actual_cost_usd'])}")
    for reason, calls in answer["what_if"]["unpriced_reasons"].items():
        ERR.print(f"{calls:,} calls would have no price: {reason}", style="yellow")
    if answer["actual"]["unpriced_calls"]:
        text = f"{answer['actual']['unpriced_calls']:,} calls have no price as they were, and are not compared"
        ERR.print(text, style="yellow")
    for assumption in answer["assumptions"]:
        note(f"assumed: {assumption}")


def _history_table(answer: Mapping[str, Any]) -> Table:
    title = f"{answer['from']} until {answer['to']}: the recorded calls, as they were and as asked"
    table = Table(title=title, title_justify="left", header_style="bold", show_footer=len(answer["by_model"]) > 1)
    footers = ("total", *_compared(answer))
    for column, footer in zip(HISTORY_COLUMNS, footers, strict=True):
        table.add_column(column, footer=footer, justify="left" if column == "model" else "right", no_wrap=True)
    for row in answer["by_model"]:
        table.add_row(f"{row['provider'] or UNKNOWN}/{row['model'] or UNKNOWN}", *_compared(row))
    return table


def _compared(tally: Mapping[str, Any]) -> list[str]:
    compared = tally["compared"]
    amounts = [usd(compared[name]) for name in ("actual_cost_usd", "what_if_cost_usd")]
    more = [_more(compared["difference_usd"]), _percent(compared["difference_percent"])]
    return [f"{tally['calls']:,}", f"{compared['calls']:,}", *amounts, *more]
