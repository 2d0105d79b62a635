"""What holds for every usage: components sum up, more costs more, digits are exact, the library agrees."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taximeter.clock import to_datetime, to_unix_us
from taximeter.core.cost import COMPONENTS, Cost
from taximeter.core.money import SCALE
from taximeter.core.usage import Usage, clamped, violations
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.priceable import parse_instant

TODAY = parse_instant("2026-11-20T12:00:00Z")
PAYLOADS = Path(__file__).parents[1] / "payloads"

MODELS = [
    ("openai", "gpt-4o", None),
    ("openai", "gpt-5.6-sol", "flex"),
    ("openai", "gpt-realtime", None),
    ("anthropic", "claude-sonnet-4-5", None),
    ("anthropic", "claude-opus-5", "batch"),
    ("google", "gemini-2.5-flash", None),
    ("deepseek", "deepseek-v4-pro", None),
]

counts = st.integers(0, 1_000_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usages that add up; no hour-long writes where a model has none."""
    read, write = draw(counts), draw(counts)
    audio = draw(st.integers(0, read))
    usage = Usage(
        input_tokens=read + write + draw(counts),
        cache_read_tokens=read,
        cache_write_5m_tokens=write,
        input_audio_tokens=audio,
        cache_read_audio_tokens=draw(st.integers(0, audio)),
        output_tokens=draw(counts),
    )
    assert violations(usage) == []
    return usage


anything = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def priced(book: PriceBook, model: tuple[str, str, str | None], usage: Usage, at_us: int = TODAY) -> Cost:
    provider, name, tier = model
    cost = book.price(Priceable(provider, name, at_us, usage, service_tier=tier))
    assert isinstance(cost, Cost), cost
    return cost


@anything
@given(model=st.sampled_from(MODELS), usage=usages(), at_us=st.integers(parse_instant("2026-06-01T00:00:00Z"), TODAY))
def test_components_sum_to_the_total_in_exact_decimals(
    book: PriceBook, model: tuple[str, str, str | None], usage: Usage, at_us: int
) -> None:
    cost = priced(book, model, usage, at_us)
    parts = [getattr(cost, name) for name in COMPONENTS]
    assert sum(parts) == cost.total
    assert all(type(part) is Decimal and part >= 0 for part in parts)
    assert all(part == round(part, SCALE) for part in parts)
    assert not any(isinstance(getattr(cost, field.name), float) for field in fields(cost))


@anything
@given(model=st.sampled_from(MODELS), usage=usages(), more=st.integers(1, 100_000))
def test_more_tokens_never_cost_less(
    book: PriceBook, model: tuple[str, str, str | None], usage: Usage, more: int
) -> None:
    before = priced(book, model, usage).total
    wrote = replace(usage, output_tokens=(usage.output_tokens or 0) + more)
    read = replace(usage, input_tokens=(usage.input_tokens or 0) + more)
    assert priced(book, model, wrote).total > before
    assert priced(book, model, read).total > before


@anything
@given(usage=usages())
def test_the_callers_decimal_context_does_not_matter(book: PriceBook, usage: Usage) -> None:
    expected = priced(book, MODELS[0], usage)
    with localcontext() as context:
        context.prec = 3
        assert priced(book, MODELS[0], usage) == expected


@anything
@given(day=st.datetimes(datetime(2024, 1, 1), datetime(2027, 6, 1)), usage=usages())
def test_what_is_remembered_is_what_would_be_resolved_anew(book: PriceBook, day: datetime, usage: Usage) -> None:
    at_us = to_unix_us(day.replace(tzinfo=UTC))
    for model in ("deepseek-v4-flash", "deepseek-chat"):
        fresh = PriceBook(book.layers)
        call = Priceable("deepseek", model, at_us, usage)
        assert book.price(call) == fresh.price(call)


# ── against the library, where no correction speaks ────────────────────────────────────────────────────────────

LISTED = [
    (provider.id, model.id)
    for provider in get_snapshot().providers
    if provider.id in ("openai", "anthropic", "cohere", "groq", "mistral", "moonshotai", "zai", "together")
    for model in provider.models
]


@pytest.mark.parametrize("day", ["2025-11-20T12:00:00Z", "2026-11-20T12:00:00Z"])
def test_the_library_gives_the_same_where_no_correction_speaks(book: PriceBook, day: str) -> None:
    compared = 0
    for provider, model in LISTED:
        at_us = parse_instant(day)
        cost = book.price(Priceable(provider, model, at_us, Usage(input_tokens=210_000, output_tokens=4_000)))
        if not isinstance(cost, Cost) or "corrections" in cost.price_rule:
            continue
        theirs = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=210_000, output_tokens=4_000),
            model,
            provider_id=provider,
            genai_request_timestamp=to_datetime(at_us),
        )
        assert cost.total == theirs.total_price, (provider, model)
        compared += 1
    assert compared > 250


# ── providers' own bills ───────────────────────────────────────────────────────────────────────────────────────

BILLS = [
    ("openrouter-cache-write-read", "2026-06-01"),
    ("openrouter-cache-write", "2026-06-01"),
    ("openrouter-provisioned-tier", "2026-06-01"),
    ("openrouter-responses-cache-write", "2026-07-20"),
    ("openrouter-stream", "2026-06-01"),
    ("openrouter-web-search-fee", "2026-06-01"),
    ("openrouter-zero-prompt", "2026-06-01"),
    ("xai-batch-results", "2026-08-10"),
    ("xai-chat-reasoning-outside-completion", "2025-11-01"),
    ("xai-grpc-grok45", "2026-07-20"),
    ("xai-responses", "2026-08-10"),
    ("xai-responses-stream", "2026-08-10"),
    ("xai-responses-web-search", "2026-08-10"),
]
"""Recorded answers that carry the amount that was charged."""


def billed_usage(expected: dict[str, Any]) -> Usage:
    searches = expected.get("web_search_requests")
    usage = Usage(
        input_tokens=expected["input_tokens_total"],
        cache_read_tokens=expected["cache_read"],
        cache_write_5m_tokens=expected["cache_write_5m"] or expected["cache_write_total"],
        output_tokens=expected["output_tokens_total"],
        reasoning_tokens=expected["reasoning"],
        units={"web_searches": searches} if searches else {},
    )
    return clamped(usage)[0]


@pytest.mark.parametrize(("name", "day"), BILLS, ids=[name for name, _ in BILLS])
def test_our_amount_is_what_the_provider_charged(book: PriceBook, name: str, day: str) -> None:
    case = json.loads((PAYLOADS / "provider-responses" / "cases" / f"{name}.json").read_text(encoding="utf-8"))
    expected = case["expected"]
    call = Priceable(
        case["provider"],
        expected["model"],
        parse_instant(f"{day}T12:00:00Z"),
        billed_usage(expected),
        service_tier=expected.get("service_tier"),
    )
    cost = book.price(call)
    assert isinstance(cost, Cost), cost
    assert cost.total == Decimal(expected["provider_cost_usd"])
