"""Of a day that has not ended, sums of users are kept until a full hour, as long as nothing before it has changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taximeter.clock import rfc3339
from taximeter.core.cost import Cost
from taximeter.store.events import DuckDBEvents, Query
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.repricing import NewCost, Repricing
from taximeter.store.events.rollups import (
    KEPT_SO_FAR,
    SO_FAR_EVERY_US,
    USER_DAYS,
    USER_DURATION_DAYS,
    USER_WEEKS,
    SoFar,
    Standing,
    plan,
)
from taximeter.store.events.statements import parts_of

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
TODAY_US = 20_000 * DAY_US
NOON_US = TODAY_US + 12 * HOUR_US
SETTLED_US = NOON_US + HOUR_US // 2
"""Half past twelve."""


def planned(from_us: int, to_us: int, standing: Standing, **more: Any) -> tuple[dict[str, Any], Any]:
    query = Query(from_us=from_us, to_us=to_us, measures=("calls",), group_by=("user_id",), **more)
    found = plan(query, parts_of(query), standing)
    return ({level.name: stretches for level, stretches in found.rolled}, found.gaps) if found else ({}, None)


UNTIL_NOON = Standing(
    {(USER_DAYS.name, TODAY_US), (USER_WEEKS.name, USER_WEEKS.unit(TODAY_US))},
    so_far={(USER_DAYS.name, TODAY_US): SoFar(NOON_US, NOON_US)},
)


def test_a_question_reads_the_events_only_from_where_the_day_is_kept_so_far() -> None:
    yesterday_us, now_us = TODAY_US - DAY_US, NOON_US + HOUR_US // 3
    by_day = ((yesterday_us, NOON_US),)
    for more in ({}, {"interval": "day"}, {"interval": "month"}):
        told = planned(yesterday_us, now_us, UNTIL_NOON, **more)
        assert told == ({USER_DAYS.name: by_day}, ((NOON_US, now_us),))
    assert planned(yesterday_us, NOON_US, UNTIL_NOON) == ({USER_DAYS.name: by_day}, ())


@pytest.mark.parametrize(
    ("from_us", "to_us"),
    [(TODAY_US + 1, SETTLED_US), (TODAY_US, NOON_US - 1), (TODAY_US + HOUR_US, NOON_US)],
    ids=["from after midnight", "until before noon", "a part of it"],
)
def test_what_it_does_not_ask_for_as_a_whole_is_not_taken(from_us: int, to_us: int) -> None:
    assert planned(from_us, to_us, UNTIL_NOON) == ({}, None)


def test_sums_that_are_no_longer_kept_are_not_taken_so_far_either() -> None:
    kept = {USER_DAYS.name: TODAY_US + DAY_US}
    standing = Standing(UNTIL_NOON.dirty, kept, UNTIL_NOON.so_far)
    assert planned(TODAY_US, SETTLED_US, standing) == ({}, None)


# --- in the store ----------------------------------------------------------------------------------------------------


def line(number: int, started_us: int, user: str = "u") -> bytes:
    record = {"event_id": event_id(number), "started_at": rfc3339(started_us), "user_id": user}
    return json.dumps({**record, "status": "ok", "cost_usd": "1", "duration_ms": 40.0}).encode()


def event_id(number: int) -> str:
    return f"019a0000-0000-7000-8000-{number:012d}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBEvents]:
    """One event an hour until a quarter past twelve, of two users in turn, added up at half past."""
    opened = DuckDBEvents(tmp_path / "events.duckdb")
    opened.append([line(n, TODAY_US + n * HOUR_US + HOUR_US // 4, f"u{n % 2}") for n in range(13)], {})
    assert opened.roll_up(SETTLED_US) == 12  # whole hours: a day that has not ended is none
    yield opened
    opened.close()


def so_far(store: DuckDBEvents) -> dict[str, int]:
    """Until when each level is kept, beyond the beginning of today."""
    standing = store._standing(store._writer)
    return {level: one.until_us for (level, _), one in standing.so_far.items() if one.until_us > TODAY_US}


def until(moment_us: int) -> dict[str, int]:
    return {level.name: moment_us for level in KEPT_SO_FAR if level.of is None}


def calls(store: DuckDBEvents) -> int:
    query = Query(from_us=TODAY_US, to_us=TODAY_US + DAY_US, measures=("calls",), group_by=("user_id",))
    told: int = store.query(query).totals["calls"]
    return told


def test_a_day_is_kept_until_its_last_full_hour_and_the_rest_comes_from_the_events(store: DuckDBEvents) -> None:
    assert so_far(store) == until(NOON_US)
    assert calls(store) == 13
    store._writer.execute(f"UPDATE {USER_DAYS.table} SET calls = 100")  # to see where it comes from
    assert calls(store) == 2 * 100 + 1
    store.append([line(20, NOON_US)], {})  # at the hour itself: not before it
    assert calls(store) == 2 * 100 + 2


def test_how_long_calls_of_a_user_took_comes_from_it_too(store: DuckDBEvents) -> None:
    query = Query(from_us=TODAY_US, to_us=NOON_US, measures=("latency_ms_p50",), group_by=("user_id",))
    before = store.query(query).totals["latency_ms_p50"]
    store._writer.execute(f"UPDATE {USER_DURATION_DAYS.table} SET bin = bin + 70")
    assert store.query(query).totals["latency_ms_p50"] > before


def late(store: DuckDBEvents) -> int:
    store.append([line(30, NOON_US - 1, "v")], {})
    return 14


def deleted(store: DuckDBEvents) -> int:
    assert store.delete_user("u0", LATEST_US).remaining_rows == 0
    return 6


def priced_anew(store: DuckDBEvents) -> int:
    moment_us, zero = TODAY_US + HOUR_US // 4, Decimal(0)
    dear = Cost(Decimal(8), zero, zero, zero, zero, "v2", "r2")
    run = Repricing(id="run", kind="reprice", asked_at_us=0, asked_by="me", request={})
    store.restate([NewCost(event_id(0), moment_us, dear)], run, SETTLED_US)
    return 13


@pytest.mark.parametrize("change", [late, deleted, priced_anew])
def test_what_changes_before_that_hour_ends_it_at_once(
    store: DuckDBEvents, change: Callable[[DuckDBEvents], int]
) -> None:
    left = change(store)
    assert so_far(store) == {}
    assert calls(store) == left
    assert store.verify().differing == ()


def test_late_events_have_it_added_up_again_and_not_each_time(store: DuckDBEvents) -> None:
    store.append([line(30, NOON_US - 1)], {})
    store.roll_up(SETTLED_US + SO_FAR_EVERY_US - 1)
    assert so_far(store) == {}
    store.roll_up(SETTLED_US + SO_FAR_EVERY_US)
    assert so_far(store) == until(NOON_US)
    assert calls(store) == 14


def test_it_goes_on_from_hour_to_hour_and_ends_with_the_day(store: DuckDBEvents) -> None:
    store.roll_up(SETTLED_US + HOUR_US)
    assert so_far(store) == until(NOON_US + HOUR_US)
    assert calls(store) == 13
    store.roll_up(TODAY_US + DAY_US)
    assert so_far(store) == {USER_WEEKS.name: TODAY_US + DAY_US}
    assert calls(store) == 13
    assert store.verify().checked[USER_DAYS.name] == 1


def test_verifying_finds_that_it_differs_and_repairs_it(store: DuckDBEvents) -> None:
    assert (store.verify().checked[USER_DAYS.name], store.verify().differing) == (1, ())
    store._writer.execute(f"UPDATE {USER_DAYS.table} SET calls = 100")
    assert store.verify(repair=True).differing == ((USER_DAYS.name, TODAY_US),)
    assert store.verify().differing == ()
    assert calls(store) == 13


def test_it_outlives_the_process(store: DuckDBEvents, tmp_path: Path) -> None:
    store.close()
    again = DuckDBEvents(tmp_path / "events.duckdb")
    assert so_far(again) == until(NOON_US)
    assert (calls(again), again.verify().differing) == (13, ())
    again.close()


def test_a_level_whose_table_is_made_anew_is_not_kept_so_far(store: DuckDBEvents, tmp_path: Path) -> None:
    store._writer.execute(f"ALTER TABLE {USER_DAYS.table} DROP COLUMN errors")
    store.close()
    again = DuckDBEvents(tmp_path / "events.duckdb")
    assert so_far(again) == {}
    assert calls(again) == 13
    again.close()


# --- the week so far -------------------------------------------------------------------------------------------------

TOMORROW_US = TODAY_US + DAY_US
MONDAY_US = USER_WEEKS.unit(TODAY_US)


def test_the_week_is_kept_until_the_last_day_that_has_ended(store: DuckDBEvents) -> None:
    store.append([line(40, TOMORROW_US + HOUR_US // 4, "u1")], {})
    store.roll_up(TOMORROW_US + HOUR_US)
    assert so_far(store) == {**until(TOMORROW_US + HOUR_US), USER_WEEKS.name: TOMORROW_US}
    assert planned(MONDAY_US, TOMORROW_US + HOUR_US, store._standing(store._writer)) == (
        {USER_WEEKS.name: ((MONDAY_US, TOMORROW_US),), USER_DAYS.name: ((TOMORROW_US, TOMORROW_US + HOUR_US),)},
        (),
    )
    by_user = Query(from_us=MONDAY_US, to_us=TOMORROW_US + DAY_US, measures=("calls",), group_by=("user_id",))
    assert {row["user_id"]: row["calls"] for row in store.query(by_user).rows} == {"u0": 7, "u1": 7}
    verified = store.verify()
    assert (verified.checked[USER_WEEKS.name], verified.differing) == (1, ())


def test_it_waits_for_a_day_that_has_changed(store: DuckDBEvents) -> None:
    store.append([line(40, TOMORROW_US)], {})
    store.roll_up(TOMORROW_US + HOUR_US)
    store.append([line(41, TODAY_US)], {})
    assert USER_WEEKS.name not in so_far(store)
    assert store.verify().differing == ()
    store.roll_up(TOMORROW_US + HOUR_US + SO_FAR_EVERY_US)
    assert so_far(store)[USER_WEEKS.name] == TOMORROW_US
    assert store.verify().differing == ()
