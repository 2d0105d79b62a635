"""What every store of events promises."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import naive_answers as naive
import pytest
from all_stores import OpenEvents

from taximeter.clock import rfc3339
from taximeter.core.cost import COMPONENTS
from taximeter.core.ids import uuid7
from taximeter.errors import QueryStoppedError, UsageError
from taximeter.store.events import Appended, Cancellation, EventQuery, EventStore, Query, parse_query
from taximeter.store.events.columns import COLUMN_NAMES
from taximeter.store.events.filters import Condition, Operator
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.port import Deletion

NOW_US = 1_795_000_000_000_000
"""2026-11-18T11:06:40Z"""


def event_id(number: int, at_us: int = NOW_US) -> str:
    return uuid7(at_us // 1000, number.to_bytes(10, "big"))


def line(number: int, **fields: Any) -> bytes:
    record = {
        "event_id": event_id(number),
        "started_at": rfc3339(NOW_US + number),
        "source": "api",
        "status": "ok",
        "provider": "openai",
    }
    return json.dumps({**record, **fields}).encode()


def all_time(**asked: Any) -> Query:
    return parse_query({"from": "2020-01-01", "to": "2030-01-01", **asked}, NOW_US)


def rows(store: EventStore, **asked: Any) -> list[dict[str, Any]]:
    return store.query(all_time(**asked)).rows


def stored(store: EventStore) -> list[dict[str, Any]]:
    return store.events(EventQuery(limit=1000)).events


# --- append --------------------------------------------------------------------------------------------------------


def test_an_event_counts_once_however_often_it_comes(events: EventStore) -> None:
    assert events.append([line(1), line(2), line(1)], {}) == Appended(2, 1)
    assert events.append([line(2), line(3)], {}) == Appended(1, 1)
    assert events.append([line(1), line(2), line(3)], {}) == Appended(0, 3)
    assert rows(events, measures="calls") == [{"calls": 3}]


def test_of_two_events_with_one_id_the_first_stays(events: EventStore) -> None:
    events.append([line(1, feature="first"), line(1, feature="second")], {})
    events.append([line(1, feature="third")], {})
    assert [event["feature"] for event in stored(events)] == ["first"]


FOREIGN_IDS = (
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "c232ab00-9414-11ec-b3c8-9f6bdeced846",  # version 1
    "919108f7-52d1-4320-9bac-f847db4148a8",  # version 4
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",  # version 7, of another year
)


@pytest.mark.parametrize("foreign", FOREIGN_IDS)
def test_ids_of_other_kinds_count_once_too(events: EventStore, foreign: str) -> None:
    odd = line(1, event_id=foreign)
    assert events.append([line(2), odd, line(3), odd], {}) == Appended(3, 1)
    assert events.append([odd, line(4)], {}) == Appended(1, 1)
    assert events.known_ids([foreign, event_id(9)]) == {foreign}


def test_an_id_in_capitals_is_the_same_id(events: EventStore) -> None:
    assert events.append([line(1), line(1, event_id=event_id(1).upper())], {}) == Appended(1, 1)


UNREADABLE = {
    "nothing": b"",
    "no JSON": b"{broken",
    "no object": b"[1, 2]",
    "no id": b'{"started_at": "2026-11-18T11:06:40Z"}',
    "an id that is none": b'{"event_id": "nonsense", "started_at": "2026-11-18T11:06:40Z"}',
    "no start": json.dumps({"event_id": event_id(9)}).encode(),
    "a start that is none": json.dumps({"event_id": event_id(9), "started_at": "yesterday"}).encode(),
    "a start without a zone": json.dumps({"event_id": event_id(9), "started_at": "2026-11-18T11:06:40"}).encode(),
    "bytes that are no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("poison", UNREADABLE.values(), ids=UNREADABLE)
def test_a_line_that_cannot_be_read_holds_up_no_other(events: EventStore, poison: bytes) -> None:
    assert events.append([line(1), poison, line(2)], {"spool": 3}) == Appended(2, 0, (poison,))
    assert events.known_ids([event_id(1), event_id(2)]) == {event_id(1), event_id(2)}
    assert events.marks() == {"spool": 3}


ODD_VALUES = {
    "text for a count": {"input_tokens": "many"},
    "a count beyond all bounds": {"input_tokens": 10**30},
    "money beyond all bounds": {"cost_usd": "1e30"},
    "an object for text": {"feature": {"a": 1}},
    "text for tags": {"tags": "a=b"},
    "a number for a flag": {"usage_estimated": 7},
    "a number for money": {"cost_usd": 0.1},
    "null for everything": {"tags": None, "cost": None, "units": None, "by_model": None, "attempt": None},
    "a lone surrogate": {"feature": "\ud800"},
    "a zero character": {"feature": "a\x00b"},
    "an empty key": {"tags": {"": "x"}},
    "units that are none": {"units": {"pages": "few"}},
}


@pytest.mark.parametrize("odd", ODD_VALUES.values(), ids=ODD_VALUES)
def test_an_odd_value_costs_no_other_event(events: EventStore, odd: dict[str, Any]) -> None:
    appended = events.append([line(1), line(2, **odd), line(3)], {})
    assert appended in (Appended(3, 0), Appended(2, 0, (line(2, **odd),)))
    assert events.known_ids([event_id(1), event_id(3)]) == {event_id(1), event_id(3)}


def test_a_key_given_twice_costs_no_other_event(events: EventStore) -> None:
    twice = line(2)[:-1] + b', "tags": {"a": "1", "a": "2"}}'
    events.append([line(1), twice, line(3)], {})
    assert {event_id(1), event_id(3)} <= events.known_ids([event_id(1), event_id(3)])


def test_a_start_with_an_offset_is_the_same_moment(events: EventStore) -> None:
    events.append([line(1, started_at="2026-11-18T13:06:40.000001+02:00")], {})
    assert stored(events)[0]["started_at"] == "2026-11-18T11:06:40.000001Z"


def test_marks_are_kept_with_their_batch(events: EventStore) -> None:
    events.append([line(1)], {"a": 10, "b": 5})
    events.append([], {"a": 20})
    assert events.marks() == {"a": 20, "b": 5}
    events.forget_marks(["a", "never heard of"])
    assert events.marks() == {"b": 5}


def test_what_was_appended_is_there_after_opening_again(open_events: OpenEvents, tmp_path: Path) -> None:
    first = open_events(tmp_path)
    first.append([line(1, cost_usd="0.0125")], {"a": 1})
    first.close()
    again = open_events(tmp_path)
    assert again.append([line(1), line(2)], {"a": 2}) == Appended(1, 1)
    assert again.marks() == {"a": 2}
    assert rows(again) == [{"cost_usd": "0.0125", "calls": 2}]
    again.close()


def test_ids_that_are_not_there_are_not_known(events: EventStore) -> None:
    assert events.known_ids([]) == set()
    assert events.known_ids([event_id(1)]) == set()


# --- records -------------------------------------------------------------------------------------------------------

WHOLE_RECORD = {
    "event_id": event_id(1),
    "started_at": "2026-11-18T11:06:40.000001Z",
    "duration_ms": 1234.567,
    "time_to_first_token_ms": 0.125,
    "source": "gateway",
    "provider": "openai",
    "request_model": "gpt-4o",
    "response_model": "gpt-4o-2024-08-06",
    "operation": "chat",
    "service_tier": "default",
    "region": "eu",
    "status": "ok",
    "http_status": 200,
    "error_type": "none",
    "request_id": "r",
    "response_id": "chatcmpl-1",
    "attempt": 2,
    "session_id": "s",
    "trace_id": "0" * 32,
    "span_id": "0" * 16,
    "user_id": "user_1",
    "team": "core",
    "tenant": "acme",
    "feature": "chat",
    "endpoint": "/chat",
    "environment": "prod",
    "service": "shop",
    "service_version": "1.2",
    "prompt_version": "v3",
    "api_key_id": "key_1",
    "tags": {"plan": "pro", "it's": 'a "b" \\ c'},
    "input_tokens": 1_000_000_000_000,
    "cache_read_tokens": 1,
    "cache_write_5m_tokens": 2,
    "cache_write_1h_tokens": 3,
    "input_audio_tokens": 4,
    "cache_read_audio_tokens": 0,
    "input_image_tokens": 5,
    "input_video_tokens": 6,
    "output_tokens": 500,
    "reasoning_tokens": 7,
    "output_audio_tokens": 8,
    "output_image_tokens": 9,
    "units": {"web_searches": 2, "audio_seconds": "1.5"},
    "by_model": [{"model": "a", "input_tokens": 1}],
    "not_billed": True,
    "usage_estimated": True,
    "usage_conflict": True,
    "reported_cost_usd": "0.013",
    "cost_usd": "999999.999999999999",
    "cost": {
        "input": "0.000000000001",
        "cache_read": "0",
        "cache_write": "0",
        "output": "999999.999999999998",
        "other": "0",
    },
    "cache_read_saving_usd": "0.000001",
    "cache_write_surcharge_usd": "0.0000005",
    "price_version": "2026-11",
    "price_rule": "openai/gpt-4o",
    "ingested_at": "2026-11-18T11:06:41.000000Z",
}


def test_a_record_comes_back_as_it_went_in(events: EventStore) -> None:
    events.append([json.dumps(WHOLE_RECORD).encode()], {})
    assert stored(events) == [{**WHOLE_RECORD, "unpriced_reason": None}]


def test_a_record_has_every_field_also_what_is_not_known(events: EventStore) -> None:
    events.append([line(1, unpriced_reason="unknown_model")], {})
    (record,) = stored(events)
    assert record.keys() == set(COLUMN_NAMES)
    assert (record["cost_usd"], record["unpriced_reason"]) == (None, "unknown_model")
    flags = dict.fromkeys(("not_billed", "usage_estimated", "usage_conflict"), False)
    said: dict[str, Any] = {
        "tags": {},
        "units": {},
        "by_model": None,
        "cost": None,
        "time_to_first_token_ms": None,
        "attempt": 1,
    }
    assert {name: record[name] for name in (*flags, *said)} == {**flags, **said}


def test_of_some_columns_only_what_is_known_is_there(events: EventStore) -> None:
    events.append([line(1, input_tokens=3)], {})
    wanted = EventQuery(columns=("input_tokens", "output_tokens", "usage_estimated"))
    (record,) = events.events(wanted).events
    assert record.keys() == {"event_id", "started_at", "input_tokens", "cost_usd"}


def test_pages_go_on_where_the_last_one_ended(events: EventStore) -> None:
    same_moment = rfc3339(NOW_US)
    events.append([line(number, started_at=same_moment) for number in range(5)], {})
    first = events.events(EventQuery(limit=2))
    second = events.events(EventQuery(limit=2, cursor=first.next))
    last = events.events(EventQuery(limit=2, cursor=second.next))
    pages = [[event["event_id"] for event in page.events] for page in (first, second, last)]
    assert pages == [[event_id(4), event_id(3)], [event_id(2), event_id(1)], [event_id(0)]]
    assert last.next is None


def test_behind_the_last_group_of_a_tag_all_is_the_rest(events: EventStore) -> None:
    events.append([line(n, tags={"plan": str(n)}, duration_ms=n) for n in (1, 2)], {})
    asked = {"measures": ["calls", "latency_ms_p50"], "group_by": ["tags.plan"], "limit": 1, "offset": 5}
    rest = {"tags.plan": None, "calls": 2, "latency_ms_p50": naive.told(1.0), "other": True}
    assert rows(events, **asked) == [rest]


@pytest.mark.parametrize("odd", ["'); DROP TABLE events; --", "\\'", "[slot 1 plain]", "$1", "{x:String}", 'ü"\n'])
def test_names_of_tags_and_values_may_be_anything(events: EventStore, odd: str) -> None:
    events.append([line(1, tags={odd: odd}, feature=odd), line(2, tags={"odd": "other"}, feature="other")], {})
    tag = f"tags.{odd}"
    assert rows(events, measures="calls", group_by=[tag], filters={tag: odd, "feature": {"contains": odd}}) == [
        {tag: odd, "calls": 1}
    ]
    assert rows(events, measures="calls", group_by=["feature"], filters={tag: {"not": odd}}) == [
        {"feature": "other", "calls": 1}
    ]


@pytest.mark.parametrize("cursor", ["", "nonsense", "AAAA", "Ünïcode", "MTIz"])
def test_a_cursor_that_is_not_ours_is_refused(events: EventStore, cursor: str) -> None:
    with pytest.raises(UsageError) as refused:
        events.events(EventQuery(cursor=cursor))
    assert refused.value.facts["field"] == "cursor"


@pytest.mark.parametrize("odd", ["'); DROP TABLE events; --", "\\'", "[slot 1 plain]", "$1", "{x:String}", 'ü"\n'])
def test_a_field_may_be_one_of_thousands_of_values(events: EventStore, odd: str) -> None:
    told: list[dict[str, Any]] = [{"feature": odd}, {"feature": "b", "tags": {"a": odd}}, {}]
    events.append([line(n, input_tokens=n, **one) for n, one in enumerate(told, 1)], {})
    many = tuple(f"{odd}{number}" for number in range(5_000))

    def found(field: str, operator: Operator, *values: str | None) -> list[int]:
        condition = Condition(field, operator, (*many, *values))
        page = events.events(EventQuery(filters=(condition,)))
        return sorted(int(event["input_tokens"]) for event in page.events)

    assert found("feature", "in", odd) == [1]
    assert found("feature", "in", odd, None) == [1, 3]
    assert found("feature", "not", odd) == [2, 3]
    assert found("feature", "not", "b", None) == [1]
    assert found("tags.a", "in", odd) == [2]
    assert found("feature", "in") == []


def test_an_event_is_found_by_its_id(events: EventStore) -> None:
    events.append([line(1), line(2)], {})
    page = events.events(EventQuery(filters=(Condition("event_id", "in", (event_id(2),)),)))
    assert [event["event_id"] for event in page.events] == [event_id(2)]


def test_events_are_found_by_when_they_came(events: EventStore) -> None:
    came = {number: NOW_US + number for number in range(4)}
    events.append([line(n, ingested_at=rfc3339(at_us)) for n, at_us in came.items()] + [line(9)], {})
    wanted = EventQuery(ingested_from_us=came[1], ingested_to_us=came[3], limit=1, columns=("ingested_at",))
    first = events.events(wanted)
    rest = events.events(replace(wanted, cursor=first.next))
    found = [(record["event_id"], record["ingested_at"]) for record in (*first.events, *rest.events)]
    assert sorted(found) == [(event_id(n), rfc3339(came[n])) for n in (1, 2)]
    assert rest.next is None
    since = events.events(EventQuery(ingested_from_us=came[3])).events
    assert [record["event_id"] for record in since] == [event_id(3)]


def test_a_page_has_only_the_columns_that_are_wanted(events: EventStore) -> None:
    events.append([line(n, input_tokens=n, output_tokens=1, cost_usd="0.5") for n in (1, 2, 3)], {})
    wanted = EventQuery(limit=2, columns=("input_tokens",))
    first = events.events(wanted)
    assert [record.keys() for record in first.events] == [{"event_id", "started_at", "input_tokens", "cost_usd"}] * 2
    rest = events.events(EventQuery(limit=2, columns=("input_tokens",), cursor=first.next))
    assert [record["input_tokens"] for record in (*first.events, *rest.events)] == [3, 2, 1]


# --- query ---------------------------------------------------------------------------------------------------------


def test_the_cost_of_nothing_priced_is_not_known(events: EventStore) -> None:
    events.append([line(1, feature="a"), line(2, feature="b", cost_usd="0.1"), line(3, feature="b")], {})
    answer = events.query(all_time(group_by="feature", measures="cost_usd,calls,unpriced_calls,cost_per_call"))
    assert answer.rows == [
        {"feature": "b", "cost_usd": "0.1", "calls": 2, "unpriced_calls": 1, "cost_per_call": "0.1"},
        {"feature": "a", "cost_usd": None, "calls": 1, "unpriced_calls": 1, "cost_per_call": None},
    ]
    assert answer.totals == {"cost_usd": "0.1", "calls": 3, "unpriced_calls": 2, "cost_per_call": "0.1"}
    assert answer.coverage["unpriced_calls"] == 2


MONEY = "cost_usd,cost_input_usd,cost_other_usd,cost_per_call"
FREE = {"status": "error", "cost_usd": "0", "cost": dict.fromkeys(COMPONENTS, "0")}
DEAR = {"cost_usd": "0.1", "cost": {**dict.fromkeys(COMPONENTS, "0"), "input": "0.1"}}


def test_free_calls_say_nothing_of_those_whose_price_is_missing(events: EventStore) -> None:
    calls = [("unknown", {}), ("unknown", FREE), ("free", FREE), ("partly", {}), ("partly", FREE), ("partly", DEAR)]
    events.append([line(number, feature=feature, **more) for number, (feature, more) in enumerate(calls)], {})
    answer = events.query(all_time(group_by="feature", measures=MONEY, order_by="-cost_per_call"))
    assert [list(row.values()) for row in answer.rows] == [
        ["partly", "0.1", "0.1", "0", "0.05"],
        ["free", "0", "0", "0", "0"],
        ["unknown", None, None, None, None],
    ]
    assert list(answer.totals.values()) == ["0.1", "0.1", "0", "0.025"]
    without = events.query(all_time(measures=MONEY, filters={"feature": {"in": ["unknown", "free"]}}))
    assert list(without.totals.values()) == [None] * 4
    assert without.coverage["unpriced_calls"] == 1


@pytest.mark.parametrize("order_by", ["cost_usd asc", "cost_usd desc", "cost_per_call asc", "cost_input_usd desc"])
def test_what_is_not_known_ranks_last(events: EventStore, order_by: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("unknown", {}), ("unknown", FREE), ("free", FREE)]
    events.append([line(number, feature=feature, **more) for number, (feature, more) in enumerate(calls)], {})
    assert [row["feature"] for row in rows(events, group_by="feature", order_by=order_by)] == ["free", "unknown"]


def test_an_empty_store_answers(events: EventStore) -> None:
    nothing = {"cost_usd": None, "calls": 0, "users": 0, "latency_ms_p95": None, "cache_hit_rate": None}
    measures = list(nothing)
    assert events.query(all_time(measures=measures)).rows == [nothing]
    grouped = events.query(all_time(measures=measures, group_by="user", interval="day", limit=3))
    assert (grouped.rows, grouped.totals) == ([], nothing)


def test_no_digit_is_lost_over_many_calls(events: EventStore) -> None:
    events.append([line(number, cost_usd="999999.999999999999") for number in range(1000)], {})
    assert rows(events, measures="cost_usd") == [{"cost_usd": "999999999.999999999"}]


def test_groups_behind_the_limit_become_one_in_every_bucket(events: EventStore) -> None:
    hour_us = 3_600_000_000
    calls = [("big", 0, "5"), ("big", 1, "5"), ("mid", 1, "2"), ("low", 0, "1"), (None, 1, "1")]
    events.append(
        [
            line(number, feature=feature, started_at=rfc3339(NOW_US + hour * hour_us), cost_usd=cost)
            for number, (feature, hour, cost) in enumerate(calls)
        ],
        {},
    )
    found = rows(events, group_by="feature", interval="hour", measures="cost_usd", limit=1)
    assert found == [
        {"time": "2026-11-18T11:00:00Z", "feature": "big", "cost_usd": "5"},
        {"time": "2026-11-18T11:00:00Z", "feature": None, "cost_usd": "1", "other": True},
        {"time": "2026-11-18T12:00:00Z", "feature": "big", "cost_usd": "5"},
        {"time": "2026-11-18T12:00:00Z", "feature": None, "cost_usd": "3", "other": True},
    ]


@pytest.mark.parametrize("interval", [None, "day"])
def test_what_is_no_sum_is_answered_by_tags_too(events: EventStore, interval: str | None) -> None:
    events.append([line(number, tags={"plan": plan}, duration_ms=5.0) for number, plan in enumerate("aab")], {})
    asked = {"measures": "latency_ms_p95,users", "group_by": "tags.plan", "interval": interval, "limit": 1}
    answer = events.query(all_time(**asked, order_by="tags.plan", timezone="Europe/Berlin"))
    assert [(row["tags.plan"], row["latency_ms_p95"], row.get("other")) for row in answer.rows] == [
        ("a", naive.told(5.0), None),
        (None, naive.told(5.0), True),
    ]
    assert answer.totals["latency_ms_p95"] == naive.told(5.0)


TIMES_MS = (0.0, 0.001, 0.9999, 1.0, 1.5, 40.0, 999.999, 1e3, 12_345.678, 6e5, 1e10, 2e10)


@pytest.mark.parametrize("took_ms", TIMES_MS)
def test_a_percentile_is_the_middle_of_the_same_bin_in_every_engine(events: EventStore, took_ms: float) -> None:
    events.append([line(1, duration_ms=took_ms), line(2)], {})
    answer = events.query(all_time(measures="latency_ms_p50,time_to_first_token_ms_p50"))
    assert answer.totals == {"latency_ms_p50": naive.told(took_ms), "time_to_first_token_ms_p50": None}


def test_days_of_the_clock_change_have_23_and_25_hours(events: EventStore) -> None:
    quarter_hours = [1_774_650_000 + 900 * n for n in range(4 * 24 * 3)] + [
        1_792_794_000 + 900 * n for n in range(4 * 24 * 3)
    ]
    events.append(
        [
            line(n, event_id=event_id(n, second * 1_000_000), started_at=rfc3339(second * 1_000_000))
            for n, second in enumerate(quarter_hours)
        ],
        {},
    )
    days = {
        row["time"]: row["calls"] / 4
        for row in rows(events, measures="calls", interval="day", timezone="Europe/Berlin")
    }
    assert days["2026-03-29T00:00:00+01:00"] == 23
    assert days["2026-10-25T00:00:00+02:00"] == 25
    assert days["2026-03-28T00:00:00+01:00"] == 24


def test_an_hour_that_comes_twice_is_two_hours(events: EventStore) -> None:
    moments = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]
    events.append([line(number, started_at=moment) for number, moment in enumerate(moments)], {})
    found = rows(events, measures="calls", interval="hour", timezone="Europe/Berlin")
    assert [row["time"] for row in found] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]


def test_too_many_rows_are_refused_with_the_way_out(events: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("answers", "statements"):
        monkeypatch.setattr(f"taximeter.store.events.{module}.MOST_ROWS", 2)
    events.append([line(number, user_id=f"u{number}") for number in range(3)], {})
    with pytest.raises(UsageError, match="more than 2 rows") as refused:
        rows(events, group_by="user")
    assert refused.value.facts["field"] == "limit"
    assert len(rows(events, group_by="user", limit=1)) == 2


# --- deletion ------------------------------------------------------------------------------------------------------


def test_what_is_known_of_a_user_is_deleted(events: EventStore) -> None:
    batch = [line(number, user_id=("a", "b")[number % 2], cost_usd="1") for number in range(6)]
    events.append(batch, {})
    events.roll_up(LATEST_US)
    assert events.delete_user("a", NOW_US + 10) == Deletion(3, 0)
    assert rows(events, group_by="user_id") == [{"user_id": "b", "cost_usd": "3", "calls": 3}]
    assert rows(events, measures="cost_usd") == [{"cost_usd": "3"}]
    assert events.verify().differing == ()
    assert events.delete_user("a", NOW_US + 20) == Deletion(0, 0)


def test_copies_of_a_deleted_users_events_are_not_stored_and_later_ones_are(
    open_events: OpenEvents, tmp_path: Path
) -> None:
    store = open_events(tmp_path)
    store.append([line(1, user_id="a"), line(2, user_id="b")], {})
    store.delete_user("a", NOW_US + 2)
    assert store.append([line(1, user_id="a"), line(2, user_id="a"), line(3, user_id="a")], {}).inserted == 1
    store.close()
    again = open_events(tmp_path)
    again.append([line(1, user_id="a"), line(4, user_id="a"), line(5, user_id=7), line(6, user_id=None)], {})
    assert rows(again, group_by="user_id", measures="calls", filters={"user": "a"}) == [{"user_id": "a", "calls": 2}]
    again.close()


# --- many at once --------------------------------------------------------------------------------------------------


def test_a_cancelled_query_says_so(events: EventStore) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(QueryStoppedError):
        events.query(all_time(), cancellation=cancellation)
    assert rows(events, measures="calls") == [{"calls": 0}]


def test_readers_see_whole_batches_while_a_writer_writes(events: EventStore) -> None:
    batches, size, wrong = 15, 25, []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            (row,) = rows(events, measures="calls")
            if row["calls"] % size:
                wrong.append(row["calls"])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for batch in range(batches):
        events.append([line(batch * size + number) for number in range(size)], {"spool": batch})
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert rows(events, measures="calls") == [{"calls": batches * size}]
