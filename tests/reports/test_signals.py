"""What detection asks the store: as few rows as it can use, and in pieces that fit into an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taximeter.anomaly.panel import FEATURE, MODEL, USER, Panel, Value
from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.reports import signals
from taximeter.reports.signals import MINUTE_US, Signals
from taximeter.store.events import Answer, DuckDBEvents, Query, answers

FIRST = 29_800_000
MINUTES = 8
USERS = 12
DIMENSIONS = (FEATURE, MODEL, USER)


class Counted:
    """A store that counts the rows of its answers, and knows how many the last one had."""

    def __init__(self, store: DuckDBEvents) -> None:
        self._store = store
        self.rows = self.last = 0

    def query(self, query: Query) -> Answer:
        answer = self._store.query(query)
        self.last = len(answer.rows)
        self.rows += self.last
        return answer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path / "events.duckdb")
    calls = [(minute, user) for minute in range(MINUTES) for user in (0, 0, *range(USERS), None)]
    opened.append([_call(number, minute, user) for number, (minute, user) in enumerate(calls)], {})
    yield opened
    opened.close()


def _call(number: int, minute: int, user: int | None) -> bytes:
    at_us = (FIRST + minute) * MINUTE_US
    event = {
        "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(at_us),
        "request_model": "gpt-4o",
        "feature": "chat",
        "user_id": None if user is None else f"user_{user}",
        "status": "ok",
        "input_tokens": 100 * minute + (user or 0),
    }
    return json.dumps(event).encode()


def told(asked: Signals) -> list[list[tuple[float, ...]]]:
    """Of each minute its cells: calls, and tokens of input."""
    blocks = asked.blocks(Panel(DIMENSIONS, (FEATURE,)), FIRST, FIRST + MINUTES - 1)
    minutes = [minute for block in blocks for minute in block]
    return [sorted(zip(*minute.values.T[[Value.CALLS, Value.INPUT]], strict=True)) for minute in minutes]


def minute_told(minute: int) -> list[tuple[float, ...]]:
    """The busiest user alone, and all others together, who may have no name."""
    others = range(1, USERS)
    return [(3.0, 300.0 * minute), (USERS, USERS * 100.0 * minute + sum(others))]


def signals_of(store: Any, most_spenders: int, monkeypatch: pytest.MonkeyPatch) -> Signals:
    monkeypatch.setattr(signals, "MOST_SPENDERS", most_spenders)
    asked = Signals(store, DIMENSIONS)
    asked.choose_spenders((FIRST + MINUTES) * MINUTE_US)
    return asked


def test_users_that_are_not_told_apart_are_one_cell_of_a_minute_and_one_row_of_the_answer(
    store: DuckDBEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(store)
    asked = signals_of(counted, 1, monkeypatch)
    counted.rows = 0

    assert told(asked) == [minute_told(minute) for minute in range(MINUTES)]
    assert counted.rows == 2 * MINUTES


def test_without_anybody_to_tell_apart_all_are_one_cell(store: DuckDBEvents) -> None:
    assert [len(minute) for minute in told(Signals(store, DIMENSIONS))] == [1] * MINUTES


def test_minutes_with_more_rows_than_an_answer_has_room_for_are_asked_in_pieces_and_told_alike(
    store: DuckDBEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = signals_of(store, USERS, monkeypatch)
    whole = told(asked)
    monkeypatch.setattr(answers, "MOST_ROWS", 2 * USERS)

    assert told(asked) == whole
    assert [len(minute) for minute in whole] == [USERS + 1] * MINUTES


def test_after_a_long_answer_shorter_times_are_asked_about_and_told_alike(
    store: DuckDBEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(store)
    asked = signals_of(counted, USERS, monkeypatch)
    whole = told(asked)
    assert counted.last == MINUTES * USERS
    monkeypatch.setattr(signals, "MANY_ROWS", 4 * USERS)

    assert told(asked) == whole  # one answer more of all of them, to know that they are many
    assert told(asked) == whole
    assert counted.last == MINUTES // 2 * USERS
