"""`taximeter export`: the calls themselves, as a file for other tools."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from taximeter.cli.console import ERR, note
from taximeter.cli.options import DataOption, UrlOption, WhereOption, filters
from taximeter.cli.sources import Source, open_source
from taximeter.errors import UsageError

PAGE_EVENTS: Final = 1000
DRAFT: Final = ".part"
"""Behind the name of a file that is not whole yet."""


class Kind(StrEnum):
    """What the file is."""

    csv = "csv"
    json = "json"
    parquet = "parquet"
    arrow = "arrow"


_BY_ENDING: Final = {
    ".csv": Kind.csv,
    ".json": Kind.json,
    ".ndjson": Kind.json,
    ".jsonl": Kind.json,
    ".parquet": Kind.parquet,
    ".arrow": Kind.arrow,
    ".feather": Kind.arrow,
}


def export(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file; it is replaced when it is there.")],
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
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Time zone of dates.")] = "UTC",
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Write the calls of a time into a file, newest first, with every field."""
    chosen = kind or _BY_ENDING.get(to.suffix.lower())
    if chosen is None:
        raise UsageError(f"what is {to.name}?", hint="name it .csv, .json, .parquet or .arrow, or say --format")
    asked: dict[str, Any] = {"from": since, "timezone": tz, "filters": filters(where)}
    if until is not None:
        asked["to"] = until
    draft = to.with_name(to.name + DRAFT)
    with open_source(data, url) as source:
        calls = int(source.query({**asked, "measures": ["calls"]})["totals"]["calls"])
        written = _write(draft, chosen, _visibly(_calls(source, asked), calls))
    draft.replace(to)
    note(f"{written:,} calls in {to}")
    return 0


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


def _write(file: Path, kind: Kind, pages: Iterator[list[dict[str, Any]]]) -> int:
    if kind is Kind.csv:
        return _write_csv(file, pages)
    if kind is Kind.json:
        return _write_lines(file, pages)
    from taximeter.store.events.columnar_file import write_arrow, write_parquet

    return (write_parquet if kind is Kind.parquet else write_arrow)(file, pages)


def _write_lines(file: Path, pages: Iterator[list[dict[str, Any]]]) -> int:
    written = 0
    with file.open("w", encoding="utf-8") as out:
        for page in pages:
            out.writelines(json.dumps(call, ensure_ascii=False) + "\n" for call in page)
            written += len(page)
    return written


def _write_csv(file: Path, pages: Iterator[list[dict[str, Any]]]) -> int:
    """RFC 4180; what is not known is empty, what has parts is JSON."""
    written = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\r\n")
        for page in pages:
            if not written:
                writer.writerow(page[0])
            writer.writerows([_cell(value) for value in call.values()] for call in page)
            written += len(page)
    return written


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
