"""`taximeter forecast`: what the day, week or month under way will have cost at its end."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import DataOption, Form, FormOption, UrlOption, WhereOption, filters
from taximeter.cli.rendering import json_text, usd
from taximeter.cli.sources import open_source


class Span(StrEnum):
    day = "day"
    week = "week"
    month = "month"


def forecast(
    span: Annotated[Span, typer.Option("--span", help="What is forecast to its end.")] = Span.month,
    where: WhereOption = None,
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Time zone in which it begins and ends.")] = "UTC",
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Say what the day, week or month under way will have cost at its end, learnt from the last four weeks."""
    with open_source(data, url) as source:
        answer = source.forecast({"span": span.value, "filters": filters(where), "timezone": tz})
    if form is Form.json:
        write(json_text(answer))
    else:
        _show(answer)
    return 0


def _show(answer: Mapping[str, Any]) -> None:
    OUT.print(Text.assemble(f"spent since {_minute(answer['from'])}: ", (usd(answer["spent_usd"]), "bold")))
    if answer["forecast_usd"] is None:
        note(f"No forecast yet: {answer['reason']}.")
        return
    OUT.print(Text.assemble(f"at its end, {_minute(answer['to'])}: ", (usd(answer["forecast_usd"]), "bold")))
    OUT.print(f"four times out of five between {usd(answer['low_usd'])} and {usd(answer['high_usd'])}")
    if unpriced := answer["coverage"]["unpriced_calls"]:
        ERR.print(f"{unpriced:,} calls without a price yet, not in these amounts", style="yellow")


def _minute(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"
