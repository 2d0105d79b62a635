"""What outcomes are worth against what they cost, answered from a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.errors import UsageError
from taximeter.reports.questions import answer_question
from taximeter.store.events import DuckDBEvents

NOW_US = 1_795_000_000_000_000


def call(number: int, cost_usd: str | None, **fields: Any) -> bytes:
    known = {"event_id": uuid7(NOW_US // 1000, number.to_bytes(10, "big")), "started_at": rfc3339(NOW_US - 1)}
    return json.dumps({**known, "status": "ok", "cost_usd": cost_usd, **fields}).encode()


def outcome(number: int, name: str, value_usd: str | None, **fields: Any) -> bytes:
    known = {"outcome_id": uuid7(NOW_US // 1000, number.to_bytes(10, "big")), "occurred_at": rfc3339(NOW_US - 1)}
    record = {"record": "outcome", **known, "name": name, "value_usd": value_usd, **fields}
    return json.dumps(record, separators=(",", ":")).encode()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    """Support is worth it, search solves things of unknown value, chat only costs, mail costs nobody knows what."""
    opened = DuckDBEvents(tmp_path_factory.mktemp("events") / "events.duckdb", query_timeout_seconds=600)
    opened.append(
        [
            call(1, "1", feature="support", user_id="ann"),
            call(2, "2", feature="support", user_id="bob"),
            call(3, "0.5", feature="search", user_id="ann"),
            call(4, "0.25", feature="chat", user_id="ann"),
            call(5, None, feature="mail", user_id="ann", unpriced_reason="unknown_model"),
            outcome(1, "solved", "4.00", feature="support", user_id="ann"),
            outcome(2, "solved", None, feature="support", user_id="bob"),
            outcome(3, "returned", "-1", feature="support", user_id="bob"),
            outcome(4, "solved", None, feature="search", user_id="ann"),
            outcome(5, "sent", "7", feature="mail", user_id="ann"),
            outcome(6, "sold", "9", feature="shop", user_id="eve"),
        ],
        {},
    )
    yield opened
    opened.close()


def asked(store: DuckDBEvents, **request: Any) -> dict[str, Any]:
    return answer_question("outcomes", request, store, NOW_US)


COLUMNS = ("outcomes", "value_usd", "cost_usd", "cost_per_outcome_usd", "margin_usd", "margin_share")


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in COLUMNS)


def test_each_outcome_of_a_feature_stands_against_the_cost_of_the_feature(store: DuckDBEvents) -> None:
    rows = {(row["feature"], row["outcome"]): told(row) for row in asked(store)["rows"]}
    assert rows == {
        ("support", "returned"): (1, "-1", "3", "3", "-4", None),
        ("support", "solved"): (2, "4", "3", "1.5", "1", 0.25),
        ("search", "solved"): (1, None, "0.5", "0.5", None, None),
        ("chat", None): (0, "0", "0.25", None, "-0.25", None),
        ("mail", "sent"): (1, "7", None, None, None, None),
        ("shop", "sold"): (1, "9", "0", "0", "9", 1.0),
    }


def test_totals_count_the_cost_of_a_group_once_and_say_what_is_not_known(store: DuckDBEvents) -> None:
    answer = asked(store)
    totals = answer["totals"]
    assert told(totals) == (6, "19", "3.75", "0.625", "15.25", float(Decimal("15.25") / 19))
    assert (totals["calls"], totals["unpriced_calls"], totals["unvalued_outcomes"]) == (5, 1, 2)
    assert (answer["coverage"]["unpriced_calls"], answer["coverage"]["unvalued_outcomes"]) == (1, 2)


def test_by_any_dimension_that_both_have_and_by_none(store: DuckDBEvents) -> None:
    users = asked(store, group_by="user_id", filters={"outcome": "solved"})["rows"]
    assert {row["user_id"]: (row["outcome"], row["outcomes"], row["cost_usd"]) for row in users} == {
        "ann": ("solved", 2, "1.75"),
        "bob": ("solved", 1, "2"),
    }
    whole = asked(store, group_by="", filters={"feature": "support", "outcome": {"in": ["solved", "sent"]}})
    (row,) = whole["rows"]
    assert (row["outcome"], told(row)) == ("solved", told(whole["totals"]))


def test_a_time_without_anything_has_nothing_to_say(store: DuckDBEvents) -> None:
    answer = asked(store, to="2020-01-02", **{"from": "2020-01-01"})
    assert answer["rows"] == []
    assert told(answer["totals"]) == (0, "0", "0", None, "0", None)


@pytest.mark.parametrize(
    "request_",
    [
        {"group_by": "model"},
        {"group_by": "feature,provider"},
        {"filters": {"model": "gpt-4o"}},
        {"filters": {"outcome": {"not": ["solved"]}}},
        {"filters": {"outcome": 7}},
        {"limit": 3},
    ],
    ids=str,
)
def test_what_outcomes_do_not_have_is_refused(store: DuckDBEvents, request_: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        asked(store, **request_)
