"""Both engines count the same calls into the same buckets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.store.events import EventStore, Query
from taximeter.store.events.durations import DURATION, FIRST_TOKEN
from taximeter.store.events.filters import Condition

NOON_US: Final = 1_795_003_200_000_000
ALL: Final = Query(from_us=NOON_US, to_us=NOON_US + 1_000_000, group_by=("feature", "tags.plan"))


def call(number: int, **given: Any) -> bytes:
    event_id = uuid7(NOON_US // 1000, number.to_bytes(10, "big"))
    return json.dumps({"event_id": event_id, "started_at": rfc3339(NOON_US), "status": "ok", **given}).encode()


def filled(events: EventStore, *calls: dict[str, Any]) -> EventStore:
    events.append([call(number, **given) for number, given in enumerate(calls)], {})
    return events


@pytest.mark.parametrize(
    ("duration_ms", "bucket"),
    [(0.0, 0), (10.0, 0), (10.001, 1), (20.0, 1), (81_920.0, 13), (81_920.5, 14), (10_000_000_000.0, 14)],
)
def test_a_call_is_in_the_narrowest_bucket_that_it_fits_into(
    events: EventStore, duration_ms: float, bucket: int
) -> None:
    (row,) = filled(events, {"duration_ms": duration_ms}).durations(ALL)
    assert {name for name in DURATION.buckets if row[name]} == {DURATION.buckets[bucket]}
    assert (row["calls"], row[DURATION.sum_us]) == (1, round(duration_ms * 1000))
    assert not any(row[name] for name in (*FIRST_TOKEN.buckets, FIRST_TOKEN.sum_us))


def test_what_is_no_duration_is_not_counted_as_one(events: EventStore) -> None:
    calls = ({"duration_ms": -1.0}, {"duration_ms": 1e300}, {"duration_ms": None}, {"time_to_first_token_ms": 7.5})
    (row,) = filled(events, *calls).durations(ALL)
    assert row["calls"] == 4
    assert not any(row[name] for name in (*DURATION.buckets, DURATION.sum_us))
    assert (row[FIRST_TOKEN.buckets[0]], row[FIRST_TOKEN.sum_us]) == (1, 7500)


def test_groups_filters_and_time_are_those_of_the_query(events: EventStore) -> None:
    filled(
        events,
        {"feature": "a", "tags": {"plan": "x"}, "duration_ms": 1.0},
        {"feature": "a", "duration_ms": 2.0},
        {"feature": "b", "duration_ms": 3.0},
        {"started_at": rfc3339(NOON_US + 5_000_000), "feature": "a", "duration_ms": 4.0},
    )
    asked = replace(ALL, filters=(Condition("feature", "in", ("a",)),))
    found = {(row["feature"], row["tags.plan"]): row[DURATION.sum_us] for row in events.durations(asked)}
    assert found == {("a", "x"): 1000, ("a", None): 2000}
