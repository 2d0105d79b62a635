"""What is held for a call is at the dearest price that its answer may turn out to have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taximeter.limits.bounds import tier_asked
from taximeter.limits.priced import HighestRates
from taximeter.limits.verdict import CallKind, Rates
from taximeter.pricing import PriceBook, load_price_book
from taximeter.pricing.priceable import parse_instant

NOON = parse_instant("2026-03-01T12:00:00Z")


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_price_book()


def per_million(rates: Rates | None) -> tuple[float, float]:
    assert rates is not None
    return rates.read / 1_000_000, rates.written / 1_000_000


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (CallKind("anthropic", "claude-sonnet-4-5"), (3.75, 15)),
        (CallKind("anthropic", "claude-opus-4-7"), (6.875, 27.5)),  # it may be served in the US alone: a tenth more
        (CallKind("anthropic", "claude-opus-4-6", "fast"), (41.25, 165)),
        (CallKind("google-vertex", "claude-sonnet-4-5"), (4.125, 16.5)),  # or in a region of Vertex AI
        (CallKind("google-vertex", "gemini-2.5-pro"), (1.25, 10)),
        (CallKind("aws", "meta.llama3-70b-instruct-v1:0"), (2.65, 3.5)),
        (CallKind("aws", "meta.llama3-70b-instruct-v1:0", region="ap-south-1"), (3.18, 4.2)),
        (CallKind("openai", "gpt-4.1"), (2, 8)),
        (CallKind("openai", "gpt-4.1", "priority"), (3.5, 14)),
        (CallKind("openrouter", "openai/gpt-4o-mini", others=("openai/gpt-4o-mini", "openai/o1-pro")), (150, 600)),
        (CallKind("openrouter", "google/gemini-2.5-flash-image"), (0.3, 30)),  # pictures are the dearest that it writes
    ],
)
def test_the_dearest_rates_of_a_kind_of_call(book: PriceBook, kind: CallKind, expected: tuple[float, float]) -> None:
    assert per_million(HighestRates(lambda: book)(kind, 1_000, NOON)) == expected


def test_a_unit_of_search_has_its_price_and_a_reranking_holds_as_many_as_it_is_billed_by(book: PriceBook) -> None:
    rates = HighestRates(lambda: book)(CallKind("cohere", "rerank-v3.5"), 1_000, NOON)
    assert rates is not None
    assert rates.searching(3).nano_usd(1_000, 0) == 3 * 2_000_000


def test_a_price_that_rises_within_the_hour_is_held_from_then_on(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(
        "prices:\n"
        '  - {provider: acme, match: m, to: "2026-03-01T12:30:00Z", rates: {input: "1", output: "2"}, source: us}\n'
        '  - {provider: acme, match: m, from: "2026-03-01T12:30:00Z", rates: {input: "10", output: "20"}, source: us}\n'
    )
    book = load_price_book(tmp_path / "prices.yaml")
    rates = HighestRates(lambda: book)
    half_an_hour_us = 1_800_000_000
    held = [per_million(rates(CallKind("acme", "m"), 10, NOON + half_an_hour_us + late)) for late in (-1, 0, -1)]
    assert held == [(1, 2), (10, 20), (1, 2)]


@pytest.mark.parametrize(
    ("payload", "tier"),
    [
        ({}, None),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": None, "serviceTier": {"type": "flex"}}, "flex"),
        ({"serviceTier": "priority"}, "priority"),
        ({"performanceConfig": {"latency": "optimized"}}, "latency_optimized"),
        ({"performanceConfig": {"latency": "standard"}}, None),
        ({"speed": "fast", "service_tier": "auto"}, "fast"),
        ({"speed": 7, "performanceConfig": "fast", "serviceTier": {"type": 7}}, None),
    ],
)
def test_the_tier_that_a_request_asks_for(payload: dict[str, Any], tier: str | None) -> None:
    assert tier_asked(payload) == tier
