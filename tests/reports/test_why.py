"""Why spend changed, asked of a real store: planted causes come first, and every sum is exact."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from planted_calls import HOUR_US, NOON_US, PLANTED, Call, call, usual

from taximeter.clock import rfc3339
from taximeter.core.money import add
from taximeter.errors import UsageError
from taximeter.reports.why import Reason, WhyQuestion, parse_why, why
from taximeter.store.events import DuckDBEvents, Query

environments = (f"environment {n}" for n in itertools.count())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("why") / "events.duckdb", query_timeout_seconds=600)
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
        return why(self.question(**question), self.store)

    def question(self, **question: Any) -> WhyQuestion:
        asked = {"from": "2026-11-20T12:00:00Z", "to": "2026-11-20T13:00:00Z", **question}
        filters = {"environment": self.environment, **asked.pop("filters", {})}
        return parse_why({**asked, "filters": filters}, NOON_US + HOUR_US)


@pytest.fixture
def ask(store: DuckDBEvents) -> Asking:
    return Asking(store, next(environments))


def assert_exact(reason: Reason) -> None:
    assert add(*reason.factors.values()) == reason.after_usd - reason.before_usd
    for one, factors in reason.contributors:
        assert add(*factors.values()) == one.change_usd


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


def without_price(one: Call) -> Call:
    known = {name: value for name, value in one.items() if name not in ("cost", "cost_usd")}
    return {**known, "unpriced_reason": "unknown_model"}


def test_calls_without_a_price_are_counted_and_left_out(ask: Asking) -> None:
    ask.keep([call(NOON_US), without_price(call(NOON_US))])
    reason = ask()
    assert reason.unpriced_calls == (0, 1)
    assert reason.after_usd == Decimal("0.0045")


def test_who_spent_is_asked_of_sums_also_where_a_price_is_missing(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of users' days do not know which calls have no price."""
    filtered: dict[tuple[str, ...], set[str]] = {}
    for road in (DuckDBEvents.query, DuckDBEvents.costliest):

        def watched(self: DuckDBEvents, asked: Query, road: Any = road, **more: Any) -> Any:
            filtered.setdefault(asked.group_by, set()).update(condition.field for condition in asked.filters)
            return road(self, asked, **more)

        monkeypatch.setattr(DuckDBEvents, road.__name__, watched)
    ask.keep([call(NOON_US, user_id="u"), without_price(call(NOON_US, user_id="v"))])
    reason = ask()
    assert reason.after_usd == Decimal("0.0045")
    assert "v" not in {one.value for one, _ in reason.contributors}
    assert filtered["user_id",] == {"environment"}
    assert filtered["user_id", "model"] == {"environment", "unpriced_reason", "user_id"}


@pytest.mark.parametrize(
    ("least_share", "told", "line"),
    [
        (None, {"u", "v"}, "mostly volume; user_id u 80%, user_id v 20%"),
        (0.5, {"u"}, "mostly volume; user_id u 80%"),
        (0.9, set(), "mostly volume"),
    ],
)
def test_who_had_less_than_the_least_share_is_left_out(
    ask: Asking, least_share: float | None, told: set[str], line: str
) -> None:
    ask.keep([call(NOON_US, user_id=user_id) for user_id in "uuuuv"])
    reason = why(replace(ask.question(dimensions=["user_id"]), least_share=least_share), ask.store)
    assert ({one.value for one, _ in reason.contributors}, reason.in_a_line()) == (told, line)
    assert_exact(reason)


def test_nothing_at_all_is_an_answer_too(ask: Asking) -> None:
    answer = ask().as_dict()
    assert (answer["change_usd"], answer["factors"], answer["contributors"]) == ("0", [], [])


def test_more_values_than_are_looked_at_change_no_total(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taximeter.reports.why.MOST_VALUES", 3)
    ask.keep([call(NOON_US + n, user_id=f"u{n}", times=n + 1) for n in range(9)])
    reason = ask(dimensions=["user"])
    assert {one.value: one.share for one, _ in reason.contributors} == {"u8": 9 / 45, "u7": 8 / 45, "u6": 7 / 45}
    assert_exact(reason)
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
