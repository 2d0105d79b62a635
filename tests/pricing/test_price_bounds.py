"""What caching saved, and the most that a call without a price may cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from golden import CASES, call_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taximeter.core.cost import Cost
from taximeter.core.money import exact, format_usd
from taximeter.core.usage import Usage
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.priceable import parse_instant

TODAY = parse_instant("2026-11-20T12:00:00Z")

# ── what caching saved ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("provider", "model", "given", "usage", "usd"),
    [
        # 10,000 read at 0.3 instead of 3
        ("anthropic", "claude-sonnet-4-6", {}, Usage(input_tokens=10_000, cache_read_tokens=10_000), "0.027"),
        # 10,000 written at 3.75 instead of 3
        ("anthropic", "claude-sonnet-4-6", {}, Usage(input_tokens=10_000, cache_write_5m_tokens=10_000), "-0.0075"),
        # 10,000 written for an hour at 6 instead of 3
        ("anthropic", "claude-sonnet-4-6", {}, Usage(input_tokens=10_000, cache_write_1h_tokens=10_000), "-0.03"),
        (
            "anthropic",
            "claude-sonnet-4-6",
            {},
            Usage(input_tokens=9_000, cache_read_tokens=8_000, cache_write_5m_tokens=1_000),
            "0.02085",
        ),
        # at the price of a batch, half of it
        (
            "anthropic",
            "claude-sonnet-4-6",
            {"service_tier": "batch"},
            Usage(input_tokens=10_000, cache_read_tokens=10_000),
            "0.0135",
        ),
        # beyond 200,000 tokens: 6 and 0.6
        ("anthropic", "claude-sonnet-4-5", {}, Usage(input_tokens=300_000, cache_read_tokens=100_000), "0.54"),
        # cached audio: 0.4 instead of 32
        (
            "openai",
            "gpt-realtime",
            {},
            Usage(input_tokens=1_000, cache_read_tokens=1_000, input_audio_tokens=1_000, cache_read_audio_tokens=1_000),
            "0.0316",
        ),
        ("openai", "gpt-4o", {}, Usage(input_tokens=1_000, output_tokens=10), "0"),
        # given again from a cache of answers: all that it would have cost
        ("openai", "gpt-4o", {"status": "cached"}, Usage(input_tokens=1_000, cache_read_tokens=1_000), "0.00125"),
        ("openai", "gpt-4o", {"not_billed": True}, Usage(input_tokens=1_000, cache_read_tokens=1_000), "0"),
    ],
)
def test_what_caching_saved(
    book: PriceBook, provider: str, model: str, given: dict[str, Any], usage: Usage, usd: str
) -> None:
    saving = book.cache_saving(Priceable(provider, model, TODAY, usage, **given))
    assert saving is not None
    assert format_usd(saving) == usd


def test_what_caching_saved_is_not_known_without_a_price(book: PriceBook) -> None:
    usage = Usage(input_tokens=10, cache_read_tokens=5)
    assert book.cache_saving(Priceable("openai", "gpt-unheard-of", TODAY, usage)) is None


counts = st.integers(0, 100_000)
anything = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@anything
@given(
    model=st.sampled_from(
        [
            ("anthropic", "claude-sonnet-4-5", None),
            ("anthropic", "claude-opus-5", "batch"),
            ("openai", "gpt-5.6-sol", "flex"),
            ("deepseek", "deepseek-v4-pro", None),
            ("openai", "gpt-realtime", None),
        ]
    ),
    read=counts,
    short=counts,
    plain=counts,
    wrote=counts,
)
def test_the_saving_is_what_the_call_would_have_cost_more_without_a_cache(
    book: PriceBook, model: tuple[str, str, str | None], read: int, short: int, plain: int, wrote: int
) -> None:
    provider, name, tier = model
    whole = read + short + plain
    usage = Usage(input_tokens=whole, cache_read_tokens=read, cache_write_5m_tokens=short, output_tokens=wrote)
    call = Priceable(provider, name, TODAY, usage, service_tier=tier)
    without = replace(call, usage=Usage(input_tokens=whole, output_tokens=wrote))
    paid, uncached = book.price(call), book.price(without)
    assert isinstance(paid, Cost)
    assert isinstance(uncached, Cost)
    assert book.cache_saving(call) == exact(uncached.total - paid.total)


@anything
@given(read=counts, more=st.integers(1, 10_000))
def test_more_reads_save_more_and_more_writes_less(book: PriceBook, read: int, more: int) -> None:
    def saved(usage: Usage) -> Decimal:
        found = book.cache_saving(Priceable("anthropic", "claude-opus-5", TODAY, usage))
        assert found is not None
        return found

    reads = [saved(Usage(input_tokens=150_000, cache_read_tokens=count)) for count in (read, read + more)]
    writes = [saved(Usage(input_tokens=150_000, cache_write_1h_tokens=count)) for count in (read, read + more)]
    assert reads[0] < reads[1]
    assert writes[0] > writes[1]


# ── the bound for limits ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_no_golden_case_costs_more_than_its_bound(book: PriceBook, case: dict[str, Any]) -> None:
    call = call_of(case)
    cost, bound = book.price(call), book.highest_price(call)
    assert isinstance(cost, Cost)
    assert bound is not None
    assert bound >= cost.total


@pytest.mark.parametrize(
    ("provider", "model", "tier", "region"),
    [
        ("anthropic", "claude-opus-4-6", "fast", "us"),
        ("openai", "o1-pro", "batch", None),
        ("openai", "gpt-5.5", "priority", "eu"),
        ("openai", "gpt-6-astra", "ultrafast", "us"),
        ("azure", "gpt-4.5-preview", None, "data-zone-eu"),
        ("openrouter", "anthropic/claude-opus-4.6-fast", None, None),
        ("my-proxy", "gpt-4.5-preview", None, None),
        ("google-vertex", "claude-opus-4-1", None, "us-east5"),
    ],
)
def test_the_bound_holds_in_the_dearest_corners(
    book: PriceBook, provider: str, model: str, tier: str | None, region: str | None
) -> None:
    usage = Usage(input_tokens=300_000, cache_write_5m_tokens=100_000, output_tokens=10_000)
    call = Priceable(provider, model, TODAY, usage, service_tier=tier, region=region)
    cost, bound = book.price(call), book.highest_price(call)
    assert isinstance(cost, Cost)
    assert bound is not None
    assert bound >= cost.total


def test_an_unknown_model_is_bounded_by_its_providers_dearest(book: PriceBook) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=1_000)
    bound = book.highest_price(Priceable("openai", "gpt-99", TODAY, usage))
    # 300 for what GPT-6 Astra keeps for twelve hours of a long context at its fastest, 600 of o1-pro, 10% for a region
    assert bound == Decimal("0.99")


def test_what_is_kept_longer_in_a_cache_is_within_the_bound(book: PriceBook) -> None:
    usage = Usage(input_tokens=300_000, cache_write_1h_tokens=300_000)
    call = Priceable("openai", "gpt-6-astra", TODAY, usage, service_tier="ultrafast")
    cost, bound = book.price(call), book.highest_price(call)
    assert isinstance(cost, Cost)
    assert bound is not None
    assert bound >= cost.total


def test_an_unknown_host_is_bounded_by_anybodys_dearest(book: PriceBook) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=1_000)
    anywhere = book.highest_price(Priceable("my-vllm", "llama-99", TODAY, usage))
    there = book.highest_price(Priceable("openai", "gpt-99", TODAY, usage))
    assert anywhere is not None
    assert there is not None
    assert anywhere >= there


@anything
@given(read=counts, wrote=counts, more=st.integers(1, 1_000))
def test_the_bound_grows_with_every_token(book: PriceBook, read: int, wrote: int, more: int) -> None:
    def bound(usage: Usage) -> Decimal:
        found = book.highest_price(Priceable("anthropic", "claude-99", TODAY, usage))
        assert found is not None
        return found

    smaller = bound(Usage(input_tokens=read, output_tokens=wrote))
    assert bound(Usage(input_tokens=read + more, output_tokens=wrote)) > smaller
    assert bound(Usage(input_tokens=read, output_tokens=wrote + more)) > smaller


@pytest.mark.parametrize(
    ("units", "known"), [({"web_searches": 3}, True), ({"container_sessions": 1}, True), ({"holograms": 1}, False)]
)
def test_a_unit_is_bounded_by_its_highest_fee(book: PriceBook, units: dict[str, int], known: bool) -> None:
    call = Priceable("openai", "gpt-99", TODAY, Usage(input_tokens=1, output_tokens=1, units=units))
    assert (book.highest_price(call) is not None) is known


def test_nothing_counted_has_no_bound(book: PriceBook) -> None:
    assert book.highest_price(Priceable("openai", "gpt-99", TODAY)) is None
