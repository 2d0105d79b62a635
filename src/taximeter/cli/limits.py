"""`taximeter limits`: what may be spent, how it stands, and what a limit would have done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import typer
import yaml
from rich.table import Table

from taximeter.cli.console import OUT, note, write
from taximeter.cli.options import ConfigOption, DataOption, Form, FormOption
from taximeter.cli.rendering import json_text
from taximeter.cli.sources import running_server
from taximeter.config import data_directory
from taximeter.errors import UsageError

app: Final = typer.Typer()

DefinitionOption = Annotated[
    str,
    typer.Option("--limit", metavar="DEFINITION", help="As in the file: '{name: ..., scope: ..., measure: ...}'."),
]


@app.callback(invoke_without_command=True)
def limits_group(context: typer.Context) -> None:
    """List, set, show, remove and simulate limits."""
    if context.invoked_subcommand is None:
        write(context.get_help())


class Limits(Protocol):
    """Where limits are kept: a running server, or the data directory."""

    def live(self) -> dict[str, Any]: ...

    def set(self, definition: dict[str, Any]) -> dict[str, Any]: ...

    def history(self, name: str) -> dict[str, Any]: ...

    def remove(self, name: str) -> None: ...

    def simulate(self, limit: dict[str, Any] | str, since: str) -> dict[str, Any]: ...


@app.command("list")
def list_(form: FormOption = Form.table, config: ConfigOption = None, data: DataOption = None) -> int:
    """All limits, and how they stand."""
    with _open(config, data) as limits:
        found = limits.live()
    if form is Form.json:
        write(json_text(found))
        return 0
    table = Table(
        "name", "for", "measure", "limit", "spent", "held", "left", "beyond", "resets", "from", header_style="bold"
    )
    for limit in found["limits"]:
        for value in limit["values"] or [{}]:
            table.add_row(*_row(limit, value))
    OUT.print(table)
    if found["admission"].get("counters_away"):
        note(f"the counters do not answer: {found['admission']['counters_away']}")
    return 0


def _row(limit: dict[str, Any], value: dict[str, Any]) -> list[str]:
    whose = ", ".join(f"{name} {one}" for name, one in value.get("scope", {}).items()) or "everybody"
    origin = "file" if limit["provisioned"] else f"v{limit['version']}"
    numbers = [str(value.get(name, "–")) for name in ("amount", "spent", "held", "remaining", "may_exceed")]
    if not value:
        whose, numbers[0] = "nobody yet", str(limit["limit"])
    return [limit["name"], whose, limit["measure"], *numbers, (value.get("resets_at") or "")[:16], origin]


@app.command("set")
def set_(
    limit: DefinitionOption, form: FormOption = Form.table, config: ConfigOption = None, data: DataOption = None
) -> int:
    """Set a limit: a new one, or a new version of the one with this name."""
    definition = _definition(limit)
    with _open(config, data) as limits:
        made = limits.set(definition)
    if form is Form.json:
        write(json_text(made))
    else:
        note(f"limit '{made['name']}', version {made['version']}, is in force")
    return 0


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the limit.")],
    form: FormOption = Form.json,
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """One limit: its definition, how it stands, and every version of it."""
    with _open(config, data) as limits:
        found = next((one for one in limits.live()["limits"] if one["name"] == name), None)
        versions = limits.history(name)["versions"]
    if found is None and not versions:
        raise UsageError(f"there is no limit '{name}'", hint="see `taximeter limits list`")
    told = {"limit": found, "versions": versions}
    write(json_text(told) if form is Form.json else yaml.safe_dump(told, sort_keys=False, allow_unicode=True))
    return 0


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the limit.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """Remove a limit. Its history stays."""
    with _open(config, data) as limits:
        limits.remove(name)
    note(f"limit '{name}' is removed")
    return 0


@app.command("simulate")
def simulate(
    limit: Annotated[
        str, typer.Option("--limit", metavar="DEFINITION", help="A definition as in the file, or the name of a limit.")
    ],
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From when on: 30d, 24h, a day.")] = "30d",
    form: FormOption = Form.table,
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """What a limit would have refused of the calls so far: how many, when, and whom."""
    wanted = _definition(limit) if "{" in limit else limit
    with _open(config, data) as limits:
        found = limits.simulate(wanted, since)
    if form is Form.json:
        write(json_text(found))
        return 0
    table = Table("for", "refused", "cost", "first", header_style="bold")
    for one in found["refused_by_value"]:
        table.add_row(one["value"] or "everybody", str(one["calls"]), f"${one['cost_usd']}", one["first_at"][:19])
    OUT.print(table)
    note(
        f"{found['refused_calls']} of {found['concerned_calls']} calls would have been refused "
        f"(${found['refused_cost_usd']})"
    )
    return 0


def _definition(text: str) -> dict[str, Any]:
    try:
        definition = yaml.safe_load(text)
    except yaml.YAMLError:
        definition = None
    if not isinstance(definition, dict):
        raise UsageError(
            f"--limit {text}: not a definition",
            hint="such as '{name: daily, scope: global, measure: cost_usd, limit: 50, window: day}'",
        )
    return {str(key): value for key, value in definition.items()}


class _ServerLimits:
    def __init__(self, remote: Any) -> None:
        self._remote = remote

    def live(self) -> dict[str, Any]:
        found: dict[str, Any] = self._remote.get("/api/v1/limits")
        return found

    def set(self, definition: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._remote.post("/api/v1/limits", definition)
        return made

    def history(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._remote.get(f"/api/v1/limits/{name}/history")
        return found

    def remove(self, name: str) -> None:
        self._remote.delete(f"/api/v1/limits/{name}")

    def simulate(self, limit: dict[str, Any] | str, since: str) -> dict[str, Any]:
        found: dict[str, Any] = self._remote.post("/api/v1/limits/simulate", {"limit": limit, "since": since})
        return found


@contextmanager
def _open(config: Path | None, data: Path | None) -> Iterator[Limits]:
    directory = data or data_directory()
    server = running_server(directory)
    if server is not None:
        yield _ServerLimits(server)
        return
    from taximeter.compose.limits import open_limit_desk
    from taximeter.config.file import load

    with open_limit_desk(load(config).settings, directory) as desk:
        yield _DeskLimits(desk)


class _DeskLimits:
    def __init__(self, desk: Any) -> None:
        self._desk = desk

    def live(self) -> dict[str, Any]:
        return {"limits": self._desk.live(), "admission": self._desk.health()}

    def set(self, definition: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._desk.set(definition, "command line").as_dict()
        return made

    def history(self, name: str) -> dict[str, Any]:
        return {"versions": self._desk.told_history(name)}

    def remove(self, name: str) -> None:
        self._desk.remove(name, "command line")

    def simulate(self, limit: dict[str, Any] | str, since: str) -> dict[str, Any]:
        found: dict[str, Any] = self._desk.simulated(limit, since)
        return found
