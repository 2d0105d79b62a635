"""For random histories and questions, a store answers what plain Python works out, to the last digit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import naive_answers as naive
import records_at_random as at_random
from all_stores import OpenEvents
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taximeter.store.events import EventQuery, EventStore

slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
many = settings(max_examples=30, deadline=None, suppress_health_check=slow)
some = settings(max_examples=12, deadline=None, suppress_health_check=slow)


@contextmanager
def store_of(open_events: OpenEvents, history: Sequence[dict[str, Any]]) -> Iterator[EventStore]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_events(Path(folder))
        store.append([json.dumps(record).encode() for record in history], {})
        try:
            yield store
        finally:
            store.close()


@many
@given(data=st.data(), history=at_random.histories())
def test_an_answer_equals_the_naive_one(
    open_events: OpenEvents, data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]
) -> None:
    timezone, around_us, records = history
    with store_of(open_events, records) as store:
        for query in data.draw(st.lists(at_random.queries(timezone, around_us), min_size=1, max_size=6)):
            assert store.query(query).as_dict() == naive.answer(records, query)


@some
@given(data=st.data(), history=at_random.histories())
def test_totals_are_the_sums_of_the_rows(
    open_events: OpenEvents, data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]
) -> None:
    timezone, around_us, records = history
    with store_of(open_events, records) as store:
        query = data.draw(at_random.queries(timezone, around_us))
        answer = store.query(query)
    for name in query.measures:
        if name in at_random.ADDITIVE:
            amounts = [Decimal(row[name]) for row in answer.rows if row[name] is not None]
            assert Decimal(answer.totals[name] or 0) == sum(amounts, Decimal(0))


@some
@given(data=st.data(), history=at_random.histories())
def test_pages_hold_every_event_once_newest_first(
    open_events: OpenEvents, data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]
) -> None:
    _, around_us, records = history
    with store_of(open_events, records) as store:
        query = data.draw(at_random.event_queries(around_us))
        assert [event["event_id"] for event in all_pages(store, query)] == naive.newest_first(records, query)


def all_pages(store: EventStore, query: EventQuery) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = store.events(
            EventQuery(
                filters=query.filters, from_us=query.from_us, to_us=query.to_us, limit=query.limit, cursor=cursor
            )
        )
        yield from page.events
        cursor = page.next
        if cursor is None:
            return
