"""A month of the product with things in it to be found: what an empty installation shows to those who look around.

Over the usual weeks: an assistant's prompts that grow from day to day, hours in which a provider was
overloaded, and a loop yesterday in which one user's agent spent as much as everybody else in two days.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Final

from taximeter.clock import rfc3339
from taximeter.core.ids import RANDOM_BYTES, uuid7
from taximeter.pricing.priceable import parse_instant
from taximeter.simulator.traffic.history import SLOT_US, Record, history
from taximeter.simulator.traffic.product import FEATURES

DAYS: Final = 35
CALLS_PER_DAY: Final = 900
HOUR_US: Final = 3600 * 1_000_000
DAY_US: Final = 24 * HOUR_US

GROWING: Final = "answer-search"
GROWS_BY: Final = 1.5
"""So much longer its prompts are at the end than they were at the beginning."""

OVERLOADED_AGO_US: Final = (6 * DAY_US, 6 * DAY_US - 10 * HOUR_US)
OVERLOADED: Final = "anthropic"
OVERLOADED_SHARE: Final = 0.7

LOOPING_USER: Final = "user_404"
LOOPING_FEATURE: Final = "coding-agent"
LOOP_AGO_US: Final = (22 * HOUR_US, 20 * HOUR_US)
LOOP_CALLS: Final = 60

_FAILED: Final = {
    "status": "error",
    "http_status": 529,
    "error_type": "overloaded_error",
    "not_billed": True,
    "duration_ms": 90.0,
}
_KEPT_BY_A_FAILURE: Final = frozenset({"event_id", "started_at", "provider", "request_model", "operation"}) | {
    "user_id", "team", "tenant", "feature", "endpoint", "environment", "service", "prompt_version", "session_id"
}  # fmt: skip
_ROADS: Final = {feature.name: feature.road for feature in FEATURES}


def story(until_us: int) -> Iterator[Record]:
    """The events up to the last ten minutes that are over at `until_us`. The same moment has the same story."""
    until_us -= until_us % SLOT_US
    for record in history(until_us, DAYS, CALLS_PER_DAY):
        yield _told(record, until_us - parse_instant(record["started_at"]))
    yield from _loop(until_us)


def _told(record: Record, ago_us: int) -> Record:
    record = {**record, "source": _ROADS[record["feature"]]}
    del record["tags"]
    if record["feature"] == GROWING and record["status"] == "ok":
        age = min(1.0, ago_us / (DAYS * DAY_US))
        return record | {"input_tokens": round(record["input_tokens"] * (1 + GROWS_BY * (1 - age)))}
    first_us, last_us = OVERLOADED_AGO_US
    if record["provider"] == OVERLOADED and last_us <= ago_us < first_us and _falls(record, OVERLOADED_SHARE):
        return {name: value for name, value in record.items() if name in _KEPT_BY_A_FAILURE} | {
            "source": record["source"],
            **_FAILED,
        }
    return record


def _falls(record: Record, share: float) -> bool:
    """Whether chance has it, which the id of the event draws."""
    return Random(record["event_id"]).random() < share  # noqa: S311 - invented, not secret


def _loop(until_us: int) -> Iterator[Record]:
    """An agent that starts over and over, each time with a longer conversation, and answers what nobody reads."""
    first_us, last_us = LOOP_AGO_US
    for number in range(LOOP_CALLS):
        at_us = until_us - first_us + number * (first_us - last_us) // LOOP_CALLS
        noise = hashlib.blake2b(f"loop {at_us}".encode(), digest_size=RANDOM_BYTES).digest()
        output = 700 + 37 * number % 400
        yield {
            "event_id": uuid7(at_us // 1000, noise),
            "started_at": rfc3339(at_us),
            "source": "gateway",
            "provider": "anthropic",
            "request_model": "claude-opus-5",
            "response_model": "claude-opus-5",
            "operation": "chat",
            "status": "ok",
            "http_status": 200,
            "user_id": LOOPING_USER,
            "team": "platform",
            "tenant": "acme",
            "feature": LOOPING_FEATURE,
            "endpoint": "/agent/run",
            "environment": "prod",
            "service": "helpdesk",
            "prompt_version": "v22",
            "session_id": "session-loop",
            "duration_ms": 400.0 + 8 * output,
            "time_to_first_token_ms": 380.0,
            "input_tokens": 4_000 + 60 * number,
            "output_tokens": output,
        }
