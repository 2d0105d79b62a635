"""The prices of a data directory: what is kept there, what is read back, what a running server takes up."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from editions import doctored, edition_of, model_of

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import format_usd
from taximeter.core.usage import Usage
from taximeter.errors import ConfigurationError
from taximeter.pricing import Priceable, load_price_book
from taximeter.pricing.current import CurrentPrices, open_prices
from taximeter.pricing.editing import with_entry
from taximeter.pricing.price_file import parse
from taximeter.pricing.priceable import parse_instant
from taximeter.pricing.shelf import PriceShelf, replace_file
from taximeter.pricing.snapshot import VERSION

TODAY = parse_instant("2026-11-20T12:00:00Z")
TOMORROW = parse_instant("2026-11-21T12:00:00Z")
MILLION = Usage(input_tokens=1_000_000)


def price(shelf: PriceShelf | CurrentPrices, model: str = "gpt-4o", at_us: int = TODAY) -> str | None:
    book = shelf.book() if isinstance(shelf, PriceShelf) else shelf.book
    cost = book.price(Priceable("openai", model, at_us, MILLION))
    return format_usd(cost.total) if isinstance(cost, Cost) else None


def entry(usd: str, model: str = "gpt-4o") -> str:
    return f'prices:\n  - {{provider: openai, match: {model}, rates: {{input: "{usd}"}}}}\n'


def dearer(provider: dict[str, Any]) -> None:
    model_of(provider, "gpt-4o")["prices"] = {"input_mtok": "9", "output_mtok": "9"}


# ── layers in files ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_directory_has_the_prices_of_the_release(tmp_path: Path) -> None:
    assert PriceShelf(tmp_path / "prices").book().version == load_price_book().version


def test_files_lie_over_each_other_in_their_order(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    shelf = PriceShelf(tmp_path / "prices", own)
    own.write_text("prices: []")
    shelf.take_in("somebody", json.dumps(yaml.safe_load(entry("7"))))
    assert price(shelf) == "7"
    (tmp_path / "prices" / "overrides.yaml").write_text(entry("6"))
    assert price(shelf) == "6"
    own.write_text(entry("5"))
    assert price(shelf) == "5"
    assert [file.layer for file in shelf.files()] == ["somebody", "corrections", "override", "override"]


def test_a_second_import_replaces_the_first(tmp_path: Path) -> None:
    shelf = PriceShelf(tmp_path)
    for usd in ("7", "8"):
        shelf.take_in("somebody", json.dumps(yaml.safe_load(entry(usd, "gpt-99"))))
    assert price(shelf, "gpt-99") == "8"
    assert isinstance(shelf.without("somebody").price(Priceable("openai", "gpt-99", TODAY, MILLION)), Unpriced)


# ── editions ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_newer_data_are_kept_and_read_again(tmp_path: Path) -> None:
    shelf = PriceShelf(tmp_path)
    shelf.adopt("newer", edition_of(doctored("openai", dearer), TOMORROW), TOMORROW)
    again = PriceShelf(tmp_path)
    assert [edition.version for edition in again.snapshots().editions] == [VERSION, "newer"]
    assert (price(again), price(again, at_us=TOMORROW)) == ("2.5", "9")


def test_the_librarys_own_data_are_kept_once(tmp_path: Path) -> None:
    for _ in range(3):
        open_prices(tmp_path, None, TODAY)
    assert [path.name for path in sorted(tmp_path.rglob("*.json.gz"))] == ["0000.json.gz"]


def test_a_newer_library_does_not_change_the_past(tmp_path: Path) -> None:
    """What an upgrade of the library finds: data of an older one, which told the past in another way."""
    older = doctored("openai", dearer)
    for provider in older:
        for model in provider["models"]:
            model.pop("price_variants", None)
            if isinstance(model["prices"], list):
                model["prices"] = model["prices"][:1]
    directory = tmp_path / "editions"
    directory.mkdir()
    kept = {"version": "genai-prices 0.0.1", "adopted_at": None, "providers": older}
    (directory / "0000.json.gz").write_bytes(gzip.compress(json.dumps(kept).encode()))
    prices = open_prices(tmp_path, None, TOMORROW)
    assert [edition.version for edition in prices.book.snapshots.editions] == ["genai-prices 0.0.1", VERSION]
    assert (price(prices), price(prices, at_us=TOMORROW)) == ("9", "2.5")


@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"{}"), gzip.compress(b'{"version": 1')])
def test_a_damaged_edition_is_an_error_and_no_other_price(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "editions").mkdir()
    (tmp_path / "editions" / "0000.json.gz").write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        PriceShelf(tmp_path).book()


def test_what_is_kept_is_its_owners_alone(tmp_path: Path) -> None:
    shelf = PriceShelf(tmp_path / "data" / "prices")
    shelf.keep_bundled(TODAY)
    shelf.take_in("somebody", '{"prices": []}')
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").rglob("*")}
    assert {mode for name, mode in modes.items() if "." in name} == {0o600}
    assert {mode for name, mode in modes.items() if "." not in name} == {0o700}


def test_the_users_own_file_keeps_its_permissions(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("prices: []")
    own.chmod(0o664)
    replace_file(own, b"prices:")
    assert (own.read_bytes(), own.stat().st_mode & 0o777) == (b"prices:", 0o664)
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]


# ── what a running server takes up ─────────────────────────────────────────────────────────────────────────────


def test_changed_files_are_taken_up(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(entry("5"))
    prices = open_prices(tmp_path / "prices", own, TODAY)
    before = prices.version
    assert prices.reload() is False
    own.write_text(entry("66"))
    assert prices.reload() is True
    assert price(prices) == "66"
    assert prices.version != before
    cost = prices.price(Priceable("openai", "gpt-4o", TODAY, MILLION))
    assert cost.price_version == prices.version


def test_a_file_with_mistakes_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(entry("5"))
    prices = open_prices(tmp_path / "prices", own, TODAY)
    own.write_text(entry("-5"))
    with caplog.at_level(logging.WARNING):
        assert [prices.reload(), prices.reload()] == [False, False]
    assert price(prices) == "5"
    assert "is negative" in str(prices.problem)
    assert len(caplog.records) == 1
    own.write_text(entry("4"))
    assert prices.reload() is True
    assert prices.problem is None


def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(entry("5"))
    prices = open_prices(tmp_path / "prices", own, TODAY)
    own.unlink()
    assert prices.reload() is False
    assert price(prices) == "5"
    assert prices.problem is not None


# ── a new entry in the text of a file ──────────────────────────────────────────────────────────────────────────

NEW = {"provider": "openai", "match": "gpt-4o", "from": "2026-12-01", "rates": {"input": "3"}}

TEXTS = {
    "nothing": "",
    "a comment": "# mine\n",
    "no prices yet": "providers:\n  openai: {names: [mine]}",
    "an empty list": "prices: []\n",
    "nothing after the colon": "prices:\n",
    "a list": '# mine\nprices:\n  # dear\n  - {provider: p, match: m, rates: {input: "1"}}  # cheap\nproviders: {}\n',
    "a list without indentation": 'prices:\n- provider: p\n  match: m\n  rates:\n    input: "1"\n',
    "a list on one line": 'prices: [{provider: p, match: m, rates: {input: "1"}}]\n',
    "json": '{"prices": [{"provider": "p", "match": "m", "rates": {"input": "1"}}]}',
    "json without prices": '{"providers": {}}',
    "json without anything": "{}",
}


@pytest.mark.parametrize("name", TEXTS)
def test_an_entry_is_written_into_what_there_is(name: str) -> None:
    text = TEXTS[name]
    edited = with_entry(text, NEW, source="prices.yaml")
    before, after = parse(text, "override").entries, parse(edited.text, "override").entries
    assert [one.rule for one in after] == ["override:openai/gpt-4o@2026-12-01", *(one.rule for one in before)]
    assert edited.rule == "override:openai/gpt-4o@2026-12-01"
    comments = [line for line in text.splitlines() if "#" in line]
    assert all(line in edited.text for line in comments)
    if text.startswith("{"):
        json.loads(edited.text)


@pytest.mark.parametrize(
    "text",
    [
        '- {provider: openai, match: gpt-4o, rates: {input: "5"}}',
        '- provider: openai\n    match: gpt-4o  # ours\n    rates: {input: "5"}',
        '- {provider: openai, match: [gpt-4o, gpt-4], from: 2026-01-01, rates: {input: "5"}}',
    ],
)
def test_an_open_entry_ends_where_the_new_one_begins(text: str) -> None:
    edited = with_entry(f"prices:\n  {text}\n", NEW, source="prices.yaml")
    new, old = parse(edited.text, "override").entries
    assert old.to_us == new.from_us == parse_instant("2026-12-01T00:00:00Z")
    assert edited.ended == (old.rule,)


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        (entry("5"), {**NEW, "from": None, "note": "again"}, "overlaps in time"),
        ("prices: [{provider: p}]", NEW, "'match' is needed"),
        ("", {**NEW, "rates": {"input": "-3"}}, "the new price: .*is negative"),
        ("", {**NEW, "rates": {"wine": "3"}}, "unknown unit"),
        ("", {**NEW, "rates": {"input": "0"}}, "needs 'free: true'"),
        (
            'prices:\n  - {provider: openai, match: gpt-4o, to: 2027-01-01, rates: {input: "5"}}\n',
            NEW,
            "overlaps in time",
        ),
    ],
)
def test_a_wrong_entry_is_refused(text: str, new: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        with_entry(text, {key: value for key, value in new.items() if value is not None}, source="prices.yaml")
