"""Newer price data beside older ones: what is past stays, what is believed has been checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from editions import doctored, edition_of, model_of

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import format_usd
from taximeter.core.usage import Usage
from taximeter.errors import ConfigurationError
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.priceable import parse_instant
from taximeter.pricing.refresh import Refresh, compare
from taximeter.pricing.snapshot import Edition, Snapshots, bundled
from taximeter.pricing.snapshot_file import dump, from_raw, parse

ADOPTED = "2026-12-10T09:00:00Z"
TODAY = parse_instant("2026-11-20T12:00:00Z")
MILLION = Usage(input_tokens=1_000_000)


def book_with(book: PriceBook, change: Callable[[dict[str, Any]], None], adopted_at: str = ADOPTED) -> PriceBook:
    newer = edition_of(doctored("openai", change), parse_instant(adopted_at))
    return PriceBook(book.layers, Snapshots([*book.snapshots.editions, newer]))


def price(book: PriceBook, model: str, at: str, tier: str | None = None) -> str | None:
    cost = book.price(Priceable("openai", model, parse_instant(at), MILLION, service_tier=tier))
    return format_usd(cost.total) if isinstance(cost, Cost) else None


# ── which edition speaks when ──────────────────────────────────────────────────────────────────────────────────


def dearer(provider: dict[str, Any]) -> None:
    model_of(provider, "gpt-4o")["prices"] = {"input_mtok": "9", "output_mtok": "9"}


def dated(provider: dict[str, Any]) -> None:
    """A change that names its days: one long past, one that the older data could not know of."""
    old = {"input_mtok": "2.5", "output_mtok": "10"}
    model_of(provider, "gpt-4o")["prices"] = [
        {"prices": old},
        {"constraint": {"start_date": "2026-02-01"}, "prices": {"input_mtok": "7", "output_mtok": "9"}},
        {"constraint": {"start_date": "2026-12-05"}, "prices": {"input_mtok": "3", "output_mtok": "9"}},
    ]


def another(provider: dict[str, Any]) -> None:
    model = {"id": "gpt-99", "match": {"equals": "gpt-99"}, "prices": {"input_mtok": "1", "output_mtok": "2"}}
    provider["models"].append(model)


def gone(provider: dict[str, Any]) -> None:
    provider["models"] = [model for model in provider["models"] if not model["id"].startswith("gpt-4.1")]


@pytest.mark.parametrize(
    ("change", "model", "at", "usd"),
    [
        (dearer, "gpt-4o", "2026-11-20T12:00:00Z", "2.5"),
        (dearer, "gpt-4o", "2026-12-10T08:59:59Z", "2.5"),
        (dearer, "gpt-4o", "2026-12-10T09:00:00Z", "9"),
        (dated, "gpt-4o", "2026-03-01T00:00:00Z", "2.5"),  # the past is not rewritten
        (dated, "gpt-4o", "2026-12-04T23:59:59Z", "2.5"),
        (dated, "gpt-4o", "2026-12-05T00:00:00Z", "3"),  # nobody knew it on that day, and it is believed
        (dated, "gpt-4o", "2027-06-01T00:00:00Z", "3"),
        (another, "gpt-99", "2026-06-01T00:00:00Z", "1"),
        (gone, "gpt-4.1", "2026-06-01T00:00:00Z", "2"),
        (gone, "gpt-4.1", "2027-06-01T00:00:00Z", "2"),
    ],
)
def test_the_past_stays_and_the_future_follows(
    book: PriceBook, change: Callable[[dict[str, Any]], None], model: str, at: str, usd: str
) -> None:
    assert price(book_with(book, change), model, at) == usd


def test_what_is_remembered_ends_where_an_edition_begins(book: PriceBook) -> None:
    after = book_with(book, dearer)
    hours = ["2026-12-10T08:00:00Z", "2026-12-10T10:00:00Z", "2026-12-10T08:30:00Z", "2026-12-10T11:00:00Z"]
    assert [price(after, "gpt-4o", at) for at in hours] == ["2.5", "9", "2.5", "9"]


def test_editions_follow_each_other(book: PriceBook) -> None:
    first = edition_of(doctored("openai", dearer), parse_instant("2026-12-10T00:00:00Z"))
    second = edition_of(doctored("openai", another), parse_instant("2027-01-10T00:00:00Z"))
    after = PriceBook(book.layers, Snapshots([*book.snapshots.editions, first, second]))
    found = [price(after, "gpt-4o", f"{day}T12:00:00Z") for day in ("2026-12-09", "2027-01-09", "2027-01-10")]
    assert found == ["2.5", "9", "2.5"]
    assert "of 3" in after.version
    assert after.version != book.version


def test_tiers_follow_their_edition(book: PriceBook) -> None:
    after = book_with(book, dearer)
    assert price(after, "gpt-4o", "2026-12-01T00:00:00Z", "batch") == "1.25"


# ── reading and writing ────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_written_is_read_as_the_same_prices(book: PriceBook) -> None:
    read = Edition("read", parse(json.dumps(dump(bundled().providers)), "data").providers)
    again = PriceBook(book.layers, Snapshots([read]))
    for provider in bundled().providers:
        for model in provider.models[::7]:
            for tier in (None, "batch", "priority"):
                call = Priceable(provider.id, model.id, TODAY, MILLION, service_tier=tier)
                ours, theirs = book.price(call), again.price(call)
                assert type(ours) is type(theirs)
                assert isinstance(ours, Unpriced) or (isinstance(theirs, Cost) and ours.total == theirs.total)


def test_numbers_of_a_data_file_are_never_floats() -> None:
    def priced(provider: dict[str, Any]) -> None:
        model_of(provider, "gpt-4o")["prices"] = {"input_mtok": "@", "output_mtok": "1"}

    text = json.dumps(doctored("openai", priced)).replace('"@"', "0.1000000000000000055511151231257827")
    edition = Edition("exact", parse(text, "data").providers)
    model = edition.find("openai", "gpt-4o")
    assert model is not None
    assert vars(model.prices)["input_mtok"] == Decimal("0.1000000000000000055511151231257827")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not JSON"),
        ("{}", "should be a list of providers"),
        ("[]", "should be a list of providers"),
        ('[{"id": "openai"}]', "0.name"),
        ('[{"id": "p", "name": "P", "api_pattern": "p", "models": [{"id": "m"}]}]', "0.models.0.match"),
        (
            '[{"id": "p", "name": "P", "api_pattern": "p", "models": [{"id": "m", "match": {"equals": "m"}, '
            '"prices": {"input_mtok": -1}}]}]',
            "p/m.input_mtok: is no possible price: -1",
        ),
        (
            '[{"id": "p", "name": "P", "api_pattern": "p", "models": [{"id": "m", "match": {"equals": "m"}, '
            '"prices": {"input_mtok": 1000000}}]}]',
            "p/m.input_mtok: is no possible price: 1000000",
        ),
    ],
)
def test_data_of_another_form_are_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "new.json")
    assert expected in caught.value.message


def test_units_that_this_release_does_not_know_are_named() -> None:
    def tasting(provider: dict[str, Any]) -> None:
        model_of(provider, "gpt-4o")["prices"]["input_taste_mtok"] = "1"

    assert "input_taste_mtok" in from_raw(doctored("openai", tasting), "data").unknown_keys


# ── whether newer data can be believed ─────────────────────────────────────────────────────────────────────────


def refresh_with(book: PriceBook, change: Callable[[dict[str, Any]], None]) -> Refresh:
    return compare(book.snapshots, edition_of(doctored("openai", change), TODAY), TODAY)


def test_the_same_data_change_nothing(book: PriceBook) -> None:
    found = refresh_with(book, lambda _: None)
    assert found.empty
    assert found.believable
    assert found.retold == 0


@pytest.mark.parametrize(
    ("usd", "believable"),
    [("2.5", True), ("5", True), ("1.25", True), ("5.01", False), ("1.24", False), ("0", False)],
)
def test_a_price_that_moves_too_far_needs_a_person(book: PriceBook, usd: str, believable: bool) -> None:
    def moved(provider: dict[str, Any]) -> None:
        model_of(provider, "gpt-4o")["prices"]["input_mtok"] = usd

    found = refresh_with(book, moved)
    assert found.believable is believable
    assert [move.rate for move in found.too_far] == ([] if believable else ["input"])


def test_what_changes_is_listed(book: PriceBook) -> None:
    def several(provider: dict[str, Any]) -> None:
        model_of(provider, "gpt-4o")["prices"] |= {"input_mtok": "3", "web_searches_kcount": "12"}
        another(provider)
        gone(provider)

    found = refresh_with(book, several).as_dict()
    assert [(m["model"], m["rate"], m["old"], m["new"]) for m in found["moves"]] == [
        ("gpt-4o", "input", "2.5", "3"),
        ("gpt-4o", "web_searches", "0.01", "0.012"),
    ]
    assert found["added"] == ["openai/gpt-99"]
    assert found["dropped"] == ["openai/gpt-4.1", "openai/gpt-4.1-mini", "openai/gpt-4.1-nano"]


def test_a_past_told_otherwise_is_counted(book: PriceBook) -> None:
    def rewritten(provider: dict[str, Any]) -> None:
        model_of(provider, "o3")["prices"] = {"input_mtok": "2", "output_mtok": "8"}

    assert refresh_with(book, rewritten).retold == 1


def test_data_that_have_lost_most_models_are_not_believed(book: PriceBook) -> None:
    few = [provider for provider in dump(bundled().providers) if provider["id"] == "openai"]
    found = compare(book.snapshots, edition_of(few, TODAY), TODAY)
    assert not found.believable
