"""The work of `taximeter import`: find the files, take them in with a progress bar, tell what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.rendering import json_text, usd
from taximeter.cli.sources import running_server
from taximeter.clock import SystemClock
from taximeter.compose.imports import DirectoryEvents, ServerEvents
from taximeter.compose.offline import offline
from taximeter.config import data_directory, file, variable
from taximeter.core.money import format_usd
from taximeter.errors import NotFoundError, UsageError
from taximeter.ingest.imports import generic, registry
from taximeter.ingest.imports.engine import Import, PriceRecord, Sink, Tally, told
from taximeter.ingest.imports.files import RowFile
from taximeter.ingest.imports.reports import Kept, rows_that_came
from taximeter.ingest.imports.row import Format, LeftOut, Options, Row
from taximeter.ingest.imports.spend_table import SpendTable, is_address
from taximeter.pricing import load_price_book, priceable_from_record
from taximeter.pricing.shelf import PRICES_DIRECTORY
from taximeter.sdk.remote import Remote

ENDINGS: Final = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
"""What is taken from a directory; each also packed."""

PACKED: Final = ("", ".gz", ".zst", ".zip")
STANDARD_INPUT: Final = "-"

PROGRESS_ROWS: Final = 500
"""The bar moves after so many rows."""

REASONS_SHOWN: Final = 10
MODELS_SHOWN: Final = 20


def run_import(
    files: Sequence[str],
    format_name: str | None,
    columns: Sequence[str],
    *,
    dry_run: bool,
    as_json: bool,
    data: Path | None,
    url: str | None,
) -> int:
    """The exit code. Raises UsageError, NotFoundError, DirectoryInUseError, StoreError, UnavailableError."""
    form = None if format_name is None else registry.format_named(format_name)
    options = Options(SystemClock().now_us(), generic.checked_columns(_mapped(columns)))
    if options.columns and form is None:
        form = registry.format_named(registry.GENERIC)
    places = [place for named in files for place in _places(named)]
    if not places:
        raise NotFoundError("there is nothing to import in it", hint="files that end in " + ", ".join(ENDINGS))
    with _destination(data or data_directory(), url, dry_run=dry_run) as (sink, price):
        run = Import(sink, price, options)
        _take_all(run, places, form, alone=len(places) == 1)
    if as_json:
        write(json_text(as_dict(run.tally, dry_run=dry_run)))
    else:
        _show(run.tally, dry_run=dry_run)
    return 1 if run.tally.wrong else 0


def rows_of_files(files: Sequence[str]) -> list[dict[str, Any]]:
    """The events that an import of these files would make, of which nothing is stored.

    Raises NotFoundError; UsageError for a file of no known format, and where a row is wrong.
    """
    kept = Kept()
    run = Import(kept, None, Options(SystemClock().now_us(), {}))
    places = [place for named in files for place in _places(named)]
    _take_all(run, places, None, alone=len(places) == 1)
    return rows_that_came(run, kept)


def _mapped(columns: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for given in columns:
        name, equals, column = given.partition("=")
        if not equals or not name.strip() or not column.strip():
            raise UsageError(f"--map {given}: not FIELD=COLUMN", hint="such as --map input_tokens='Prompt Tokens'")
        found[name.strip()] = column.strip()
    return found


def _places(named: str) -> list[Path | str]:
    """The file, the files in a directory in the order of their names, or the address of a database.

    A transcript comes before the directory of its name, in which its agents repeat some of it. Raises NotFoundError.
    """
    if is_address(named):
        return [named]
    if named == STANDARD_INPUT:
        return [Path("/dev/stdin")]
    path = Path(named).expanduser()
    if not path.exists():
        raise NotFoundError(f"there is no file {named}")
    if not path.is_dir():
        return [path]
    found = [one for one in path.rglob("*") if one.is_file() and _may_be_rows(one)]
    return [*sorted(found, key=lambda one: one.with_suffix("").parts)]


def _may_be_rows(path: Path) -> bool:
    name = path.name.lower()
    return any(name.removesuffix(packed).endswith(ENDINGS) for packed in PACKED)


# ── where it goes ──────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _destination(data: Path, url: str | None, *, dry_run: bool) -> Iterator[tuple[Sink | None, PriceRecord]]:
    """What takes the events, and what they cost. Raises DirectoryInUseError, StoreError, UnavailableError."""
    settings = file.load().settings
    remote = None if dry_run else Remote(url, variable("KEY")) if url else running_server(data)
    if dry_run or remote is not None:
        book = load_price_book(settings.prices.overrides, data / PRICES_DIRECTORY, settings.prices.prefer_reported)
        yield ServerEvents(remote) if remote else None, lambda record: book.price(priceable_from_record(record))
        return
    with offline(settings, data) as opened:
        prices = opened.prices
        yield DirectoryEvents(opened.store, prices, SystemClock()), lambda r: prices.price(priceable_from_record(r))


# ── taking in ──────────────────────────────────────────────────────────────────────────────────────────────────


def _take_all(run: Import, places: Sequence[Path | str], form: Format | None, *, alone: bool) -> None:
    with _bar() if ERR.is_terminal else nullcontext() as bar:
        for place in places:
            opening = _opened(run, place, alone=alone)
            if opening is None:
                continue
            with opening as opened:
                task = bar.add_task(f"importing {opened.name}", total=opened.size) if bar else None

                def moved(opened: RowFile | SpendTable = opened, task: TaskID | None = task) -> None:
                    if bar is not None and task is not None:
                        bar.update(task, completed=opened.read)

                _take_one(run, opened.name, opened.rows(), form, moved, alone=alone)
                if bar is not None and task is not None:
                    bar.remove_task(task)
    run.finish()


def _opened(run: Import, place: Path | str, *, alone: bool) -> RowFile | SpendTable | None:
    """A file that cannot be opened stops no other; alone, it is what went wrong. None when it is left out."""
    try:
        return SpendTable(place) if isinstance(place, str) else RowFile(place)
    except (UsageError, OSError) as error:
        if alone and isinstance(error, UsageError):
            raise
        run.tally.leave_out(str(place), 0, f"the file cannot be opened: {error}", wrong=True)
        return None


def _take_one(
    run: Import,
    name: str,
    rows: Iterator[Row | LeftOut],
    form: Format | None,
    moved: Callable[[], None],
    *,
    alone: bool,
) -> None:
    """One file. Of several files, those of which nothing is known are left out; of one, that is a mistake."""
    if form is None:
        form, rows = told(rows)
    if form is None:
        first_row = next(rows, None)
        if first_row is None:
            run.tally.leave_out(name, 0, "a file without rows", wrong=False)
            return
        if isinstance(first_row, LeftOut) and first_row.place == 0:
            run.tally.leave_out(name, *first_row)
            return
        if alone:
            raise UsageError(f"{name}: no format that is known", hint=registry.advice(first_row))
        run.tally.leave_out(name, 0, "no format that is known", wrong=False)
        return
    run.take(name, rows, form, _now_and_then(moved))


def _now_and_then(moved: Callable[[], None]) -> Callable[[], None]:
    rows = 0

    def passed() -> None:
        nonlocal rows
        rows += 1
        if rows % PROGRESS_ROWS == 0:
            moved()

    return passed


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=ERR, transient=True)


# ── what came of it ────────────────────────────────────────────────────────────────────────────────────────────


def as_dict(tally: Tally, *, dry_run: bool) -> dict[str, Any]:
    """The outcome for programs. `new` is null in a dry run, which asks nobody what is there."""
    return {
        "dry_run": dry_run,
        "formats": dict(tally.files),
        "events": tally.events,
        "new": None if dry_run else tally.new,
        "already_there": None if dry_run else tally.events - tally.new,
        "from": tally.first_at,
        "to": tally.last_at,
        "models": [
            {
                "provider": provider,
                "model": model or None,
                "events": share.events,
                "input_tokens": share.input_tokens,
                "output_tokens": share.output_tokens,
                "cost_usd": format_usd(share.cost_usd) if share.unpriced < share.events else None,
                "unpriced_events": share.unpriced,
                "reported_cost_usd": None if share.reported_cost_usd is None else format_usd(share.reported_cost_usd),
            }
            for (provider, model), share in _largest(tally)
        ],
        "repeated": tally.repeated,
        "skipped": dict(tally.skipped),
        "rejected": dict(tally.wrong),
        "rejected_at": [{"file": name, "place": place, "reason": reason} for name, place, reason in tally.wrong_at],
    }


def _largest(tally: Tally) -> list[Any]:
    return sorted(tally.models.items(), key=lambda item: (-item[1].cost_usd, -item[1].events, item[0]))


def _show(tally: Tally, *, dry_run: bool) -> None:
    kinds = ", ".join(f"{registry.FORMATS[name].title}" for name in tally.files) or "nothing"
    fate = "would come" if dry_run else f"{tally.new:,} new, {tally.events - tally.new:,} already there"
    OUT.print(f"{kinds}: {tally.events:,} events ({fate})", soft_wrap=True)
    if tally.events:
        OUT.print(f"from {tally.first_at} to {tally.last_at}", soft_wrap=True)
        OUT.print(_models(tally))
    if tally.repeated:
        note(f"{tally.repeated:,} came several times in these files, and count once")
    for reason, count in tally.skipped.most_common():
        note(f"{count:,} left out: {reason}")
    for reason, count in tally.wrong.most_common():
        ERR.print(f"{count:,} rejected: {reason}", style="yellow", soft_wrap=True)
    for name, place, reason in tally.wrong_at[:REASONS_SHOWN]:
        ERR.print(f"  {name}:{place}: {reason}", soft_wrap=True)


def _models(tally: Tally) -> Table:
    table = Table("provider", "model", header_style="bold")
    for heading in ("events", "input tokens", "output tokens", "cost", "unpriced", "reported"):
        table.add_column(heading, justify="right")
    shares = _largest(tally)
    for (provider, model), share in shares[:MODELS_SHOWN]:
        table.add_row(
            provider,
            model or "–",
            f"{share.events:,}",
            f"{share.input_tokens:,}",
            f"{share.output_tokens:,}",
            usd(share.cost_usd) if share.unpriced < share.events else "unpriced",
            f"{share.unpriced:,}" if share.unpriced else "",
            "–" if share.reported_cost_usd is None else usd(share.reported_cost_usd),
        )
    if len(shares) > MODELS_SHOWN:
        table.add_row("", f"and {len(shares) - MODELS_SHOWN:,} more", *[""] * 6)
    return table
