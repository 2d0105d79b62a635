"""Prices as they were published, worked out by hand: one row a rule, over providers, dates, tiers, places and fees.

The amount of a row is written as the sum that a person would do: quantity x USD per million tokens, plus fees.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.usage import Usage, violations
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.priceable import parse_instant


def usd(*parts: tuple[int | str, str], fees: str = "0") -> Decimal:
    """Quantity x USD per million, all added up, and fees."""
    return sum((Decimal(count) * Decimal(rate) / 1_000_000 for count, rate in parts), Decimal(fees))


def call(
    provider: str, model: str, at: str, *, tier: str | None = None, region: str | None = None, **usage: Any
) -> Priceable:
    """Noon (UTC) of a day, or an instant. `i` and `o` are all input and all output."""
    short = {"i": "input_tokens", "o": "output_tokens", "read": "cache_read_tokens", "w5": "cache_write_5m_tokens"}
    short |= {"w1": "cache_write_1h_tokens", "thought": "reasoning_tokens", "heard": "input_audio_tokens"}
    short |= {"heard_read": "cache_read_audio_tokens", "spoke": "output_audio_tokens", "seen": "input_image_tokens"}
    short |= {"drew": "output_image_tokens"}
    units = usage.pop("units", {})
    counted = Usage(units=units, **{short[name]: count for name, count in usage.items()})
    assert violations(counted) == []
    at_us = parse_instant(at if "T" in at else f"{at}T12:00:00Z")
    return Priceable(provider, model, at_us, counted, service_tier=tier, region=region)


PUBLISHED = {
    # ── batch, flex, priority, fast: before and after price lists took them up in October 2026 ────────────────────
    "openai batch 2025": (
        call("openai", "gpt-4.1-mini", "2025-06-01", tier="batch", i=10_000, o=2_000),
        usd((10_000, "0.2"), (2_000, "0.8")),
    ),
    "openai batch late 2026": (
        call("openai", "gpt-4.1-mini", "2026-11-01", tier="batch", i=10_000, o=2_000),
        usd((10_000, "0.2"), (2_000, "0.8")),
    ),
    "openai batch on the last day without an entry": (
        call("openai", "gpt-5.2", "2026-10-13", tier="batch", i=1_000, o=1_000, read=400),
        usd((600, "0.875"), (400, "0.0875"), (1_000, "7")),
    ),
    "openai batch on the first day with an entry": (
        call("openai", "gpt-5.2", "2026-10-14", tier="batch", i=1_000, o=1_000, read=400),
        usd((600, "0.875"), (400, "0.0875"), (1_000, "7")),
    ),
    "openai flex before its entry": (
        call("openai", "gpt-5-mini", "2026-10-11", tier="flex", i=8_000, o=1_000, read=4_000),
        usd((4_000, "0.125"), (4_000, "0.0125"), (1_000, "1")),
    ),
    "openai flex after its entry": (
        call("openai", "gpt-5-mini", "2026-10-12", tier="flex", i=8_000, o=1_000, read=4_000),
        usd((4_000, "0.125"), (4_000, "0.0125"), (1_000, "1")),
    ),
    "openai priority before its entry": (
        call("openai", "gpt-5.1", "2026-01-15", tier="priority", i=1_000, o=1_000),
        usd((1_000, "2.5"), (1_000, "20")),
    ),
    "openai priority after its entry": (
        call("openai", "gpt-4.1", "2026-11-15", tier="priority", i=1_000, o=1_000, read=500),
        usd((500, "3.5"), (500, "0.875"), (1_000, "14")),
    ),
    "openai flex before a price cut": (
        call("openai", "gpt-5.6-sol", "2026-08-20", tier="flex", i=1_000, o=1_000),
        usd((1_000, "2.5"), (1_000, "15")),
    ),
    "openai flex after a price cut": (
        call("openai", "gpt-5.6-sol", "2026-08-22", tier="flex", i=1_000, o=1_000),
        usd((1_000, "2"), (1_000, "10")),
    ),
    "openai embeddings in a batch": (
        call("openai", "text-embedding-3-large", "2026-03-01", tier="batch", i=1_000_000),
        usd((1_000_000, "0.065")),
    ),
    "openai fine-tuned in a batch": (
        call("openai", "ft:gpt-4.1-mini-2025-04-14:acme::a1", "2026-03-01", tier="batch", i=1_000, o=1_000),
        usd((1_000, "0.4"), (1_000, "1.6")),
    ),
    "anthropic batch halves caches too, 2025": (
        call(
            "anthropic", "claude-sonnet-4-5-20250929", "2025-12-01", tier="batch", i=10_000, read=4_000, w1=2_000, o=500
        ),
        usd((4_000, "1.5"), (4_000, "0.15"), (2_000, "3"), (500, "7.5")),
    ),
    "anthropic batch late 2026": (
        call("anthropic", "claude-opus-4-8", "2026-11-01", tier="batch", i=10_000, w5=2_000, o=500),
        usd((8_000, "2.5"), (2_000, "3.125"), (500, "12.5")),
    ),
    "anthropic batch of a retired model": (
        call("anthropic", "claude-3-7-sonnet-20250219", "2025-03-01", tier="batch", i=1_000, o=1_000),
        usd((1_000, "1.5"), (1_000, "7.5")),
    ),
    "anthropic fast, six times the price": (
        call("anthropic", "claude-opus-4-6", "2026-03-01", tier="fast", i=1_000, o=1_000),
        usd((1_000, "30"), (1_000, "150")),
    ),
    "anthropic fast, twice the price": (
        call("anthropic", "claude-opus-4-8", "2026-08-01", tier="fast", i=1_000, o=1_000),
        usd((1_000, "10"), (1_000, "50")),
    ),
    "gemini batch 2025": (
        call("google", "gemini-2.5-flash-lite", "2025-11-01", tier="batch", i=10_000, o=1_000),
        usd((10_000, "0.05"), (1_000, "0.2")),
    ),
    "gemini batch of audio": (
        call("google", "gemini-2.5-flash", "2026-11-01", tier="batch", i=1_000, heard=400, o=100),
        usd((600, "0.15"), (400, "0.5"), (100, "1.25")),
    ),
    "gemini flex": (
        call("google", "gemini-3.5-flash", "2026-09-01", tier="flex", i=1_000, o=1_000),
        usd((1_000, "0.75"), (1_000, "4.5")),
    ),
    "gemini priority on vertex": (
        call("google-vertex", "gemini-2.5-flash", "2026-09-01", tier="ON_DEMAND_PRIORITY", i=1_000, o=1_000),
        usd((1_000, "0.54"), (1_000, "4.5")),
    ),
    "xai batch is a fifth off": (
        call("xai", "grok-4.3", "2026-09-01", tier="batch", i=1_000, o=1_000, read=200),
        usd((800, "1"), (200, "0.16"), (1_000, "2")),
    ),
    "bedrock batch": (
        call(
            "aws-bedrock",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "2026-02-01",
            tier="batch",
            i=1_000,
            o=1_000,
        ),
        usd((1_000, "0.5"), (1_000, "2.5")),
    ),
    "bedrock flex and priority": (
        call("aws-bedrock", "us.amazon.nova-pro-v1:0", "2026-02-01", tier="flex", i=1_000, o=1_000),
        usd((1_000, "0.4"), (1_000, "1.6")),
    ),
    "azure data zone": (
        call("azure", "gpt-4o-mini", "2025-06-01", region="eu-datazone", i=1_000, o=1_000),
        usd((1_000, "0.165"), (1_000, "0.66")),
    ),
    "azure data zone in a batch": (
        call("azure", "gpt-4o-mini", "2025-06-01", tier="DataZoneBatch", i=1_000, o=1_000),
        usd((1_000, "0.0825"), (1_000, "0.33")),
    ),
    "azure global batch": (
        call("azure", "gpt-4o-mini", "2025-06-01", tier="GlobalBatch", i=1_000, o=1_000),
        usd((1_000, "0.075"), (1_000, "0.3")),
    ),
    "mistral pages in a batch": (
        call("mistral", "mistral-ocr-latest", "2026-03-01", tier="batch", units={"pages": 10}),
        usd(fees="0.01"),
    ),
    "groq audio in a batch": (
        call("groq", "whisper-large-v3", "2026-03-01", tier="batch", units={"audio_seconds": 3_600}),
        usd(fees="0.0555"),
    ),
    # ── names and dates ────────────────────────────────────────────────────────────────────────────────────────────
    "gpt-4o at its launch": (
        call("openai", "gpt-4o", "2024-09-30", i=1_000, o=1_000),
        usd((1_000, "5"), (1_000, "15")),
    ),
    "gpt-4o on azure at its launch": (
        call("azure", "gpt-4o", "2024-09-30", i=1_000, o=1_000),
        usd((1_000, "5"), (1_000, "15")),
    ),
    "o3 on azure at its launch": (
        call("azure", "o3", "2025-05-15", i=1_000, o=1_000, read=500),
        usd((500, "10"), (500, "2.5"), (1_000, "40")),
    ),
    "haiku 3.5 at its launch": (
        call("anthropic", "claude-3-5-haiku-20241022", "2024-11-30", i=1_000, o=1_000),
        usd((1_000, "1"), (1_000, "5")),
    ),
    "luna after its cut": (
        call("openai", "gpt-5.6-luna", "2026-07-31", i=1_000, o=1_000, read=500),
        usd((500, "0.2"), (500, "0.02"), (1_000, "1.2")),
    ),
    "terra before its cut": (
        call("openai", "gpt-5.6-terra", "2026-07-29", i=1_000, o=1_000),
        usd((1_000, "2.5"), (1_000, "15")),
    ),
    "grok-4.5 cached input in July 2026": (
        call("x-ai", "grok-4.5", "2026-07-10", i=1_000, o=1_000, read=500),
        usd((500, "2"), (500, "0.5"), (1_000, "6")),
    ),
    "gemini flash cached in summer 2025": (
        call("google", "gemini-2.5-flash", "2025-07-15", i=1_000, o=1_000, read=500),
        usd((500, "0.3"), (500, "0.075"), (1_000, "2.5")),
    ),
    "deepseek at night in 2025": (
        call("deepseek", "deepseek-reasoner", "2025-07-15T20:00:00Z", i=1_000, o=1_000),
        usd((1_000, "0.135"), (1_000, "0.55")),
    ),
    "deepseek flash at its peak": (
        call("deepseek", "deepseek-v4-flash", "2026-11-10T07:30:00Z", i=1_000, o=1_000, read=500),
        usd((500, "0.3"), (500, "0.006"), (1_000, "1.2")),
    ),
    "deepseek pro in a holiday": (
        call("deepseek", "deepseek-v4-pro", "2026-10-05T07:30:00Z", i=1_000, o=1_000),
        usd((1_000, "0.66"), (1_000, "1.98")),
    ),
    "mistral ocr in spring 2026": (
        call("mistral", "mistral-ocr-latest", "2026-03-01", units={"pages": 3}),
        usd(fees="0.006"),
    ),
    "command r plus before its cut": (
        call("cohere", "command-r-plus", "2024-06-01", i=1_000, o=1_000),
        usd((1_000, "3"), (1_000, "15")),
    ),
    "command r plus since": (
        call("cohere", "command-r-plus", "2024-10-01", i=1_000, o=1_000),
        usd((1_000, "2.5"), (1_000, "10")),
    ),
    "the eight billions of gemini 1.5": (
        call("google", "gemini-1.5-flash-8b-001", "2024-12-01", i=200_000, read=100_000, o=1_000),
        usd((100_000, "0.075"), (100_000, "0.02"), (1_000, "0.3")),
    ),
    "gemini 1.5 pro with a cache": (
        call("google", "gemini-1.5-pro-002", "2024-12-01", i=100_000, read=50_000, o=1_000),
        usd((50_000, "1.25"), (50_000, "0.3125"), (1_000, "5")),
    ),
    "mistral large 2 at its launch": (
        call("mistral", "mistral-large-2407", "2024-08-15", i=1_000, o=1_000),
        usd((1_000, "3"), (1_000, "9")),
    ),
    "a rerank at bedrock": (
        call("aws-bedrock", "cohere.rerank-v3-5:0", "2026-01-15", units={"search_units": 3}),
        usd(fees="0.006"),
    ),
    "a rerank of the fourth generation": (
        call("cohere", "rerank-v4.0-pro", "2026-02-01", units={"search_units": 3}),
        usd(fees="0.0075"),
    ),
    "a faster one": (
        call("cohere", "rerank-v4.0-fast", "2026-02-01", units={"search_units": 3}),
        usd(fees="0.006"),
    ),
    "a mixture of eight at together": (
        call("together", "mistralai/Mixtral-8x7B-Instruct-v0.1", "2025-03-01", i=1_000, o=1_000),
        usd((1_000, "0.6"), (1_000, "0.6")),
    ),
    "mistral small by its snapshot": (
        call("mistral", "mistral-small-2503", "2025-09-01", i=1_000, o=1_000),
        usd((1_000, "0.1"), (1_000, "0.3")),
    ),
    "the oldest base models, fine-tuned": (
        call("openai", "ft:davinci-002:acme::a1", "2025-06-01", i=1_000, o=1_000),
        usd((1_000, "12"), (1_000, "12")),
    ),
    "the smaller of them in a batch": (
        call("openai", "ft:babbage-002:acme::a1", "2025-06-01", tier="batch", i=1_000, o=1_000),
        usd((1_000, "0.8"), (1_000, "0.9")),
    ),
    # ── caches ─────────────────────────────────────────────────────────────────────────────────────────────────────
    "an hour's write is twice the input": (
        call("anthropic", "claude-sonnet-4-6", "2026-06-01", i=3_000, w1=1_000, w5=1_000, o=10),
        usd((1_000, "3"), (1_000, "6"), (1_000, "3.75"), (10, "15")),
    ),
    "an hour's write at Bedrock": (
        call("aws", "us.anthropic.claude-opus-4-1-20250805-v1:0", "2026-02-01", i=2_000, w1=1_000, o=10),
        usd((1_000, "15"), (1_000, "30"), (10, "75")),
    ),
    "an hour's write on Vertex": (
        call("google-vertex", "claude-opus-4@20250514", "2025-09-01", i=2_000, w1=1_000, o=10),
        usd((1_000, "15"), (1_000, "30"), (10, "75")),
    ),
    "an hour's write through OpenRouter": (
        call("openrouter", "anthropic/claude-sonnet-4.5", "2026-02-01", i=2_000, w1=1_000, o=10),
        usd((1_000, "3"), (1_000, "6"), (10, "15")),
    ),
    "reads through OpenRouter of a model listed without": (
        call("openrouter", "anthropic/claude-3.7-sonnet", "2025-06-01", i=2_000, read=1_000, o=10),
        usd((1_000, "3"), (1_000, "0.3"), (10, "15")),
    ),
    "openai writes of 5.6": (
        call("openai", "gpt-5.6-sol", "2026-11-01", i=3_000, w5=1_000, read=1_000, o=10),
        usd((1_000, "4"), (1_000, "5"), (1_000, "0.4"), (10, "20")),
    ),
    # ── long contexts: the whole request, more than the threshold ──────────────────────────────────────────────────
    "sonnet 4.5 counts writes": (
        call("anthropic", "claude-sonnet-4-5", "2026-01-01", i=200_001, w1=150_000, o=100),
        usd((50_001, "6"), (150_000, "12"), (100, "22.5")),
    ),
    "sonnet 4 with a million": (
        call("anthropic", "claude-sonnet-4-20250514", "2025-09-01", i=300_000, read=100_000, o=100),
        usd((200_000, "6"), (100_000, "0.6"), (100, "22.5")),
    ),
    "sonnet 4 before that": (
        call("anthropic", "claude-sonnet-4-20250514", "2025-08-01", i=200_000, o=100),
        usd((200_000, "3"), (100, "15")),
    ),
    "opus 4.6 while it had a threshold": (
        call("anthropic", "claude-opus-4-6", "2026-03-12", i=250_000, o=100),
        usd((250_000, "10"), (100, "37.5")),
    ),
    "opus 4.6 since it has none": (
        call("anthropic", "claude-opus-4-6", "2026-03-13", i=250_000, o=100),
        usd((250_000, "5"), (100, "25")),
    ),
    "opus 4.6 long, fast and in the US": (
        call("anthropic", "claude-opus-4-6", "2026-03-01", tier="fast", region="us", i=250_000, o=100),
        usd((250_000, "66"), (100, "247.5")),
    ),
    "sonnet 4.5 long at Bedrock": (
        call("aws", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "2026-02-01", i=250_000, o=100),
        usd((250_000, "6.6"), (100, "24.75")),
    ),
    "gemini pro with a cache": (
        call("google", "gemini-2.5-pro", "2026-02-01", i=250_000, read=100_000, o=100),
        usd((150_000, "2.5"), (100_000, "0.25"), (100, "15")),
    ),
    "gemini pro long in a batch": (
        call("google", "gemini-2.5-pro", "2025-10-15", tier="batch", i=250_000, o=100),
        usd((250_000, "1.25"), (100, "7.5")),
    ),
    # ── what a host passes on, and what its list leaves out ────────────────────────────────────────────────────────
    "a picture drawn through OpenRouter": (
        call("openrouter", "google/gemini-3.1-flash-lite-image", "2026-08-12", i=5, o=1_537, drew=1_120),
        usd((5, "0.25"), (417, "1.5"), (1_120, "30")),
    ),
    "speech heard through OpenRouter": (
        call("openrouter", "google/gemini-2.5-flash", "2026-03-01", i=1_000, heard=600, o=100),
        usd((400, "0.3"), (600, "1"), (100, "2.5")),
    ),
    "gemini 3.6 before its introductory price": (
        call("google", "gemini-3.6-flash", "2026-08-12", i=1_000, read=500, o=1_000),
        usd((500, "1.5"), (500, "0.15"), (1_000, "7.5")),
    ),
    "gemini 3.6 through OpenRouter on that day": (
        call("openrouter", "google/gemini-3.6-flash", "2026-08-12T00:26:00Z", i=30, o=26),
        usd((30, "1.5"), (26, "7.5")),
    ),
    "gemini 3.6 since": (
        call("google", "gemini-3.6-flash", "2026-08-14", i=1_000, o=1_000),
        usd((1_000, "0.75"), (1_000, "3.75")),
    ),
    "a model by the name of its resource": (
        call("google", "models/gemini-2.5-pro", "2026-03-01", i=1_000, o=1_000),
        usd((1_000, "1.25"), (1_000, "10")),
    ),
    "a model by its full name on Vertex": (
        call("google-vertex", "publishers/google/models/gemini-2.5-flash", "2026-03-01", i=1_000, o=1_000),
        usd((1_000, "0.3"), (1_000, "2.5")),
    ),
    "a model by the name of its resource, where its list is corrected": (
        call("google", "models/gemini-1.5-pro", "2024-11-01", i=1_000, read=400, o=1_000),
        usd((600, "1.25"), (400, "0.3125"), (1_000, "5")),
    ),
    "a model with its provider before it": (
        call("openai", "openai/gpt-4.1", "2026-03-01", i=1_000, o=1_000),
        usd((1_000, "2"), (1_000, "8")),
    ),
    "a model with another name of its provider before it": (
        call("google-vertex", "vertex_ai/claude-sonnet-4-5@20250929", "2026-03-01", i=1_000, o=1_000),
        usd((1_000, "3"), (1_000, "15")),
    ),
    "a model with a provider and a resource before it": (
        call("fireworks", "fireworks_ai/accounts/fireworks/models/deepseek-r1-0528", "2026-03-01", i=1_000, o=1_000),
        usd((1_000, "3"), (1_000, "8")),
    ),
    "a model of a maker whose name ends like a resource": (
        call("together", "together/meta-models/Muse-Glimmer-30B", "2026-11-29", i=1_000_000),
        usd((1_000_000, "0.35")),
    ),
    "a model as Vertex's OpenAI endpoint calls it": (
        call("google-vertex", "google/gemini-2.5-flash", "2026-03-01", i=1_000, heard=400, o=1_000),
        usd((600, "0.3"), (400, "1"), (1_000, "2.5")),
    ),
    "a model that is listed with its provider before it": (
        call("perplexity", "perplexity/sonar", "2026-11-01", i=1_000, o=1_000),
        usd((1_000, "0.25"), (1_000, "2.5")),
    ),
    "an inference profile by its ARN": (
        call(
            "aws",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-5",
            "2026-10-01",
            i=1_000,
            w1=500,
            o=1_000,
        ),
        usd((500, "2.2"), (500, "4.4"), (1_000, "11")),
    ),
    "a model of Bedrock by its ARN": (
        call("aws", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "2026-03-01", i=1_000, o=1_000),
        usd((1_000, "0.8"), (1_000, "3.2")),
    ),
    "another maker's model of Perplexity's agents, at its maker's price": (
        call("perplexity", "openai/gpt-5.2", "2026-03-01", i=1_000, read=400, o=1_000),
        usd((600, "1.75"), (400, "0.175"), (1_000, "14")),
    ),
    "a model of xAI, as Perplexity's agents call it": (
        call("perplexity", "xai/grok-4.3", "2026-11-01", i=1_000, o=1_000),
        usd((1_000, "1.25"), (1_000, "2.5")),
    ),
    "a model with a name that begins like a cheaper one's": (
        call("google-vertex", "gemini-3.8-flash-cyber", "2026-11-29", tier="priority", i=1_000, o=1_000),
        usd((1_000, "2.7"), (1_000, "13.5")),
    ),
    "a film among what a model says": (
        call("google", "gemini-omni-1.1-flash", "2026-11-01", i=12, o=9_040, drew=9_000),
        usd((12, "1.5"), (40, "9"), (9_000, "17.5")),
    ),
    "DeepSeek at Azure": (
        call("azure", "DeepSeek-R1", "2026-11-29", i=1_000, o=1_000),
        usd((1_000, "1.35"), (1_000, "5.4")),
    ),
    "Bedrock in the government's regions": (
        call("aws", "us-gov.anthropic.claude-sonnet-5", "2026-11-29", i=1_000, w5=500, o=1_000),
        usd((500, "2.4"), (500, "3"), (1_000, "12")),
    ),
    "a long prompt in the government's regions": (
        call("aws", "us-gov.anthropic.claude-haiku-5-5", "2026-11-29", i=100_001, o=1_000),
        usd((100_001, "0.6"), (1_000, "3")),
    ),
    "a snapshot at Azure at the price of its model": (
        call("azure", "gpt-5.1-codex-2025-11-13", "2026-03-01", i=1_000, o=1_000),
        usd((1_000, "1.25"), (1_000, "10")),
    ),
    "Llama at Vertex": (
        call("google-vertex", "meta/llama-3.3-70b-instruct-maas", "2026-03-01", i=1_000, o=1_000),
        usd((1_000, "0.72"), (1_000, "0.72")),
    ),
    "a guardrail beside a model": (
        call(
            "aws",
            "us.amazon.nova-lite-v1:0",
            "2026-03-01",
            i=1_000,
            o=1_000,
            units={"guardrail_content_units": 2, "guardrail_topic_units": 1, "guardrail_word_units": 4},
        ),
        usd((1_000, "0.06"), (1_000, "0.24"), fees="0.00045"),
    ),
    "a guardrail by itself": (
        call(
            "aws",
            "guardrail",
            "2026-03-01",
            units={"guardrail_sensitive_units": 3, "guardrail_sensitive_free_units": 9, "guardrail_grounding_units": 2},
        ),
        usd(fees="0.0005"),
    ),
    "a guardrail in its first year": (
        call("aws", "guardrail", "2024-11-30", units={"guardrail_content_units": 2, "guardrail_topic_units": 1}),
        usd(fees="0.0025"),
    ),
    "mistral's agents search, run code and draw": (
        call(
            "mistral",
            "mistral-medium-2505",
            "2026-11-01",
            i=1_000,
            o=100,
            units={"web_searches": 2, "news_searches": 1, "code_interpreter_calls": 1, "images": 1},
        ),
        usd((1_000, "0.4"), (100, "2"), fees="0.24"),
    ),
    "grok searches what was attached": (
        call("x-ai", "grok-4.6", "2026-08-18", i=3_216, read=1_280, o=451, units={"attachment_searches": 1}),
        usd((1_936, "2"), (1_280, "0.5"), (451, "6"), fees="0.005"),
    ),
    # ── names that another model answers, and models that one list alone has ───────────────────────────────────────
    "grok 4 fast, an hour before it was retired": (
        call("x-ai", "grok-4-fast-reasoning", "2026-05-15T18:00:00Z", i=2_747, read=1_280, o=260),
        usd((1_467, "0.2"), (1_280, "0.05"), (260, "0.5")),
    ),
    "grok 4 fast since grok 4.3 answers for it": (
        call("x-ai", "grok-4-fast-reasoning", "2026-07-03", i=2_747, read=1_280, o=260, units={"web_searches": 1}),
        usd((1_467, "1.25"), (1_280, "0.2"), (260, "2.5"), fees="0.005"),
    ),
    "mistral large by its alias, before its third": (
        call("mistral", "mistral-large-latest", "2025-12-01", i=1_000, o=1_000),
        usd((1_000, "2"), (1_000, "6")),
    ),
    "mistral large by its alias, since": (
        call("mistral", "mistral-large-latest", "2025-12-02", i=1_000, o=1_000),
        usd((1_000, "0.5"), (1_000, "1.5")),
    ),
    "what davinci-002 calls itself": (
        call("openai", "davinci:2023-07-21-v2", "2025-06-01", i=1_000, o=1_000),
        usd((1_000, "2"), (1_000, "2")),
    ),
    "an open model at Bedrock's endpoint for OpenAI's protocol": (
        call("aws", "openai.gpt-oss-20b", "2026-03-01", tier="flex", i=1_000, o=1_000),
        usd((1_000, "0.035"), (1_000, "0.15")),
    ),
    "a beta of grok 4.20 with a long context": (
        call("x-ai", "grok-4.20-beta-0309-reasoning", "2026-05-01", i=250_000, read=100_000, o=100),
        usd((150_000, "2.5"), (100_000, "0.4"), (100, "5")),
    ),
    "an older model of Cohere at Bedrock in a batch": (
        call("aws", "cohere.command-text-v14", "2025-03-01", tier="batch", i=1_000, o=1_000),
        usd((1_000, "0.5"), (1_000, "1")),
    ),
    "a rerank by the token": (call("voyageai", "rerank-2.5-lite", "2026-08-11", i=17), usd((17, "0.02"))),
    "a rerank by the token through OpenRouter": (
        call("openrouter", "voyageai/rerank-2.5-lite", "2026-08-11", i=17),
        Decimal("3.4E-7"),
    ),
    "a search that Exa makes for OpenRouter": (
        call("openrouter", "deepseek/deepseek-chat", "2026-08-14", i=2_315, o=40, units={"web_searches": 1}),
        usd((2_315, "0.38"), (40, "0.89"), fees="0.007"),
    ),
    "gemini's cache through OpenRouter, as billed": (
        call("openrouter", "google/gemini-2.5-flash", "2026-03-08", i=2_167, read=2_161, o=99),
        Decimal("0.00031413"),
    ),
    "a transcription that reports tokens besides seconds": (
        call("mistral", "voxtral-mini-latest", "2026-08-19", i=29, heard=25, o=9, units={"audio_seconds": 3}),
        usd(fees="0.00015"),
    ),
    "a chat that hears is paid by both": (
        call("mistral", "voxtral-small-latest", "2026-08-01", i=29, heard=25, o=9, units={"audio_seconds": 3}),
        usd((29, "0.1"), (9, "0.3"), fees="0.0002"),
    ),
    "a model that is free at OpenRouter": (
        call("openrouter", "minimax/minimax-m2:free", "2026-01-01", i=9, o=9),
        usd(),
    ),
    "an open model at Groq when it was new": (
        call("groq", "openai/gpt-oss-20b", "2025-08-20", i=1_000, o=1_000),
        usd((1_000, "0.1"), (1_000, "0.5")),
    ),
    "an open model at Groq since its cut": (
        call("groq", "openai/gpt-oss-20b", "2025-11-11", i=1_000, o=1_000),
        usd((1_000, "0.075"), (1_000, "0.3")),
    ),
    "the latest flash of Gemini in its first months": (
        call("google", "gemini-flash-latest", "2025-12-01", i=1_000, o=1_000),
        usd((1_000, "0.3"), (1_000, "2.5")),
    ),
    "an embedding on Vertex": (call("google-vertex", "text-embedding-005", "2025-06-01", i=1_000), usd((1_000, "0.1"))),
    "grok at exactly its threshold": (
        call("x-ai", "grok-4.3", "2026-08-01", i=200_000, o=100),
        usd((200_000, "2.5"), (100, "5")),
    ),
    "sol over 272,000": (
        call("openai", "gpt-5.6-sol", "2026-11-01", i=272_001, o=100),
        usd((272_001, "8"), (100, "30")),
    ),
    "cyber over 272,000": (
        call("openai", "gpt-5.6-cyber", "2026-11-01", i=300_000, read=100_000, o=100),
        usd((200_000, "25"), (100_000, "2.5"), (100, "112.5")),
    ),
    "grok-4 long through OpenRouter": (
        call("openrouter", "x-ai/grok-4", "2025-10-01", i=200_000, o=100),
        usd((200_000, "6"), (100, "30")),
    ),
    # ── places ─────────────────────────────────────────────────────────────────────────────────────────────────────
    "nova in Europe": (
        call("aws-bedrock", "eu.amazon.nova-pro-v1:0", "2026-02-01", i=1_000, read=400, o=100),
        usd((600, "1.05"), (400, "0.2625"), (100, "4.2")),
    ),
    "nova in Europe, in a batch": (
        call("aws-bedrock", "eu.amazon.nova-lite-v1:0", "2026-02-01", tier="batch", i=1_000, o=100),
        usd((1_000, "0.039"), (100, "0.156")),
    ),
    "nova in Asia": (
        call("aws-bedrock", "apac.amazon.nova-micro-v1:0", "2026-02-01", i=1_000, read=400, o=100),
        usd((600, "0.037"), (400, "0.00925"), (100, "0.148")),
    ),
    "nova in the US, by an ARN": (
        call(
            "aws-bedrock",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
            "2026-02-01",
            i=1_000,
            o=100,
        ),
        usd((1_000, "0.06"), (100, "0.24")),
    ),
    "nova 2 in Japan, by an ARN": (
        call(
            "aws-bedrock",
            "arn:aws:bedrock:ap-northeast-1:123456789012:inference-profile/jp.amazon.nova-2-lite-v1:0",
            "2026-02-01",
            i=1_000,
            o=100,
        ),
        usd((1_000, "0.396"), (100, "3.311")),
    ),
    "the smallest llama in Europe": (
        call("aws-bedrock", "eu.meta.llama3-2-1b-instruct-v1:0", "2025-06-01", i=1_000, o=100),
        usd((1_000, "0.13"), (100, "0.13")),
    ),
    "anthropic kept in the US": (
        call("anthropic", "claude-sonnet-5", "2026-09-01", region="us", i=1_000, w1=500, o=100),
        usd((500, "2.2"), (500, "4.4"), (100, "11")),
    ),
    "no surcharge on older models": (
        call("anthropic", "claude-haiku-4-5", "2026-09-01", region="us", i=1_000, o=100),
        usd((1_000, "1"), (100, "5")),
    ),
    "vertex in a region": (
        call("google-vertex", "claude-opus-4-5", "2026-02-01", region="europe-west1", i=1_000, read=400, o=100),
        usd((600, "5.5"), (400, "0.55"), (100, "27.5")),
    ),
    "vertex in a region, in a batch": (
        call("google-vertex", "claude-haiku-4-5", "2026-02-01", tier="batch", region="us-east5", i=1_000, o=100),
        usd((1_000, "0.55"), (100, "2.75")),
    ),
    "older claude on vertex in a region": (
        call("google-vertex", "claude-opus-4-1", "2025-12-01", region="us-east5", i=1_000, o=100),
        usd((1_000, "15"), (100, "75")),
    ),
    "bedrock through a profile of a region": (
        call("aws", "jp.anthropic.claude-sonnet-4-5-20250929-v1:0", "2026-02-01", i=1_000, o=100),
        usd((1_000, "3.3"), (100, "16.5")),
    ),
    "bedrock worldwide": (
        call("aws", "global.anthropic.claude-opus-4-5-20251101-v1:0", "2026-02-01", i=1_000, o=100),
        usd((1_000, "5"), (100, "25")),
    ),
    # ── fees ───────────────────────────────────────────────────────────────────────────────────────────────────────
    "anthropic searches": (
        call("anthropic", "claude-3-5-haiku-20241022", "2025-07-01", i=1_000, o=100, units={"web_searches": 3}),
        usd((1_000, "0.8"), (100, "4"), fees="0.03"),
    ),
    "anthropic searches in a batch keep their fee": (
        call("anthropic", "claude-opus-5", "2026-11-01", tier="batch", i=1_000, o=100, units={"web_searches": 3}),
        usd((1_000, "2.5"), (100, "12.5"), fees="0.03"),
    ),
    "openai searches of a reasoning model": (
        call("openai", "o3-pro", "2026-03-01", i=1_000, o=100, units={"web_searches": 2}),
        usd((1_000, "20"), (100, "80"), fees="0.02"),
    ),
    "openai search model": (
        call("openai", "gpt-4o-search-preview", "2026-03-01", i=1_000, o=100, units={"web_searches": 1}),
        usd((1_000, "2.5"), (100, "10"), fees="0.025"),
    ),
    "openai files and containers": (
        call("openai", "gpt-5", "2026-03-01", i=0, o=0, units={"file_searches": 4, "container_sessions": 2}),
        usd(fees="0.07"),
    ),
    "azure searches": (
        call("azure", "gpt-4.1", "2026-03-01", i=0, o=0, units={"web_searches": 1}),
        usd(fees="0.014"),
    ),
    "xai searches": (
        call(
            "xai", "grok-4-1-fast-reasoning", "2026-03-01", i=1_000, o=100, units={"web_searches": 2, "x_searches": 1}
        ),
        usd((1_000, "0.2"), (100, "0.5"), fees="0.015"),
    ),
    "gemini 3 searches before they were billed": (
        call("google", "gemini-3-pro-preview", "2025-12-15", i=1_000, o=100, units={"web_searches": 2}),
        usd((1_000, "2"), (100, "12")),
    ),
    "gemini 3 searches since": (
        call("google", "gemini-3-pro-preview", "2026-01-15", i=1_000, o=100, units={"web_searches": 2}),
        usd((1_000, "2"), (100, "12"), fees="0.028"),
    ),
    "pictures that Voyage embeds, by the pixel": (
        call("voyageai", "voyage-multimodal-3", "2026-11-20", i=1_790, seen=1_785, units={"pixels": 1_000_000}),
        usd((5, "0.12"), fees="0.0006"),
    ),
    "nova pro optimised for latency": (
        call("aws", "us.amazon.nova-pro-v1:0", "2026-11-20", tier="latency_optimized", i=1_000, o=100),
        usd((1_000, "1"), (100, "4")),
    ),
    "claude 3.5 haiku optimised for latency": (
        call(
            "aws", "us.anthropic.claude-3-5-haiku-20241022-v1:0", "2025-06-01", tier="latency_optimized", i=1_000, o=100
        ),
        usd((1_000, "1"), (100, "5")),
    ),
    "llama 3.1 optimised for latency": (
        call("aws", "us.meta.llama3-1-70b-instruct-v1:0", "2026-11-20", tier="latency_optimized", i=1_000, o=100),
        usd((1_000, "0.9"), (100, "0.9")),
    ),
    "a ranking at Bedrock": (
        call("aws", "cohere.rerank-v3-5:0", "2026-11-20", units={"search_units": 2}),
        usd(fees="0.004"),
    ),
    "pictures of Stability at Bedrock": (
        call("aws", "stability.stable-image-ultra-v1:1", "2026-11-20", units={"images": 2}),
        usd(fees="0.28"),
    ),
    "searches in a session of Gemini 2.5, paid once": (
        call("google", "gemini-live-2.5-flash-preview", "2026-03-01", i=1_000, o=100, units={"web_searches": 2}),
        usd((1_000, "0.5"), (100, "2"), fees="0.035"),
    ),
    "a search of perplexity": (
        call("perplexity", "search", "2026-11-20", units={"web_searches": 1}),
        usd(fees="0.005"),
    ),
    "a fast search of perplexity": (
        call("perplexity", "search-fast", "2026-11-20", units={"web_searches": 1}),
        usd(fees="0.001"),
    ),
    "a video of sora 2": (
        call("openai", "sora-2-2025-12-08", "2026-11-20", units={"video_seconds": 12}),
        usd(fees="1.2"),
    ),
    "a video of sora 2 pro": (
        call("openai", "sora-2-pro", "2026-11-20", units={"video_seconds": 8}),
        usd(fees="2.4"),
    ),
    "a large video of sora 2 pro": (
        call("openai", "sora-2-pro", "2026-11-20", units={"video_seconds_1024p": 8}),
        usd(fees="4"),
    ),
    "perplexity by the size of its search": (
        call("perplexity", "sonar-pro", "2026-03-01", i=1_000, o=100, units={"medium_context_requests": 1}),
        usd((1_000, "3"), (100, "15"), fees="0.01"),
    ),
    "perplexity deep research": (
        call(
            "perplexity", "sonar-deep-research", "2026-03-01", i=100, o=1_000, thought=600, units={"web_searches": 10}
        ),
        usd((100, "2"), (400, "8"), (600, "3"), fees="0.05"),
    ),
    "z.ai searches": (
        call("z.ai", "glm-4.7", "2026-11-01", i=0, o=0, units={"web_searches": 1}),
        usd(fees="0.01"),
    ),
    "moonshot searches": (
        call("moonshotai", "kimi-k2-0905-preview", "2026-03-01", i=0, o=0, units={"web_searches": 1}),
        usd(fees="0.005"),
    ),
    # ── audio, images ──────────────────────────────────────────────────────────────────────────────────────────────
    "audio preview hears and speaks": (
        call("openai", "gpt-4o-audio-preview", "2025-06-01", i=1_000, heard=800, o=500, spoke=400),
        usd((200, "2.5"), (800, "40"), (100, "10"), (400, "80")),
    ),
    "realtime preview at its launch": (
        call(
            "openai",
            "gpt-4o-realtime-preview",
            "2024-11-01",
            i=1_000,
            heard=800,
            read=500,
            heard_read=400,
            o=100,
            spoke=100,
        ),
        usd((100, "5"), (400, "100"), (100, "2.5"), (400, "20"), (100, "200")),
    ),
    "realtime preview since": (
        call(
            "openai",
            "gpt-4o-realtime-preview",
            "2025-02-01",
            i=1_000,
            heard=800,
            read=500,
            heard_read=400,
            o=100,
            spoke=100,
        ),
        usd((100, "5"), (400, "40"), (500, "2.5"), (100, "80")),
    ),
    "realtime mini": (
        call("openai", "gpt-realtime-mini", "2026-06-01", i=1_000, heard=900, read=200, heard_read=200, o=50, spoke=50),
        usd((100, "0.6"), (700, "10"), (200, "0.3"), (50, "20")),
    ),
    "images seen and drawn": (
        call("openai", "gpt-image-1.5", "2026-06-01", i=1_000, seen=900, o=5_000, drew=4_800),
        usd((100, "5"), (900, "8"), (200, "10"), (4_800, "32")),
    ),
    "gemini draws": (
        call("google", "gemini-3-pro-image-preview", "2026-06-01", i=100, o=1_220, drew=1_120),
        usd((100, "2"), (100, "12"), (1_120, "120")),
    ),
    "text to speech by the character": (
        call("openai", "tts-1-hd", "2026-06-01", units={"characters": 1_000}),
        usd((1_000, "30")),
    ),
    "grok listens for an hour": (
        call("xai", "grok-stt", "2026-09-01", units={"audio_seconds": 3_600}),
        usd(fees="0.1"),
    ),
    "voices by the second": (
        call("openai", "gpt-realtime-whisper", "2026-10-01", units={"audio_seconds": 60}),
        usd(fees="0.017"),
    ),
    # ── by region and zone ────────────────────────────────────────────────────────────────────────────────────────
    "bedrock in Tokyo": (
        call("aws", "moonshotai.kimi-k2.5", "2026-11-01", region="ap-northeast-1", i=1_000, o=1_000),
        usd((1_000, "0.72"), (1_000, "3.6")),
    ),
    "bedrock in Virginia": (
        call("aws", "moonshotai.kimi-k2.5", "2026-11-01", region="us-east-1", i=1_000, o=1_000),
        usd((1_000, "0.6"), (1_000, "3")),
    ),
    "bedrock in London, in flex": (
        call("aws", "qwen.qwen3-coder-next", "2026-11-01", tier="flex", region="eu-west-2", i=1_000, o=1_000),
        usd((1_000, "0.39"), (1_000, "0.93")),
    ),
    "bedrock in Sao Paulo, by the name of the place": (
        call("aws", "bedrock/sa-east-1/meta.llama3-70b-instruct-v1:0", "2026-02-01", i=1_000, o=1_000),
        usd((1_000, "4.45"), (1_000, "5.88")),
    ),
    "bedrock's profile of several regions is not priced as the region called": (
        call("aws", "us.deepseek.v3.2", "2026-11-01", region="ap-northeast-1", i=1_000, o=1_000),
        usd((1_000, "0.62"), (1_000, "1.85")),
    ),
    "claude in the government's regions, with a cache": (
        call(
            "aws",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "2026-06-01",
            region="us-gov-west-1",
            i=1_000,
            read=400,
            w1=100,
            o=100,
        ),
        usd((500, "3.6"), (400, "0.36"), (100, "7.2"), (100, "18")),
    ),
    "claude in the government's regions, with a long context": (
        call(
            "aws", "anthropic.claude-sonnet-4-5-20250929-v1:0", "2026-06-01", region="us-gov-east-1", i=200_001, o=100
        ),
        usd((200_001, "7.2"), (100, "27")),
    ),
    "claude opus in the government's regions, what is written to the cache": (
        call(
            "aws", "anthropic.claude-opus-5-5", "2026-11-20", region="us-gov-west-1", i=1_000, read=400, w5=100, o=100
        ),
        usd((500, "4.8"), (400, "0.24"), (100, "6"), (100, "24")),
    ),
    "gpt-oss in the government's regions": (
        call("aws", "openai.gpt-oss-120b", "2026-11-01", region="us-gov-west-1", i=1_000, o=1_000),
        usd((1_000, "0.18"), (1_000, "0.72")),
    ),
    "gpt at bedrock with a long context": (
        call("aws", "us.openai.gpt-5.5", "2026-11-01", i=300_000, read=100_000, o=1_000),
        usd((200_000, "11"), (100_000, "1.1"), (1_000, "49.5")),
    ),
    "azure's European zone, a fifth dearer": (
        call("azure", "gpt-6-sol-2026-09-22", "2026-11-01", region="eu", i=1_000, o=1_000),
        usd((1_000, "2.4"), (1_000, "12")),
    ),
    "azure's American zone, a tenth dearer": (
        call("azure", "us/gpt-6-sol", "2026-11-01", i=1_000, o=1_000),
        usd((1_000, "2.2"), (1_000, "11")),
    ),
    "azure's Asian zone": (
        call("azure", "apac/gpt-6.1-sol", "2026-11-01", i=300_000, o=1_000),
        usd((300_000, "4.8"), (1_000, "18")),
    ),
    "azure for the government": (
        call("azure", "us-gov/gpt-5.1", "2026-11-01", i=1_000, read=200, o=1_000),
        usd((800, "1.71875"), (200, "0.171875"), (1_000, "13.75")),
    ),
    # ── models of hosts ───────────────────────────────────────────────────────────────────────────────────────────
    "azure's older spelling of a snapshot": (
        call("azure", "gpt-35-turbo-1106", "2024-06-01", i=1_000, o=1_000),
        usd((1_000, "1"), (1_000, "2")),
    ),
    "azure listens for a minute": (
        call("azure", "whisper", "2026-01-01", units={"audio_seconds": 60}),
        usd(fees="0.006"),
    ),
    "fireworks with priority": (
        call(
            "fireworks", "accounts/fireworks/models/glm-5p3", "2026-11-01", tier="priority", i=1_000, read=200, o=1_000
        ),
        usd((800, "1.75"), (200, "0.325"), (1_000, "5.5")),
    ),
    "fireworks with priority, in short": (
        call("fireworks", "kimi-k3-us", "2026-11-01", tier="priority", i=1_000, o=1_000),
        usd((1_000, "5.625"), (1_000, "28.125")),
    ),
    "fireworks on spare hardware": (
        call("fireworks", "accounts/fireworks/routers/kimi-k3-spot", "2026-11-01", i=1_000, o=1_000),
        usd((1_000, "2.1"), (1_000, "10.5")),
    ),
    "fireworks, what is read from a cache": (
        call("fireworks", "accounts/fireworks/models/glm-4p7", "2026-03-01", i=1_000, read=1_000, o=1_000),
        usd((1_000, "0.3"), (1_000, "2.2")),
    ),
    "together": (
        call("together", "Qwen/Qwen2.5-7B-Instruct-Turbo", "2026-01-01", i=1_000, o=1_000),
        usd((1_000, "0.3"), (1_000, "0.3")),
    ),
    "grok at vertex with a long context": (
        call("google-vertex", "xai/grok-4.20-reasoning", "2026-11-01", i=200_001, o=1_000),
        usd((200_001, "2.5"), (1_000, "5")),
    ),
    "gpt-oss at vertex by its bare name": (
        call("google-vertex", "gpt-oss-120b-maas", "2026-11-01", region="us-central1", i=1_000, o=1_000),
        usd((1_000, "0.09"), (1_000, "0.36")),
    ),
    "gemini 4 with priority": (
        call("google", "gemini-4-hydrogen", "2026-11-30", tier="priority", i=1_000, read=200, o=1_000),
        usd((800, "2.7"), (200, "0.135"), (1_000, "13.5")),
    ),
    "pictures embedded by cohere": (
        call("cohere", "embed-v4.0", "2026-11-01", i=1_000, seen=600),
        usd((400, "0.12"), (600, "0.47")),
    ),
    # ── caches and batches ────────────────────────────────────────────────────────────────────────────────────────
    "mistral reads from a cache at a tenth": (
        call("mistral", "codestral-latest", "2026-11-01", i=1_000, read=400, o=1_000),
        usd((600, "0.3"), (400, "0.03"), (1_000, "0.9")),
    ),
    "gemini flex does not halve what is read from a cache": (
        call("google", "gemini-2.5-pro", "2026-09-01", tier="flex", i=1_000, read=400, o=1_000),
        usd((600, "0.625"), (400, "0.125"), (1_000, "5")),
    ),
    "gemini flex with a long context": (
        call("google", "gemini-3.1-pro-preview", "2026-09-01", tier="flex", i=200_001, read=100_000, o=1_000),
        usd((100_001, "2"), (100_000, "0.4"), (1_000, "9")),
    ),
    "gemini flex of sound from a cache": (
        call(
            "google", "gemini-2.5-flash", "2026-09-01", tier="flex", i=1_000, heard=600, read=400, heard_read=400, o=10
        ),
        usd((400, "0.15"), (200, "0.5"), (400, "0.1"), (10, "1.25")),
    ),
    "openai fine-tuned in a batch is not at half": (
        call("openai", "ft:gpt-4o-2024-08-06:acme::a1", "2026-03-01", tier="batch", i=1_000, read=400, o=1_000),
        usd((600, "2.225"), (400, "0.9"), (1_000, "12.5")),
    ),
    "openai fine-tuned in a batch, from a cache": (
        call("openai", "ft:gpt-4.1-2025-04-14:acme::a1", "2026-03-01", tier="batch", i=1_000, read=400, o=1_000),
        usd((600, "1.5"), (400, "0.5"), (1_000, "6")),
    ),
    "openai's dearest in a batch with a long context": (
        call("openai", "gpt-5.5-pro", "2026-11-01", tier="batch", i=272_001, o=1_000),
        usd((272_001, "30"), (1_000, "135")),
    ),
    "openai keeps for twelve hours": (
        call("openai", "gpt-6-sol", "2026-11-01", i=3_000, read=500, w5=1_000, w1=1_000, o=100),
        usd((500, "2"), (500, "0.2"), (1_000, "2.5"), (1_000, "5"), (100, "10")),
    ),
    "openai keeps for twelve hours, with priority": (
        call("openai", "gpt-6-sol", "2026-11-01", tier="priority", i=1_000, w1=1_000, o=100),
        usd((1_000, "10"), (100, "20")),
    ),
    "openai keeps for twelve hours, in flex": (
        call("openai", "gpt-5.6-sol", "2026-11-01", tier="flex", i=1_000, w1=1_000, o=100),
        usd((1_000, "5"), (100, "10")),
    ),
    "openai keeps a long context for twelve hours": (
        call("openai", "gpt-6-sol", "2026-11-01", i=300_000, w1=300_000, o=100),
        usd((300_000, "10"), (100, "15")),
    ),
    "openai at its fastest": (
        call("openai", "gpt-6-astra", "2026-11-01", tier="ultrafast", i=1_000, read=200, w5=300, o=100),
        usd((500, "60"), (200, "6"), (300, "75"), (100, "300")),
    ),
    "openai at its fastest, with a long context": (
        call("openai", "gpt-6.1-sol", "2026-11-01", tier="ultrafast", i=300_000, w1=100_000, o=100),
        usd((200_000, "24"), (100_000, "60"), (100, "90")),
    ),
    "openai at its fastest, at bedrock": (
        call("aws", "us.openai.gpt-6-astra", "2026-11-01", tier="ultrafast", i=1_000, o=100),
        usd((1_000, "66"), (100, "330")),
    ),
    "openrouter passes flex on": (
        call("openrouter", "openai/gpt-5-mini", "2026-11-01", tier="flex", i=1_000, read=400, o=1_000),
        usd((600, "0.125"), (400, "0.0125"), (1_000, "1")),
    ),
    "openrouter's cheapest host served it in flex": (
        call("openrouter", "openai/gpt-6-sol:floor", "2026-11-01", tier="flex", i=1_000, o=1_000),
        usd((1_000, "1"), (1_000, "5")),
    ),
    "openrouter passes priority on": (
        call("openrouter", "openai/gpt-6-sol", "2026-11-01", tier="priority", i=300_000, o=1_000),
        usd((300_000, "8"), (1_000, "30")),
    ),
    "vertex embeds in a batch": (
        call("google-vertex", "gemini-embedding-001", "2026-11-01", tier="batch", i=1_000),
        usd((1_000, "0.12")),
    ),
    # ── tiers of long contexts before price lists took the tiers up ──────────────────────────────────────────────────
    "anthropic batch of a long context, while that had a price": (
        call("anthropic", "claude-opus-4-6", "2026-03-01", tier="batch", i=300_000, read=100_000, w1=50_000, o=1_000),
        usd((150_000, "5"), (100_000, "0.5"), (50_000, "10"), (1_000, "18.75")),
    ),
    "anthropic batch of a long context in the US, while that had a price": (
        call("anthropic", "claude-sonnet-4-6", "2026-03-01", tier="batch", region="us", i=300_000, w5=100_000, o=1_000),
        usd((200_000, "3.3"), (100_000, "4.125"), (1_000, "12.375")),
    ),
    "anthropic batch of a long context, which has no price of its own any more": (
        call("anthropic", "claude-opus-4-6", "2026-04-01", tier="batch", i=300_000, o=1_000),
        usd((300_000, "2.5"), (1_000, "12.5")),
    ),
    "openai priority of a long context before its entry": (
        call("openai", "gpt-5.4", "2026-06-01", tier="priority", i=300_000, read=100_000, o=1_000),
        usd((200_000, "5"), (100_000, "0.5"), (1_000, "30")),
    ),
    "openai priority of a long context after its entry": (
        call("openai", "gpt-5.4", "2026-11-01", tier="priority", i=300_000, read=100_000, o=1_000),
        usd((200_000, "5"), (100_000, "0.5"), (1_000, "30")),
    ),
    "openai flex of a long context before its entry": (
        call("openai", "gpt-5.4", "2026-06-01", tier="flex", i=300_000, o=1_000),
        usd((300_000, "2.5"), (1_000, "11.25")),
    ),
    # ── names that move from model to model, and models that stand in for retired ones ──────────────────────────────
    "gemini's latest flash in spring 2026": (
        call("google", "gemini-flash-latest", "2026-03-01", i=1_000, read=400, heard=100, o=1_000),
        usd((500, "0.5"), (400, "0.05"), (100, "1"), (1_000, "3")),
    ),
    "gemini's latest flash in June 2026": (
        call("google", "gemini-flash-latest", "2026-06-01", i=1_000, o=1_000),
        usd((1_000, "1.5"), (1_000, "9")),
    ),
    "gemini's latest flash in July 2026, in a batch": (
        call("google", "gemini-flash-latest", "2026-07-25", tier="batch", i=1_000, o=1_000),
        usd((1_000, "0.75"), (1_000, "3.75")),
    ),
    "gemini's latest flash in August 2026": (
        call("google", "gemini-flash-latest", "2026-08-20", i=1_000, o=1_000),
        usd((1_000, "0.75"), (1_000, "3.75")),
    ),
    "gemini's latest flash-lite in February 2026": (
        call("google", "gemini-flash-lite-latest", "2026-02-01", i=1_000, o=1_000),
        usd((1_000, "0.1"), (1_000, "0.4")),
    ),
    "gemini's latest flash-lite in spring 2026": (
        call("google-vertex", "gemini-flash-lite-latest", "2026-05-01", i=1_000, o=1_000),
        usd((1_000, "0.25"), (1_000, "1.5")),
    ),
    "gemini's latest flash-lite in autumn 2026": (
        call("google", "gemini-flash-lite-latest", "2026-10-01", i=1_000, o=1_000),
        usd((1_000, "0.3"), (1_000, "2.5")),
    ),
    "gemini's latest pro in 2025": (
        call("google", "gemini-pro-latest", "2025-12-01", i=1_000, o=1_000),
        usd((1_000, "1.25"), (1_000, "10")),
    ),
    "gemini 3.5 flash when it was there": (
        call("google", "gemini-3.5-flash", "2026-10-07", i=1_000, o=1_000),
        usd((1_000, "1.5"), (1_000, "9")),
    ),
    "gemini 3.5 flash, answered by its replacement": (
        call("google", "gemini-3.5-flash", "2026-10-09", tier="flex", i=1_000, o=1_000),
        usd((1_000, "0.375"), (1_000, "1.875")),
    ),
    "gemini 3.5 flash on Vertex, which has it still": (
        call("google-vertex", "gemini-3.5-flash", "2026-10-09", i=1_000, o=1_000),
        usd((1_000, "1.5"), (1_000, "9")),
    ),
    "gemini 2.5 flash behind the day for which its end was announced, as nobody has said what answers for it": (
        call("google", "gemini-2.5-flash", "2026-12-01", i=1_000, heard=400, o=1_000),
        usd((600, "0.3"), (400, "1"), (1_000, "2.5")),
    ),
    "the latest grok before grok 4.5": (
        call("x-ai", "grok-latest", "2026-06-01", i=1_000, read=400, o=1_000),
        usd((600, "1.25"), (400, "0.2"), (1_000, "2.5")),
    ),
    "the latest grok in the first days of grok 4.5": (
        call("x-ai", "grok-latest", "2026-07-10", i=1_000, read=400, o=1_000),
        usd((600, "2"), (400, "0.5"), (1_000, "6")),
    ),
    "a beta of grok 4.20 before its cut": (
        call("x-ai", "grok-4.20-beta-latest-reasoning", "2026-03-15", i=1_000, o=1_000),
        usd((1_000, "2"), (1_000, "6")),
    ),
    "a beta of grok 4.20 before its cut, at its threshold": (
        call("x-ai", "grok-4.20-beta-0309-reasoning", "2026-04-29", i=200_000, read=50_000, o=1_000),
        usd((150_000, "4"), (50_000, "0.4"), (1_000, "12")),
    ),
    "the latest ministral of 2025": (
        call("mistral", "ministral-3b-latest", "2025-09-01", i=1_000, o=1_000),
        usd((1_000, "0.04"), (1_000, "0.04")),
    ),
    "the latest ministral of 2026": (
        call("mistral", "ministral-3b-latest", "2026-01-01", i=1_000, o=1_000),
        usd((1_000, "0.1"), (1_000, "0.1")),
    ),
    # ── OpenRouter passes its makers' caches, sound and long contexts on ─────────────────────────────────────────────
    "gpt-4o from the cache, through openrouter": (
        call("openrouter", "openai/gpt-4o", "2026-03-01", i=2_000, read=1_024, o=100),
        usd((976, "2.5"), (1_024, "1.25"), (100, "10")),
    ),
    "gpt-5-nano from the cache, through openrouter": (
        call("openrouter", "openai/gpt-5-nano", "2026-08-20", i=2_000, read=1_024, o=100),
        usd((976, "0.05"), (1_024, "0.005"), (100, "0.4")),
    ),
    "sound heard by gpt-4o, through openrouter": (
        call("openrouter", "openai/gpt-4o-audio-preview", "2026-03-01", i=1_000, heard=900, o=100),
        usd((100, "2.5"), (900, "40"), (100, "10")),
    ),
    "gemini 2.5 pro from the cache, through openrouter": (
        call("openrouter", "google/gemini-2.5-pro", "2026-03-01", i=2_000, read=1_000, o=100),
        usd((1_000, "1.25"), (1_000, "0.125"), (100, "10")),
    ),
    "gemini 2.5 pro from the cache, through openrouter, in summer 2025": (
        call("openrouter", "google/gemini-2.5-pro", "2025-08-01", i=2_000, read=1_000, o=100),
        usd((1_000, "1.25"), (1_000, "0.31"), (100, "10")),
    ),
    "gemini 2.5 pro over 200,000, through openrouter": (
        call("openrouter", "google/gemini-2.5-pro", "2026-03-01", i=200_001, read=100_000, o=100),
        usd((100_001, "2.5"), (100_000, "0.25"), (100, "15")),
    ),
    "gemini 2.5 pro over 200,000, through openrouter, in summer 2025": (
        call("openrouter", "google/gemini-2.5-pro", "2025-08-01", i=200_001, read=100_000, o=100),
        usd((100_001, "2.5"), (100_000, "0.625"), (100, "15")),
    ),
    "gemini 3.1 pro over 200,000, through openrouter": (
        call("openrouter", "google/gemini-3.1-pro-preview", "2026-06-01", i=200_001, read=100_000, o=100),
        usd((100_001, "4"), (100_000, "0.4"), (100, "18")),
    ),
    "gemini 3.1 pro over 200,000 in a batch, through openrouter": (
        call("openrouter", "google/gemini-3.1-pro-preview:batch", "2026-06-01", i=200_001, o=100),
        usd((200_001, "2"), (100, "9")),
    ),
    "gemini 2.0 flash from the cache, through openrouter": (
        call("openrouter", "google/gemini-2.0-flash-001", "2025-08-01", i=2_000, read=1_000, o=100),
        usd((1_000, "0.1"), (1_000, "0.025"), (100, "0.4")),
    ),
    "sonnet 4 over 200,000, through openrouter": (
        call("openrouter", "anthropic/claude-sonnet-4", "2025-11-15", i=200_001, read=100_000, w5=50_000, o=100),
        usd((50_001, "6"), (100_000, "0.6"), (50_000, "7.5"), (100, "22.5")),
    ),
    "haiku 3 from the cache, through openrouter": (
        call("openrouter", "anthropic/claude-3-haiku", "2025-08-01", i=3_000, read=1_000, w5=1_000, o=100),
        usd((1_000, "0.25"), (1_000, "0.03"), (1_000, "0.3"), (100, "1.25")),
    ),
    "grok 4.3 over 200,000, through openrouter": (
        call("openrouter", "x-ai/grok-4.3", "2026-07-02", i=200_001, read=100_000, o=100),
        usd((100_001, "2.5"), (100_000, "0.4"), (100, "5")),
    ),
    "grok 4.20 before its cut, through openrouter": (
        call("openrouter", "x-ai/grok-4.20", "2026-04-01", i=1_000, o=1_000),
        usd((1_000, "2"), (1_000, "6")),
    ),
    "grok 4.20 before its cut, over 200,000, through openrouter": (
        call("openrouter", "x-ai/grok-4.20", "2026-04-01", i=200_001, o=1_000),
        usd((200_001, "4"), (1_000, "12")),
    ),
    "several groks 4.20 after their cut, through openrouter": (
        call("openrouter", "x-ai/grok-4.20-multi-agent", "2026-07-02", i=200_001, o=1_000),
        usd((200_001, "2.5"), (1_000, "5")),
    ),
    "grok 4.5 from the cache in July 2026, through openrouter": (
        call("openrouter", "x-ai/grok-4.5", "2026-07-10", i=1_000, read=500, o=100),
        usd((500, "2"), (500, "0.5"), (100, "6")),
    ),
    # ── names that had no price ──────────────────────────────────────────────────────────────────────────────────────
    "a chat snapshot as azure names it": (
        call("azure", "gpt-5.2-chat-2025-12-11", "2026-01-15", i=1_000, read=400, o=1_000),
        usd((600, "1.75"), (400, "0.175"), (1_000, "14")),
    ),
    "an older chat snapshot as azure names it": (
        call("azure", "gpt-5-chat-2025-10-03", "2025-11-15", i=1_000, o=1_000),
        usd((1_000, "1.25"), (1_000, "10")),
    ),
    "a codex snapshot as azure names it": (
        call("azure", "gpt-5.3-codex-2026-02-24", "2026-03-15", i=1_000, o=1_000),
        usd((1_000, "1.75"), (1_000, "14")),
    ),
    "research with o4-mini at azure": (
        call("azure", "o4-mini-deep-research-2025-06-26", "2026-01-15", i=1_000, read=400, o=1_000),
        usd((600, "2"), (400, "0.5"), (1_000, "8")),
    ),
    "mistral by the names of its snapshots": (
        call("mistral", "devstral-medium-2507", "2025-09-01", i=1_000, o=1_000),
        usd((1_000, "0.4"), (1_000, "2")),
    ),
    "mistral nemo by the name of its snapshot": (
        call("mistral", "open-mistral-nemo-2407", "2025-09-01", i=1_000, o=1_000),
        usd((1_000, "0.15"), (1_000, "0.15")),
    ),
    "glm turbo": (
        call("zai", "glm-5-turbo", "2026-05-01", i=1_000, o=1_000),
        usd((1_000, "1.2"), (1_000, "4")),
    ),
    "qwen at cerebras": (
        call("cerebras", "qwen-3-235b-a22b-instruct-2507", "2025-10-01", i=1_000, o=1_000),
        usd((1_000, "0.6"), (1_000, "1.2")),
    ),
    "llama at azure": (
        call("azure", "Meta-Llama-3.1-8B-Instruct", "2025-10-01", i=1_000, o=1_000),
        usd((1_000, "0.3"), (1_000, "0.61")),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_call_costs_what_was_published(book: PriceBook, name: str) -> None:
    asked, expected = PUBLISHED[name]
    cost = book.price(asked)
    assert isinstance(cost, Cost), cost
    assert cost.total == expected


@pytest.mark.parametrize(
    "asked",
    [
        call("anthropic", "claude-opus-5", "2026-11-01", tier="priority", i=1, o=1),
        call("openai", "gpt-4.1", "2026-11-01", tier="scale", i=1, o=1),
        call("openai", "gpt-6-luna", "2026-11-01", tier="ultrafast", i=1, o=1),
        call("openrouter", "openai/gpt-oss-120b", "2026-11-01", tier="priority", i=1, o=1),
        call("openrouter", "openai/gpt-6-sol", "2026-11-01", tier="scale", i=1, o=1),
        call("google-vertex", "gemini-2.5-pro", "2026-11-01", tier="PROVISIONED_THROUGHPUT", i=1, o=1),
        call("deepseek", "deepseek-v4-flash", "2026-11-01", tier="batch", i=1, o=1),
        call("azure", "gpt-4.1", "2026-11-01", tier="GlobalProvisionedManaged", i=1, o=1),
        call("cohere", "command-a", "2026-11-01", tier="priority", i=1, o=1),
    ],
    ids=lambda asked: f"{asked.provider} {asked.service_tier}",
)
def test_a_tier_that_nobody_publishes_a_price_of_is_not_standard(book: PriceBook, asked: Priceable) -> None:
    cost = book.price(asked)
    assert isinstance(cost, Unpriced)
    assert cost.reason == "no_price_for_tier"
