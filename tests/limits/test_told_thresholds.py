"""When a threshold of a limit is told: once a window and amount, while the window lasts, and when calls are refused."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taximeter.alerts.sources import Crossings
from taximeter.config.limits import Limit, read_limits
from taximeter.errors import NotFoundError, StoreError
from taximeter.limits.amounts import Amounts
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules, whose
from taximeter.limits.verdict import Admitted, Ask, CallKind, Crossing, Refused, scope_of
from taximeter.server.limit_desk import LimitDesk
from taximeter.store.metadata.database import Database
from taximeter.store.metadata.limits import LimitBook, LimitCrossing

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
MIDNIGHT = 1_800_057_600_000_000
"""The beginning of a day in UTC."""
NOON = MIDNIGHT + 12 * HOUR

DAILY: dict[str, Any] = {
    "name": "daily",
    "scope": "user",
    "each": True,
    "measure": "total_tokens",
    "limit": 1_000,
    "window": "day",
    "warn_at": [50, 80, 100],
}


class Told:
    """A guard, and the thresholds that it told."""

    def __init__(self, **changed: Any) -> None:
        self.crossings: list[Crossing] = []
        self.guard = LimitGuard(Rules(self.limits(**changed)), MemoryCounters(), crossed=self.crossings.append)
        self._number = 0

    @staticmethod
    def limits(**changed: Any) -> Sequence[Limit]:
        return read_limits([{**DAILY, **changed}])

    def spend(self, tokens: int, at_us: int, now_us: int) -> None:
        """An event is stored `now_us`, of a call that began at `at_us`."""
        self._number += 1
        subject = {"user_id": "ann"}
        self.guard.post(f"event-{self._number}", subject, at_us, Amounts(0, tokens, 0), now_us, seen=True)

    def ask(self, tokens: int, now_us: int) -> Admitted | Refused:
        """A call that reads at most so much, and writes nothing."""
        self._number += 1
        bound = CallBound(tokens, 0)
        verdict = self.guard.decide(
            Ask(f"call-{self._number}", now_us, {"user_id": "ann"}, CallKind("openai", "gpt-4o"), bound, tokens), now_us
        )
        assert isinstance(verdict, Admitted | Refused)
        return verdict

    @property
    def percents(self) -> list[int]:
        return [one.percent for one in self.crossings]


@pytest.mark.parametrize(
    ("late_seconds", "percents"),
    [
        (0, [50, 80]),
        (10 * 60, [50, 80]),  # its events had some minutes to come
        (20 * 60, []),
        (30 * 3600, []),
    ],
)
def test_what_an_import_of_yesterday_reaches_of_yesterdays_amount_is_no_news_today(
    late_seconds: int, percents: list[int]
) -> None:
    told = Told()
    told.spend(900, MIDNIGHT - 1, MIDNIGHT + late_seconds * SECOND)
    assert told.percents == percents


def test_of_a_rolling_window_what_has_left_it_reaches_nothing() -> None:
    told = Told(window={"rolling": "1h"})
    told.spend(900, NOON - 2 * HOUR, NOON)
    assert told.percents == []
    told.spend(900, NOON - HOUR // 2, NOON)
    assert told.percents == [50, 80]


def test_an_amount_that_was_raised_is_told_of_anew() -> None:
    told = Told()
    told.spend(1_000, NOON, NOON)
    assert told.percents == [50, 80, 100]
    told.guard.rules = Rules(told.limits(limit=10_000))
    told.spend(10, NOON, NOON)
    assert told.percents == [50, 80, 100]
    told.spend(7_500, NOON, NOON)
    assert told.percents[3:] == [50, 80]
    told.spend(7_500, NOON, NOON)
    assert told.percents[5:] == [100]
    slots = [(one.slot, one.percent) for one in told.crossings]
    assert len(set(slots)) == len(slots), "each is kept by its window and percentage, once"


def test_one_who_has_more_for_a_while_is_told_of_that_amount() -> None:
    more = {"by": 9_000, "until": "2030-01-01", "for": "ann"}
    told = Told()
    told.spend(1_000, NOON, NOON)
    told.guard.rules = Rules(told.limits(raises=[more]))
    told.spend(9_000, NOON, NOON)
    assert told.percents == [50, 80, 100, 50, 80, 100]


def test_an_amount_of_which_the_rest_is_too_little_for_a_call_is_reached() -> None:
    """Calls are held at the most that they may come to, so a hard limit refuses before it is spent to the last."""
    told = Told()
    told.spend(950, NOON, NOON)
    assert told.percents == [50, 80]
    assert isinstance(told.ask(200, NOON), Refused)
    assert told.percents == [50, 80, 100]
    assert (told.crossings[-1].spent, told.crossings[-1].amount) == (950, 1_000)
    assert isinstance(told.ask(200, NOON), Refused)
    told.spend(50, NOON, NOON)
    assert told.percents == [50, 80, 100], "once"


def test_one_huge_call_that_is_refused_does_not_use_an_amount_up() -> None:
    told = Told()
    told.spend(600, NOON, NOON)
    assert isinstance(told.ask(5_000, NOON), Refused)
    assert told.percents == [50]


def test_what_was_priced_late_and_fills_an_amount_is_told_when_it_refuses() -> None:
    told = Told()
    [ruled] = told.guard.rules.about({"user_id": "ann"})
    told.guard.counters.raise_to([(ruled.bucket(NOON), 1_200)], now_us=NOON)
    assert isinstance(told.ask(10, NOON), Refused)
    assert told.percents == [50, 80, 100]


def test_a_limit_that_tells_nothing_tells_of_no_refusal() -> None:
    told = Told(warn_at=[])
    told.spend(1_000, NOON, NOON)
    assert isinstance(told.ask(10, NOON), Refused)
    assert told.percents == []


@pytest.mark.parametrize(
    ("definition", "value", "calls"),
    [
        ({"scope": "global"}, "", {}),
        ({"scope": {"team": "core"}}, "", {"team": "core"}),
        ({"scope": {"team": ["core", "search"]}}, "", {}),
        ({"scope": "team", "each": True}, "core", {"team": "core"}),
        ({"scope": {"team": "core"}, "each": "user"}, "ann", {"team": "core", "user_id": "ann"}),
        ({"scope": "global", "each": ["tenant", "key"]}, "a%2Fb/k1", {"tenant": "a/b", "api_key_id": "k1"}),
        ({"scope": "user", "each": True, "unattributed": "share"}, "", {}),
    ],
)
def test_a_limit_says_what_the_calls_have_in_common_that_spend_an_amount(
    definition: dict[str, Any], value: str, calls: dict[str, str]
) -> None:
    [limit] = read_limits([{"name": "l", "measure": "requests", "limit": 9, "window": "day", **definition}])
    assert whose(limit, value) == calls


class Clock:
    """Time that passes when it is told to."""

    us = NOON

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / SECOND


class AwayAtFirst(LimitBook):
    """Takes no crossing while it is `away`."""

    away = True

    def note_crossings(self, crossings: Sequence[LimitCrossing]) -> list[LimitCrossing]:
        if self.away:
            raise StoreError("away")
        return super().note_crossings(crossings)


def test_what_was_crossed_while_the_metadata_was_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Database(tmp_path / "metadata.sqlite")) as database:
        book = AwayAtFirst(database, clock)
        desk = LimitDesk(
            read_limits([DAILY]), book, MemoryCounters(), lambda *_: None, clock, store=None, fail="closed"
        )
        desk.guard.post("one", {"user_id": "ann"}, NOON, Amounts(0, 900, 0), NOON, seen=True)
        clock.us += 2 * HOUR
        with pytest.raises(StoreError):
            desk.write_down()
        book.away = False
        desk.write_down()
        told = Crossings(desk.crossings, desk.whose).observe(clock.us) or []
        assert [(one.kind, one.labels) for one in told] == [
            ("limit_warning", {"limit": "daily", "percent": percent, "user_id": "ann"}) for percent in ("50", "80")
        ]


@pytest.mark.parametrize(
    ("scope", "user"),
    [
        ({"scope": "user", "each": True}, "a/b"),
        ({"scope": "global", "each": ["feature", "user"]}, "a/b"),
        ({"scope": {"user": "a/b"}, "each": False}, "a/b"),
        ({"scope": "feature", "each": True}, ""),
        ({"scope": {"user": ["a/b", "ann"]}, "each": False}, ""),
    ],
)
def test_what_was_crossed_says_which_user_crossed_it(tmp_path: Path, scope: dict[str, Any], user: str) -> None:
    clock = Clock()
    with closing(Database(tmp_path / "metadata.sqlite")) as database:
        book = LimitBook(database, clock)
        limits = read_limits([{**DAILY, **scope}])
        desk = LimitDesk(limits, book, MemoryCounters(), lambda *_: None, clock, store=None, fail="closed")
        subject = {"user_id": "a/b", "feature": "a/b"}
        desk.guard.post("one", subject, NOON, Amounts(0, 600, 0), NOON, seen=True)
        desk.write_down()
        assert [one.user_id for one in book.crossings(0)] == [user]


def test_the_history_of_a_limit_is_empty_in_the_file_and_not_found_where_there_never_was_one(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Database(tmp_path / "metadata.sqlite")) as database:
        book = LimitBook(database, clock)
        limits = read_limits([DAILY])
        desk = LimitDesk(limits, book, MemoryCounters(), lambda *_: None, clock, store=None, fail="closed")
        desk.set({**DAILY, "name": "gone"}, "ann")
        desk.remove("gone", "ann")
        assert desk.told_history("daily") == []
        assert [one["version"] for one in desk.told_history("gone")] == [2, 1]
        with pytest.raises(NotFoundError):
            desk.told_history("dialy")


@pytest.mark.parametrize("user", ["a/b", "/", "ann"])
def test_a_name_with_a_stroke_is_told_as_it_is_where_each_combination_has_an_amount(user: str) -> None:
    (limit,) = read_limits([{**DAILY, "scope": "global", "each": ["feature", "user"]}])
    (ruled,) = Rules([limit]).about({"feature": "a/b", "user_id": user})
    assert scope_of(ruled) == {"feature": "a/b", "user": user}
