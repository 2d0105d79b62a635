"""Amounts that providers name beside the computed ones: which differ, and by how much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from taximeter.alerts.sources import DifferingAmounts
from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.errors import UsageError
from taximeter.ingest.collector import CostSplicer
from taximeter.pricing import PriceBook, load_price_book
from taximeter.reports.differences import differences
from taximeter.store.events import DuckDBEvents, EventQuery

START_US = 1_772_323_200_000_000
"""2026-03-01T00:00:00Z"""
NOW_US = START_US + 86_400_000_000


def call(number: int, model: str, reported: str | None, **fields: Any) -> dict[str, Any]:
    at_us = START_US + number * 1_000_000
    return {
        "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(at_us),
        "provider": "xai",
        "request_model": model,
        "status": "ok",
        "input_tokens": 1_000_000,
        "reported_cost_usd": reported,
        **fields,
    }


CALLS = (
    call(1, "grok-3", "3"),
    call(2, "grok-3", "3.02"),
    call(3, "grok-3", "3.2"),
    call(4, "grok-3", "2"),
    call(5, "grok-3", None),
    call(6, "grok-unknown", "7"),
    call(7, "grok-3-mini", "0.3"),
    call(8, "grok-3-mini", "9", not_billed=True),
)
"""A million tokens of grok-3 cost 3 USD, of grok-3-mini 0.3."""


@pytest.fixture(scope="module", params=[(), ("xai",)], ids=["computed counts", "reported counts"])
def book(request: pytest.FixtureRequest) -> PriceBook:
    return load_price_book(prefer_reported=request.param)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, book: PriceBook) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("differences") / "events.duckdb", query_timeout_seconds=600)
    splicer = CostSplicer(book)
    lines = [json.dumps(one).encode() for one in CALLS]
    opened.append([splicer.spliced(line, json.loads(line), rfc3339(START_US)) for line in lines], {})
    yield opened
    opened.close()


def rows(store: DuckDBEvents, book: PriceBook, **request: Any) -> dict[str, dict[str, Any]]:
    told = differences({"from": "2026-03-01", **request}, store, book, NOW_US)
    return {row["model"]: row for row in told["rows"]}


def test_differences_beyond_the_tolerance_are_counted(store: DuckDBEvents, book: PriceBook) -> None:
    found = rows(store, book)
    assert next(iter(found)) == "grok-3", "the model with the most comes first"
    assert found["grok-3"] == {
        "provider": "xai",
        "model": "grok-3",
        "calls": 4,
        "unpriced_calls": 0,
        "computed_cost_usd": "12",
        "reported_cost_usd": "11.22",
        "difference_usd": "-0.78",
        "difference_percent": "-6.5",
        "differing_calls": 2,
        "largest_difference_usd": "1",
        "largest_event_id": CALLS[3]["event_id"],
    }
    assert (found["grok-3-mini"]["calls"], found["grok-3-mini"]["differing_calls"]) == (1, 0)


def test_a_call_without_a_price_of_ours_is_counted_apart(store: DuckDBEvents, book: PriceBook) -> None:
    found = rows(store, book)["grok-unknown"]
    assert (found["calls"], found["unpriced_calls"], found["differing_calls"]) == (1, 1, 0)


def test_the_tolerance_is_the_askers(store: DuckDBEvents, book: PriceBook) -> None:
    assert rows(store, book, tolerance="0.001")["grok-3"]["differing_calls"] == 3
    assert rows(store, book, tolerance="0.5")["grok-3"]["differing_calls"] == 0
    with pytest.raises(UsageError):
        rows(store, book, tolerance="2")


def test_a_filter_narrows(store: DuckDBEvents, book: PriceBook) -> None:
    assert list(rows(store, book, filters={"model": "grok-3-mini"})) == ["grok-3-mini"]


def test_what_the_cost_is_when_reported_amounts_count(store: DuckDBEvents, book: PriceBook) -> None:
    told = store.derivations(EventQuery(limit=10))
    rules = {row[0]: row[3] for row in told.rows}
    preferred = bool(book.prefer_reported)
    assert (rules[CALLS[0]["event_id"]] or "").startswith("reported:") == preferred
    assert not (rules[CALLS[4]["event_id"]] or "").startswith("reported:")


def test_an_alert_names_the_models_that_differ_and_looks_every_ten_minutes(
    store: DuckDBEvents, book: PriceBook
) -> None:
    asked: list[tuple[int, int]] = []

    def between(from_us: int, to_us: int) -> Any:
        asked.append((from_us, to_us))
        return differences({"from": rfc3339(from_us), "to": rfc3339(to_us)}, store, book, to_us)["rows"]

    source = DifferingAmounts(between)
    (told,) = source.observe(START_US + 600_000_000) or []
    assert dict(told.labels) == {"provider": "xai", "model": "grok-3"}
    assert told.kind == "price_difference"
    assert told.summary.startswith("2 of 4 calls of xai/grok-3 in the last hour cost something else")
    assert "11.22 USD in all, 12 by the price book" in told.summary
    assert source.observe(START_US + 900_000_000) == [told]
    assert len(asked) == 1
    assert source.observe(START_US + 3 * 3_600_000_000) == []


def test_too_many_calls_to_compare_are_unknown_and_not_none() -> None:
    assert DifferingAmounts(lambda _from_us, _to_us: None).observe(NOW_US) is None
