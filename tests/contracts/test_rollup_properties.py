"""Roll-ups say what the events say: whatever comes when, and however it is asked.

`PROPERTY_EXAMPLES=5000` takes its time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import naive_answers as naive
import pytest
import records_at_random as at_random
from all_stores import OpenEvents, emptied, with_other_sums, without_events, without_level
from hypothesis import given
from hypothesis import strategies as st
from test_events_properties import examples, tries

from taximeter.core.cost import Cost
from taximeter.errors import UsageError
from taximeter.store.events import EventStore, Query
from taximeter.store.events.bins import middle_ms
from taximeter.store.events.durations import DURATION, FIRST_TOKEN, Timing
from taximeter.store.events.filters import parse_filters
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.port import Retention
from taximeter.store.events.query import Order
from taximeter.store.events.repricing import NewCost, Repricing
from taximeter.store.events.rollups import (
    ALONE,
    EVENTS,
    HOURS,
    LEVELS,
    TIMED,
    USER_DAYS,
    USER_DURATION_DAYS,
    USER_WEEKS,
    VALUE_DAYS,
    Level,
    Standing,
    plan,
    plan_of_timing,
)
from taximeter.store.events.statements import parts_of

HOUR_US = at_random.HOUR_US
DAY_US = at_random.DAY_US


def lines(records: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(record).encode() for record in records]


def lived_through(
    events: EventStore, records: list[dict[str, Any]], cut: int, *added_up_until_us: int
) -> Iterator[list[dict[str, Any]]]:
    """The records that a store knows after each step: the first of them, their sums, late ones, and sums anew."""
    events.append(lines(records[:cut]), {})
    yield records[:cut]
    for until_us in added_up_until_us:
        events.roll_up(until_us)
        yield records[:cut]
    events.append(lines(records), {})
    yield records
    for until_us in added_up_until_us:
        events.roll_up(until_us)
        yield records


def test_an_answer_is_the_naive_one_before_and_after_late_events(events: EventStore) -> None:
    @tries(examples(events) // 4)
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]) -> None:
        timezone, around_us, records = history
        emptied(events)
        cut = data.draw(st.integers(0, len(records)))
        questions = data.draw(st.lists(at_random.rolled_queries(timezone, around_us), min_size=1, max_size=2))
        for known in lived_through(events, records, cut, around_us, LATEST_US):
            for query in questions:
                assert events.query(query).as_dict() == naive.answer(known, query)
        assert events.verify().differing == ()

    holds()


def test_what_users_did_until_now_is_the_naive_answer_however_late_some_of_it_comes(events: EventStore) -> None:
    """Sums of users are kept of the day and the week so far. Events that began before come afterwards."""

    @tries(examples(events))
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]) -> None:
        _, around_us, records = history
        emptied(events)
        later = st.integers(1, 9).map(lambda hours: hours * HOUR_US)
        query = data.draw(at_random.queries_until_now(around_us + 9 * HOUR_US))
        known: list[dict[str, Any]] = []
        for some, later_us in data.draw(shares(records).flatmap(lambda all_of_them: together(all_of_them, later))):
            events.append(lines(some), {})
            known += some
            assert events.query(query).as_dict() == naive.answer(known, query)
            events.roll_up(around_us + later_us)
            assert events.query(query).as_dict() == naive.answer(known, query)
        assert events.verify().differing == ()

    holds()


def shares(records: list[dict[str, Any]]) -> st.SearchStrategy[list[list[dict[str, Any]]]]:
    """Records that come in several batches."""
    cuts = st.lists(st.integers(0, len(records)), min_size=1, max_size=3).map(sorted)
    return cuts.map(lambda at: [records[a:b] for a, b in zip([0, *at], [*at, len(records)], strict=True)])


def together(
    batches: list[list[dict[str, Any]]], later: st.SearchStrategy[int]
) -> st.SearchStrategy[list[tuple[list[dict[str, Any]], int]]]:
    """Each batch, and how long after the moment that matters what came until then is added up: never earlier."""
    moments = st.lists(later, min_size=len(batches), max_size=len(batches)).map(sorted)
    return moments.map(lambda all_of_them: list(zip(batches, all_of_them, strict=True)))


def test_what_each_value_adds_up_to_is_the_naive_answer_before_and_after_late_events(events: EventStore) -> None:
    @tries(examples(events) // 4)
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]) -> None:
        _, around_us, records = history
        emptied(events)
        cut = data.draw(st.integers(0, len(records)))
        query = data.draw(at_random.alone_queries(around_us))
        for known in lived_through(events, records, cut, LATEST_US):
            assert in_order(events.alone(query)) == in_order(naive.answer_alone(known, query))

    holds()


def test_what_the_costliest_values_cost_in_two_times_is_the_naive_answer(events: EventStore) -> None:
    @tries(examples(events) // 4)
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]) -> None:
        _, around_us, records = history
        emptied(events)
        cut = data.draw(st.integers(0, len(records)))
        query = data.draw(at_random.costliest_queries(around_us))
        for known in lived_through(events, records, cut, LATEST_US):
            found = events.costliest(query)
            told = {(one.value, one.before_usd, one.after_usd) for one in found}
            assert told == naive.costliest(known, query)
            assert len(found) == len(told)

    holds()


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


def test_a_level_is_taken_only_where_it_says_what_the_events_say() -> None:
    day = Query(from_us=0, to_us=10 * DAY_US, measures=("cost_usd",))

    def levels(**more: Any) -> list[Level]:
        query = Query(**{**{name: getattr(day, name) for name in ("from_us", "to_us", "measures")}, **more})
        found = plan(query, parts_of(query), Standing())
        return [level for level, _ in found.rolled] if found else []

    def alone(name: str) -> Level:
        return next(level for level in ALONE if level.about == name)

    assert levels() == levels(group_by=("model",)) == levels(interval="month") == [alone("environment")]
    assert levels(group_by=("model_family", "feature")) == [alone("feature")]
    assert levels(to_us=9 * DAY_US + HOUR_US, group_by=("feature",)) == [alone("feature"), HOURS]
    assert levels(to_us=9 * DAY_US + HOUR_US, group_by=("tenant", "model")) == [alone("tenant")]
    assert levels(group_by=("tenant", "user_id")) == levels(group_by=("tenant", "team")) == [USER_DAYS]
    assert levels(to_us=HOUR_US) == levels(group_by=("team", "feature")) == levels(group_by=("status",)) == [HOURS]
    assert levels(interval="hour", timezone="Europe/Berlin") == [HOURS]
    assert levels(interval="day", timezone="Europe/Berlin") == levels(interval="hour") == [HOURS]
    assert levels(group_by=("user_id", "team")) == [USER_DAYS]
    assert levels(group_by=("user_id", "team"), to_us=11 * DAY_US) == [USER_WEEKS, USER_DAYS]
    assert levels(group_by=("user_id",), to_us=30 * DAY_US, interval="week") == [USER_WEEKS, USER_DAYS]
    for interval in ("day", "month"):
        assert levels(group_by=("user_id",), to_us=30 * DAY_US, interval=interval) == [USER_DAYS]
    assert levels(group_by=("user_id",), to_us=30 * DAY_US, timezone="Asia/Kathmandu") == [USER_WEEKS, USER_DAYS]
    no_roll_up: list[dict[str, Any]] = [
        {"interval": "minute"},
        {"interval": "day", "timezone": "Asia/Kathmandu"},
        {"interval": "day", "timezone": "Europe/Berlin", "group_by": ("user_id",)},
        {"interval": "hour", "group_by": ("user_id",)},
        {"group_by": ("session_id",)},
        {"group_by": ("tags.plan",)},
        {"group_by": ("user_id", "feature")},
        {"group_by": ("tenant", "feature")},
        {"group_by": ("prompt_version", "endpoint")},
        {"group_by": ("prompt_version",), "interval": "hour"},
        {"group_by": ("prompt_version",), "interval": "day", "timezone": "Europe/Berlin"},
        {"measures": ("users",)},
        {"measures": ("calls", "users")},
        {"measures": ("cost_usd", "latency_ms_p95")},
        {"from_us": 1, "to_us": HOUR_US},
    ]
    assert [levels(**more) for more in no_roll_up] == [[]] * len(no_roll_up)


def test_edges_and_dirty_units_are_read_from_the_events() -> None:
    query = Query(from_us=HOUR_US // 2, to_us=5 * HOUR_US + 1, measures=("calls",))
    found = plan(
        query, parts_of(query), Standing({(HOURS.name, 2 * HOUR_US), (USER_DAYS.name, 0), (HOURS.name, 9 * HOUR_US)})
    )
    assert found is not None
    assert found.rolled == ((HOURS, ((HOUR_US, 2 * HOUR_US), (3 * HOUR_US, 5 * HOUR_US))),)
    assert found.gaps == (
        (HOUR_US // 2, HOUR_US),
        (2 * HOUR_US, 3 * HOUR_US),
        (5 * HOUR_US, 5 * HOUR_US + 1),
    )


MONDAY = 4
"""The first one, in days since the epoch."""


def planned_by_user(from_days: float, to_days: float, standing: Standing) -> tuple[dict[str, Any], list[Any]]:
    """The stretches by level, and the gaps, in days since the epoch."""
    asked = Query(from_us=int(from_days * DAY_US), to_us=int(to_days * DAY_US), measures=("calls",))
    query = replace(asked, group_by=("user_id",))
    found = plan(query, parts_of(query), standing)
    assert found is not None
    return {level.name: in_days(stretches) for level, stretches in found.rolled}, in_days(found.gaps)


def in_days(stretches: Any) -> list[tuple[float, float]]:
    return [(from_us / DAY_US, to_us / DAY_US) for from_us, to_us in stretches]


def test_whole_weeks_come_from_weeks_the_days_around_them_from_days_and_the_rest_from_the_events() -> None:
    dirty = {(USER_WEEKS.name, (MONDAY + 7) * DAY_US), (USER_DAYS.name, (MONDAY + 9) * DAY_US)}
    rolled, gaps = planned_by_user(MONDAY - 1.5, MONDAY + 29.25, Standing(dirty))
    assert rolled == {
        USER_WEEKS.name: [(MONDAY, MONDAY + 7), (MONDAY + 14, MONDAY + 28)],
        USER_DAYS.name: [
            (MONDAY - 1, MONDAY),
            (MONDAY + 7, MONDAY + 9),
            (MONDAY + 10, MONDAY + 14),
            (MONDAY + 28, MONDAY + 29),
        ],
    }
    assert gaps == [(MONDAY - 1.5, MONDAY - 1), (MONDAY + 9, MONDAY + 10), (MONDAY + 29, MONDAY + 29.25)]


def test_a_week_of_which_not_all_days_are_kept_is_not_taken() -> None:
    kept = Standing((), {USER_DAYS.name: (MONDAY + 2) * DAY_US, EVENTS: (MONDAY + 2) * DAY_US})
    rolled, gaps = planned_by_user(MONDAY + 2, MONDAY + 14, kept)
    assert rolled == {USER_WEEKS.name: [(MONDAY + 7, MONDAY + 14)], USER_DAYS.name: [(MONDAY + 2, MONDAY + 7)]}
    assert gaps == []


def test_where_too_much_is_dirty_everything_comes_from_the_events() -> None:
    query = Query(from_us=0, to_us=400 * HOUR_US, measures=("calls",), group_by=("status",))
    assert plan(query, parts_of(query), Standing({(HOURS.name, 2 * n * HOUR_US) for n in range(200)})) is None


MORE_DAYS = (VALUE_DAYS, *TIMED)
"""A day has these units beside that of its users."""


@pytest.fixture
def rolled(events: EventStore) -> EventStore:
    """Three events of two hours, added up."""
    moments = ("2026-11-18T10:10:00Z", "2026-11-18T10:50:00Z", "2026-11-18T11:10:00Z")
    events.append(lines([record(number, moment) for number, moment in enumerate(moments)]), {})
    assert events.roll_up(LATEST_US) == 4 + len(MORE_DAYS)  # two hours, a day and a week
    return events


def record(number: int, started_at: str, **more: Any) -> dict[str, Any]:
    event_id = f"019a0000-0000-7000-8000-{number:012d}"
    said = {"event_id": event_id, "started_at": started_at, "status": "ok", "cost_usd": "1", "user_id": "u"}
    return {**said, "duration_ms": 40.0, **more}


def more_days(days: int) -> dict[str, int]:
    return {level.name: days for level in MORE_DAYS}


def test_a_unit_is_added_up_once(rolled: EventStore) -> None:
    assert rolled.roll_up(LATEST_US) == 0
    rolled.append(lines([record(1, "2026-11-18T10:50:00Z")]), {})  # it is there already
    assert rolled.roll_up(LATEST_US) == 0


def test_what_adds_up_comes_from_sums_also_beside_what_does_not(rolled: EventStore) -> None:
    with_other_sums(rolled, VALUE_DAYS.table, "calls = 7")  # to see where it comes from
    asked = Query(from_us=0, to_us=LATEST_US, measures=("latency_ms_p95", "calls", "users"), group_by=("feature",))
    assert rolled.query(asked).rows[0]["calls"] == 3  # what ranks the groups has to be read from the events
    by_calls = replace(asked, order_by=Order("calls", True))
    told = rolled.query(by_calls)
    assert told.rows == [{"feature": None, "latency_ms_p95": naive.told(40.0), "calls": 7, "users": 1}]
    assert told.totals == {"latency_ms_p95": naive.told(40.0), "calls": 7, "users": 1}
    without = rolled.query(replace(by_calls, whole_totals=False))
    assert (without.rows, without.totals) == (told.rows, {"latency_ms_p95": None, "calls": 7, "users": None})


def test_percentiles_come_from_how_many_calls_of_a_day_took_how_long(rolled: EventStore) -> None:
    with_other_sums(rolled, TIMED[0].table, "bin = 7")  # to see where they come from
    rolled.append(lines([record(9, "2026-11-19T10:50:00Z", feature="chat", duration_ms=80.0)]), {})
    from_sums, from_events = middle_ms(7), naive.told(80.0)
    asked = Query(from_us=0, to_us=LATEST_US, measures=("calls", "latency_ms_p50", "latency_ms_p99"))
    for group_by, limit in ((("feature",), None), (("feature",), 1), (("feature", "model"), 1)):
        told = rolled.query(replace(asked, group_by=group_by, limit=limit))
        assert [row["latency_ms_p99"] for row in told.rows] == [from_sums, from_events]
        assert told.totals == {"calls": 4, "latency_ms_p50": from_sums, "latency_ms_p99": from_events}
    by_user = replace(asked, group_by=("user_id",))  # which comes from sums of its own
    assert rolled.query(by_user).rows[0]["latency_ms_p50"] == naive.told(40.0)
    with_other_sums(rolled, USER_DURATION_DAYS.table, "bin = 7")
    assert rolled.query(by_user).rows[0]["latency_ms_p50"] == from_sums


def test_a_group_in_which_nothing_was_timed_has_no_percentile_beside_its_users(rolled: EventStore) -> None:
    untimed = record(9, "2026-11-18T10:50:00Z", feature="chat", user_id="v")
    rolled.append(lines([{name: value for name, value in untimed.items() if name != "duration_ms"}]), {})
    rolled.roll_up(LATEST_US)
    asked = Query(from_us=0, to_us=LATEST_US, measures=("calls", "users", "latency_ms_p50"), group_by=("feature",))
    assert [(row["users"], row["latency_ms_p50"]) for row in rolled.query(asked).rows] == [
        (1, naive.told(40.0)),
        (1, None),
    ]


def test_one_row_may_be_ordered_by_what_it_does_not_tell(rolled: EventStore) -> None:
    asked = Query(from_us=0, to_us=LATEST_US, measures=("errors", "latency_ms_p50"), order_by=Order("calls", False))
    assert rolled.query(asked).rows == [{"errors": 0, "latency_ms_p50": naive.told(40.0)}]


def test_percentiles_outlive_the_events_they_are_of(aged: EventStore) -> None:
    asked = Query(from_us=0, to_us=NOW_US, measures=("latency_ms_p95",), order_by=Order("calls", True))
    for dimension in ("feature", "user_id"):
        assert aged.query(replace(asked, group_by=(dimension,))).totals == {"latency_ms_p95": naive.told(40.0)}
    with pytest.raises(UsageError, match="no longer kept"):
        aged.query(replace(asked, group_by=("user_id",), measures=("time_to_first_token_ms_p95",)))


def test_percentiles_are_refused_of_days_whose_events_were_gone_before_their_times_were_counted(
    open_events: OpenEvents, tmp_path: Path
) -> None:
    store = open_events(tmp_path)
    store.append(lines([record(n, f"2026-11-{10 + n}T10:00:00Z") for n in range(10)]), {})
    store.expire(Retention({EVENTS: 2}), NOW_US)
    without_level(store, TIMED[0], USER_DURATION_DAYS)
    newer = open_events(tmp_path)
    newer.roll_up(LATEST_US)
    asked = Query(from_us=NOW_US - 2 * DAY_US, to_us=NOW_US, measures=("latency_ms_p50",))
    assert newer.query(asked).totals == {"latency_ms_p50": naive.told(40.0)}
    with pytest.raises(UsageError, match="no longer kept"):
        newer.query(replace(asked, from_us=NOW_US - 3 * DAY_US))
    newer.close()


@pytest.mark.parametrize(
    ("asked", "is_planned"),
    [
        ({}, True),
        ({"group_by": ("team", "model"), "interval": "day"}, True),
        ({"interval": "month"}, True),
        ({"interval": "hour"}, False),
        ({"interval": "day", "timezone": "Europe/Berlin"}, False),
        ({"group_by": ("tags.plan",)}, False),
        ({"to_us": DAY_US - 1}, False),
    ],
)
def test_percentiles_come_from_days_only_where_those_say_what_the_events_say(
    asked: dict[str, Any], is_planned: bool
) -> None:
    query = Query(**{"from_us": 0, "to_us": 10 * DAY_US, "measures": ("latency_ms_p95",), **asked})
    assert all(
        (plan_of_timing(query, timing, Standing()) is not None) == is_planned for timing in (DURATION, FIRST_TOKEN)
    )


@pytest.mark.parametrize(
    ("timing", "dirty", "level"),
    [
        (DURATION, (), USER_DURATION_DAYS),
        (DURATION, (USER_DURATION_DAYS,), None),
        (FIRST_TOKEN, (), None),
    ],
)
def test_how_long_calls_of_a_user_took_is_kept_and_how_long_the_first_token_did_is_not(
    timing: Timing, dirty: tuple[Level, ...], level: Level | None
) -> None:
    query = Query(from_us=0, to_us=DAY_US, group_by=("user_id", "team"))
    found = plan_of_timing(query, timing, Standing([(one.name, 0) for one in dirty]))
    assert [one for one, _ in found.rolled] == [level] if found else level is None


def test_of_two_levels_that_say_how_long_calls_took_the_one_that_is_kept_says_it() -> None:
    query = Query(from_us=0, to_us=DAY_US, filters=parse_filters({"team": "search"}))
    first = plan_of_timing(query, DURATION, Standing())
    second = plan_of_timing(query, DURATION, Standing([(TIMED[0].name, 0)]))
    assert first is not None
    assert second is not None
    assert (first.rolled[0][0], second.rolled[0][0]) == (TIMED[0], USER_DURATION_DAYS)


def test_units_that_have_not_ended_wait(rolled: EventStore) -> None:
    rolled.append(lines([record(7, "2026-11-18T12:10:00Z")]), {})
    assert rolled.roll_up(at_random.moment_us("2026-11-18T12:59:59Z")) == 0
    assert rolled.roll_up(at_random.moment_us("2026-11-18T13:00:00Z")) == 1
    assert rolled.roll_up(at_random.moment_us("2026-11-19T00:00:00Z")) == 1 + len(MORE_DAYS)
    assert rolled.roll_up(at_random.moment_us("2026-11-22T23:59:59Z")) == 0
    assert rolled.roll_up(at_random.moment_us("2026-11-23T00:00:00Z")) == 1


def test_verifying_finds_what_differs_and_repairs_it(rolled: EventStore) -> None:
    assert rolled.verify().checked == {HOURS.name: 24, USER_DAYS.name: 1, USER_WEEKS.name: 1, **more_days(1)}
    amounts = ("cost_usd = 7", "calls = 7", "errors = 7", "retries = 7", "bin = 7", "bin = 7", "bin = 7")
    for level, amount in zip(LEVELS, amounts, strict=True):
        with_other_sums(rolled, level.table, amount)
    ten = at_random.moment_us("2026-11-18T10:00:00Z")
    day = at_random.moment_us("2026-11-18T00:00:00Z")
    week = at_random.moment_us("2026-11-16T00:00:00Z")
    of_hours = ((HOURS.name, ten), (HOURS.name, ten + HOUR_US))
    of_days = ((VALUE_DAYS.name, day), (TIMED[0].name, day), (USER_DURATION_DAYS.name, day))
    wrong = (*of_hours, (USER_DAYS.name, day), (USER_WEEKS.name, week), *of_days)
    assert rolled.verify(repair=True).differing == wrong
    assert rolled.verify().differing == ()


def test_comparing_tells_how_far_it_is(rolled: EventStore) -> None:
    heard: list[tuple[int, int]] = []
    rolled.verify(told=lambda done, of_all: heard.append((done, of_all)))
    assert heard == [(number, len(heard)) for number in range(1, len(heard) + 1)]
    assert heard


def test_only_days_that_hold_something_are_compared(rolled: EventStore) -> None:
    """An event of a wrong clock, ten years away, is one day more and not 3,650."""
    rolled.append(lines([record(8, "2016-11-18T10:50:00Z")]), {})
    rolled.roll_up(LATEST_US)
    assert rolled.verify().checked == {HOURS.name: 48, USER_DAYS.name: 2, USER_WEEKS.name: 2, **more_days(2)}


def test_sums_without_events_are_found_too(rolled: EventStore) -> None:
    without_events(rolled)
    assert len(rolled.verify(repair=True).differing) == 6
    assert rolled.verify().differing == ()


def test_sums_follow_a_new_price(rolled: EventStore) -> None:
    moment_us = at_random.moment_us("2026-11-18T10:50:00Z")
    zero = Decimal(0)
    dear = Cost(Decimal(8), zero, zero, zero, zero, "v2", "r2")
    run = Repricing(id="run", kind="reprice", asked_at_us=moment_us, asked_by="me", request={})
    rolled.restate([NewCost(record(1, "")["event_id"], moment_us, dear)], run, moment_us)
    for _ in range(2):
        query = Query(from_us=0, to_us=LATEST_US, measures=("cost_usd",))
        assert rolled.query(query).totals == {"cost_usd": "10"}
        assert rolled.verify().differing == ()
        rolled.roll_up(LATEST_US)


# --- retention -----------------------------------------------------------------------------------------------------

NOW_US = at_random.moment_us("2026-11-20T00:00:00Z")


@pytest.fixture
def aged(events: EventStore) -> EventStore:
    """One event a day, of two users; events older than two days are gone."""
    events.append(
        lines([record(n, f"2026-11-{10 + n}T10:00:00Z", user_id=f"u{n % 2}", feature="chat") for n in range(10)]), {}
    )
    assert events.expire(Retention({EVENTS: 2}), NOW_US) == {EVENTS: 8}
    return events


def test_what_was_spent_stays_known_when_its_events_are_gone(aged: EventStore) -> None:
    for group_by in ((), ("feature", "model"), ("user_id",)):
        query = Query(from_us=0, to_us=NOW_US, measures=("cost_usd", "calls"), group_by=group_by)
        assert aged.query(query).totals == {"cost_usd": "10", "calls": 10}
    assert aged.expire(Retention({EVENTS: 2}), NOW_US) == {EVENTS: 0}
    assert aged.verify().differing == ()


@pytest.mark.parametrize(
    "asked",
    [
        {"group_by": ("session_id",)},
        {"measures": ("users",)},
        {"interval": "minute"},
        {"to_us": NOW_US, "from_us": at_random.moment_us("2026-11-12T00:00:00.000001Z")},
    ],
)
def test_what_only_events_could_tell_is_refused_with_the_time_from_which_they_are_there(
    aged: EventStore, asked: dict[str, Any]
) -> None:
    query = Query(**{"from_us": 0, "to_us": NOW_US, "measures": ("calls",), **asked})
    with pytest.raises(UsageError, match="no longer kept") as refused:
        aged.query(query)
    assert refused.value.facts["field"] == "from"
    assert refused.value.facts["kept_from"] == "2026-11-18T00:00:00.000000Z"


def test_a_week_follows_a_late_event_when_the_events_of_its_first_days_are_gone(aged: EventStore) -> None:
    aged.append(lines([record(30, "2026-11-18T09:00:00Z")]), {})
    assert aged.roll_up(at_random.moment_us("2026-11-23T00:00:00Z")) == 6 + 2 * len(
        MORE_DAYS
    )  # three hours, two days, a week
    by_user = Query(from_us=0, to_us=LATEST_US, measures=("calls",), group_by=("user_id",))
    assert aged.query(by_user).rows == [{"user_id": name, "calls": n} for name, n in (("u0", 5), ("u1", 5), ("u", 1))]
    verified = aged.verify()
    assert (verified.checked[USER_WEEKS.name], verified.differing) == (2, ())


def test_weeks_go_with_the_days_that_they_are_of(aged: EventStore) -> None:
    aged.roll_up(LATEST_US)
    aged.expire(Retention({EVENTS: 2, USER_DAYS.name: 3}), NOW_US)
    by_user = Query(from_us=NOW_US - 3 * DAY_US, to_us=LATEST_US, measures=("calls",), group_by=("user_id",))
    assert aged.query(by_user).totals == {"calls": 3}
    with pytest.raises(UsageError, match="no longer kept"):
        aged.query(replace(by_user, from_us=NOW_US - 4 * DAY_US))
    verified = aged.verify()
    assert (verified.checked[USER_WEEKS.name], verified.differing) == (0, ())


def test_weeks_of_an_older_version_s_store_are_added_up_also_where_only_sums_of_days_are_left(
    open_events: OpenEvents, tmp_path: Path
) -> None:
    store = open_events(tmp_path)
    store.append(lines([record(n, f"2026-11-{10 + n}T10:00:00Z") for n in range(10)]), {})
    store.expire(Retention({EVENTS: 2}), NOW_US)
    store.append(lines([record(20, "2026-11-19T12:00:00Z")]), {})
    without_level(store, USER_WEEKS)
    newer = open_events(tmp_path)
    by_user = Query(from_us=0, to_us=LATEST_US, measures=("calls",), group_by=("user_id",))
    for weeks in (0, 2):
        assert newer.query(by_user).totals == {"calls": 11}
        verified = newer.verify()
        assert (verified.checked[USER_WEEKS.name], verified.differing) == (weeks, ())
        newer.roll_up(LATEST_US)
    newer.close()


def test_what_comes_too_late_is_rejected_and_not_lost(aged: EventStore) -> None:
    late, fresh = lines([record(20, "2026-11-17T23:59:59Z"), record(21, "2026-11-18T00:00:00Z")])
    appended = aged.append([late, fresh], {})
    assert (appended.inserted, appended.rejected) == (1, (late,))


def test_sums_go_at_their_own_age(aged: EventStore) -> None:
    ages = Retention({EVENTS: 2, HOURS.name: 4, USER_DAYS.name: 30})
    rows_of_a_day = 1 + len(VALUE_DAYS.alone) + 1  # with those of values alone, and how long calls took
    assert aged.expire(ages, NOW_US) == {EVENTS: 0, HOURS.name: 6 * rows_of_a_day, USER_DAYS.name: 0}
    by_user = Query(from_us=0, to_us=NOW_US, measures=("calls",), group_by=("user_id",))
    assert aged.query(by_user).totals == {"calls": 10}
    with pytest.raises(UsageError):
        aged.query(Query(from_us=0, to_us=NOW_US, measures=("calls",), group_by=("feature",)))


def test_a_user_is_deleted_from_the_sums_of_days_without_events_too(aged: EventStore) -> None:
    assert aged.delete_user("u0", NOW_US).remaining_rows == 0
    by_user = Query(from_us=0, to_us=NOW_US, measures=("calls",), group_by=("user_id",))
    assert aged.query(by_user).rows == [{"user_id": "u1", "calls": 5}]


def test_nothing_is_refused_while_nothing_was_deleted(events: EventStore) -> None:
    events.append(lines([record(1, "2026-11-19T10:00:00Z")]), {})
    assert events.expire(Retention({EVENTS: 2}), NOW_US) == {EVENTS: 0}
    assert events.query(Query(from_us=0, to_us=NOW_US, measures=("users",))).totals == {"users": 1}


def test_sums_outlive_the_events_they_are_of() -> None:
    for days in ({HOURS.name: 4}, {EVENTS: 5, USER_DAYS.name: 4}):
        with pytest.raises(UsageError):
            Retention(days)
