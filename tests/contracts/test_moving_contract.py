"""A store moved into another one, of the same engine or of another, answers as the first one did; whatever happened to
it before, and wherever the move was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import naive_answers as naive
import pytest
import records_at_random as at_random
from all_stores import EVENT_STORES, emptied
from hypothesis import given
from hypothesis import strategies as st
from test_events_contract import NOW_US, event_id, line, stored
from test_events_properties import EXAMPLES, tries
from test_lives_of_a_store import Life, live_a_little
from test_outcomes_contract import outcome

from taximeter.clock import rfc3339
from taximeter.core.cost import Cost
from taximeter.errors import StoreError
from taximeter.store.events import EventQuery, EventStore, Query, moving
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.moving import Movable, Moved, move, sums_by_day
from taximeter.store.events.pages import whole_record
from taximeter.store.events.port import Retention
from taximeter.store.events.repricing import NewCost, Repricing

DAY_US = at_random.DAY_US
WAYS = [("duckdb", "clickhouse"), ("clickhouse", "duckdb")]
RUN = Repricing(id="run 1", kind="reprice", asked_at_us=NOW_US, asked_by="ann", request={}, note="4711")
ZERO = Decimal(0)
DEARER = Cost(Decimal("0.000000000007"), ZERO, ZERO, ZERO, ZERO, "book 2", "override:1", None, None)


@pytest.fixture(scope="module", params=WAYS, ids=" to ".join)
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    stores = [EVENT_STORES[kind](tmp_path_factory.mktemp("store")) for kind in request.param]
    yield stores
    for store in stores:
        store.close()


@pytest.fixture
def both(standing: list[Any]) -> list[Any]:
    """An empty source and an empty target."""
    for store in standing:
        emptied(store)
    return standing


def moved(source: Movable, target: Movable) -> Moved:
    return move(source, target, NOW_US, lambda done, every: None)


def all_pages(store: EventStore) -> list[dict[str, Any]]:
    found, page = [], store.events(EventQuery(limit=10))
    while True:
        found += page.events
        if page.next is None:
            return found
        page = store.events(EventQuery(limit=10, cursor=page.next))


def days_of_calls(store: EventStore, *days_ago: int) -> None:
    """A call of every one of these days, with all kinds of fields."""
    store.append(
        [
            line(
                days,
                event_id=event_id(days, NOW_US - days * DAY_US),
                started_at=rfc3339(NOW_US - days * DAY_US),
                user_id=f"user {days % 3}",
                tags={"plan": "it's", "none": None},
                units={"web_searches": 2, "pages": "1.5"},
                by_model=[{"model": "m", "input_tokens": 1}],
                input_tokens=1000 + days,
                duration_ms=0.1 + days,
                cost_usd="0.000000000001",
                cost={"input": "0.000000000001", "cache_read": "0", "cache_write": "0", "output": "0", "other": "0"},
            )
            for days in days_ago
        ],
        {"segment 1": len(days_ago)},
    )


def test_records_come_out_as_they_went_in(both: list[Any]) -> None:
    source, target = both
    days_of_calls(source, 0, 1, 1, 2, 30)
    before = all_pages(source)
    done = moved(source, target)
    assert all_pages(target) == all_pages(source) == before
    assert (done.calls, done.copied, done.totals["cost_usd"]) == (4, 4, "0.000000000004")
    assert target.marks() == source.marks() == {"segment 1": 5}


def test_a_move_that_is_over_finds_nothing_left_to_do(both: list[Any]) -> None:
    source, target = both
    days_of_calls(source, 0, 1, 2)
    first = moved(source, target)
    assert moved(source, target) == replace(first, copied=0)
    days_of_calls(source, 0, 3)
    assert moved(source, target).copied == 1


def test_what_calls_cost_before_comes_along_once(both: list[Any]) -> None:
    source, target = both
    days_of_calls(source, 0, 1)
    source.restate([NewCost(event_id(1, NOW_US - DAY_US), NOW_US - DAY_US, DEARER)], RUN, NOW_US)
    source.restate([NewCost(event_id(1, NOW_US - DAY_US), NOW_US - DAY_US, DEARER)], replace(RUN, id="2"), NOW_US + 1)
    for _ in range(2):
        done = moved(source, target)
        assert (done.earlier_costs, done.repricings, done.totals["cost_usd"]) == (2, 2, "0.000000000008")
    one = event_id(1, NOW_US - DAY_US)
    assert target.superseded(one) == source.superseded(one)
    assert target.repricings(limit=9) == source.repricings(limit=9)


def test_outcomes_come_along_once(both: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "PAGE_EVENTS", 2)
    source, target = both
    source.append([outcome(number, value_usd="0.000000000001", tags={"plan": "it's"}) for number in range(5)], {})
    source.append([outcome(5, NOW_US, user_id="ann")], {})
    for _ in range(2):
        assert moved(source, target).outcomes == 6
        assert target.outcome_sums() == source.outcome_sums() == (6, 5, Decimal("0.000000000005"))
    everything = [store.outcomes_after(None, 10) for store in both]
    ours, theirs = [[whole_record(row) for row in rows] for rows in everything]
    assert ours == theirs


def test_calls_of_a_user_who_was_deleted_are_not_taken_afterwards(both: list[Any]) -> None:
    source, target = both
    days_of_calls(source, 0, 1)
    source.delete_user("user 1", NOW_US)
    moved(source, target)
    days_of_calls(target, 1)
    assert [record["user_id"] for record in stored(target)] == ["user 0"]


def test_sums_of_days_whose_calls_are_no_longer_kept_come_along(both: list[Any]) -> None:
    source, target = both
    days_of_calls(source, *range(40))
    source.expire(Retention({"events": 10, "hours": 30}), NOW_US)
    by_user = Query(
        from_us=NOW_US - 39 * DAY_US - NOW_US % DAY_US,
        to_us=NOW_US + DAY_US,
        measures=("cost_usd", "input_tokens"),
        group_by=("user_id",),
        interval="week",
    )
    before = source.query(by_user)
    for _ in range(2):
        moved(source, target)
        assert target.query(by_user) == source.query(by_user) == before
    assert sum(row["input_tokens"] for row in before.rows) == sum(1000 + days for days in range(40))
    assert target.verify().differing == ()
    days_of_calls(target, 20)
    assert target.query(by_user) == before


class CutOffError(Exception):
    pass


class Fragile:
    """A target that fails when it was asked for so many things."""

    def __init__(self, target: Movable, most: int = 1_000_000) -> None:
        self._target = target
        self._most = most
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        if self.asked > self._most:
            raise CutOffError
        return getattr(self._target, name)


def test_a_move_that_was_cut_off_anywhere_is_begun_again(both: list[Any]) -> None:
    source, target = both
    days_of_calls(source, 0, 1, 2, 20)
    source.restate([NewCost(event_id(1, NOW_US - DAY_US), NOW_US - DAY_US, DEARER)], RUN, NOW_US)
    source.expire(Retention({"events": 10}), NOW_US)
    whole = Fragile(target)
    first = move(source, whole, NOW_US, lambda done, every: None)
    for asked in (2, whole.asked // 2, whole.asked - 1):
        emptied(target)
        with pytest.raises(CutOffError):
            move(source, Fragile(target, asked), NOW_US, lambda done, every: None)
        assert target.marks() == {}
        assert replace(moved(source, target), copied=0) == replace(first, copied=0)
        assert (sums_by_day(target, 0), target.marks()) == (sums_by_day(source, 0), source.marks())


def test_a_place_that_holds_something_else_is_refused_by_name(both: list[Any]) -> None:
    source, target = both
    days_of_calls(source, 0, 1)
    target.append([line(99, input_tokens=7)], {})
    with pytest.raises(StoreError, match=r"calls of 2026-11-18 is 1 here and 2 there \(the new place"):
        moved(source, target)
    assert target.marks() == {}


def test_a_call_with_another_price_there_is_told(both: list[Any]) -> None:
    source, target = both
    for store in both:
        days_of_calls(store, 0, 1)
    source.restate([NewCost(event_id(1, NOW_US - DAY_US), NOW_US - DAY_US, DEARER)], RUN, NOW_US)
    with pytest.raises(StoreError, match=r"cost_usd of 2026-11-17 is 0\.000000000007 here and 0\.000000000001 there"):
        moved(source, target)


def test_what_cannot_be_taken_is_told_with_an_example(both: list[Any]) -> None:
    source, target = both
    target.put_bounds(replace(target.bounds(), kept_from={"events": NOW_US - DAY_US // 2}))
    days_of_calls(source, 0, 1)
    with pytest.raises(StoreError, match=event_id(1, NOW_US - DAY_US)):
        moved(source, target)


def test_how_far_it_is_is_told_to_the_last_call(both: list[Any]) -> None:
    source, target = both
    days_of_calls(source, 0, 1, 2)
    told: list[tuple[int, int]] = []
    move(source, target, NOW_US, lambda done, every: told.append((done, every)))
    assert told == sorted(told)
    assert told[-1] == (3, 3)


def test_a_store_moved_at_any_time_of_its_life_answers_as_it_should(both: list[Any]) -> None:
    source, target = both

    @tries(EXAMPLES // 5)
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[Any]]) -> None:
        timezone, around_us, records = history
        life = Life(emptied(source), around_us)
        emptied(target)
        life.append(records)
        for _ in range(data.draw(st.integers(0, 3))):
            live_a_little(data, life, records)
        moved(source, target)
        life.store = target
        query = data.draw(at_random.rolled_queries(timezone, around_us) | at_random.queries(timezone, around_us))
        assert target.query(query).as_dict() == naive.answer(list(life.held.values()), query)
        live_a_little(data, life, records)
        assert target.query(query).as_dict() == naive.answer(list(life.held.values()), query)
        target.roll_up(LATEST_US)
        assert target.verify().differing == ()

    holds()
