"""`taximeter up`: the server."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from taximeter.cli.console import OUT
from taximeter.cli.demo import SampleTraffic
from taximeter.cli.logs import log_in_lines
from taximeter.cli.options import ConfigOption, DataOption
from taximeter.config import data_directory

if TYPE_CHECKING:
    from taximeter.compose.process import Announcement
    from taximeter.config.file import Loaded
    from taximeter.config.settings import Settings


class Role(StrEnum):
    all = "all"
    gateway = "gateway"
    collector = "collector"


def up(
    config: ConfigOption = None,
    data: DataOption = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on. [default: 127.0.0.1]", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65535, help="Port to listen on, 0 for a free one. [default: 8787]", show_default=False
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="With simulated providers and live sample traffic.")] = False,
    role: Annotated[Role, typer.Option("--role", help="Which parts to run.")] = Role.all,
) -> int:
    """Start the server: gateway, ingest, API and page on one port. Ends with Ctrl-C."""
    from taximeter.compose.garbage import starting
    from taximeter.config import file

    loaded = file.load(config).with_flags("server", {"host": host, "port": port})
    log_in_lines()
    with starting(), ExitStack() as closing:
        sample = closing.enter_context(SampleTraffic(data or SampleTraffic.data_directory())) if demo else None
        directory = data or (SampleTraffic.data_directory() if demo else data_directory())
        if sample is not None:
            loaded = replace(loaded, settings=sample.pointed_at_simulator(loaded.settings))
        _serve(loaded, directory, role.value, sample)
    return 0


def _serve(
    loaded: Loaded, data: Path, role: Literal["all", "gateway", "collector"], sample: SampleTraffic | None
) -> None:
    from taximeter.compose.process import running

    with running(loaded, data, role) as process:

        def announce(told: Announcement) -> None:
            _print(told, loaded.settings, data, role)
            if sample is not None:
                sample.start_application(process, told.url)

        if sample is None:
            process.serve(announce)
        else:
            process.serve(announce, before_end=sample.stop_application)


def _print(told: Announcement, settings: Settings, data: Path, role: str) -> None:
    say = partial(OUT.print, soft_wrap=True)
    say(f"taximeter is running at {told.url}   (data in {data})")
    if role != "gateway":
        say(f"\n  Sign in   {told.sign_in_url}")
    for key in told.new_keys:
        say(f"  {key.scope.capitalize():<8}  {key.key}   (a key, shown this once)")
    if role != "collector":
        say("\n  Point a client at it, with a gateway key as its API key:")
        for name, provider in settings.providers.items():
            say(f"    {name:<10} base_url = {told.url}/{name}{'/v1' if provider.kind == 'openai' else ''}")
    if role != "gateway":
        say(f"\n  Or with the SDK:  TAXIMETER_URL={told.url} TAXIMETER_KEY=<an ingest key>")
        where = "" if data == data_directory() else f" --data {data}"
        say(f"  Ask:              taximeter report --by user,feature,model{where}")
    say("\n  Ctrl-C ends it.")
    sys.stdout.flush()
