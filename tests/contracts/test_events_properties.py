"""For random histories and questions, a store answers what plain Python works out, to the last digit.

`PROPERTY_EXAMPLES=5000` takes its time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import naive_answers as naive
import records_at_random as at_random
from all_stores import emptied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taximeter.store.events import DuckDBEvents, EventQuery, EventStore

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "20"))


def examples(store: EventStore) -> int:
    """How many histories a store is tried with; one over the network is slower."""
    return EXAMPLES if isinstance(store, DuckDBEvents) else max(EXAMPLES // 5, 2)


def tries(examples: int) -> settings:
    return settings(max_examples=max(examples, 1), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def filled(store: EventStore, history: Sequence[dict[str, Any]]) -> EventStore:
    emptied(store).append([json.dumps(record).encode() for record in history], {})
    return store


def test_an_answer_equals_the_naive_one(events: EventStore) -> None:
    @tries(examples(events))
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]) -> None:
        timezone, around_us, records = history
        store = filled(events, records)
        for query in data.draw(st.lists(at_random.queries(timezone, around_us), min_size=1, max_size=6)):
            assert store.query(query).as_dict() == naive.answer(records, query)

    holds()


def test_totals_are_the_sums_of_the_rows(events: EventStore) -> None:
    @tries(examples(events) // 2)
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]) -> None:
        timezone, around_us, records = history
        query = data.draw(at_random.queries(timezone, around_us))
        answer = filled(events, records).query(query)
        for name in query.measures:
            if name in at_random.ADDITIVE:
                amounts = [Decimal(row[name]) for row in answer.rows if row[name] is not None]
                assert Decimal(answer.totals[name] or 0) == sum(amounts, Decimal(0))

    holds()


def test_pages_hold_every_event_once_newest_first(events: EventStore) -> None:
    @tries(examples(events) // 2)
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]) -> None:
        _, around_us, records = history
        query = data.draw(at_random.event_queries(around_us))
        pages = all_pages(filled(events, records), query)
        assert [event["event_id"] for event in pages] == naive.newest_first(records, query)

    holds()


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
