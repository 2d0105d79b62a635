"""`taximeter rules`: are the rules right, and do the routes do what they are meant to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import ConfigOption, DataOption, Form, FormOption, UrlOption
from taximeter.cli.rendering import json_text, usd
from taximeter.cli.sources import open_source
from taximeter.errors import UsageError

app: Final = typer.Typer()


@app.callback(invoke_without_command=True)
def rules_group(context: typer.Context) -> None:
    """Check rules and routes before they matter."""
    if context.invoked_subcommand is None:
        write(context.get_help())


@app.command("check")
def check(
    scenario: Annotated[
        list[Path] | None,
        typer.Option(
            "--scenario",
            metavar="FILE",
            help="Play this scenario too: what is observed when, and what has to be told. Repeatable.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    form: FormOption = Form.table,
) -> int:
    """Check rules, routes, channels and runbooks of the configuration. Exit code 1 when a scenario goes otherwise."""
    from taximeter.compose.alerting import mistakes
    from taximeter.config import file

    wrong = [str(mistake) for mistake in mistakes(file.load(config).settings)]
    if wrong:
        raise UsageError("; ".join(wrong), hint="see `taximeter check`")
    results = {str(path): _differences(path) for path in scenario or []}
    if form is Form.json:
        write(json_text({"scenarios": [{"file": name, "differences": found} for name, found in results.items()]}))
    else:
        _tell(results)
    return 1 if any(results.values()) else 0


@app.command("backtest")
def backtest(
    since: Annotated[str, typer.Option("--since", metavar="T", help="From when, as for `report`.")] = "30d",
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="T", help="Until when, not included. [default: now]", show_default=False),
    ] = None,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """What detection would have told over the calls of the past, and how to make it quieter."""
    with open_source(data, url) as source:
        answer = source.backtest({"from": since, "to": until or "now"})
    if form is Form.json:
        write(json_text(answer))
    else:
        _show(answer)
    return 0


def _show(answer: Mapping[str, Any]) -> None:
    for one in answer["findings"]:
        about = "" if one["excess_usd"] is None else f", {usd(one['excess_usd'])} more than expected"
        began = one["started_at"][:16].replace("T", " ")
        line = f"{began} {one['severity']} {one['kind']}, {one['minutes']} minutes{about}"
        OUT.print(line, highlight=False, markup=False)
        OUT.print(f"  {one['summary']}", highlight=False, markup=False, soft_wrap=True)
    note(f"{len(answer['findings'])} findings, {answer['per_week']} a week.")
    for advice in answer["advice"]:
        note(advice)


def _tell(results: dict[str, list[str]]) -> None:
    for name, differences in results.items():
        note(f"{name}: {'goes as it is written' if not differences else 'goes otherwise'}")
        for difference in differences:
            ERR.print(f"  {difference}", markup=False, style="red", soft_wrap=True)
    if not results:
        note("Rules, routes, channels and runbooks are good.")


def _differences(path: Path) -> list[str]:
    from taximeter.alerts.scenario import parse_scenario, played

    return [str(one) for one in played(parse_scenario(_read(path)))]


def _read(path: Path) -> dict[str, Any]:
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not isinstance(written, dict):
        raise UsageError(f"{path} is no scenario", hint="docs/alerts.md describes them")
    return written
