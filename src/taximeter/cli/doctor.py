"""`taximeter doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from rich.table import Table
from rich.text import Text

from taximeter.cli.console import OUT, write
from taximeter.cli.options import ConfigOption, DataOption, Form, FormOption
from taximeter.cli.rendering import json_text
from taximeter.cli.sources import running_server
from taximeter.config import data_directory
from taximeter.errors import TaximeterError

if TYPE_CHECKING:
    from taximeter.config.settings import Settings

CLIENTS: Final = ("openai", "anthropic")
LITTLE_SPACE_BYTES: Final = 1 << 30

State = Literal["good", "note", "wrong"]
_COLOURS: Final[dict[State, str]] = {"good": "green", "note": "yellow", "wrong": "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, how it is, and in words."""

    check: str
    state: State
    detail: str


def doctor(config: ConfigOption = None, data: DataOption = None, form: FormOption = Form.table) -> int:
    """Check the installation: directory, spool, losses, store, server, prices. Exit code 1 when something is wrong."""
    findings = list(examine(config, data or data_directory()))
    wrong = any(finding.state == "wrong" for finding in findings)
    if form is Form.json:
        write(json_text({"good": not wrong, "checks": [asdict(finding) for finding in findings]}))
    else:
        OUT.print(_table(findings))
    return 1 if wrong else 0


def _table(findings: list[Finding]) -> Table:
    table = Table("check", "state", "detail", header_style="bold")
    for finding in findings:
        colour = _COLOURS[finding.state]
        table.add_row(finding.check, Text(finding.state, style=colour), finding.detail)
    return table


def examine(config: Path | None, data: Path) -> Iterator[Finding]:
    """All findings, in the order in which one would mend them."""
    from taximeter.config import file
    from taximeter.config.settings import Settings

    settings = Settings()
    try:
        loaded = file.load(config)
        settings = loaded.settings
        yield Finding("configuration", "good", str(loaded.path or "no file, the defaults"))
    except TaximeterError as error:
        yield Finding("configuration", "wrong", str(error))
    yield _prices(settings)
    yield from _directory(data)
    yield from _guarded("server", lambda: _server(settings, data))
    yield from _clients()


def _guarded(check: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except TaximeterError as error:
        yield Finding(check, "wrong", str(error))


def _prices(settings: Settings) -> Finding:
    from taximeter.pricing import load_price_book

    try:
        return Finding("prices", "good", load_price_book(settings.prices.overrides).version)
    except TaximeterError as error:
        return Finding("prices", "wrong", str(error))


def _directory(data: Path) -> Iterator[Finding]:
    if not data.exists():
        yield Finding("data directory", "note", f"{data} is not there yet; `taximeter up` makes it")
        return
    if not os.access(data, os.W_OK | os.X_OK):
        yield Finding("data directory", "wrong", f"{data} cannot be written: check its owner and permissions")
        return
    yield Finding("data directory", "good", str(data))
    free = shutil.disk_usage(data).free
    state: State = "good" if free >= LITTLE_SPACE_BYTES else "wrong"
    yield Finding("disk space", state, f"{free / (1 << 30):,.1f} GiB free")


def _server(settings: Settings, data: Path) -> Iterator[Finding]:
    server = running_server(data)
    if server is None:
        yield Finding("server", "note", "none is running on this data directory")
        if data.is_dir():
            yield from _guarded("store", lambda: _store(settings, data))
        return
    status = server.get("/api/v1/status")
    yield Finding("server", "good", f"{server.url}, version {status['version']}, role {status['role']}")
    for problem in status["problems"]:
        yield Finding("server", "wrong", problem)
    yield from _losses(status)
    yield from _keeping(status)


def _losses(status: dict[str, Any]) -> Iterator[Finding]:
    lost = {reason: count for reason, count in status["losses"].items() if count}
    if lost:
        listed = ", ".join(f"{count} {reason}" for reason, count in lost.items())
        yield Finding("losses", "wrong", f"records lost since the start: {listed}")
    else:
        yield Finding("losses", "good", "none since the start")


def _keeping(status: dict[str, Any]) -> Iterator[Finding]:
    collector = status["collector"]
    if collector is None:
        return
    yield Finding("spool", "good", f"{collector['lag_bytes']:,} bytes wait to be stored")
    yield from _spool_damage(collector["damaged_segments"], collector["set_aside"])
    yield Finding("store", "good", f"schema {status['schema_version']}, {status['storage_bytes']:,} bytes in all")
    if status["unpriced_calls"]:
        yield Finding("unpriced", "note", f"{status['unpriced_calls']:,} calls of the last 30 days have no price")


def _spool_damage(damaged_segments: int, set_aside: dict[str, int]) -> Iterator[Finding]:
    if damaged_segments:
        yield Finding("spool", "wrong", f"{damaged_segments} segments are damaged; their readable lines were taken")
    if set_aside:
        listed = ", ".join(f"{count} {reason}" for reason, count in set_aside.items())
        yield Finding("spool", "note", f"set aside in rejected.ndjson: {listed}")


def _store(settings: Settings, data: Path) -> Iterator[Finding]:
    from taximeter.compose.offline import offline

    with offline(settings, data) as opened:
        waiting = opened.waiting_bytes()
        yield Finding("store", "good", f"opens, schema {opened.store.schema_version}")
        yield Finding("spool", "good", f"{waiting:,} bytes wait; `taximeter report` or `up` takes them in")


def _clients() -> Iterator[Finding]:
    for name in CLIENTS:
        try:
            yield Finding(f"client {name}", "good", f"version {version(name)}")
        except PackageNotFoundError:
            yield Finding(f"client {name}", "note", "not installed here")
