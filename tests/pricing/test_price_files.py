"""Price files: own models and negotiated rates over the built-in prices; mistakes listed at once, with their lines."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.usage import Usage
from taximeter.errors import ConfigurationError
from taximeter.pricing import Priceable, PriceBook, load_price_book
from taximeter.pricing.price_file import parse, read_file
from taximeter.pricing.priceable import parse_instant

EXAMPLES = Path(__file__).parents[2] / "examples"
TODAY = parse_instant("2026-11-20T12:00:00Z")
THOUSAND_AND_HALF = Usage(input_tokens=1_000, output_tokens=500)


def book_under(directory: Path, text: str) -> PriceBook:
    path = directory / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return load_price_book(path)


def total(cost: Cost | Unpriced) -> Decimal:
    assert isinstance(cost, Cost), cost
    return cost.total


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "override")
    return [str(mistake) for mistake in caught.value.mistakes]


# ── the worked example ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_illustrative_prices_reproduce_the_worked_example() -> None:
    book = load_price_book(EXAMPLES / "prices-illustrative.yaml")
    call = total(book.price(Priceable("openai", "gpt-4o", TODAY, THOUSAND_AND_HALF)))
    assert call == Decimal("0.0125")
    assert call * 100_000 == 1_250
    assert call * 100_000 * 30 == 37_500


@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        ("openai", "gpt-4o-2024-08-06", "0.0125"),
        ("openai", "gpt-4o-mini", "0.00045"),
        ("anthropic", "claude-3-5-sonnet-20241022", "0.0105"),
        ("anthropic", "haiku-3.5", "0.00375"),
        ("openai", "gpt-4.1", "0.006"),  # not in the file: as it is listed
    ],
)
def test_the_illustrative_prices_hold_for_their_models_only(provider: str, model: str, usd: str) -> None:
    book = load_price_book(EXAMPLES / "prices-illustrative.yaml")
    assert total(book.price(Priceable(provider, model, TODAY, THOUSAND_AND_HALF))) == Decimal(usd)


# ── what an entry can say ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("entry", "usd"),
    [
        ('{provider: local, match: my-model, rates: {input: "1", output: "2"}}', "0.002"),
        ('{provider: "*", match: "my-*", rates: {input: 1, output: 2.5}}', "0.00225"),
        ('{provider: local, match: my-model, rates: {}, units: {requests: "0.01"}}', None),
        ('{provider: local, match: my-model, free: true, rates: {input: "0", output: "0"}}', "0"),
        ("{provider: local, match: my-model, as: gpt-4o}", "0.0075"),
        ('{provider: local, match: my-model, from: 2026-11-21, rates: {input: "1", output: "2"}}', None),
        ('{provider: local, match: my-model, to: "2026-11-20T12:00:00Z", rates: {input: "1", output: "2"}}', None),
    ],
)
def test_an_own_model(tmp_path: Path, entry: str, usd: str | None) -> None:
    book = book_under(tmp_path, f"prices:\n  - {entry}\n")
    cost = book.price(Priceable("local", "my-model", TODAY, THOUSAND_AND_HALF))
    assert (cost.total if isinstance(cost, Cost) else None) == (None if usd is None else Decimal(usd))


@pytest.mark.parametrize(
    ("entry", "given", "usd"),
    [
        ('{provider: openai, match: "*", multiply: "0.9"}', {}, "0.00675"),
        ('{provider: openai, match: gpt-4o, adjust: {output: "8"}}', {}, "0.0065"),
        ('{provider: openai, match: gpt-4o, rates: {input: "2", output: "8"}}', {"service_tier": "batch"}, "0.003"),
        ('{provider: openai, match: gpt-4o, rates: {input: "2", output: "8"}}', {"service_tier": "priority"}, None),
        ('{provider: openai, match: gpt-4o, tier: scale, rates: {input: "9", output: "9"}}', {}, "0.0075"),
        (
            '{provider: openai, match: gpt-4o, tier: scale, rates: {input: "9", output: "9"}}',
            {"service_tier": "scale"},
            "0.0135",
        ),
        ('{provider: openai, match: gpt-4o, region: "eu-*", multiply: "1.2"}', {"region": "eu-west"}, "0.009"),
        ('{provider: openai, match: gpt-4o, region: "eu-*", multiply: "1.2"}', {"region": "us-east"}, "0.0075"),
        ('{provider: openai, match: gpt-4o, daily: "11:00-13:00", multiply: "2"}', {}, "0.015"),
        ('{provider: openai, match: gpt-4o, daily: "13:00-11:00", multiply: "2"}', {}, "0.0075"),
        ('{provider: openai, match: gpt-4o, days: [sat, sun], daily: "00:00-24:00", multiply: "2"}', {}, "0.0075"),
        ('{provider: openai, match: gpt-4o, days: [fri], multiply: "2"}', {}, "0.015"),
        (
            '{provider: openai, match: gpt-4o, rates: {input: "1"}, above: {999: {input: "3"}}}',
            {"usage": 1_000},
            "0.003",
        ),
        (
            '{provider: openai, match: gpt-4o, rates: {input: "1"}, above: {1000: {input: "3"}}}',
            {"usage": 1_000},
            "0.001",
        ),
    ],
)
def test_a_negotiated_rate(tmp_path: Path, entry: str, given: dict[str, object], usd: str | None) -> None:
    book = book_under(tmp_path, f"prices:\n  - {entry}\n")
    usage = Usage(input_tokens=int(str(given.pop("usage")))) if "usage" in given else THOUSAND_AND_HALF
    cost = book.price(Priceable("openai", "gpt-4o", TODAY, usage, **given))  # type: ignore[arg-type]
    assert (cost.total if isinstance(cost, Cost) else None) == (None if usd is None else Decimal(usd))


def test_an_override_keeps_the_fees_that_it_does_not_name(tmp_path: Path) -> None:
    book = book_under(tmp_path, 'prices:\n  - {provider: openai, match: gpt-4o, rates: {input: "5", output: "15"}}\n')
    usage = Usage(input_tokens=1_000, output_tokens=500, units={"web_searches": 1})
    cost = book.price(Priceable("openai", "gpt-4o", TODAY, usage))
    assert isinstance(cost, Cost)
    assert (cost.total, cost.other) == (Decimal("0.0225"), Decimal("0.01"))


def test_the_more_an_entry_says_about_a_call_the_more_it_counts(tmp_path: Path) -> None:
    text = """prices:
  - {provider: local, match: gpt-x-2026-01-02, rates: {input: "4"}}
  - {provider: local, match: "*", rates: {input: "1"}}
  - {provider: local, match: gpt-x, rates: {input: "3"}}
  - {provider: local, match: "gpt-*", rates: {input: "2"}}
"""
    book = book_under(tmp_path, text)
    usage = Usage(input_tokens=1_000_000)
    models = ["other", "gpt-y", "gpt-x", "gpt-x-2025-01-02", "gpt-x-2026-01-02"]
    assert [total(book.price(Priceable("local", model, TODAY, usage))) for model in models] == [1, 2, 3, 3, 4]


def test_the_file_changes_the_version_and_names_the_rule(tmp_path: Path, book: PriceBook) -> None:
    own = book_under(
        tmp_path, 'prices:\n  - {provider: openai, match: gpt-4o, from: 2026-01-01, rates: {input: "5"}}\n'
    )
    cost = own.price(Priceable("openai", "gpt-4o", TODAY, Usage(input_tokens=1)))
    assert isinstance(cost, Cost)
    assert cost.price_rule == "override:openai/gpt-4o@2026-01-01"
    assert own.version != book.version


def test_a_provider_may_have_other_names(tmp_path: Path) -> None:
    book = book_under(tmp_path, "providers:\n  openai: {names: [our-proxy]}\n")
    batch = Priceable("our-proxy", "text-embedding-3-small", TODAY, Usage(input_tokens=13), service_tier="batch")
    assert total(book.price(batch)) == Decimal("0.00000013")


def test_names_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    text = """prices:
  - {provider: openai, match: gpt-4o, as: gpt-4o-mini}
  - {provider: openai, match: gpt-4o-mini, as: gpt-4o}
"""
    book = book_under(tmp_path, text)
    assert total(book.price(Priceable("openai", "gpt-4o", TODAY, THOUSAND_AND_HALF))) == Decimal("0.00045")


def test_json_is_understood_too(tmp_path: Path) -> None:
    entry = {"provider": "local", "match": "my-model", "rates": {"input": "1", "output": "2"}}
    book = book_under(tmp_path, json.dumps({"prices": [entry]}))
    assert total(book.price(Priceable("local", "my-model", TODAY, THOUSAND_AND_HALF))) == Decimal("0.002")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    book = book_under(tmp_path, "# nothing yet\n")
    assert total(book.price(Priceable("openai", "gpt-4o", TODAY, THOUSAND_AND_HALF))) == Decimal("0.0075")


# ── mistakes ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('{provider: p, match: m, rates: {input: "-1"}}', "line 2: prices[0].rates.input: is negative: -1"),
        ("{provider: p, match: m, rates: {input: 0.30000000000000004}}", "carries rounding noise; write it in quotes"),
        ('{provider: p, match: m, rates: {inputs: "1"}}', "prices[0].rates.inputs: unknown unit; there are: input,"),
        ('{provider: p, match: m, units: {walks: "1"}}', "prices[0].units.walks: unknown unit; there are: requests,"),
        ('{provider: p, match: m, rates: {input: "0"}}', "a price of 0 needs 'free: true' in its entry"),
        ('{provider: p, match: m, multiply: "0"}', "a factor of 0 needs 'free: true' in its entry"),
        ('{provider: p, match: m, rates: {input: "5000000"}}', "is absurdly large: 5000000 USD"),
        ('{provider: p, match: m, rates: {input: "five"}}', "should be a decimal number in quotes, not 'five'"),
        ('{provider: p, match: m, rates: {input: "NaN"}}', "should be a decimal number in quotes, not 'NaN'"),
        ("{provider: p, match: m, rates: {input: true}}", "should be a decimal number in quotes, not True"),
        ("{provider: p, match: m, rates: 5}", "prices[0].rates: should be a mapping"),
        ('{match: m, rates: {input: "1"}}', "prices[0]: 'provider' is needed"),
        ('{provider: p, rates: {input: "1"}}', "prices[0]: 'match' is needed"),
        ("{provider: p, match: m}", "says no price: give one of rates, adjust, derive, as, multiply, units"),
        ('{provider: p, match: m, as: n, multiply: "2"}', "does two things at once: as and multiply"),
        (
            '{provider: p, match: m, rates: {}, model: x, units: {requests: "1"}}',
            "prices[0].model: there is no such key",
        ),
        ('{provider: p, match: m, from: soon, multiply: "2"}', "should be a day or an instant such as 2026-08-17"),
        ('{provider: p, match: m, from: 2026-02-01, to: 2026-01-01, multiply: "2"}', "should be later than 'from'"),
        ('{provider: p, match: m, daily: nights, multiply: "2"}', "should be hours of the UTC day such as 01:00-04:00"),
        ('{provider: p, match: m, daily: "25:00-26:00", multiply: "2"}', "should be hours of the UTC day"),
        ('{provider: p, match: m, days: [someday], multiply: "2"}', "should be a list of days out of mon, tue"),
        ('{provider: p, match: m, rates: {}, above: {many: {input: "1"}}}', "should be a number of input tokens"),
        ('{provider: p, match: m, units: {pages: {usd: "1", each: 3}}}', "units.pages.each: there is no such key"),
        ('{provider: p, match: m, units: {pages: {usd: "1", per: 0}}}', "should be a whole number of units, not 0"),
        ("just a text", "prices[0]: should be a mapping"),
    ],
)
def test_a_mistake_is_named(entry: str, expected: str) -> None:
    found = mistakes(f"prices:\n  - {entry}\n")
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prices: 5", "line 1: prices: should be a list of entries"),
        ("rates: []", "line 1: rates: there is no such key; there are: prices, aliases, providers"),
        ("- a list", "line 1: file: should be a mapping with the key 'prices'"),
        ("prices: [", "file: not YAML"),
        ("providers: [openai]", "line 1: providers: should be a mapping"),
        ("providers:\n  openai: [our-proxy]", "line 2: providers.openai: should be a mapping"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, expected: str) -> None:
    assert any(expected in mistake for mistake in mistakes(text))


def test_all_mistakes_are_listed_with_their_lines_and_nothing_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        """prices:
  - provider: openai
    match: gpt-4o
    rates:
      input: "-5"
      output: 0.1000000000000000055
      sorrow: "1"
  - {provider: openai, match: gpt-4o-mini, rates: {input: "0"}}
""",
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError) as caught:
        load_price_book(path)
    assert [mistake.line for mistake in caught.value.mistakes] == [5, 7, 8]
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("first", "second", "wrong"),
    [
        ("", "", True),
        ("to: 2026-01-01, ", "from: 2026-01-01, ", False),
        ("to: 2026-01-02, ", "from: 2026-01-01, ", True),
        ("from: 2026-01-01, ", "", True),
        ("tier: batch, ", "", False),
        ("region: us, ", "region: eu, ", False),
        ('daily: "01:00-04:00", ', "", False),
        ('daily: "01:00-04:00", ', 'daily: "04:00-05:00", ', False),
        ('daily: "01:00-04:00", ', 'daily: "03:00-05:00", ', True),
    ],
)
def test_two_prices_of_a_model_at_the_same_time_are_a_mistake(first: str, second: str, wrong: bool) -> None:
    entries = [f'{{provider: p, match: m, {when}rates: {{input: "1"}}}}' for when in (first, second)]
    text = "prices:\n" + "".join(f"  - {entry}\n" for entry in entries)
    if wrong:
        assert mistakes(text) == ["line 3: prices[1]: overlaps in time with the entry of line 2 for the same model"]
    else:
        assert len(parse(text, "override").entries) == 2


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_price_book(tmp_path / "nowhere.yaml")


# ── the shipped corrections ────────────────────────────────────────────────────────────────────────────────────


def test_every_correction_says_where_it_is_from_and_when_it_was_checked() -> None:
    from taximeter.config.lines import read
    from taximeter.pricing.shelf import CORRECTIONS, LISTED

    by_hand = read(CORRECTIONS.read_text(encoding="utf-8"), {}, ours=True).values["prices"]
    listed = json.loads(LISTED.read_text(encoding="utf-8"))["prices"]
    assert [entry for entry in (*by_hand, *listed) if not entry.get("source") or not entry.get("checked")] == []


def test_no_two_corrections_say_the_same_of_the_same_calls() -> None:
    from taximeter.pricing.entries import overlap, same_subject
    from taximeter.pricing.shelf import CORRECTIONS, LISTED

    by_hand, listed = (read_file(path, "corrections", ours=True).entries for path in (CORRECTIONS, LISTED))
    both = [(one.rule, two.rule) for one in by_hand for two in listed if same_subject(one, two) and overlap(one, two)]
    assert both == []


def test_a_mistake_in_our_own_json_is_reported_as_in_any_file() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse('{"prices": [{"provider": "aws", "rates": {"input": "0"}}]}', "corrections", ours=True)
    assert [mistake.where for mistake in caught.value.mistakes] == ["prices[0]", "prices[0].rates.input"]
