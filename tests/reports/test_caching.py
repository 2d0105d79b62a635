"""What caching did, by a ledger of a few calls worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.ingest.collector import CostSplicer
from taximeter.pricing import load_price_book
from taximeter.reports.caching import caching
from taximeter.store.events import DuckDBEvents

START_US = 1_788_220_800_000_000
"""2026-09-01T00:00:00Z"""
NOW_US = START_US + 3 * 86_400_000_000


def call(number: int, minute: int, **fields: Any) -> dict[str, Any]:
    at_us = START_US + minute * 60_000_000
    return {
        "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(at_us),
        "provider": "anthropic",
        "request_model": "claude-sonnet-4-5",
        "feature": "chat",
        "status": "ok",
        "input_tokens": 10_000,
        **fields,
    }


CALLS = (
    call(1, 0, cache_write_5m_tokens=8_000),  # read back by the next one
    call(2, 4, cache_read_tokens=8_000),
    call(3, 20, cache_write_5m_tokens=6_000),  # the next read comes too late
    call(4, 26, cache_read_tokens=1_000),
    call(5, 30, cache_write_1h_tokens=5_000),  # an hour is long enough
    call(6, 89, cache_read_tokens=5_000),
    call(7, 100, cache_write_1h_tokens=4_000),  # nobody comes
    call(8, 1_500, input_tokens=100),  # the next day
    call(9, 1, feature="search", cache_write_5m_tokens=2_000),  # read only by another feature
)
"""Rates: input 3, read 0.3, write for five minutes 3.75, for an hour 6."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("caching") / "events.duckdb", query_timeout_seconds=600)
    splicer = CostSplicer(load_price_book())
    lines = [json.dumps(one).encode() for one in CALLS]
    opened.append([splicer.spliced(line, json.loads(line), rfc3339(START_US)) for line in lines], {})
    yield opened
    opened.close()


def told(store: DuckDBEvents, **request: Any) -> dict[str, Any]:
    return caching({"from": "2026-09-01", **request}, store, NOW_US)


def test_savings_are_reads_less_what_writing_cost_more(store: DuckDBEvents) -> None:
    answer = told(store, group_by=["feature"])
    by_feature = {row["feature"]: row for row in answer["rows"]}
    read_usd = Decimal(14_000) * Decimal("2.7") / 1_000_000
    written_usd = (Decimal(14_000) * Decimal("0.75") + Decimal(9_000) * 3) / 1_000_000
    assert Decimal(by_feature["chat"]["cache_read_saving_usd"]) == read_usd
    assert Decimal(by_feature["chat"]["cache_write_surcharge_usd"]) == written_usd
    assert Decimal(by_feature["chat"]["cache_saving_usd"]) == read_usd - written_usd
    assert by_feature["search"]["cache_saving_usd"] == "-0.0015"
    total = sum(Decimal(row["cache_saving_usd"]) for row in answer["rows"])
    assert Decimal(answer["totals"]["cache_saving_usd"]) == total


def test_hit_rates_by_tokens_and_by_calls(store: DuckDBEvents) -> None:
    (chat,) = told(store, group_by=["feature"], filters={"feature": "chat"})["rows"]
    assert chat["cache_hits"] == 3
    assert chat["cache_hit_calls_rate"] == 3 / 8
    assert chat["cache_hit_rate"] == 14_000 / 70_100


def test_what_was_written_for_nobody(store: DuckDBEvents) -> None:
    answer = told(store, group_by=["feature"])
    by_feature = {row["feature"]: row for row in answer["rows"]}
    assert (by_feature["chat"]["written_calls"], by_feature["chat"]["written_off_calls"]) == (4, 2)
    assert by_feature["chat"]["written_off_tokens"] == 6_000 + 4_000
    assert by_feature["chat"]["written_off_usd"] == "0.0165"
    assert (by_feature["search"]["written_off_calls"], by_feature["search"]["written_off_usd"]) == (1, "0.0015")
    assert (answer["totals"]["written_off_calls"], answer["totals"]["written_off_usd"]) == (3, "0.018")
    assert answer["assumptions"]


def test_by_day(store: DuckDBEvents) -> None:
    rows = told(store, group_by=["model"], interval="day")["rows"]
    assert [(row["time"], row["written_calls"]) for row in rows] == [
        ("2026-09-01T00:00:00Z", 5),
        ("2026-09-02T00:00:00Z", 0),
    ]


def test_a_read_just_after_the_range_still_counts(store: DuckDBEvents) -> None:
    assert told(store, to="2026-09-01T00:01:00Z")["totals"]["written_off_calls"] == 0


def test_by_nothing_at_all(store: DuckDBEvents) -> None:
    (row,) = told(store, group_by=[])["rows"]
    assert row["written_off_calls"] == 3


def test_the_default_is_feature_and_model(store: DuckDBEvents, tmp_path: Path) -> None:
    assert {"feature", "model"} <= told(store)["rows"][0].keys()
    empty = DuckDBEvents(tmp_path / "empty.duckdb", query_timeout_seconds=600)
    assert told(empty)["rows"] == []
    empty.close()
