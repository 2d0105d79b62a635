"""`taximeter export`: the calls themselves, or the charges of a time as FOCUS has them, as a file for other tools."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from taximeter.cli.console import ERR, note
from taximeter.cli.options import DataOption, UrlOption, WhereOption, filters, names
from taximeter.cli.sources import Source, open_source
from taximeter.clock import SystemClock
from taximeter.errors import UsageError

PAGE_EVENTS: Final = 1000
DRAFT: Final = ".part"
"""Behind the name of a file that is not whole yet."""


class Kind(StrEnum):
    """What the file is; `focus` has the form that its name's ending says."""

    csv = "csv"
    json = "json"
    parquet = "parquet"
    arrow = "arrow"
    focus = "focus"


def export(
    to: Annotated[
        str,
        typer.Option("--to", metavar="FILE|URL", help="The file, or s3://BUCKET/KEY; it is replaced when it is there."),
    ],
    kind: Annotated[
        Kind | None,
        typer.Option("--format", help="What it is. [default: by the name's ending]", show_default=False),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="T", help="From when.")] = "30d",
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="T", help="Until when, not included. [default: now]", show_default=False),
    ] = None,
    where: WhereOption = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="FIELDS",
            help="With focus: what rows are told apart by. [default: team,tenant,feature,environment]",
            show_default=False,
        ),
    ] = None,
    account: Annotated[
        str, typer.Option("--billing-account", metavar="ID", help="With focus: the account that pays the provider.")
    ] = "default",
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Time zone of dates.")] = "UTC",
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Write the calls of a time into a file, newest first, with every field; or its charges as FOCUS has them."""
    from taximeter.exporters.forms import BY_ENDING, Form, write
    from taximeter.store.events.columnar_file import CALLS

    form = BY_ENDING.get(Path(to).suffix.lower()) if kind in (None, Kind.focus) else Form(kind)
    if form is None:
        raise UsageError(f"what is {Path(to).name}?", hint="name it .csv, .json, .parquet or .arrow, or say --format")
    asked: dict[str, Any] = {"from": since, "timezone": tz, "filters": filters(where)}
    if until is not None:
        asked["to"] = until
    with _draft_of(to) as draft, open_source(data, url) as source:
        if kind is Kind.focus:
            written = write(draft, form, *_charges(source, asked, account, by))
        else:
            calls = int(source.query({**asked, "measures": ["calls"]})["totals"]["calls"])
            written = write(draft, form, _visibly(_calls(source, asked), calls), CALLS)
    note(f"{written:,} {'charges' if kind is Kind.focus else 'calls'} in {to}")
    return 0


@contextmanager
def _draft_of(to: str) -> Iterator[Path]:
    """A file to write into. When that has gone well, it takes the place of `to` as a whole."""
    if "://" not in to:
        draft = Path(to + DRAFT)
        yield draft
        draft.replace(to)
        return
    from taximeter.config.exporting import S3_SCHEME, FileSettings
    from taximeter.exporters.registry import open_place

    if not to.startswith(S3_SCHEME) or not urlsplit(to).path.strip("/") or to.endswith("/"):
        raise UsageError(f"{to} is no place for a file", hint="a path, or s3://BUCKET/KEY")
    prefix, _, name = to.rpartition("/")
    try:
        place = open_place(FileSettings(to=prefix))
    except ValueError as error:
        raise UsageError(f"{to}: {error}") from error
    with tempfile.TemporaryDirectory(prefix="taximeter-") as folder:
        draft = Path(folder) / name
        yield draft
        place.put(name, draft)


def _charges(
    source: Source, asked: Mapping[str, Any], account: str, by: str | None
) -> tuple[Iterator[list[dict[str, Any]]], Mapping[str, str]]:
    """Pages of rows for the days (UTC) that have a part in the time, each as a whole; and their columns."""
    from taximeter.config.exporting import CHARGED_BY
    from taximeter.exporters import focus
    from taximeter.store.events import parse_query

    time = parse_query(dict(asked), SystemClock().now_us())
    labels = CHARGED_BY if by is None else names(by)
    days = focus.days_of(source.query, time.from_us, time.to_us)
    return focus.pages(source.query, days, account, labels, asked["filters"]), focus.COLUMNS


def _calls(source: Source, asked: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Pages of calls, to the last one."""
    cursor = None
    while True:
        page = source.events({**asked, "limit": PAGE_EVENTS, **({"cursor": cursor} if cursor else {})})
        if page["events"]:
            yield page["events"]
        cursor = page["next"]
        if cursor is None:
            return


def _visibly(pages: Iterator[list[dict[str, Any]]], calls: int) -> Iterator[list[dict[str, Any]]]:
    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as progress:
        task = progress.add_task("export", total=calls)
        for page in pages:
            yield page
            progress.advance(task, len(page))
