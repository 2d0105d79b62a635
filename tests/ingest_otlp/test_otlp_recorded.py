"""Spans that real instrumentations sent for real client libraries: the tokens are those that were billed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from otlp_spans import S, events

RECORDED = Path(__file__).parent / "recorded"
COUNTS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens", "reasoning_tokens")
UNKNOWN = (0, 0, 0, 0, 0)

Counts = tuple[int, ...]

NO_USAGE_ASKED = "a stream that was not asked for its usage"
START_ADDED = "the count at the start of a stream is added to the one at its end"
GUESSED = "what a stream does not tell is estimated by the emitter"
OLD_NAMES = "the old names have none for cache and reasoning"
NOT_TOLD = "there is no span for this kind of call"
NO_REASONING = "reasoning is not told apart"

KNOWN_DIFFERENCES: list[tuple[str, str, Counts | None, Counts | None]] = [
    ("openllmetry", NO_USAGE_ASKED, (2, 0, 0, 34, 0), UNKNOWN),
    ("openllmetry", START_ADDED, (2, 0, 0, 15, 0), (2, 0, 0, 16, 0)),
    ("openllmetry", START_ADDED, (3002, 3000, 0, 38, 0), (3002, 3000, 0, 39, 0)),
    ("openinference", NO_USAGE_ASKED, (2, 0, 0, 37, 0), UNKNOWN),
    ("openlit", GUESSED, (2, 0, 0, 27, 0), (9, 0, 0, 75, 0)),
    ("openlit", NO_REASONING, (2, 0, 0, 67, 60), (2, 0, 0, 67, 0)),
    ("logfire", NO_USAGE_ASKED, (2, 0, 0, 27, 0), UNKNOWN),
    ("otel-genai", NO_USAGE_ASKED, (2, 0, 0, 78, 0), UNKNOWN),
    ("langfuse", NO_USAGE_ASKED, (2, 0, 0, 50, 0), UNKNOWN),
    ("openinference-llama-index", NO_USAGE_ASKED, (2, 0, 0, 36, 0), UNKNOWN),
    ("litellm", GUESSED, (3, 0, 0, 47, 0), (10, 0, 0, 54, 0)),
    ("otel-v2", NO_USAGE_ASKED, (2, 0, 0, 6, 0), UNKNOWN),
    ("otel-v2", OLD_NAMES, (3002, 2944, 0, 35, 0), (3002, 0, 0, 35, 0)),
    ("otel-v2", OLD_NAMES, (2, 0, 0, 641, 618), (2, 0, 0, 641, 0)),
    ("otel-v2", NOT_TOLD, (1, 0, 0, 201, 166), None),
    ("otel-v2", NOT_TOLD, (1, 0, 0, 228, 213), None),
    ("otel-v2", NOT_TOLD, (4, 0, 0, 0, 0), None),
]
"""Emitter, why, what was billed, what is told: what no receiver can know better."""


def recording(emitter: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((RECORDED / f"{emitter}.json").read_text())
    return content


def as_spans(recorded: Mapping[str, Any]) -> list[S]:
    return [
        S(
            id=span["span"],
            trace=span["trace"],
            parent=span["parent"],
            name=span["name"],
            at=span["start_us"] / 1e6,
            until=span["end_us"] / 1e6,
            scope=span["scope"],
            version=span["version"],
            failed=span["failed"],
            attributes=span["attributes"],
            resource={"service.name": "app"},
        )
        for span in recorded["spans"]
    ]


def counts_of(row: Mapping[str, Any]) -> Counts:
    return tuple(row.get(name) or 0 for name in COUNTS)


@pytest.mark.parametrize("emitter", [path.stem for path in sorted(RECORDED.glob("*.json"))])
def test_what_is_counted_is_what_was_billed(emitter: str) -> None:
    recorded = recording(emitter)
    told = [event for event in events(*as_spans(recorded)) if event["status"] == "ok"]
    expected = Counter(counts_of(row) for row in recorded["billed"])
    for who, _why, billed, instead in KNOWN_DIFFERENCES:
        if who == emitter:
            expected[billed or UNKNOWN] -= 1
            expected += Counter([instead] if instead else [])
    assert Counter(counts_of(event) for event in told) == expected


@pytest.mark.parametrize("emitter", [path.stem for path in sorted(RECORDED.glob("*.json"))])
def test_a_refusal_is_one_error_and_providers_are_known(emitter: str) -> None:
    found = events(*as_spans(recording(emitter)))
    assert [event["status"] for event in found].count("error") == 1
    assert {event["provider"] for event in found} <= {"openai", "anthropic"}
    assert all(event["tags"]["otlp_emitter"] != "other" for event in found)
