"""The SQL of a query: run as a user's own statement, it answers the rows of the query."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import records_at_random as at_random
from all_stores import emptied
from hypothesis import given
from hypothesis import strategies as st
from test_events_properties import EXAMPLES, filled, tries

from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.errors import UsageError
from taximeter.store.events import DuckDBEvents, EventStore, parse_query
from taximeter.store.events.bins import WIDEST_ERROR
from taximeter.store.events.query import TIME, Query
from taximeter.store.events.query_sql import query_sql
from taximeter.store.events.sql_answer import as_json
from taximeter.store.events.vocabulary import MEASURES

NOW_US = 1_795_000_000_000_000
HOUR_US = 3_600_000_000
FLOAT_ERROR = 1e-9


def rows_in_sql(store: EventStore, query: Query) -> list[dict[str, Any]]:
    answer = as_json(store.sql(query_sql(query)))
    names = [column["name"] for column in answer["columns"]]
    return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


def expected(query: Query, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the answer as SQL has it: divided amounts are numbers, days are dates, moments are in UTC."""
    said = {name: _expected(name, value) for name, value in row.items()}
    if query.interval in ("minute", "hour"):
        said[TIME] = datetime.fromisoformat(row[TIME])
    elif query.interval is not None:
        said[TIME] = row[TIME][: len("2026-11-29")]
    return said


def _expected(name: str, value: Any) -> Any:
    measure = MEASURES.get(name)
    if measure is None or value is None:
        return value
    if measure.kind == "milliseconds":
        return pytest.approx(value, rel=WIDEST_ERROR, abs=0.001)
    is_divided = measure.kind != "count" and len(measure.parts) > 1
    return pytest.approx(float(value), rel=FLOAT_ERROR, abs=FLOAT_ERROR) if is_divided else value


def assert_the_same(store: EventStore, query: Query) -> None:
    found = rows_in_sql(store, query)
    if query.interval in ("minute", "hour"):
        found = [{**row, TIME: datetime.fromisoformat(row[TIME])} for row in found]
    elif query.interval is not None:  # one engine says a date as a moment
        found = [{**row, TIME: row[TIME][: len("2026-11-29")]} for row in found]
    rests = [row for row in found if row.pop("other", False)]
    for row in rests:
        row["other"] = True
    assert found == [expected(query, row) for row in store.query(query).rows], query_sql(query)


def test_the_sql_of_any_query_has_its_rows(tmp_path: Path) -> None:
    """Of the engine in whose dialect it is written; the table below is for each."""

    @tries(EXAMPLES)
    @given(data=st.data(), history=at_random.histories())
    def holds(data: st.DataObject, history: tuple[str, int, list[dict[str, Any]]]) -> None:
        timezone, around_us, records = history
        filled(store, records)
        for query in data.draw(st.lists(at_random.queries(timezone, around_us), min_size=1, max_size=4)):
            assert_the_same(store, replace(query, compare=None))

    with closing(DuckDBEvents(tmp_path / "events.duckdb")) as store:
        holds()


def record(number: int, **more: Any) -> bytes:
    known = {
        "event_id": uuid7(NOW_US // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(NOW_US - number * 20 * HOUR_US),
        "status": "ok",
    }
    return json.dumps({**known, **more}).encode()


HISTORY = [
    record(
        number,
        feature=("chat", "search", None)[number % 3],
        user_id=("ann", "bob", "it's", None)[number % 4],
        tags={"region": ("eu", "us")[number % 2]} if number % 5 else {},
        duration_ms=100 * number,
        cost_usd=str(number) if number % 7 else None,
    )
    for number in range(60)
]
# fmt: off
CASES: list[tuple[str, dict[str, Any]]] = [
    ("one number",           {}),
    ("groups, one not set",  {"group_by": ["feature"]}),
    ("the first groups",     {"group_by": ["user_id"], "limit": 2}),
    ("those behind",         {"group_by": ["user_id"], "limit": 1, "offset": 1}),
    ("a tag and a field",    {"group_by": ["tags.region", "feature"], "limit": 3}),
    ("by name",              {"group_by": ["feature"], "order_by": "feature", "limit": 2}),
    ("filters",              {"group_by": ["user_id"],
                              "filters": {"feature": ["chat", None], "tags.region": {"not": "us"}}}),
    ("days of a zone",       {"interval": "day", "timezone": "America/New_York"}),
    ("groups over time",     {"interval": "week", "timezone": "Europe/Berlin", "group_by": ["feature"], "limit": 1}),
    ("the latest first",     {"interval": "hour", "group_by": ["feature"], "order_by": "-time"}),
    ("percentiles in time",  {"interval": "month", "group_by": ["feature"], "limit": 1, "order_by": "-latency_ms_p95"}),
]
# fmt: on


@pytest.mark.parametrize("asked", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_the_sql_of_a_question_has_its_rows(events: EventStore, asked: dict[str, Any]) -> None:
    emptied(events).append(HISTORY, {})
    measures = ["cost_usd", "calls", "cost_per_call", "error_rate", "latency_ms_p95", "users"]
    assert_the_same(events, parse_query({"measures": measures, "from": "60d", **asked}, NOW_US))


def test_the_sql_of_every_measure_runs(events: EventStore) -> None:
    assert_the_same(emptied(events), parse_query({"measures": list(MEASURES), "group_by": ["feature"]}, NOW_US))


HOSTILE = ["'); DROP TABLE events; --", "\\", "\\'", "''", "$1", "?", "{x:String}", '"', "ü\n\n  b", "/*", "%s"]


@pytest.mark.parametrize("said", HOSTILE)
def test_values_are_written_as_nothing_but_values(events: EventStore, said: str) -> None:
    mine = record(1, user_id=said, tags={said: said}, feature=f"a {said} b")
    emptied(events).append([mine, record(2, user_id="other")], {})
    filters = {"user": [said, "nobody"], "feature": {"contains": said}, f"tags.{said}": {"not": "x"}}
    asked = {"measures": ["calls"], "group_by": [f"tags.{said}"], "filters": filters, "limit": 1}
    query = parse_query(asked, NOW_US)
    assert rows_in_sql(events, query) == [{f"tags.{said}": said, "calls": 1, "other": False}]
    many = parse_query({**asked, "filters": {"user": [said, *map(str, range(200))]}}, NOW_US)
    assert [row["calls"] for row in rows_in_sql(events, many)] == [1]


# fmt: off
NO_SQL = [
    ("compare", {"compare": "previous_period"}),
    ("filters", {"filters": {"user": [f"a-rather-long-name-{number}" for number in range(1000)]}}),
]
# fmt: on


@pytest.mark.parametrize(("field", "asked"), NO_SQL, ids=[case[0] for case in NO_SQL])
def test_what_is_no_statement_is_refused_with_the_reason(field: str, asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refusal:
        query_sql(parse_query({"measures": ["calls"], "group_by": ["feature"], **asked}, NOW_US))
    assert refusal.value.as_dict()["field"] == field


def test_a_day_is_told_as_a_day_and_a_moment_with_a_zone_as_one_in_utc(events: EventStore) -> None:
    statement = "SELECT DATE '2026-01-05' AS day, now() AS now, NULL::DATE AS none"
    [[day, now, none]] = as_json(events.sql(statement))["rows"]
    assert (day, none) == ("2026-01-05", None)
    assert abs(datetime.fromisoformat(now) - datetime.now(UTC)) < timedelta(hours=1)
