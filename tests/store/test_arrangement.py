"""The events of a day that is over lie user by user in DuckDB's file, and nothing but their place has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.store.events import DuckDBEvents, duckdb_arrangement
from taximeter.store.events.port import Retention

DAY_US = 86_400_000_000
HOUR_US = DAY_US // 24
SUNDAY_US = 1_795_305_600_000_000
"""22 November 2026."""
MONDAY_US = SUNDAY_US + DAY_US
USERS = ("zoe", "adam", None, "mia")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path / "events.duckdb", arrange_from=8)
    yield opened
    opened.close()


def calls(numbers: Sequence[int], day_us: int = SUNDAY_US) -> list[bytes]:
    """One an hour, of one user after the other, with everything that a line can hold in some of them."""
    return [json.dumps(_call(number, day_us + number * HOUR_US)).encode() for number in numbers]


def _call(number: int, started_us: int) -> dict[str, Any]:
    more: dict[str, Any] = {"tags": {"plan": "pro"}, "units": {"pages": "1.5"}, "by_model": [{"model": "m"}]}
    return {
        "event_id": uuid7(started_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(started_us),
        "status": "ok",
        "user_id": USERS[number % len(USERS)],
        "input_tokens": number,
        "cost_usd": f"0.{number:012}",
        "cost": {"input": f"0.{number:012}", "cache_read": "0", "cache_write": "0", "output": "0", "other": "0"},
        **(more if number % 3 else {}),
    }


def rows(store: DuckDBEvents) -> list[tuple[Any, ...]]:
    """As they lie in the file."""
    with store.reading(None) as cursor:
        return cursor.execute("SELECT * FROM events").fetchall()


def users(store: DuckDBEvents) -> list[str | None]:
    with store.reading(None) as cursor:
        return [user for (user,) in cursor.execute("SELECT user_id FROM events").fetchall()]


def in_order(found: list[str | None]) -> list[str | None]:
    return sorted(found, key=lambda user: (user is None, user or ""))


def by_id(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(found, key=lambda row: row[0].int)


def test_a_day_that_is_over_lies_user_by_user_and_says_what_it_said(store: DuckDBEvents) -> None:
    store.append(calls(range(24)), {})
    before = rows(store)
    store.roll_up(MONDAY_US)
    assert users(store) == in_order(users(store))
    assert rows(store) != before
    assert by_id(rows(store)) == by_id(before)
    assert store.verify().differing == ()


def test_a_day_under_way_and_one_of_few_calls_are_left_as_they_came(store: DuckDBEvents) -> None:
    store.append(calls(range(7)) + calls(range(8), MONDAY_US), {})
    before = rows(store)
    store.roll_up(MONDAY_US + DAY_US - 1)
    assert rows(store) == before


def test_calls_are_stored_while_their_day_is_arranged(store: DuckDBEvents) -> None:
    store.append(calls(range(8)), {})
    with store.reading(None) as cursor:
        (period,) = duckdb_arrangement.waiting(cursor, SUNDAY_US, 8)
    arranging = store._writer.cursor()
    arranging.execute("BEGIN")
    duckdb_arrangement.arrange(arranging, period)
    store.append(calls(range(4, 12)), {})
    arranging.execute("COMMIT")
    arranging.close()
    assert len(rows(store)) == len({row[0] for row in rows(store)}) == 12


def test_a_day_is_arranged_while_somebody_reads(store: DuckDBEvents) -> None:
    store.append(calls(range(8)), {})
    with store.reading(None) as cursor:
        before = cursor.execute("SELECT * FROM events").fetchall()
        store.roll_up(MONDAY_US)
        assert cursor.execute("SELECT * FROM events").fetchall() == before
    assert in_order(users(store)) == users(store)
    assert by_id(rows(store)) == by_id(before)


def test_late_calls_move_a_day_again_when_they_are_as_many_as_there_were(store: DuckDBEvents) -> None:
    store.append(calls(range(8)), {})
    store.roll_up(MONDAY_US)
    store.append(calls(range(8, 15)), {})
    store.roll_up(MONDAY_US)
    assert users(store) != in_order(users(store))
    store.append(calls([15]), {})
    store.roll_up(MONDAY_US)
    assert users(store) == in_order(users(store))
    assert len(users(store)) == 16


def test_days_that_are_no_longer_kept_are_forgotten(store: DuckDBEvents) -> None:
    store.append(calls(range(8)), {})
    store.expire(Retention({"events": 1}), MONDAY_US + DAY_US)
    with store.reading(None) as cursor:
        assert cursor.execute("SELECT * FROM arranged").fetchall() == []


def test_a_large_day_is_moved_in_parts_of_whole_hours(monkeypatch: pytest.MonkeyPatch, store: DuckDBEvents) -> None:
    monkeypatch.setattr(duckdb_arrangement, "EVENTS_AT_ONCE", 10)
    store.append(calls(range(24)), {})
    sunday = datetime(2026, 11, 22)
    hours = [sunday + timedelta(hours=number) for number in (0, 10, 20, 24)]
    with store.reading(None) as cursor:
        parts = duckdb_arrangement.waiting(cursor, SUNDAY_US, 8)
    assert parts == list(pairwise(hours))
    before = rows(store)
    store.roll_up(MONDAY_US)
    assert by_id(rows(store)) == by_id(before)
    for part in (users(store)[:10], users(store)[10:20], users(store)[20:]):
        assert part == in_order(part)
