"""`taximeter rules`: which there are, are they right, when would they have fired, and do the routes do their work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.table import Table

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import ConfigOption, DataOption, Form, FormOption, UrlOption
from taximeter.cli.rendering import json_text, minute, usd
from taximeter.cli.sources import open_source, watching
from taximeter.errors import UsageError

app: Final = typer.Typer()
PREVIEW_SECONDS: Final = 300.0


@app.callback(invoke_without_command=True)
def rules_group(context: typer.Context) -> None:
    """List rules, try them on the past, check rules and routes before they matter."""
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


@app.command("list")
def list_(form: FormOption = Form.table, data: DataOption = None, url: UrlOption = None) -> int:
    """All rules of a running server: what they watch, and who set them."""
    answer = watching(data, url).get("/api/v1/rules")
    if form is Form.json:
        write(json_text(answer))
        return 0
    drawn = Table("name", "watches", "warning", "critical", "for", "from", header_style="bold")
    for rule in answer["rules"]:
        drawn.add_row(*_in_a_row(rule))
    OUT.print(drawn)
    return 0


@app.command("preview")
def preview(
    rule: Annotated[
        str,
        typer.Argument(metavar="RULE", help="The name of a rule, or one as in the file: '{name: ..., measure: ...}'."),
    ],
    since: Annotated[str, typer.Option("--since", metavar="T", help="From when, as for `report`.")] = "7d",
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="T", help="Until when, not included. [default: now]", show_default=False),
    ] = None,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """When a rule would have fired over the calls of the past, and with what. Nobody is told."""
    wanted = _definition(rule) if rule.lstrip().startswith("{") else rule
    asked = {"rule": wanted, "since": since, "until": until or "now"}
    patient = replace(watching(data, url), timeout_seconds=PREVIEW_SECONDS)
    answer = patient.post("/api/v1/rules/preview", asked)
    if form is Form.json:
        write(json_text(answer))
        return 0
    for one in answer["firings"]:
        until_told = "and still does" if one["to"] is None else f"until {minute(one['to'])}"
        OUT.print(f"{minute(one['from'])} {one['severity']}, {until_told}")
        OUT.print(f"  {one['summary']}", soft_wrap=True)
    looked = f"looked every {answer['step_seconds']} s from {minute(answer['from'])} to {minute(answer['to'])} UTC"
    note(f"It would have fired {answer['count']} times ({looked}).")
    return 0


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
        line = f"{minute(one['started_at'])} {one['severity']} {one['kind']}, {one['minutes']} minutes{about}"
        OUT.print(line)
        OUT.print(f"  {one['summary']}", soft_wrap=True)
    note(f"{len(answer['findings'])} findings, {answer['per_week']} a week.")
    for advice in answer["advice"]:
        note(advice)


def _definition(text: str) -> dict[str, Any]:
    try:
        written = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"this is no rule: {error}") from error
    if not isinstance(written, dict):
        raise UsageError("this is no rule", hint="'{name: burn, measure: cost_usd, over: 10m, warning: \"> 20\"}'")
    return written


def _in_a_row(rule: Mapping[str, Any]) -> list[str]:
    filters = ", ".join(f"{name}={value}" for name, value in rule.get("where", {}).items())
    over, of = f"over {rule.get('over', '10m')}", filters and f"of {filters}"
    parts = (rule["measure"], over, of, _each(rule), _against(rule))
    origin = "file" if rule["provisioned"] else f"v{rule['version']}, {rule['changed_by']}"
    bounds = (rule.get("warning") or "–", rule.get("critical") or "–", rule.get("for", "–"))
    return [rule["name"], " ".join(part for part in parts if part), *bounds, origin]


def _each(rule: Mapping[str, Any]) -> str:
    return f"for each {', '.join(rule['each'])}" if rule.get("each") else ""


def _against(rule: Mapping[str, Any]) -> str:
    return f"against {rule['against'].replace('_', ' ')}" if rule.get("against") else ""


def _tell(results: dict[str, list[str]]) -> None:
    for name, differences in results.items():
        note(f"{name}: {'goes as it is written' if not differences else 'goes otherwise'}")
        for difference in differences:
            ERR.print(f"  {difference}", style="red", soft_wrap=True)
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
