"""Why spend changed, asked of a real store: planted causes come first, and every sum is exact."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.ids import uuid7
from taximeter.core.money import add, format_usd
from taximeter.errors import UsageError
from taximeter.reports.why import Reason, parse_why, why
from taximeter.store.events import DuckDBEvents

NOON_US = to_unix_us(datetime.fromisoformat("2026-11-20T12:00:00Z"))
HOUR_US = 3_600_000_000
ids = (uuid7(NOON_US // 1000, n.to_bytes(10, "big")) for n in itertools.count())
environments = (f"environment {n}" for n in itertools.count())

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


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("why") / "events.duckdb")
    yield opened
    opened.close()


@dataclass
class Asking:
    """Keeps calls in an environment of its own, and asks about it."""

    store: DuckDBEvents
    environment: str

    def keep(self, calls: list[Call]) -> None:
        lines = [json.dumps({**one, "environment": self.environment}).encode() for one in calls]
        assert self.store.append(lines, {}).inserted == len(calls)

    def __call__(self, **question: Any) -> Reason:
        asked = {"from": "2026-11-20T12:00:00Z", "to": "2026-11-20T13:00:00Z", **question}
        filters = {"environment": self.environment, **asked.pop("filters", {})}
        return why(parse_why({**asked, "filters": filters}, NOON_US + HOUR_US), self.store)


@pytest.fixture
def ask(store: DuckDBEvents) -> Asking:
    return Asking(store, next(environments))


def assert_exact(reason: Reason) -> None:
    assert add(*reason.factors.values()) == reason.after_usd - reason.before_usd
    for one, factors in reason.contributors:
        assert add(*factors.values()) == one.change_usd


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


def _again(one: Call, **changed: Any) -> Call:
    return {**one, "event_id": next(ids), **changed}


def one_user_hammers(calls: list[Call], chance: random.Random) -> list[Call]:
    some = [c for c in calls if c["feature"] == "chat"]
    return calls + [_again(chance.choice(some), user_id="u777") for _ in range(300)]


def a_feature_spikes(calls: list[Call], _chance: random.Random) -> list[Call]:
    return calls + [_again(c) for c in calls if c["feature"] == "code" for _ in range(3)]


def a_prompt_grows(calls: list[Call], _chance: random.Random) -> list[Call]:
    return [_remade(c, input=6000, cached=0, prompt_version="v2") if c["feature"] == "chat" else c for c in calls]


def the_cache_goes_cold(calls: list[Call], _chance: random.Random) -> list[Call]:
    return [_remade(c, cached=0) if c["feature"] == "code" else c for c in calls]


def a_model_is_swapped(calls: list[Call], _chance: random.Random) -> list[Call]:
    return [_remade(c, model="large") if c["feature"] == "search" else c for c in calls]


def retries_storm(calls: list[Call], _chance: random.Random) -> list[Call]:
    return calls + [_again(c, attempt=n) for c in calls if c["feature"] == "code" for n in (2, 3, 4)]


def _remade(one: Call, **changed: Any) -> Call:
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


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("seed", range(int(os.environ.get("PLANTED_SEEDS", "1"))))
def test_the_planted_cause_is_the_first_contributor(ask: Asking, name: str, seed: int) -> None:
    incident, (dimension, value), factor = PLANTED[name]
    chance = random.Random(f"{name} {seed}")
    ask.keep(usual(NOON_US - HOUR_US, chance) + incident(usual(NOON_US, chance), chance))
    reason = ask()
    first, _factors = reason.contributors[0]
    assert (first.dimension, first.value) == (dimension, value)
    assert max(reason.factors, key=lambda f: abs(reason.factors[f])) == factor
    assert_exact(reason)


def test_an_hour_against_a_day_is_scaled_to_an_hour(ask: Asking) -> None:
    ask.keep([call(NOON_US - n * HOUR_US) for n in range(1, 25)] + [call(NOON_US), call(NOON_US + 1)])
    reason = ask(against={"from": "2026-11-19T12:00:00Z", "to": "2026-11-20T12:00:00Z"})
    one_call = Decimal("0.0045")
    assert (reason.before_usd, reason.after_usd) == (one_call, 2 * one_call)
    assert {f for f, part in reason.factors.items() if abs(part) > Decimal("1e-9")} == {"volume"}
    assert reason.as_dict()["against"]["scaled_by"] == "0.041667"
    assert_exact(reason)


def test_a_week_before_is_the_same_time_on_the_clock_over_a_change_of_clocks() -> None:
    asked = {"from": "2026-10-26T09:00:00+01:00", "to": "2026-10-26T10:00:00+01:00", "against": "week_before"}
    question = parse_why({**asked, "timezone": "Europe/Berlin"}, NOON_US)
    assert rfc3339(question.against.from_us) == "2026-10-19T07:00:00.000000Z"


def test_calls_without_a_price_are_counted_and_left_out(ask: Asking) -> None:
    unpriced = {**call(NOON_US), "unpriced_reason": "unknown_model"}
    ask.keep([call(NOON_US), {k: v for k, v in unpriced.items() if k not in ("cost", "cost_usd")}])
    reason = ask()
    assert reason.unpriced_calls == (0, 1)
    assert reason.after_usd == Decimal("0.0045")


def test_nothing_at_all_is_an_answer_too(ask: Asking) -> None:
    answer = ask().as_dict()
    assert (answer["change_usd"], answer["factors"], answer["contributors"]) == ("0", [], [])


def test_more_values_than_are_looked_at_change_no_total(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taximeter.reports.why.MOST_VALUES", 3)
    ask.keep([call(NOON_US + n, user_id=f"u{n}", times=n + 1) for n in range(9)])
    reason = ask(dimensions=["user"])
    assert {one.value for one, _ in reason.contributors} == {"u6", "u7", "u8"}
    assert reason.after_usd == 45 * Decimal("0.0045")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"form": "x"}, "form"),
    "an unknown comparison": ({"against": "last year"}, "against"),
    "a range that ends before it begins": ({"from": "2026-11-20", "to": "2026-11-19"}, "from"),
    "a comparison that ends before it begins": ({"against": {"from": "now", "to": "1d"}}, "against.from"),
    "an unknown dimension": ({"dimensions": ["colour"]}, "dimensions"),
    "a zone that does not exist": ({"timezone": "Mars/Olympus"}, "timezone"),
    "no contributors": ({"limit": 0}, "limit"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_question_is_refused_by_the_name_of_its_field(name: str) -> None:
    request, field = BAD[name]
    with pytest.raises(UsageError) as refused:
        parse_why(request, NOON_US)
    assert refused.value.facts["field"] == field
