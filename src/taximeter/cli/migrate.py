"""`taximeter migrate`: the events move into another store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from taximeter.cli.console import ERR, note, write
from taximeter.cli.options import ConfigOption, DataOption, Form, FormOption
from taximeter.cli.rendering import json_text
from taximeter.config import data_directory
from taximeter.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from taximeter.store.events.moving import Told

PLACE: Final = "embedded|clickhouse://..."


def migrate(
    to: Annotated[
        str | None,
        typer.Option("--to", metavar=PLACE, help="Where to. [default: the configuration's]", show_default=False),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar=PLACE, help="Where from. [default: the configuration's]", show_default=False),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    form: FormOption = Form.table,
) -> int:
    """Move the events of a data directory into another store, and prove that its sums are the same. Begin a move that
    was cut off again; it goes on."""
    from taximeter.compose.moving import move_events  # the engines take a while to load
    from taximeter.config import file

    directory = data or data_directory()
    settings = file.load(config).settings
    source, target = (_place(place or settings.store.events) for place in (from_, to))
    if source == target:
        hint = "name the other one: --to, or --from when the configuration says where to"
        raise UsageError(f"the events are to stay in {shown(source)}", hint=hint)
    if not directory.is_dir():
        raise NotFoundError(f"there is no data directory {directory}", hint="name it with --data")
    with _visibly() as told:
        moved = move_events(settings, directory, source, target, told)
    if form is Form.json:
        write(json_text({"from": shown(source), "to": shown(target), **asdict(moved)}))
        return 0
    write(f"{moved.calls:,} calls, {moved.copied:,} of them new there; each day's sums are as they were")
    write(f"cost: {moved.totals['cost_usd']} USD, tokens: {moved.totals['total_tokens']:,}")
    if moved.outcomes:
        write(f"{moved.outcomes:,} outcomes, whose values are as they were")
    note(f"Before the next start, set store.events to {shown(target)}. {shown(source)} is left as it was.")
    return 0


def _place(named: str) -> str:
    from pydantic import ValidationError

    from taximeter.config.settings import Store

    try:
        return Store(events=named).events
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--to and --from: a store of events {why}", hint="see docs/clickhouse.md") from error


def shown(place: str) -> str:
    """Without the password."""
    from taximeter.config.settings import EMBEDDED
    from taximeter.store.events.clickhouse_client import parse_address

    return place if place == EMBEDDED else str(parse_address(place))


@contextmanager
def _visibly() -> Iterator[Told]:
    columns = (TextColumn("moving"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as progress:
        task = progress.add_task("move", total=None)
        yield lambda done, every: progress.update(task, completed=done, total=every)
