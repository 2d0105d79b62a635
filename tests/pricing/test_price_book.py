"""The price book: the same usage costs what it cost on its day, in its tier, in its place."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.event import UsageEvent, as_record
from taximeter.core.usage import Usage
from taximeter.pricing import Priceable, PriceBook, priceable_from_event, priceable_from_record
from taximeter.pricing.book import MOST_RESOLUTIONS
from taximeter.pricing.priceable import parse_instant

THOUSAND_AND_HALF = Usage(input_tokens=1_000, output_tokens=500)
TODAY = parse_instant("2026-11-20T12:00:00Z")


def at(day: str) -> int:
    """Noon of a day, or an instant, in UTC."""
    return parse_instant(day if "T" in day else f"{day}T12:00:00Z")


def total(cost: Cost | Unpriced) -> Decimal:
    assert isinstance(cost, Cost), cost
    return cost.total


def reason(cost: Cost | Unpriced) -> str:
    assert isinstance(cost, Unpriced), cost
    return cost.reason


# ── dates ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("provider", "model", "day", "usd"),
    [
        ("openai", "gpt-4o", "2024-06-01", "0.0125"),
        ("openai", "gpt-4o", "2024-10-01T23:59:59.999999Z", "0.0125"),
        ("openai", "gpt-4o", "2024-10-02T00:00:00Z", "0.0075"),
        ("openai", "gpt-4o", "2026-11-20", "0.0075"),
        (None, "gpt-4o", "2024-06-15", "0.0125"),  # the maker's list, and what we know better of it
        ("", "gpt-4o", "2024-06-15", "0.0125"),
        ("my-host", "gpt-4o", "2024-06-15", "0.0125"),
        ("my-host", "gpt-4o", "2024-10-02", "0.0075"),
        ("openai", "gpt-4o-2024-08-06", "2024-09-01", "0.0075"),
        ("openai", "gpt-5.6-luna", "2026-07-29", "0.004"),
        ("openai", "gpt-5.6-luna", "2026-07-30", "0.0008"),
        ("openai", "gpt-5.6-sol", "2026-08-20", "0.02"),
        ("openai", "gpt-5.6-sol", "2026-08-21", "0.014"),
        ("anthropic", "claude-3-5-haiku-20241022", "2024-11-10", "0.0035"),
        ("anthropic", "claude-3-5-haiku-20241022", "2025-01-10", "0.0028"),
        ("deepseek", "deepseek-chat", "2025-06-15T02:00:00Z", "0.00082"),  # by day
        ("deepseek", "deepseek-chat", "2025-06-15T17:00:00Z", "0.00041"),  # by night, half
        ("deepseek", "deepseek-chat", "2025-11-01T17:00:00Z", "0.00049"),  # no night discount any more
        ("deepseek", "deepseek-v4-pro", "2026-08-16T15:59:59Z", "0.00087"),
        ("deepseek", "deepseek-v4-pro", "2026-08-16T16:00:00Z", "0.00165"),
        ("deepseek", "deepseek-v4-pro", "2026-08-17T01:00:00Z", "0.0033"),  # peak
        ("deepseek", "deepseek-v4-pro", "2026-08-17T04:00:00Z", "0.00165"),
        ("deepseek", "deepseek-v4-pro", "2026-08-17T09:59:59Z", "0.0033"),  # second peak
        ("deepseek", "deepseek-v4-pro", "2026-08-22T07:00:00Z", "0.0033"),  # a Saturday, while weekends had peaks
        ("deepseek", "deepseek-v4-pro", "2026-08-29T07:00:00Z", "0.00165"),  # a Saturday, when they had none
        ("deepseek", "deepseek-v4-flash", "2026-08-18T07:00:00Z", "0.0011"),
        ("deepseek", "deepseek-v4-flash", "2026-05-18T07:00:00Z", "0.00028"),
        ("deepseek", "deepseek-flash", "2026-11-10T02:00:00Z", "0.0009"),
    ],
)
def test_a_call_costs_what_it_cost_then(book: PriceBook, provider: str, model: str, day: str, usd: str) -> None:
    assert total(book.price(Priceable(provider, model, at(day), THOUSAND_AND_HALF))) == Decimal(usd)


def test_the_order_of_calls_does_not_matter_for_what_is_remembered(book: PriceBook) -> None:
    hours = [at(f"2026-08-{day}T{hour:02d}:30:00Z") for day in (15, 17) for hour in range(24)]
    calls = [Priceable("deepseek", "deepseek-v4-pro", hour, THOUSAND_AND_HALF) for hour in hours]
    forwards = [total(book.price(call)) for call in calls]
    backwards = [total(book.price(call)) for call in reversed(calls)]
    assert forwards == backwards[::-1]
    assert forwards[:24] == [Decimal("0.00087")] * 24
    assert [hour for hour in range(24) if forwards[24 + hour] == Decimal("0.0033")] == [1, 2, 3, 6, 7, 8, 9]


# ── tiers, regions, fees ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("provider", "model", "tier", "day", "usd"),
    [
        ("openai", "gpt-4o", "default", "2026-11-20", "0.0075"),
        ("openai", "gpt-4o", "auto", "2026-11-20", "0.0075"),
        ("openai", "gpt-4o", "batch", "2026-11-20", "0.00375"),
        ("openai", "gpt-4o", "batch", "2024-06-01", "0.00625"),  # half of what the name meant then
        ("openai", "gpt-4o", "priority", "2025-11-20", "0.01275"),
        ("openai", "gpt-5", "flex", "2025-09-20", "0.003125"),
        ("openai", "o3", "flex", "2025-05-01", "0.015"),  # in proportion to the price before the cut
        ("openai", "gpt-5.6-luna", "flex", "2026-07-20", "0.002"),
        ("openai", "o4-mini", "priority", "2025-11-20", "0.006"),
        ("openai", "text-embedding-3-large", "batch", "2025-01-20", "0.000065"),
        ("anthropic", "claude-opus-4-20250514", "batch", "2025-07-20", "0.02625"),
        ("anthropic", "claude-opus-5", "fast", "2026-07-25", "0.035"),
        ("google", "gemini-2.5-flash", "ON_DEMAND", "2026-02-01", "0.00155"),
        ("google-vertex", "gemini-3-flash-preview", "ON_DEMAND_FLEX", "2026-06-01", "0.001"),
        ("google", "gemini-2.5-flash", "batch", "2025-09-01", "0.000775"),
        ("aws-bedrock", "us.amazon.nova-pro-v1:0", "priority", "2026-01-15", "0.0042"),
        ("xai", "grok-4-0709", "batch", "2026-01-15", "0.0084"),
        ("groq", "llama-3.3-70b-versatile", "flex", "2026-01-15", "0.000985"),
        ("openrouter", "google/gemini-2.5-flash", "provisioned", "2026-01-15", "0.00155"),
        ("azure", "gpt-4.1", "DataZoneStandard", "2026-01-15", "0.0066"),
        ("azure", "gpt-4.1", "GlobalStandard", "2026-01-15", "0.006"),
    ],
)
def test_a_tier_has_its_own_price(book: PriceBook, provider: str, model: str, tier: str, day: str, usd: str) -> None:
    usage = Usage(input_tokens=1_000) if "embedding" in model else THOUSAND_AND_HALF
    assert total(book.price(Priceable(provider, model, at(day), usage, service_tier=tier))) == Decimal(usd)


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("anthropic", "claude-sonnet-4-5", "priority"),
        ("openai", "gpt-4.5-preview", "priority"),
        ("openai", "gpt-4o", "scale"),
        ("google-vertex", "gemini-2.5-pro", "PROVISIONED_THROUGHPUT"),
        ("deepseek", "deepseek-v4-pro", "batch"),
    ],
)
def test_a_tier_without_a_price_is_not_the_standard_tier(book: PriceBook, provider: str, model: str, tier: str) -> None:
    call = Priceable(provider, model, TODAY, THOUSAND_AND_HALF, service_tier=tier)
    assert reason(book.price(call)) == "no_price_for_tier"


@pytest.mark.parametrize(
    ("provider", "model", "region", "usd"),
    [
        ("anthropic", "claude-opus-4-6", None, "0.0175"),
        ("anthropic", "claude-opus-4-6", "global", "0.0175"),
        ("anthropic", "claude-opus-4-6", "us", "0.01925"),
        ("anthropic", "claude-opus-4-5", "us", "0.0175"),
        ("anthropic", "claude-opus-5", "US", "0.01925"),
        ("google-vertex", "claude-sonnet-4-5@20250929", "us-east5", "0.01155"),
        ("google-vertex", "claude-sonnet-4-5@20250929", "global", "0.0105"),
        ("google-vertex", "gemini-2.5-flash", "us-east5", "0.00155"),
        ("azure", "gpt-4.1", "data-zone-eu", "0.0066"),
        ("azure", "gpt-4.1", "global", "0.006"),
        ("openai", "gpt-5.6-luna", "eu", "0.00088"),
    ],
)
def test_some_places_cost_more(book: PriceBook, provider: str, model: str, region: str | None, usd: str) -> None:
    call = Priceable(provider, model, TODAY, THOUSAND_AND_HALF, region=region)
    assert total(book.price(call)) == Decimal(usd)


def test_a_surcharge_lies_on_tokens_and_not_on_fees(book: PriceBook) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=500, units={"web_searches": 1})
    cost = book.price(Priceable("anthropic", "claude-opus-5", TODAY, usage, service_tier="batch", region="us"))
    assert isinstance(cost, Cost)
    assert (cost.input, cost.output, cost.other) == (Decimal("0.00275"), Decimal("0.006875"), Decimal("0.01"))


@pytest.mark.parametrize(
    ("provider", "model", "units", "usd"),
    [
        ("openai", "gpt-4.1", {"web_searches": 2}, "0.02"),
        ("openai", "gpt-5", {"code_interpreter_calls": 3, "container_sessions": 1}, "0.03"),
        ("anthropic", "claude-sonnet-4-5", {"web_fetches": 7}, "0"),
        ("xai", "grok-4.3", {"web_searches": 1, "x_searches": 1}, "0.01"),
        ("google", "gemini-2.5-flash", {"web_searches": 3}, "0.035"),  # a grounded prompt
        ("google", "gemini-3-flash-preview", {"web_searches": 3}, "0.042"),  # every query
        ("google", "gemini-2.5-flash", {"maps_searches": 3}, "0.025"),
        ("vertex", "gemini-3.5-flash", {"maps_searches": 3, "web_searches": 1}, "0.056"),
        ("groq", "groq/compound", {"web_searches": 2, "web_fetches": 1}, "0.017"),
        ("groq", "compound-beta", {"web_searches": 2}, "0.01"),
        ("groq", "openai/gpt-oss-120b", {"web_searches": 1, "web_fetches": 2}, "0.007"),
        ("groq", "whisper-large-v3-turbo", {"audio_seconds": 1}, "0.000111111111"),  # at least ten seconds
        ("perplexity", "sonar", {}, "0.005"),
        ("perplexity", "sonar", {"high_context_requests": 1}, "0.012"),
        ("cohere", "rerank-v3.5", {"search_units": 2}, "0.004"),
        ("mistral", "mistral-ocr-latest", {"pages": 10}, "0.04"),
    ],
)
def test_fees_are_paid_by_the_unit(book: PriceBook, provider: str, model: str, units: dict[str, Any], usd: str) -> None:
    usage = Usage(input_tokens=0, output_tokens=0, units=units)
    cost = book.price(Priceable(provider, model, TODAY, usage))
    assert isinstance(cost, Cost)
    assert cost.other == Decimal(usd)


@pytest.mark.parametrize(
    ("model", "input_tokens", "usd"),
    [
        ("claude-sonnet-4-5", 200_000, "0.6"),
        ("claude-sonnet-4-5", 200_001, "1.200006"),  # the whole request
        ("gemini-2.5-pro", 200_001, "0.5000025"),
    ],
)
def test_a_long_request_is_repriced_as_a_whole(book: PriceBook, model: str, input_tokens: int, usd: str) -> None:
    provider = "google" if model.startswith("gemini") else "anthropic"
    assert total(book.price(Priceable(provider, model, TODAY, Usage(input_tokens=input_tokens)))) == Decimal(usd)


# ── what is not known, and what is free ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("openai", "gpt-unheard-of", "unknown_model"),
        ("openai", None, "unknown_model"),
        ("openai", "", "unknown_model"),
        ("my-vllm", "gpt-oss-120b", "unknown_provider"),
        ("my-vllm", "llama-3.3-70b", "unknown_provider"),
        (None, None, "unknown_provider"),
        ("openai", "whisper-1", "no_price_for_unit"),  # paid by the second, and here are tokens
    ],
)
def test_what_is_not_known_is_not_free(book: PriceBook, provider: str | None, model: str | None, expected: str) -> None:
    assert reason(book.price(Priceable(provider, model, TODAY, THOUSAND_AND_HALF))) == expected


@pytest.mark.parametrize("model", ["gpt-4o", "openai/gpt-4o", "GPT-4o", "gpt-4o-2024-08-06"])
def test_a_closed_model_behind_an_unknown_host_costs_its_makers_price(book: PriceBook, model: str) -> None:
    assert total(book.price(Priceable("my-proxy", model, TODAY, THOUSAND_AND_HALF))) == Decimal("0.0075")


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"not_billed": True}, "rule:not_billed"),
        ({"status": "cached"}, "rule:cached"),
        ({"status": "error", "usage": Usage()}, "rule:error_without_usage"),
        ({"status": "refused", "usage": Usage()}, "rule:refused_without_usage"),
    ],
)
def test_some_calls_cost_nothing_and_say_why(book: PriceBook, given: dict[str, Any], rule: str) -> None:
    call = Priceable(**{"provider": "openai", "model": "no-such", "at_us": TODAY, "usage": THOUSAND_AND_HALF, **given})
    cost = book.price(call)
    assert isinstance(cost, Cost)
    assert (cost.total, cost.price_rule) == (Decimal(0), rule)


@pytest.mark.parametrize("status", ["ok", "interrupted", "cancelled"])
def test_an_answer_without_usage_is_not_priced(book: PriceBook, status: str) -> None:
    assert reason(book.price(Priceable("openai", "gpt-4o", TODAY, status=status))) == "usage_unknown"


def test_an_error_with_usage_is_paid(book: PriceBook) -> None:
    call = Priceable("openai", "gpt-4o", TODAY, THOUSAND_AND_HALF, status="error")
    assert total(book.price(call)) == Decimal("0.0075")


def test_parts_larger_than_their_whole_are_not_priced(book: PriceBook) -> None:
    usage = Usage(input_tokens=10, cache_read_tokens=20, output_tokens=1)
    assert reason(book.price(Priceable("openai", "gpt-4o", TODAY, usage))) == "usage_contradicts"


def test_a_unit_without_a_price_leaves_the_call_unpriced(book: PriceBook) -> None:
    usage = Usage(input_tokens=10, output_tokens=1, units={"holograms": 1})
    assert reason(book.price(Priceable("openai", "gpt-4o", TODAY, usage))) == "no_price_for_unit"


@pytest.mark.filterwarnings("ignore")
def test_nothing_odd_in_a_call_raises(book: PriceBook, caplog: pytest.LogCaptureFixture) -> None:
    odd = Usage(input_tokens="many")  # type: ignore[arg-type]
    assert reason(book.price(Priceable("openai", "gpt-4o", TODAY, odd))) == "pricing_failed"
    assert "pricing failed" in caplog.text


# ── several models, records, the rest ──────────────────────────────────────────────────────────────────────────


def test_a_call_of_several_models_is_the_sum_of_them(book: PriceBook) -> None:
    shares = (("claude-sonnet-4-5", THOUSAND_AND_HALF), ("claude-opus-4-5", THOUSAND_AND_HALF))
    usage = Usage(input_tokens=2_000, output_tokens=1_000, units={"web_searches": 1})
    cost = book.price(Priceable("anthropic", "claude-sonnet-4-5", TODAY, usage, by_model=shares))
    assert total(cost) == Decimal("0.0105") + Decimal("0.0175") + Decimal("0.01")


def test_one_unknown_model_of_several_leaves_the_call_unpriced(book: PriceBook) -> None:
    shares = (("claude-sonnet-4-5", THOUSAND_AND_HALF), ("claude-unheard-of", THOUSAND_AND_HALF))
    call = Priceable("anthropic", "claude-sonnet-4-5", TODAY, THOUSAND_AND_HALF, by_model=shares)
    assert reason(book.price(call)) == "unknown_model"


def test_the_model_asked_for_helps_when_the_answer_names_its_snapshot(book: PriceBook) -> None:
    call = Priceable("openrouter", "text-embedding-3-small", TODAY, Usage(input_tokens=7))
    assert reason(book.price(call)) == "unknown_model"
    asked = Priceable(
        "openrouter",
        "text-embedding-3-small",
        TODAY,
        Usage(input_tokens=7),
        request_model="openai/text-embedding-3-small",
    )
    assert total(book.price(asked)) == Decimal("0.00000014")


EVENT = UsageEvent(
    event_id="0197f2c4-7b1e-7000-8000-000000000000",
    started_at_us=at("2026-11-20T09:30:00.000001Z"),
    source="api",
    status="ok",
    provider="anthropic",
    request_model="claude-sonnet-4-5",
    response_model="claude-sonnet-4-5-20250929",
    operation="chat",
    service_tier="standard",
    region="us",
    usage=Usage(
        input_tokens=3_000,
        cache_read_tokens=1_000,
        cache_write_5m_tokens=500,
        output_tokens=700,
        reasoning_tokens=100,
    ),
)


@pytest.mark.parametrize(
    "usage",
    [
        EVENT.usage,
        Usage(),
        Usage(input_tokens=5, input_audio_tokens=2, output_tokens=9, output_audio_tokens=1),
        Usage(input_tokens=5, output_tokens=0, units={"web_searches": 2, "audio_seconds": Decimal("1.5")}),
    ],
)
def test_an_event_and_its_record_are_priced_alike(usage: Usage) -> None:
    event = UsageEvent(
        **{name: getattr(EVENT, name) for name in EVENT.__slots__ if name not in ("usage", "by_model")},
        usage=usage,
        by_model=(("claude-sonnet-4-5", usage),),
    )
    assert priceable_from_record(as_record(event)) == priceable_from_event(event)


def test_the_book_forgets_rather_than_grows(book: PriceBook) -> None:
    for number in range(MOST_RESOLUTIONS + 10):
        book.price(Priceable("my-vllm", f"local-{number}", TODAY, THOUSAND_AND_HALF))
    assert len(book._resolutions) <= MOST_RESOLUTIONS


def test_the_version_names_library_and_data(book: PriceBook) -> None:
    library, _, digest = book.version.partition("+")
    assert library.startswith("genai-prices 0.")
    assert len(digest) == 12
    cost = book.price(Priceable("openai", "gpt-4o", TODAY, THOUSAND_AND_HALF))
    assert isinstance(cost, Cost)
    assert cost.price_version == book.version


def test_importing_the_room_does_not_load_the_price_library() -> None:
    code = "import sys, taximeter.pricing; sys.exit('genai_prices' in sys.modules or 'yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
