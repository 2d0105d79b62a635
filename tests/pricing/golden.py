"""The shared golden costs, read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from taximeter.core.usage import Usage
from taximeter.pricing import Priceable
from taximeter.pricing.priceable import parse_instant

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "payloads" / "golden-costs.json").read_text(encoding="utf-8")
)["cases"]

UNITS = ("web_searches", "audio_seconds", "pages", "search_units")


def usage_of(golden: dict[str, Any]) -> Usage:
    cached_audio = golden.get("cached_audio_in") or 0
    units: dict[str, Any] = {name: golden[name] for name in UNITS if name in golden}
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


def call_of(case: dict[str, Any]) -> Priceable:
    at_us = parse_instant(f"{case['date']}T{case['time_utc']}Z")
    usage = usage_of(case["usage"])
    return Priceable(case["provider"], case["model"], at_us, usage, service_tier=case["service_tier"])
