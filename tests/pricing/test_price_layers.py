"""Layers over the snapshot: parties, kinds of multipliers, aliases, derived rates, imported lists."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import format_usd
from taximeter.core.usage import Usage
from taximeter.errors import ConfigurationError
from taximeter.pricing import Priceable, PriceBook, litellm_list
from taximeter.pricing.price_file import parse
from taximeter.pricing.priceable import parse_instant
from taximeter.pricing.shelf import corrections

TODAY = parse_instant("2026-11-20T12:00:00Z")
THOUSAND_AND_HALF = Usage(input_tokens=1_000, output_tokens=500)


def book_of(*texts: str, names: tuple[str, ...] = ("override",)) -> PriceBook:
    """The book under the shipped corrections and these files, each over the one before."""
    layers = names if len(names) == len(texts) else names * len(texts)
    return PriceBook([corrections(), *(parse(text, layer) for text, layer in zip(texts, layers, strict=True))])


def entries(*lines: str) -> str:
    return "prices:\n" + "".join(f"  - {line}\n" for line in lines)


def total(cost: Cost | Unpriced) -> str:
    return format_usd(cost.total) if isinstance(cost, Cost) else cost.reason


def priced(book: PriceBook, provider: str, model: str, usage: Usage = THOUSAND_AND_HALF, **given: Any) -> str:
    return total(book.price(Priceable(provider, model, TODAY, usage, **given)))


# ── by which name ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("match", ["models/gemini-2.5-pro", "models/*", "gemini-2.5-pro"])
def test_a_price_of_ones_own_may_be_for_the_longer_name_or_the_shorter(match: str) -> None:
    book = book_of(entries(f'{{provider: google, match: "{match}", rates: {{input: "1", output: "2"}}}}'))
    assert priced(book, "google", "models/gemini-2.5-pro") == "0.002"


# ── for whom ───────────────────────────────────────────────────────────────────────────────────────────────────

NEGOTIATED = entries(
    '{provider: openai, match: gpt-4o, rates: {input: "2", output: "8"}}',
    '{provider: openai, match: "*", team: core, rates: {input: "1", output: "4"}}',
    '{provider: openai, match: gpt-4o, tenant: [acme, umbrella], rates: {input: "3", output: "12"}}',
    '{provider: openai, match: gpt-4o, tenant: acme, team: core, rates: {input: "0.5", output: "2"}}',
)


@pytest.mark.parametrize(
    ("team", "tenant", "usd"),
    [
        (None, None, "0.006"),
        ("web", None, "0.006"),
        ("core", None, "0.003"),
        (None, "acme", "0.009"),
        ("web", "umbrella", "0.009"),
        ("core", "acme", "0.0015"),
        ("Core", None, "0.006"),
    ],
)
def test_a_negotiated_price_is_for_those_who_negotiated_it(team: str | None, tenant: str | None, usd: str) -> None:
    assert priced(book_of(NEGOTIATED), "openai", "gpt-4o", team=team, tenant=tenant) == usd


def test_parties_are_not_mixed_up_in_what_is_remembered() -> None:
    book = book_of(NEGOTIATED)
    parties: list[dict[str, Any]] = [{"team": "core"}, {}, {"tenant": "acme"}, {"team": "web"}, {"team": "core"}]
    assert [priced(book, "openai", "gpt-4o", **party) for party in parties] == [
        "0.003",
        "0.006",
        "0.009",
        "0.006",
        "0.003",
    ]


# ── discounts, commitments, mark-ups ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lines", "given", "usd"),
    [
        (['{provider: openai, match: "*", multiply: "0.9", kind: commitment}'], {}, "0.00675"),
        (
            [
                '{provider: openai, match: "*", multiply: "0.9", kind: commitment}',
                '{provider: openai, match: "*", multiply: "0.5"}',
                '{provider: "*", match: "*", multiply: "1.2", kind: markup}',
            ],
            {},
            "0.00405",
        ),
        (
            [
                '{provider: openai, match: "*", multiply: "0.9"}',
                '{provider: openai, match: "gpt-4*", multiply: "0.5"}',
            ],
            {},
            "0.00375",
        ),
        (['{provider: "*", match: "*", tenant: acme, multiply: "2", kind: markup}'], {"tenant": "acme"}, "0.015"),
        (['{provider: "*", match: "*", tenant: acme, multiply: "2", kind: markup}'], {}, "0.0075"),
        (['{provider: openai, match: "*", from: 2026-12-01, multiply: "0.9"}'], {}, "0.0075"),
        (['{provider: openai, match: "*", to: "2026-11-20T12:00:00Z", multiply: "0.9"}'], {}, "0.0075"),
        (['{provider: openai, match: "*", multiply: "0.9"}'], {"service_tier": "batch"}, "0.003375"),
    ],
)
def test_multipliers_of_a_kind_compete_and_kinds_multiply(lines: list[str], given: dict[str, Any], usd: str) -> None:
    assert priced(book_of(entries(*lines)), "openai", "gpt-4o", **given) == usd


@pytest.mark.parametrize(("fees", "usd"), [("", "0.025"), (", fees: true", "0.035")])
def test_a_mark_up_may_be_on_fees_too(fees: str, usd: str) -> None:
    book = book_of(entries(f'{{provider: openai, match: "*", multiply: "2", kind: markup{fees}}}'))
    usage = Usage(input_tokens=1_000, output_tokens=500, units={"web_searches": 1})
    assert priced(book, "openai", "gpt-4o", usage) == usd


def test_the_layers_multiply_with_each_other() -> None:
    half = entries('{provider: openai, match: "*", multiply: "0.5"}')
    assert priced(book_of(half, half), "openai", "gpt-4o") == "0.001875"


def test_the_highest_layer_wins() -> None:
    low = entries('{provider: openai, match: gpt-4o, rates: {input: "1", output: "1"}}')
    high = entries('{provider: openai, match: gpt-4o, rates: {input: "2", output: "2"}}')
    assert priced(book_of(low, high), "openai", "gpt-4o") == "0.003"
    assert priced(book_of(high, low), "openai", "gpt-4o") == "0.0015"


# ── aliases ────────────────────────────────────────────────────────────────────────────────────────────────────

ALIASES = """aliases:
  - {provider: azure, model: prod-chat, is: {model: gpt-4.1, region: data-zone-eu}}
  - {provider: azure, model: [old-chat], to: 2026-06-01, is: {model: gpt-4o}}
  - {provider: azure, model: [old-chat], from: 2026-06-01, is: {model: gpt-4o-mini}}
  - {provider: aws, model: "*/abc123", is: {model: eu.anthropic.claude-sonnet-4-5-20250929-v1:0}}
  - {provider: "*.llm.example.com", is: {provider: azure}}
  - {provider: azure, model: night-job, is: {model: gpt-4.1, tier: batch}}
  - {provider: a, model: x, is: {provider: b}}
  - {provider: b, model: x, is: {provider: a}}
"""
PROFILE = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123"


@pytest.mark.parametrize(
    ("provider", "given", "usd"),
    [
        ("azure", {"model": "prod-chat"}, "0.0066"),
        ("azure", {"model": "Prod-Chat"}, "0.0066"),
        ("azure", {"model": "gpt-4o-mini-2024-07-18", "request_model": "prod-chat"}, "0.000495"),  # the answer is exact
        ("azure", {"model": "old-chat"}, "0.00045"),
        ("azure", {"model": "old-chat", "at_us": parse_instant("2026-05-31T00:00:00Z")}, "0.0075"),
        ("aws-bedrock", {"model": PROFILE}, "0.01155"),
        ("aws", {"model": PROFILE}, "0.01155"),
        ("eu.llm.example.com", {"model": "prod-chat"}, "0.0066"),
        ("llm.example.org", {"model": "prod-chat"}, "unknown_provider"),
        ("azure", {"model": "night-job"}, "0.003"),
        ("a", {"model": "x"}, "unknown_provider"),
    ],
)
def test_names_of_ones_own_stand_for_what_they_are(provider: str, given: dict[str, Any], usd: str) -> None:
    call = Priceable(**{"provider": provider, "at_us": TODAY, "usage": THOUSAND_AND_HALF, **given})
    assert total(book_of(ALIASES).price(call)) == usd


def test_an_alias_ends_what_is_remembered() -> None:
    book = book_of(ALIASES)
    days = ["2026-05-31", "2026-06-01", "2026-05-30"]
    calls = [Priceable("azure", "old-chat", parse_instant(f"{d}T00:00:00Z"), THOUSAND_AND_HALF) for d in days]
    assert [total(book.price(call)) for call in calls] == ["0.0075", "0.00045", "0.0075"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{provider: azure, model: x}", "aliases[0]: 'is' is needed"),
        ("{model: x, is: {model: y}}", "aliases[0]: 'provider' is needed"),
        ("{provider: azure, is: {name: y}}", "aliases[0].is.name: there is no such key"),
        ("{provider: azure, was: x, is: {model: y}}", "aliases[0].was: there is no such key"),
        ("{provider: azure, from: 2026-02-01, to: 2026-01-01, is: {model: y}}", "should be later than 'from'"),
        ("prod-chat", "aliases[0]: should be a mapping"),
    ],
)
def test_a_mistake_in_an_alias_is_named(line: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"aliases:\n  - {line}\n", "override")
    assert expected in caught.value.message


# ── derived rates, filling, dates ──────────────────────────────────────────────────────────────────────────────


def test_a_missing_rate_follows_from_another_at_every_context_size() -> None:
    book = book_of(
        entries(
            '{provider: local, match: m, rates: {input: "2", output: "4"}, above: {1000: {input: "6"}}}',
            '{provider: local, match: m, derive: {cache_read: {input: "0.1"}, cache_write_1h: {input: "2"}}}',
        )
    )
    usage = Usage(input_tokens=1_000, cache_read_tokens=500, cache_write_1h_tokens=100, output_tokens=0)
    assert priced(book, "local", "m", usage) == "0.0013"  # 400 x 2 + 500 x 0.2 + 100 x 4
    long = Usage(input_tokens=2_000, cache_read_tokens=500, cache_write_1h_tokens=100, output_tokens=0)
    assert priced(book, "local", "m", long) == "0.0099"  # 1,400 x 6 + 500 x 0.6 + 100 x 12


def test_a_rate_that_is_listed_is_not_derived() -> None:
    book = book_of(entries('{provider: anthropic, match: "*", derive: {cache_read: {input: "0.5"}}}'))
    usage = Usage(input_tokens=1_000, cache_read_tokens=1_000)
    assert priced(book, "anthropic", "claude-fable-5-1", usage) == "0.00025"


@pytest.mark.parametrize(
    ("provider", "model", "tier", "usd"),
    [
        ("openai", "gpt-4o", None, "0.0075"),
        ("openai", "gpt-99", None, "0.0015"),
        ("openai", "gpt-99", "batch", "0.0003"),
        ("openai", "gpt-4o", "batch", "0.00375"),
        ("openai", "gpt-4o", "scale", "0.0003"),
    ],
)
def test_filling_speaks_only_where_nothing_is_known(provider: str, model: str, tier: str | None, usd: str) -> None:
    fill = entries(
        '{provider: openai, match: "gpt-*", fill: true, rates: {input: "1", output: "1"}}',
        '{provider: openai, match: "gpt-99", tier: batch, fill: true, rates: {input: "0.2", output: "0.2"}}',
        '{provider: openai, match: "gpt-4o", tier: batch, fill: true, rates: {input: "0.2", output: "0.2"}}',
        '{provider: openai, match: "gpt-4o", tier: scale, fill: true, rates: {input: "0.2", output: "0.2"}}',
    )
    assert priced(book_of(fill), provider, model, service_tier=tier) == usd


def test_a_model_without_a_price_on_that_day_says_so() -> None:
    book = book_of(entries('{provider: local, match: m, from: 2026-12-01, rates: {input: "1", output: "1"}}'))
    assert priced(book, "local", "m") == "no_price_at_date"
    later = Priceable("local", "m", parse_instant("2026-12-01T00:00:00Z"), THOUSAND_AND_HALF)
    assert total(book.price(later)) == "0.0015"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{provider: p, match: m, multiply: "2", kind: gift}',
            "should be one of surcharge, discount,",
        ),
        ('{provider: p, match: m, rates: {input: "1"}, fill: perhaps}', "should be true or false, not 'perhaps'"),
        ('{provider: p, match: m, multiply: "1000"}', "is absurdly large"),
        ("{provider: p, match: m, derive: {cache_read: 2}}", "should be a mapping"),
        ('{provider: p, match: m, derive: {cache_read: {wine: "2"}}}', "should be one rate x a factor"),
        ('{provider: p, match: m, multiply: "2", checked: lately}', "should be a day such as 2026-08-17"),
        (
            '{provider: p, match: m, units: {pages: {usd: "1", at_least: few}}}',
            "should be a number of units",
        ),
    ],
)
def test_a_mistake_is_named(line: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(entries(line), "override")
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("first", "second", "wrong"),
    [
        ("team: core, ", "team: web, ", False),
        ("team: core, ", "team: [web, core], ", True),
        ("team: core, ", "", False),
        ("tenant: a, team: core, ", "tenant: b, team: core, ", False),
        ("kind: markup, ", "kind: discount, ", False),
        ("kind: markup, ", "kind: markup, ", True),
    ],
)
def test_two_for_the_same_calls_at_the_same_time_are_a_mistake(first: str, second: str, wrong: bool) -> None:
    text = entries(*(f'{{provider: p, match: m, {when}multiply: "2"}}' for when in (first, second)))
    if wrong:
        with pytest.raises(ConfigurationError, match="overlaps in time with the entry of line 2"):
            parse(text, "override")
    else:
        assert len(parse(text, "override").entries) == 2


# ── litellm's list ─────────────────────────────────────────────────────────────────────────────────────────────

LISTED: dict[str, Any] = {
    "sample_spec": {"litellm_provider": "one of many", "input_cost_per_token": 0.0},
    "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 9e-06, "output_cost_per_token": 9e-06},
    "ft:gpt-99": {"litellm_provider": "openai", "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06},
    "deepinfra/some/model-70b": {
        "litellm_provider": "deepinfra",
        "input_cost_per_token": 3.5e-07,
        "output_cost_per_token": 4e-07,
        "cache_read_input_token_cost": 1.75e-07,
        "input_cost_per_token_above_128k_tokens": 7e-07,
        "input_cost_per_token_batches": 1.75e-07,
        "output_cost_per_token_batches": 2e-07,
    },
    "azure/eu/gpt-99": {"litellm_provider": "azure", "input_cost_per_token": 1.1e-06, "output_cost_per_token": 2.2e-06},
    "azure/gpt-99": {"litellm_provider": "azure", "input_cost_per_token": 1.1e-06, "output_cost_per_token": 2e-06},
    "azure/us-gov/gpt-98": {"litellm_provider": "azure", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
    "bedrock/us-west-2/some.model-v1:0": {"litellm_provider": "bedrock", "input_cost_per_token": 1e-06},
    "bedrock_mantle/some.other": {"litellm_provider": "bedrock_mantle", "input_cost_per_token": 1e-06},
    "gpt-98": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1e-06,
        "cache_creation_input_token_cost": 1.25e-06,
        "cache_creation_input_token_cost_above_12hr": 2.5e-06,
        "input_cost_per_token_ultrafast": 6e-06,
    },
    "vertex_ai/some-ocr": {"litellm_provider": "vertex_ai-mistral_models", "ocr_cost_per_page": 0.001},
    "cohere/rerank-v9": {"litellm_provider": "cohere", "input_cost_per_query": 0.002, "input_cost_per_token": 0.0},
    "free-or-unknown": {"litellm_provider": "openai", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "1024-x-1024/dall-e-9": {"litellm_provider": "openai", "input_cost_per_pixel": 1e-08},
    "groq/*": {"litellm_provider": "groq", "input_cost_per_token": 1e-06},
}


@pytest.fixture
def listed(book: PriceBook) -> PriceBook:
    imported = litellm_list.gaps_only(litellm_list.read(json.dumps(LISTED), source="list"), book, TODAY)
    below = parse(litellm_list.price_file(imported), "litellm")
    return PriceBook([below, *book.layers], book.snapshots)


@pytest.mark.parametrize(
    ("provider", "model", "given", "usd"),
    [
        ("openai", "gpt-4o", {}, "0.0075"),  # known already
        ("openai", "ft:gpt-99:acme::a1b2", {}, "0.006"),
        ("deepinfra", "some/model-70b", {}, "0.00055"),
        ("deepinfra", "some/model-70b", {"service_tier": "batch"}, "0.000275"),
        ("deepinfra", "some/model-70b", {"usage": Usage(input_tokens=128_001)}, "0.0896007"),
        ("deepinfra", "some/model-70b", {"usage": Usage(input_tokens=128_000, cache_read_tokens=128_000)}, "0.0224"),
        ("azure", "gpt-99", {"region": "data-zone-eu"}, "0.00231"),  # with our own surcharge of the zone, once
        ("azure", "gpt-99", {}, "0.0021"),
        ("azure", "gpt-98", {"region": "us-gov"}, "0.002"),
        ("azure", "us-gov/gpt-98", {}, "0.002"),
        ("aws", "some.model-v1:0", {"region": "us-west-2", "usage": Usage(input_tokens=1_000)}, "0.001"),
        ("aws", "some.other", {"usage": Usage(input_tokens=1_000)}, "0.001"),
        ("openai", "gpt-98", {"usage": Usage(input_tokens=1_000, cache_write_1h_tokens=1_000)}, "0.0025"),
        ("openai", "gpt-98", {"service_tier": "ultrafast", "usage": Usage(input_tokens=1_000)}, "0.006"),
        ("vertex_ai", "some-ocr", {"usage": Usage(units={"pages": 3})}, "0.003"),
        ("cohere", "rerank-v9", {"usage": Usage(units={"search_units": 2})}, "0.004"),
        ("openai", "free-or-unknown", {}, "unknown_model"),
    ],
)
def test_a_list_fills_gaps(listed: PriceBook, provider: str, model: str, given: dict[str, Any], usd: str) -> None:
    usage = given.pop("usage", THOUSAND_AND_HALF)
    assert priced(listed, provider, model, usage, **given) == usd


def test_a_list_may_win_from_a_day_on(book: PriceBook) -> None:
    imported = litellm_list.read(json.dumps(LISTED), source="list", wins_from="2026-11-20")
    wins = PriceBook([parse(litellm_list.price_file(imported), "litellm"), *book.layers], book.snapshots)
    before = Priceable("openai", "gpt-4o", parse_instant("2026-11-19T23:59:59Z"), THOUSAND_AND_HALF)
    assert total(wins.price(before)) == "0.0075"
    assert priced(wins, "openai", "gpt-4o") == "0.0135"


def test_what_is_left_out_of_a_list_is_counted() -> None:
    assert litellm_list.read(json.dumps(LISTED), source="list").left_out == {
        "not a model": 1,
        "no price that we can use": 1,
        "priced by the size of pictures": 1,
        "a pattern or a commitment": 1,
        "a zone of Azure, which our surcharge makes out of the worldwide price": 1,
    }


@pytest.mark.parametrize("text", ["[", "[]", "{}", '{"gpt-4o": {"input": 5}}'])
def test_a_file_that_is_no_such_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"list\.json: "):
        litellm_list.read(text, source="list.json")


def test_amounts_of_a_list_are_exact() -> None:
    text = '{"m": {"litellm_provider": "p", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 3E-7}}'
    (entry,) = litellm_list.read(text, source="list").entries
    assert entry["rates"] == {"input": "0.15", "output": "0.3"}
    assert all(Decimal(usd) for usd in entry["rates"].values())


def test_a_price_file_in_json_may_be_long(tmp_path: Path) -> None:
    many = [{"provider": "p", "match": f"m-{n}", "rates": {"input": "1"}} for n in range(3_000)]
    assert len(parse(json.dumps({"prices": many}), "litellm").entries) == 3_000
    many[7]["rates"] = {"input": "-1"}
    with pytest.raises(ConfigurationError, match=r"prices\[7\].rates.input: is negative"):
        parse(json.dumps({"prices": many}), "litellm")
