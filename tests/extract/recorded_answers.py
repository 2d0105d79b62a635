"""The recorded provider answers, and how a reading is compared with what each one must give."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from taximeter.core.usage import Usage
from taximeter.extract import Flavour, Reading, RequestFacts, flavour_for

CASES = Path(__file__).parents[1] / "payloads" / "provider-responses" / "cases"

KIND_OF_PROVIDER = {
    "anthropic": "anthropic",
    "google": "gemini",
    "google-vertex": "gemini",
    "aws-bedrock": "bedrock",
    "cohere": "cohere",
    "ollama": "ollama",
    "voyageai": "voyage",
    "xai": "xai",
}
"""Providers whose protocol family is not OpenAI's."""

CLASSES = {
    "cache_read": "cache_read_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "audio_in": "input_audio_tokens",
    "cached_audio_in": "cache_read_audio_tokens",
    "audio_out": "output_audio_tokens",
    "image_in": "input_image_tokens",
    "image_out": "output_image_tokens",
    "video_in": "input_video_tokens",
}
"""Keys of `expected` that are parts: for these, 0 and "not reported" are the same."""

UNITS = {
    "web_searches": ("web_search_requests", "web_search_call"),
    "web_fetches": ("web_fetch_requests",),
    "audio_seconds": ("audio_seconds",),
    "pages": ("pages",),
    "code_interpreter_calls": ("code_interpreter_call", "SERVER_SIDE_TOOL_CODE_EXECUTION"),
    "search_units": ("search_units",),
    "guardrail_content_units": ("contentPolicyUnits",),
    "guardrail_topic_units": ("topicPolicyUnits",),
    "guardrail_word_units": ("wordPolicyUnits",),
    "guardrail_sensitive_units": ("sensitiveInformationPolicyUnits",),
    "guardrail_sensitive_free_units": ("sensitiveInformationPolicyFreeUnits",),
    "guardrail_grounding_units": ("contextualGroundingPolicyUnits",),
}
"""Our units → what `expected` calls them, itself or in one of the objects below."""

PLACES_OF_UNITS = ("tool_calls_in_output", "guardrail_units")


@dataclass(frozen=True)
class Case:
    id: str
    api: str
    stream: bool
    flavour: Flavour
    request: RequestFacts
    status: int
    headers: Mapping[str, str]
    body: bytes
    expected: Mapping[str, Any]

    def read(self) -> Reading:
        """The reading of the whole body, in one go."""
        if self.stream:
            reader = self.flavour.stream(self.request)
            reader.feed(self.body)
            return reader.reading()
        return self.flavour.read_answer(self.status, parsed(self.body), self.headers)

    def events(self) -> list[dict[str, Any]]:
        """The JSON events of a streamed body, as a client library hands them out."""
        framing = self.flavour.open_framing()
        frames = framing.feed(self.body)
        last = framing.unfinished()
        found = [parsed(data) for _, data in (frames if last is None else [*frames, last])]
        return [event for event in found if isinstance(event, dict)]


def parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """Every recorded interaction that we have a flavour for."""
    return tuple(case for path in sorted(CASES.glob("*.json")) if (case := load(path)) is not None)


def load(path: Path) -> Case | None:
    record = json.loads(path.read_text())
    request, response = record["request"], record["response"]
    kind = KIND_OF_PROVIDER.get(record["provider"], "openai")
    flavour = flavour_for(kind, request["method"], request["path"], polled=True)
    if flavour is None:
        return None
    encoded = response.get("body_base64")
    body = base64.b64decode(encoded) if encoded else (response.get("body") or "").encode()
    facts = flavour.read_request(request.get("body") or {})
    headers, status = response["headers"], response["status"]
    # A file of results comes in pieces too, although nobody asked for a stream.
    stream = record["stream"] or (status == 200 and flavour.streams(headers.get("content-type", "")))
    return Case(record["id"], record["api"], stream, flavour, facts, status, headers, body, record["expected"])


def case(case_id: str) -> Case:
    return next(found for found in cases() if found.id == case_id)


def differences(case: Case, reading: Reading) -> list[str]:
    """Where a reading is not what the case expects; empty when it is right."""
    expected = case.expected
    accept = expected.get("accept", {})
    seen = seen_in(reading, case.request)
    wrong = []
    for key, value in seen.items():
        right = accept.get(key, [expected.get(key)])
        if key == "provider_cost_usd":
            right = [as_decimal(answer) for answer in right]
        if key not in ("input_tokens_total", "output_tokens_total", "model", "provider_cost_usd"):
            value, right = value or 0, [answer or 0 for answer in right]
        if value not in right:
            wrong.append(f"{key}: {value} instead of {right}")
    return wrong + _other_differences(case, reading)


def seen_in(reading: Reading, request: RequestFacts) -> dict[str, Any]:
    """A reading under the names of `expected`."""
    seen = counts(reading.usage)
    seen["model"] = reading.response_model or request.model
    seen["provider_cost_usd"] = reading.reported_cost_usd
    return seen


def counts(usage: Usage) -> dict[str, Any]:
    seen: dict[str, Any] = {key: getattr(usage, name) for key, name in CLASSES.items()}
    seen["input_tokens_total"] = usage.input_tokens
    seen["output_tokens_total"] = usage.output_tokens
    seen["cache_write_total"] = (usage.cache_write_5m_tokens or 0) + (usage.cache_write_1h_tokens or 0)
    seen["input_uncached"] = usage.uncached_input_tokens
    return seen


def _other_differences(case: Case, reading: Reading) -> list[str]:
    expected = case.expected
    wrong = []
    if reading.not_billed == expected["billable"]:
        wrong.append(f"not_billed: {reading.not_billed}")
    if (reading.error_type is not None) != ("error" in expected):
        wrong.append(f"error_type: {reading.error_type}")
    if "service_tier" in expected and reading.service_tier != expected["service_tier"]:
        wrong.append(f"service_tier: {reading.service_tier}")
    if expected.get("inference_geo", "not_available") != (reading.region or "not_available"):
        wrong.append(f"region: {reading.region}")
    called = dict.fromkeys(expected.get("server_side_tools_used", ()), 1)
    for place in PLACES_OF_UNITS:
        called |= expected.get(place, {})
    called |= expected
    for unit, keys in UNITS.items():
        wanted = max(called.get(key, 0) for key in keys)
        if reading.usage.units.get(unit, 0) != wanted:
            wrong.append(f"units.{unit}: {reading.usage.units.get(unit, 0)} instead of {wanted}")
    if "by_model" in expected:
        wrong += _model_differences(expected["by_model"], reading)
    return wrong + _item_differences(expected, reading)


def _item_differences(expected: Mapping[str, Any], reading: Reading) -> list[str]:
    wanted = expected.get("items")
    if wanted is None:
        return []
    if len(wanted) != len(reading.items):
        return [f"{len(reading.items)} items instead of {len(wanted)}"]
    return [
        f"item {number} {key}: {seen} instead of {item[key]}"
        for number, (item, read) in enumerate(zip(wanted, reading.items, strict=True))
        for key, seen in {**counts(read.usage), "model": read.response_model}.items()
        if (seen or 0) != (item[key] or 0)
    ]


def _model_differences(expected: list[dict[str, Any]], reading: Reading) -> list[str]:
    wanted = {share["model"]: share for share in expected}
    if wanted.keys() != dict(reading.by_model).keys():
        return [f"by_model: {reading.by_model}"]
    return [
        f"by_model {model}: {key} {seen} instead of {wanted[model][key]}"
        for model, usage in reading.by_model
        for key, seen in counts(usage).items()
        if key in wanted[model] and (seen or 0) != wanted[model][key]
    ]


def as_decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
