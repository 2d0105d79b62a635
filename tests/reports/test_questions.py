"""The questions with a name, answered from a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from statistics import mean, stdev
from typing import Any

import pytest

from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.errors import NotFoundError, UsageError
from taximeter.reports.questions import QUESTIONS, answer_question
from taximeter.store.events import DuckDBEvents

HOUR_US = 3_600_000_000
NOW_US = 1_795_000_000_000_000
"""2026-11-18T11:06:40Z"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    """Nine days of one call an hour: its cost in cents is the hour's number, every seventh a retry, two users."""
    opened = DuckDBEvents(tmp_path_factory.mktemp("events") / "events.duckdb", query_timeout_seconds=600)
    opened.append([call(number) for number in range(9 * 24)], {})
    yield opened
    opened.close()


def call(number: int) -> bytes:
    started_us = NOW_US - number * HOUR_US
    cost = str(Decimal(number) / 100)
    record = {
        "event_id": uuid7(started_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(started_us),
        "status": "ok",
        "attempt": 2 if number % 7 == 0 else 1,
        "user_id": f"user_{number % 2}",
        "feature": "chat",
        "request_model": "gpt-4o",
        "input_tokens": 100,
        "cache_read_tokens": 50 if number % 2 else 0,
        "output_tokens": 10,
        "cost_usd": cost,
        "cost": {"input": cost, "cache_read": "0", "cache_write": "0", "output": "0", "other": "0"},
    }
    return json.dumps(record).encode()


NEEDED = {"user-this-month": {"filters": {"user_id": "user_1"}}}


@pytest.mark.parametrize("name", [question.name for question in QUESTIONS])
def test_every_question_has_an_answer_whose_total_is_the_sum_of_its_rows(store: DuckDBEvents, name: str) -> None:
    answer = answer_question(name, NEEDED.get(name, {}), store, NOW_US)
    assert answer["question"]["name"] == name
    assert answer["rows"]
    if "cost_usd" in answer["totals"]:
        assert sum(Decimal(row["cost_usd"]) for row in answer["rows"]) == Decimal(answer["totals"]["cost_usd"])


def test_an_hour_stands_beside_the_week_before_it(store: DuckDBEvents) -> None:
    rows = answer_question("hourly-cost-baseline", {}, store, NOW_US)["rows"]
    assert len(rows) == 24
    last = rows[-1]
    before = [number / 100 for number in range(1, 169)]
    assert (last["time"], last["cost_usd"], last["complete"]) == ("2026-11-18T11:00:00Z", "0", False)
    assert Decimal(last["baseline_cost_usd"]) == Decimal("0.845") == Decimal(str(mean(before)))
    assert float(last["deviation_usd"]) == pytest.approx(stdev(before))
    assert last["z_score"] == pytest.approx(-mean(before) / stdev(before))
    assert rows[0]["complete"]


def test_without_a_spread_there_is_no_z_score(store: DuckDBEvents) -> None:
    rows = answer_question("hourly-cost-baseline", {"filters": {"feature": "none"}}, store, NOW_US)["rows"]
    assert {(row["cost_usd"], row["z_score"]) for row in rows} == {("0", None)}


def test_the_hours_are_told_in_the_zone(store: DuckDBEvents) -> None:
    rows = answer_question("hourly-cost-baseline", {"timezone": "Asia/Kathmandu"}, store, NOW_US)["rows"]
    assert rows[-1]["time"] == "2026-11-18T16:45:00+05:45"


def test_a_question_is_narrowed_by_what_is_given(store: DuckDBEvents) -> None:
    given = {"from": "24h", "limit": 1, "filters": {"user_id": "user_1"}, "compare": "same_weekday"}
    answer = answer_question("top-users", given, store, NOW_US)
    assert [(row["user_id"], row["calls"]) for row in answer["rows"]] == [("user_1", 12)]
    assert answer["comparison"]["totals"]["calls"] == 12


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("user-this-month", {}, "user_id"),
    ("user-this-month", {"filters": {"team": "x"}}, "user_id"),
    ("top-users", {"measures": ["calls"]}, "measures"),
    ("hourly-cost-baseline", {"from": "30d"}, "from"),
    ("top-users", {"limit": 0}, "limit"),
]


@pytest.mark.parametrize(("name", "given", "field"), WRONG)
def test_a_wrong_part_of_the_request_is_named(
    store: DuckDBEvents, name: str, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(UsageError) as refused:
        answer_question(name, given, store, NOW_US)
    assert refused.value.facts["field"] == field


def test_an_unknown_name_is_answered_with_those_there_are(store: DuckDBEvents) -> None:
    with pytest.raises(NotFoundError, match="top-users"):
        answer_question("top-secret", {}, store, NOW_US)
