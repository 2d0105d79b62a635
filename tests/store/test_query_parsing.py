"""What may be asked, and what is said when it may not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.event import FIELDS
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.errors import UsageError
from taximeter.store.events import parse_event_query, parse_query
from taximeter.store.events.filters import Condition, parse_filters
from taximeter.store.events.query import Order
from taximeter.store.events.vocabulary import GROUPABLE, MEASURES

NOW_US = to_unix_us(datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC))

# fmt: off
MOMENTS = [
    ("2026-11-01T10:00:00Z",           "UTC",              "2026-11-01T10:00:00.000000Z"),
    ("2026-11-01T10:00:00.5+02:00",    "UTC",              "2026-11-01T08:00:00.500000Z"),
    ("2026-11-01",                     "UTC",              "2026-11-01T00:00:00.000000Z"),
    ("2026-11-01",                     "Europe/Berlin",    "2026-10-31T23:00:00.000000Z"),
    ("2026-07-01",                     "Europe/Berlin",    "2026-06-30T22:00:00.000000Z"),
    ("2026-09-06",                     "America/Santiago", "2026-09-06T04:00:00.000000Z"),  # has no midnight
    ("30d",                            "Europe/Berlin",    "2026-10-19T11:06:40.000000Z"),
    ("24h",                            "UTC",              "2026-11-17T11:06:40.000000Z"),
    ("15m",                            "UTC",              "2026-11-18T10:51:40.000000Z"),
    ("90s",                            "UTC",              "2026-11-18T11:05:10.000000Z"),
    ("2w",                             "UTC",              "2026-11-04T11:06:40.000000Z"),
    ("999999w",                        "UTC",              "1970-01-01T00:00:00.000000Z"),
    ("today",                          "Asia/Tokyo",       "2026-11-17T15:00:00.000000Z"),
    ("this_week",                      "UTC",              "2026-11-16T00:00:00.000000Z"),
    ("this_month",                     "Europe/Berlin",    "2026-10-31T23:00:00.000000Z"),
    ("0001-01-01T00:00:00+14:00",      "UTC",              "1970-01-01T00:00:00.000000Z"),
]
# fmt: on


@pytest.mark.parametrize(("text", "timezone", "moment"), MOMENTS)
def test_a_moment_is_read_in_its_zone(text: str, timezone: str, moment: str) -> None:
    query = parse_query({"from": text, "to": "now", "timezone": timezone}, NOW_US)
    assert (rfc3339(query.from_us), query.to_us) == (moment, NOW_US)


# fmt: off
FISCAL = [
    ("this_year",     2,  "2026-02-01T00:00:00.000000Z"),
    ("this_year",     12, "2025-12-01T00:00:00.000000Z"),
    ("last_year",     12, "2024-12-01T00:00:00.000000Z"),
    ("this_quarter",  2,  "2026-11-01T00:00:00.000000Z"),
    ("last_quarter",  2,  "2026-08-01T00:00:00.000000Z"),
    ("this_quarter",  12, "2026-09-01T00:00:00.000000Z"),
]
# fmt: on


@pytest.mark.parametrize(("text", "month", "moment"), FISCAL)
def test_years_and_quarters_begin_with_the_fiscal_month(text: str, month: int, moment: str) -> None:
    query = parse_query({"from": text, "fiscal_start_month": month}, NOW_US)
    assert rfc3339(query.from_us) == moment


ONE_YEAR_AGO = {"from": "2025-11-01", "to": "2025-11-05"}

# fmt: off
COMPARED: list[tuple[str, str, Any, str, str]] = [
    # the time asked for             in                what                the time compared with
    ("2026-11-01 2026-12-01",        "UTC",            "previous_period",  "2026-10-01T00:00", "2026-11-01T00:00"),
    ("2026-01-01 2026-07-01",        "UTC",            "previous_period",  "2025-07-01T00:00", "2026-01-01T00:00"),
    ("2026-11-10 2026-11-13",        "UTC",            "previous_period",  "2026-11-07T00:00", "2026-11-10T00:00"),
    ("2026-10-26 2026-10-28",        "Europe/Berlin",  "previous_period",  "2026-10-23T22:00", "2026-10-25T23:00"),
    ("2h 1h",                        "UTC",            "previous_period",  "2026-11-18T08:06", "2026-11-18T09:06"),
    ("2026-10-26 2026-10-27",        "Europe/Berlin",  "same_weekday",     "2026-10-18T22:00", "2026-10-19T22:00"),
    ("2026-11-02 2026-11-10",        "UTC",            "same_weekday",     "2026-10-19T00:00", "2026-10-27T00:00"),
    ("2026-03-01 2026-03-31",        "UTC",            "previous_month",   "2026-02-01T00:00", "2026-02-28T00:00"),
    ("2024-02-29 2024-03-01",        "UTC",            "previous_year",    "2023-02-28T00:00", "2023-03-01T00:00"),
    ("2026-11-01 2026-11-02",        "Asia/Tokyo",     ONE_YEAR_AGO,       "2025-10-31T15:00", "2025-11-04T15:00"),
]
# fmt: on


@pytest.mark.parametrize(("period", "timezone", "compare", "then_from", "then_to"), COMPARED)
def test_a_time_is_compared_with_another(
    period: str, timezone: str, compare: Any, then_from: str, then_to: str
) -> None:
    start, end = period.split()
    compared = parse_query({"from": start, "to": end, "timezone": timezone, "compare": compare}, NOW_US).compare
    assert compared is not None
    assert [rfc3339(bound)[:16] for bound in (compared.from_us, compared.to_us)] == [then_from, then_to]


def test_a_question_about_nothing_in_particular_is_about_the_last_30_days() -> None:
    query = parse_query({}, NOW_US)
    assert (query.measures, query.group_by, query.timezone) == (("cost_usd", "calls"), (), "UTC")
    assert query.to_us - query.from_us == 30 * 86_400_000_000 + 1  # a call that began this very microsecond counts


def test_names_may_be_short_and_come_in_one_text() -> None:
    query = parse_query(
        {"measures": "cost, cost.input,calls,calls", "group_by": ["user", "user_id", "tags.plan"]}, NOW_US
    )
    assert query.measures == ("cost_usd", "cost_input_usd", "calls")
    assert query.group_by == ("user_id", "tags.plan")


# fmt: off
ORDERS = [
    ("cost_usd",      Order("cost_usd", True)),
    ("-cost_usd",     Order("cost_usd", True)),
    ("+cost_usd",     Order("cost_usd", False)),
    ("cost_usd asc",  Order("cost_usd", False)),
    ("cost.input DESC", Order("cost_input_usd", True)),
    ("user",          Order("user_id", False)),
    ("-user",         Order("user_id", True)),
    ("time",          Order("time", False)),
    ("-time",         Order("time", True)),
]
# fmt: on


@pytest.mark.parametrize(("text", "order"), ORDERS)
def test_measures_come_largest_first_unless_told(text: str, order: Order) -> None:
    asked = {"order_by": text, "group_by": "user", "interval": "day"}
    assert parse_query(asked, NOW_US).order_by == order


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"group_by": ["colour"]}, "group_by"),
    ({"group_by": ["tags."]}, "group_by"),
    ({"group_by": ["event_id"]}, "group_by"),
    ({"group_by": 7}, "group_by"),
    ({"group_by": [7]}, "group_by"),
    ({"group_by": list(GROUPABLE)}, "group_by"),
    ({"measures": ["money"]}, "measures"),
    ({"filters": {"colour": "red"}}, "filters"),
    ({"filters": ["feature"]}, "filters"),
    ({"filters": {"feature": {}}}, "filters.feature"),
    ({"filters": {"feature": {"like": "x"}}}, "filters.feature"),
    ({"filters": {"feature": {">": 1}}}, "filters.feature"),
    ({"filters": {"feature": {"contains": 1}}}, "filters.feature"),
    ({"filters": {"feature": {"exists": "yes"}}}, "filters.feature"),
    ({"filters": {"feature": {"in": ["x"] * 1001}}}, "filters.feature"),
    ({"filters": {"feature": {"in": [{"a": 1}]}}}, "filters.feature"),
    ({"filters": {"http_status": {">": None}}}, "filters.http_status"),
    ({"filters": {"http_status": {"contains": "4"}}}, "filters.http_status"),
    ({"filters": {"http_status": "four hundred"}}, "filters.http_status"),
    ({"filters": {"http_status": True}}, "filters.http_status"),
    ({"filters": {"cost_usd": {">": "NaN"}}}, "filters.cost_usd"),
    ({"filters": {"usage_estimated": "perhaps"}}, "filters.usage_estimated"),
    ({"filters": {"event_id": "nonsense"}}, "filters.event_id"),
    ({"from": "yesterday-ish"}, "from"),
    ({"from": "2026-11-01T10:00:00"}, "from"),  # no zone: whose ten o'clock?
    ({"from": "2026-13-01"}, "from"),
    ({"from": 17}, "from"),
    ({"from": "0001-01-01", "timezone": "Asia/Tokyo"}, "from"),  # before the calendar
    ({"to": "1e9d"}, "to"),
    ({"from": "2026-11-02", "to": "2026-11-01"}, "from"),
    ({"from": "now", "to": "now"}, "from"),
    ({"timezone": "Mars/Olympus"}, "timezone"),
    ({"timezone": "America"}, "timezone"),
    ({"timezone": "../../etc/passwd"}, "timezone"),
    ({"timezone": 7}, "timezone"),
    ({"interval": "fortnight"}, "interval"),
    ({"interval": ["day"]}, "interval"),
    ({"order_by": "colour"}, "order_by"),
    ({"order_by": "user"}, "order_by"),  # not grouped by
    ({"order_by": "time"}, "order_by"),  # no interval
    ({"order_by": "cost_usd upwards"}, "order_by"),
    ({"order_by": ["cost_usd"]}, "order_by"),
    ({"order_by": ""}, "order_by"),
    ({"order_by": "-"}, "order_by"),
    ({"limit": 0}, "limit"),
    ({"limit": "ten"}, "limit"),
    ({"limit": True}, "limit"),
    ({"limit": 10**9}, "limit"),
    ({"limits": 10}, "limits"),
    ({"offset": 10}, "offset"),  # of how many?
    ({"offset": -1, "limit": 5}, "offset"),
    ({"fiscal_start_month": 13}, "fiscal_start_month"),
    ({"compare": "last_blue_moon"}, "compare"),
    ({"compare": {"from": "2026-01-01"}}, "compare"),
    ({"compare": {"from": "2026-01-02", "to": "2026-01-01"}}, "compare"),
    ({"compare": {"from": "soon", "to": "now"}}, "compare.from"),
    ({"compare": "previous_month", "from": "2026-03-30", "to": "2026-03-31"}, "compare"),  # of February
    ({"compare": "previous_year", "from": "1970-01-01", "to": "1970-02-01"}, "compare"),
    ({"compare": "previous_period", "limit": 1001}, "limit"),
    ({"totals": "none"}, "totals"),
    ({"filters": {"feature": {"missing": 1}}}, "filters.feature"),
]


@pytest.mark.parametrize(("asked", "field"), WRONG)
def test_a_wrong_question_names_the_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_query(asked, NOW_US)
    assert refused.value.facts["field"] == field


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"measures": "money"}, "cost_usd"),
        ({"group_by": "colour"}, "feature"),
        ({"group_by": "colour"}, "tags.NAME"),
        ({"filters": {"colour": 1}}, "event_id"),
        ({"interval": "fortnight"}, "week"),
        ({"order_by": "colour", "group_by": "team"}, "team"),
        (
            {"from": "soon"},
            "now, today, yesterday, and this_ or last_ with week, month, quarter or year (their start in the zone)",
        ),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(asked: dict[str, Any], allowed: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_query(asked, NOW_US)
    assert allowed in refused.value.as_dict()["allowed"]  # type: ignore[operator]


# fmt: off
FILTERS: list[tuple[dict[str, Any], Condition]] = [
    ({"feature": "chat"},                 Condition("feature", "in", ("chat",))),
    ({"user": None},                      Condition("user_id", "in", (None,))),
    ({"user": ["a", None]},               Condition("user_id", "in", ("a", None))),
    ({"team": {"not": "x"}},              Condition("team", "not", ("x",))),
    ({"tags.plan": {"contains": "p"}},    Condition("tags.plan", "contains", ("p",))),
    ({"model": {"exists": False}},        Condition("model", "exists", (False,))),
    ({"model": {"missing": True}},        Condition("model", "exists", (False,))),
    ({"team": {"is": "x"}},               Condition("team", "in", ("x",))),
    ({"team": {"is_not": "x"}},           Condition("team", "not", ("x",))),
    ({"team": {"not_in": ["x", "y"]}},    Condition("team", "not", ("x", "y"))),
    ({"tags.plan": {"not_contains": "p"}}, Condition("tags.plan", "not_contains", ("p",))),
    ({"http_status": "429"},              Condition("http_status", "in", (Decimal(429),))),
    ({"cost_usd": {">=": "0.05"}},        Condition("cost_usd", ">=", (Decimal("0.05"),))),
    ({"duration_ms": {"<": 0.5}},         Condition("duration_ms", "<", (Decimal("0.5"),))),
    ({"usage_estimated": "true"},         Condition("usage_estimated", "in", (True,))),
    ({"prompt_version": 3},               Condition("prompt_version", "in", ("3",))),
]
# fmt: on


@pytest.mark.parametrize(("asked", "condition"), FILTERS)
def test_a_filter_is_a_condition(asked: dict[str, Any], condition: Condition) -> None:
    assert parse_filters(asked) == (condition,)


def test_several_operators_all_have_to_hold() -> None:
    assert len(parse_filters({"input_tokens": {">=": 10, "<": 20}, "feature": "chat"})) == 3


def test_every_text_field_can_be_grouped_by_and_every_token_class_measured() -> None:
    texts = {field.name for field in FIELDS if field.kind == "text"} - {"event_id"}
    assert texts | {"model"} <= set(GROUPABLE)
    assert set(TOKEN_CLASSES) <= set(MEASURES)


def test_events_are_asked_for_without_bounds_unless_given() -> None:
    query = parse_event_query({"filters": {"feature": "chat"}, "limit": "5"}, NOW_US)
    assert (query.from_us, query.to_us, query.limit) == (None, None, 5)
    assert parse_event_query({"from": "1h"}, NOW_US).from_us == NOW_US - 3_600_000_000


@pytest.mark.parametrize(
    ("asked", "field"), [({"limit": 1001}, "limit"), ({"cursor": 5}, "cursor"), ({"measures": "calls"}, "measures")]
)
def test_a_wrong_question_for_events_names_the_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_event_query(asked, NOW_US)
    assert refused.value.facts["field"] == field
