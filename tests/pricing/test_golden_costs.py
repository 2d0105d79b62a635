"""The shared golden costs: published prices and providers' own bills, met to the last digit."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taximeter.core.cost import Cost
from taximeter.core.usage import Usage, violations
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.priceable import parse_instant

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "payloads" / "golden-costs.json").read_text(encoding="utf-8")
)["cases"]

COMPONENT_OF = {
    "input text/other, uncached": "input",
    "audio input": "input",
    "image input": "input",
    "cache read": "cache_read",
    "cached audio input": "cache_read",
    "cache write 5m or default": "cache_write",
    "cache write 1h": "cache_write",
    "output incl. reasoning": "output",
    "audio output": "output",
    "image output": "output",
}
"""Where a golden component belongs; whatever is not named is `other`."""


GOLDEN_UNITS: list[str] = ["web_searches", "audio_seconds", "pages", "search_units"]


def usage_of(golden: dict[str, Any]) -> Usage:
    cached_audio = golden.get("cached_audio_in") or 0
    units: dict[str, int | Decimal] = {name: golden[name] for name in GOLDEN_UNITS if name in golden}
    return Usage(
        input_tokens=golden.get("input_tokens_total"),
        cache_read_tokens=golden.get("cache_read"),
        cache_write_5m_tokens=golden.get("cache_write_5m"),
        cache_write_1h_tokens=golden.get("cache_write_1h"),
        input_audio_tokens=(golden.get("audio_in") or 0) + cached_audio,
        cache_read_audio_tokens=cached_audio,
        input_image_tokens=golden.get("image_in"),
        output_tokens=golden.get("output_tokens_total"),
        reasoning_tokens=golden.get("reasoning"),
        output_audio_tokens=golden.get("audio_out"),
        output_image_tokens=golden.get("image_out"),
        units=units,
    )


def components_of(case: dict[str, Any]) -> dict[str, Decimal]:
    sums = dict.fromkeys(("input", "cache_read", "cache_write", "output", "other"), Decimal(0))
    for part in case["components"]:
        sums[COMPONENT_OF.get(part["component"], "other")] += Decimal(part["usd"])
    return sums


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_golden_cost_is_met_to_the_last_digit(book: PriceBook, case: dict[str, Any]) -> None:
    usage = usage_of(case["usage"])
    assert violations(usage) == []
    at_us = parse_instant(f"{case['date']}T{case['time_utc']}Z")
    call = Priceable(case["provider"], case["model"], at_us, usage, service_tier=case["service_tier"])
    cost = book.price(call)
    assert isinstance(cost, Cost), cost
    assert cost.total == Decimal(case["cost_usd"])
    assert {name: getattr(cost, name) for name in components_of(case)} == components_of(case)


def test_all_golden_cases_are_here() -> None:
    assert len(CASES) == 61
