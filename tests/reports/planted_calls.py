"""An hour of priced calls, and what can happen to it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.ids import uuid7
from taximeter.core.money import add, format_usd

NOON_US = to_unix_us(datetime.fromisoformat("2026-11-20T12:00:00Z"))
HOUR_US = 3_600_000_000
ids = (uuid7(NOON_US // 1000, n.to_bytes(10, "big")) for n in itertools.count())

Call = dict[str, Any]
RATES = {"large": (Decimal("0.0000025"), Decimal("0.00001")), "small": (Decimal("0.00000015"), Decimal("0.0000006"))}


def call(at_us: int, **fields: Any) -> Call:
    """A priced call: a tenth of the input rate for what came from a cache."""
    fields = {"feature": "chat", "user_id": "u1", "model": "large", "input": 1000, "cached": 0, "output": 200, **fields}
    times = fields.pop("times", 1)
    input_rate, output_rate = (rate * times for rate in RATES[fields["model"]])
    input_tokens, cached, output = fields.pop("input"), fields.pop("cached"), fields.pop("output")
    parts = {
        "input": (input_tokens - cached) * input_rate,
        "cache_read": cached * input_rate / 10,
        "output": output * output_rate,
    }
    return {
        "event_id": next(ids),
        "started_at": rfc3339(at_us),
        "source": "api",
        "status": "ok",
        "provider": "openai",
        "request_model": fields.pop("model"),
        "input_tokens": input_tokens,
        "cache_read_tokens": cached,
        "output_tokens": output,
        "cost_usd": format_usd(add(*parts.values())),
        "cost": {name: format_usd(part) for name, part in parts.items()} | {"cache_write": "0", "other": "0"},
        **fields,
    }


def usual(start_us: int, chance: random.Random) -> list[Call]:
    """An hour of three features on two models, of users by a Zipf law."""
    calls = []
    for feature, model, calls_an_hour, cached in (
        ("chat", "large", 120, 0.5),
        ("search", "small", 200, 0.0),
        ("code", "large", 60, 0.7),
    ):
        for _ in range(int(calls_an_hour * chance.uniform(0.9, 1.1))):
            user = f"u{min(60, int(chance.paretovariate(0.8)))}"
            size = int(chance.lognormvariate(7, 0.4))
            calls.append(
                call(
                    start_us + chance.randrange(HOUR_US),
                    feature=feature,
                    model=model,
                    user_id=user,
                    prompt_version="v1",
                    input=size,
                    cached=int(size * cached),
                    output=int(chance.lognormvariate(5, 0.5)),
                )
            )
    return calls


Incident = Callable[[list[Call], random.Random], list[Call]]


def again(one: Call, **changed: Any) -> Call:
    return {**one, "event_id": next(ids), **changed}


def one_user_hammers(calls: list[Call], chance: random.Random) -> list[Call]:
    some = [c for c in calls if c["feature"] == "chat"]
    return calls + [again(chance.choice(some), user_id="u777") for _ in range(300)]


def a_feature_spikes(calls: list[Call], _chance: random.Random) -> list[Call]:
    return calls + [again(c) for c in calls if c["feature"] == "code" for _ in range(3)]


def a_prompt_grows(calls: list[Call], _chance: random.Random) -> list[Call]:
    return [remade(c, input=6000, cached=0, prompt_version="v2") if c["feature"] == "chat" else c for c in calls]


def the_cache_goes_cold(calls: list[Call], _chance: random.Random) -> list[Call]:
    return [remade(c, cached=0) if c["feature"] == "code" else c for c in calls]


def a_model_is_swapped(calls: list[Call], _chance: random.Random) -> list[Call]:
    return [remade(c, model="large") if c["feature"] == "search" else c for c in calls]


def retries_storm(calls: list[Call], _chance: random.Random) -> list[Call]:
    return calls + [again(c, attempt=n) for c in calls if c["feature"] == "code" for n in (2, 3, 4)]


def remade(one: Call, **changed: Any) -> Call:
    kept = {"feature": one["feature"], "user_id": one["user_id"], "prompt_version": one["prompt_version"]}
    counts = {"input": one["input_tokens"], "cached": one["cache_read_tokens"], "output": one["output_tokens"]}
    at_us = to_unix_us(datetime.fromisoformat(one["started_at"]))
    return call(at_us, **{**kept, "model": one["request_model"], **counts, **changed})


PLANTED: dict[str, tuple[Incident, tuple[str, str], str]] = {
    "one user hammers a feature": (one_user_hammers, ("user_id", "u777"), "volume"),
    "a feature is used four times as much": (a_feature_spikes, ("feature", "code"), "volume"),
    "a new prompt version is six times as long": (a_prompt_grows, ("prompt_version", "v2"), "input_tokens"),
    "the cache of a feature goes cold": (the_cache_goes_cold, ("feature", "code"), "cache"),
    "a feature moves to an expensive model": (a_model_is_swapped, ("feature", "search"), "model_mix"),
    "a feature tries everything four times": (retries_storm, ("feature", "code"), "retries"),
}
