"""`taximeter prices`: what calls cost, and why; own prices, imported lists, newer price data."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import asdict
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from taximeter.cli import price_reports, repricing
from taximeter.cli.console import ERR, OUT, note, write
from taximeter.cli.options import ConfigOption, DataOption, Form, FormOption
from taximeter.cli.rendering import json_text
from taximeter.clock import SystemClock, rfc3339
from taximeter.config import data_directory
from taximeter.errors import ConfigurationError, UnavailableError, UsageError

if TYPE_CHECKING:
    from taximeter.pricing.refresh import Refresh
    from taximeter.pricing.shelf import PriceShelf

app: Final = typer.Typer()

PUBLISHED_AT: Final = (
    "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json"
)
"""Where genai-prices publishes its data."""

LARGEST_FILE_BYTES: Final = 32 << 20
DOWNLOAD_SECONDS: Final = 30.0
MOVES_SHOWN: Final = 40


class ListFormat(StrEnum):
    litellm = "litellm"


@app.callback(invoke_without_command=True)
def prices_group(context: typer.Context) -> None:
    """Show, set, check, import and refresh prices."""
    if context.invoked_subcommand is None:
        write(context.get_help())


# ── show ───────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command("show")
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Such as gpt-4o, or azure/gpt-4o.")],
    provider: Annotated[str | None, typer.Option("--provider", metavar="P", help="Who serves it.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="A day (UTC) or an instant. [default: now]")
    ] = None,
    tier: Annotated[
        str | None, typer.Option("--tier", metavar="T", help="Such as batch, flex, priority, fast.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="R", help="Where it is served.")] = None,
    team: Annotated[str | None, typer.Option("--team", metavar="NAME", help="For whom: negotiated prices.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="For whom, likewise.")] = None,
    form: FormOption = Form.table,
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """Every rate of a model at a time, and the layer and rule that gave it. Exit code 1 when there is no price."""
    from taximeter.pricing import catalogue
    from taximeter.pricing.showing import shown

    book = _shelf(config, data).book()
    at_us = _instant("--at", at) if at else SystemClock().now_us()
    rows = shown(book, model, at_us, provider=provider, tier=tier, region=region, team=team, tenant=tenant)
    priced = [row for row in rows if row["rates"]]
    if form is Form.json:
        write(json_text({"prices": rows}))
        return 0 if priced else 1
    for row in rows:
        _print_rates(row)
    if not priced and (similar := catalogue.similar(book, model)):
        note(f"there are: {', '.join(similar)}")
    return 0 if priced else 1


def _print_rates(about: dict[str, Any]) -> None:
    title = f"{about['provider'] or '?'}/{about['asked_model']} {about['tier'] or 'standard'} at {about['at']}"
    OUT.print(title, style="bold", soft_wrap=True)
    if about["unpriced_reason"]:
        OUT.print(f"  no price: {about['unpriced_reason']}")
        return
    table = Table("rate", "USD", "per", "above", "layer", "rule", "checked", "source", header_style="bold")
    for row in about["rates"]:
        above = f"{row['over_tokens']:,} tokens" if row["over_tokens"] else ""
        trail = row["trail"]
        table.add_row(
            row["rate"],
            row["usd"],
            f"{row['per']:,}" if row["per"] > 1 else "1",
            above,
            "\n".join(origin["layer"] for origin in trail),
            "\n".join(f"x {o['factor']} {o['rule']}" if o["factor"] else o["rule"] for o in trail),
            "\n".join(origin["checked"] or "-" for origin in trail),
            "\n".join(origin["source"] or "-" for origin in trail),
        )
    OUT.print(table)
    since, until = about["from"] or "the beginning", about["until"] or "further notice"
    note(f"so from {since} until {until}; {about['price_version']}")


# ── set and check ──────────────────────────────────────────────────────────────────────────────────────────────


@app.command("set")
def set_(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model; * at either end stands for anything.")],
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="P", help="Who serves it; * is everybody. [default: its maker]")
    ] = None,
    input_: Annotated[str | None, typer.Option("--input", metavar="USD", help="USD per million input tokens.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", metavar="USD", help="USD per million output tokens.")
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option("--rate", metavar="NAME=USD", help="The same for any rate: cache_read=0.5. Repeatable."),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option("--unit", metavar="NAME=USD", help="USD per unit: web_searches=0.01. Repeatable."),
    ] = None,
    multiply: Annotated[
        str | None, typer.Option("--multiply", metavar="F", help="Instead: a discount or mark-up, such as 0.9.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="K", help="Of --multiply: discount, commitment, markup, surcharge.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="In force from. [default: always]")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Not in force from then on.")] = None,
    tier: Annotated[str | None, typer.Option("--tier", metavar="T", help="Only calls served in this tier.")] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="R", help="Only calls served there.")] = None,
    team: Annotated[str | None, typer.Option("--team", metavar="NAME", help="Only calls of this team.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only calls of this tenant.")] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="TEXT", help="Where the price is from.")] = None,
    free: Annotated[bool, typer.Option("--free", help="A price of 0 is meant.")] = False,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="The price file. [default: the configured one]")
    ] = None,
    form: FormOption = Form.table,
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """Write a price into your own price file. It is checked first; when anything is wrong, nothing changes."""
    from taximeter.pricing.editing import with_entry
    from taximeter.pricing.shelf import replace_file

    conditions = {"from": from_, "to": to, "tier": tier, "region": region, "team": team, "tenant": tenant}
    says = {"kind": kind, "multiply": multiply, "free": free or None, "source": source}
    shelf = _shelf(config, data)
    host, name = (provider, model) if provider else _meant(shelf, model)
    entry: dict[str, Any] = {"provider": host, "match": name} | _given(conditions)
    rates = _given({"input": input_, "output": output}) | _amounts("--rate", rate)
    units = _amounts("--unit", unit)
    entry |= _given({"rates": rates or None, "units": units or None}) | _given(says)
    path = file or shelf.file_to_edit()
    edited = with_entry(path.read_text(encoding="utf-8") if path.is_file() else "", entry, source=str(path))
    replace_file(path, edited.text.encode())
    if form is Form.json:
        write(json_text({"file": str(path), "rule": edited.rule, "ended": list(edited.ended), "entry": entry}))
        return 0
    note(f"{edited.rule} is in {path}")
    for rule in edited.ended:
        note(f"{rule} ends where it begins")
    return 0


def _meant(shelf: PriceShelf, model: str) -> tuple[str, str]:
    """The one provider and model that a name stands for."""
    from taximeter.pricing import catalogue

    found = catalogue.find(shelf.book(), model)
    if len(found) != 1:
        offered = ", ".join(known.provider for known in found) or "nobody that we know"
        raise UsageError(f"{model} is served by {offered}", hint="say whose price it is with --provider")
    return found[0].provider, found[0].name


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _amounts(option: str, given: list[str] | None) -> dict[str, str]:
    found = {}
    for one in given or []:
        name, equals, usd = one.partition("=")
        if not equals or not name.strip() or not usd.strip():
            raise UsageError(f"{option} {one}: not NAME=USD", hint=f"such as {option} input=5")
        found[name.strip()] = usd.strip()
    return found


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A price file.")],
    form: FormOption = Form.table,
) -> int:
    """Check a price file: all mistakes at once, with their lines. Exit code 1 when there are any."""
    from taximeter.pricing.price_file import read_file

    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    try:
        read = read_file(file, "override")
    except ConfigurationError as error:
        if form is Form.json:
            write(json_text({"file": str(file), "mistakes": [asdict(mistake) for mistake in error.mistakes]}))
        for mistake in error.mistakes if form is Form.table else ():
            ERR.print(f"{file}: {mistake}", soft_wrap=True)
        return 1
    if form is Form.json:
        write(json_text({"file": str(file), "mistakes": []}))
    else:
        OUT.print(f"{file}: good, {len(read.entries)} prices, {len(read.aliases)} aliases", soft_wrap=True)
    return 0


# ── what was priced before ─────────────────────────────────────────────────────────────────────────────────────

app.command("reprice")(repricing.reprice)
app.command("history")(repricing.history)
app.command("unpriced")(price_reports.unpriced)
app.command("caching")(price_reports.caching)
app.command("differences")(price_reports.differences)


# ── import and refresh ─────────────────────────────────────────────────────────────────────────────────────────


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The list.")],
    list_format: Annotated[ListFormat, typer.Option("--format", help="Whose list it is.")],
    wins_from: Annotated[
        str | None,
        typer.Option("--wins-from", metavar="DATE", help="From this day its prices win. [default: it only fills gaps]"),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """Take over a price list as a layer of its own, below our corrections and your own prices."""
    from taximeter.pricing import litellm_list

    shelf = _shelf(config, data)
    if wins_from is not None:
        _instant("--wins-from", wins_from)
    imported = litellm_list.read(_text_of(file), source=str(file), wins_from=wins_from)
    if wins_from is None:
        imported = litellm_list.gaps_only(imported, shelf.without(list_format.value), SystemClock().now_us())
    path = shelf.take_in(list_format.value, litellm_list.price_file(imported))
    note(f"{len(imported.entries):,} prices are in {path}")
    for reason, count in sorted(imported.left_out.items(), key=lambda item: -item[1]):
        note(f"{count:,} left out: {reason}")
    return 0


@app.command("refresh")
def refresh(
    from_: Annotated[
        str, typer.Option("--from", metavar="FILE|URL", help="The data. [default: where genai-prices publishes them]")
    ] = PUBLISHED_AT,
    accept: Annotated[bool, typer.Option("--accept", help="Also when prices move further than --factor.")] = False,
    factor: Annotated[
        str, typer.Option("--factor", metavar="F", help="A price that moves further needs --accept.")
    ] = "2",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    form: FormOption = Form.table,
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """Take over newer data of genai-prices, for calls from now on; prices of the past stay. Nothing is fetched unless
    you run this. Exit code 1 when a price moves too far to be believed without --accept."""
    from taximeter.pricing import refresh as refreshing
    from taximeter.pricing import snapshot_file
    from taximeter.pricing.snapshot import Edition

    shelf, now_us = _shelf(config, data), SystemClock().now_us()
    newer = snapshot_file.parse(_fetched(from_), from_)
    edition = Edition(f"genai-prices data of {rfc3339(now_us)[:16]}Z", newer.providers, now_us)
    found = refreshing.compare(shelf.snapshots(), edition, now_us, _factor(factor))
    taken = (found.believable or accept) and not dry_run and not found.empty
    if taken:
        shelf.adopt(edition.version, edition, now_us)
    if form is Form.json:
        write(json_text({**found.as_dict(), "taken": taken, "unknown_keys": sorted(newer.unknown_keys)}))
    else:
        _print_refresh(found, taken=taken, unknown=sorted(newer.unknown_keys))
    return 0 if found.believable or accept else 1


def _print_refresh(found: Refresh, *, taken: bool, unknown: list[str]) -> None:
    if found.empty:
        note("nothing new")
        return
    shown = [*found.too_far, *(move for move in found.moves if move not in found.too_far)][:MOVES_SHOWN]
    table = Table("model", "rate", "above", "old USD", "new USD", "", header_style="bold")
    for move in shown:
        said = move.as_dict()
        above = f"{move.over_tokens:,} tokens" if move.over_tokens else ""
        flag = "too far" if move in found.too_far else ""
        table.add_row(f"{move.provider}/{move.model}", move.rate, above, said["old"] or "-", said["new"] or "-", flag)
    if shown:
        OUT.print(table)
    if len(found.moves) > len(shown):
        note(f"and {len(found.moves) - len(shown):,} more")
    note(f"{len(found.added):,} models are new, {len(found.dropped):,} are gone and keep their last price")
    if found.retold:
        note(f"{found.retold:,} models have another past in it; what is past stays as it was")
    if unknown:
        note(f"not understood by this release, and left aside: {', '.join(unknown)}")
    if taken:
        note("taken over: in use for calls from now on")
    elif not found.believable:
        ERR.print("not taken over: look at these prices, then say --accept", soft_wrap=True)


def _fetched(place: str) -> str:
    if not place.startswith(("https://", "http://")):
        return _text_of(Path(place))
    try:
        with urllib.request.urlopen(place, timeout=DOWNLOAD_SECONDS) as answer:  # noqa: S310 - http(s), see above
            content: bytes = answer.read(LARGEST_FILE_BYTES + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise UnavailableError(f"{place}: {error}", hint="give a file with --from FILE") from None
    if len(content) > LARGEST_FILE_BYTES:
        raise UnavailableError(f"{place}: larger than {LARGEST_FILE_BYTES:,} bytes")
    return content.decode(errors="replace")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _factor(text: str) -> Decimal:
    from taximeter.core.money import parse_usd

    try:
        factor = parse_usd(text)
    except ValueError:
        factor = Decimal(0)
    if factor < 1:
        raise UsageError(f"--factor {text}: should be a number of 1 or more")
    return factor


def _instant(option: str, text: str) -> int:
    from taximeter.pricing.price_file import instant_us

    at_us = instant_us(text)
    if at_us is None:
        raise UsageError(f"{option} {text}: not a day or an instant", hint="such as 2026-08-17")
    return at_us


def _shelf(config: Path | None, data: Path | None) -> PriceShelf:
    """The price files of the configuration and the data directory. Raises ConfigurationError."""
    from taximeter.config import file
    from taximeter.pricing.shelf import PRICES_DIRECTORY, PriceShelf

    prices = file.load(config).settings.prices
    return PriceShelf((data or data_directory()) / PRICES_DIRECTORY, prices.overrides, prices.prefer_reported)
