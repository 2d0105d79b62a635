"""What a definition may say, and what is said about one that is wrong."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from taximeter.config.limits import LimitProblems, Window, read_limit, read_limits

GOOD: dict[str, Any] = {"name": "daily", "scope": "global", "measure": "cost_usd", "limit": "50", "window": "day"}


@pytest.mark.parametrize(
    ("change", "path", "told"),
    [
        ({"window": None}, "window", "is needed"),
        ({"limit": -1}, "limit", "more than 0"),
        ({"limit": 0}, "limit", "more than 0"),
        ({"limit": "many"}, "limit", "a number"),
        ({"limit": "nan"}, "limit", "more than 0"),
        ({"limit": "0.0000000001"}, "limit", "billionth"),
        ({"limit": 10**20}, "limit", "at most 9007199.254740991"),
        ({"measure": "requests", "limit": 1.5}, "limit", "whole number"),
        ({"measure": "concurrent"}, "window", "no window"),
        ({"scope": "planet"}, "scope", "no attribute 'planet'"),
        ({"scope": "user"}, "scope", "which user"),
        ({"scope": {}}, "scope", "global"),
        ({"scope": {"user": []}}, "scope.user", "a value"),
        ({"each": True}, "each", "name the attribute"),
        ({"window": "fortnight"}, "window", "minute, hour"),
        ({"window": {"rolling": "soon"}}, "window.rolling", "a duration"),
        ({"timezone": "Mars/Olympus"}, "timezone", "no time zone"),
        ({"start_day": 15}, "start_day", "the window month"),
        ({"window": "month", "start_day": 32}, "start_day", "1 to 31"),
        ({"mode": "medium"}, "mode", "hard, soft"),
        ({"mode": "soft", "action": "block"}, "action", "cannot block"),
        ({"action": {"throttle": "fast"}}, "action.throttle", "a rate"),
        ({"warn_at": [0]}, "warn_at", "percentages"),
        ({"overrides": {"u": 5}}, "overrides", "has not"),
        ({"raises": [{"by": 5}]}, "raises.0", "until"),
        ({"name": "no spaces"}, "name", "letters"),
        ({"limt": 1}, "limt", "no such key"),
    ],
)
def test_what_is_wrong_is_told_where_it_is(change: dict[str, Any], path: str, told: str) -> None:
    definition = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(LimitProblems) as refused:
        read_limit(definition)
    found = {".".join(map(str, problem.path)): problem.message for problem in refused.value.problems}
    assert told in found[path]


def test_all_that_is_wrong_is_told_at_once_and_two_of_one_name_are_refused() -> None:
    with pytest.raises(LimitProblems) as refused:
        read_limits([GOOD, {**GOOD, "limit": -1}, "nonsense"])
    assert {problem.path for problem in refused.value.problems} == {(1, "limit"), (1, "name"), (2,)}


@pytest.mark.parametrize(
    "definition",
    [
        GOOD,
        {
            **GOOD,
            "scope": "user",
            "each": True,
            "overrides": {"anna": "100"},
            "raises": [{"by": 5, "until": "2027-01-01"}],
        },
        {**GOOD, "scope": {"feature": ["chat", "mail"]}, "each": ["user"], "window": {"rolling": "36h"}},
        {**GOOD, "scope": {"tags.plan": "free"}, "window": "month", "start_day": 15, "timezone": "Europe/Berlin"},
        {**GOOD, "measure": "concurrent", "limit": 3, "window": None},
        {**GOOD, "mode": "soft", "warn_at": [50, 80]},
        {**GOOD, "action": {"downgrade": "gpt-4o-mini"}, "admission": "expected"},
        {**GOOD, "action": {"throttle": "10/minute"}, "unattributed": "share"},
    ],
)
def test_a_limit_reads_back_as_it_was(definition: dict[str, Any]) -> None:
    given = {key: value for key, value in definition.items() if value is not None}
    limit = read_limit(given)
    assert read_limit(limit.as_definition()) == limit


def test_money_is_kept_in_billionths_and_never_as_a_float() -> None:
    assert read_limit({**GOOD, "limit": 0.1}).amount == 100_000_000
    assert read_limit({**GOOD, "limit": "0.000000001"}).amount == 1
    assert read_limit({**GOOD, "limit": 50}).as_definition()["limit"] == "50"


def test_overrides_and_raises_change_the_amount_of_some_for_a_while() -> None:
    limit = read_limit(
        {
            **GOOD,
            "scope": "user",
            "each": True,
            "measure": "requests",
            "limit": 10,
            "overrides": {"anna": 20},
            "raises": [
                {"by": 5, "until": date(2026, 12, 1)},
                {"by": 100, "until": "2026-12-01T00:00:00Z", "for": "ben"},
            ],
        }
    )
    before, after = 1_764_547_199_000_000 + 31_536_000_000_000, 1_764_547_200_000_000 + 31_536_000_000_000
    assert [limit.amount_of(user, before) for user in ("anna", "ben", "carl")] == [25, 115, 15]
    assert [limit.amount_of(user, after) for user in ("anna", "ben", "carl")] == [20, 10, 10]


def test_a_window_in_the_past_is_a_window() -> None:
    assert read_limit({**GOOD, "window": {"rolling": "24h"}}).window == Window("rolling", seconds=86_400)
