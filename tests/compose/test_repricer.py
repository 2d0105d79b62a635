"""Runs of re-pricing in a server: asked for, performed by a job, finished after a crash; and the backfill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taximeter.clock import rfc3339
from taximeter.compose.repricing import LOOK_SECONDS, Repricer
from taximeter.core.ids import EventIds, uuid7
from taximeter.errors import NotFoundError, StoreError
from taximeter.ingest.collector import CostSplicer
from taximeter.pricing import PriceBook, load_price_book
from taximeter.pricing.price_file import parse
from taximeter.reports.unpriced import unpriced
from taximeter.store.events import DuckDBEvents, EventQuery
from taximeter.store.events.repricing import UNFINISHED

START_US = 1_788_220_800_000_000
"""2026-09-01T00:00:00Z"""


class MovedClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now_us(self) -> int:
        return START_US + 86_400_000_000 + int(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds


class Meter:
    """A store with calls, a book that changes, and the job's turn."""

    def __init__(self, store: DuckDBEvents, book: PriceBook) -> None:
        self.store, self.book, self.clock = store, book, MovedClock()
        self.repricer = self.started()

    def started(self) -> Repricer:
        return Repricer(self.store, lambda: self.book, self.clock, EventIds(bytes))

    def add(self, *numbers: int, book: PriceBook | None = None, **fields: Any) -> None:
        splicer = CostSplicer(book or self.book)
        lines = []
        for number in numbers:
            at_us = START_US + number * 60_000_000
            given = {"provider": "acme", "request_model": "secret-1", "input_tokens": 1_000_000, "status": "ok"}
            event = {"event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")), "started_at": rfc3339(at_us)}
            line = json.dumps({**event, **given, **fields}).encode()
            lines.append(splicer.spliced(line, json.loads(line), rfc3339(at_us)))
        self.store.append(lines, {})

    def set_prices(self, text: str) -> None:
        self.book = PriceBook([*load_price_book().layers, parse(text, "override")], self.book.snapshots)

    def costs(self) -> list[str | None]:
        return [event["cost_usd"] for event in reversed(self.store.events(EventQuery(limit=100)).events)]

    def kinds(self) -> list[str]:
        return [f"{run.kind} {run.state}" for run in self.repricer.runs(10)]


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_price_book()


@pytest.fixture
def meter(tmp_path: Path, book: PriceBook) -> Iterator[Meter]:
    store = DuckDBEvents(tmp_path / "events.duckdb")
    yield Meter(store, book)
    store.close()


FROM_NOON = (
    'prices: [{provider: acme, match: "secret-*", from: "2026-09-01T00:02:00Z", rates: {input: "3", output: "9"}}]'
)


def test_a_price_that_comes_prices_what_waited_for_it_each_call_at_its_own_time(meter: Meter) -> None:
    meter.add(1, 2, 3)
    meter.repricer.turn()
    assert (meter.costs(), meter.kinds()) == ([None, None, None], [])
    meter.set_prices(FROM_NOON)
    meter.repricer.turn()
    assert meter.costs() == [None, "3", "3"]
    (run,) = meter.repricer.runs(10)
    assert (run.kind, run.state, run.asked_by, run.price_version) == (
        "backfill",
        "done",
        "taximeter",
        meter.book.version,
    )
    assert (run.outcome["examined"], run.outcome["newly_priced"], run.outcome["new_cost_usd"]) == (3, 2, "6")


def test_what_still_has_no_price_is_not_looked_at_again_for_nothing(meter: Meter) -> None:
    meter.add(1)
    meter.set_prices(FROM_NOON)
    for _ in range(3):
        meter.repricer.turn()
        meter.clock.seconds += LOOK_SECONDS
    assert meter.kinds() == ["backfill done"]
    meter.repricer = meter.started()
    meter.repricer.turn()
    assert meter.kinds() == ["backfill done"], "nor after a restart"


def test_a_late_batch_that_was_priced_before_the_change_is_found(meter: Meter, book: PriceBook) -> None:
    meter.set_prices(FROM_NOON)
    meter.repricer.turn()
    meter.add(5, book=book)
    meter.repricer.turn()
    assert meter.costs() == [None]
    meter.clock.seconds += LOOK_SECONDS
    meter.repricer.turn()
    assert meter.costs() == ["3"]


def test_what_no_price_can_help_is_left_alone(meter: Meter) -> None:
    meter.add(2, input_tokens=None)
    meter.set_prices(FROM_NOON)
    meter.repricer.turn()
    assert (meter.costs(), meter.kinds()) == ([None], [])


def test_a_run_waits_until_the_job_comes_round(meter: Meter) -> None:
    meter.add(2, 3, book=meter.book)
    meter.set_prices(FROM_NOON)
    asked = meter.repricer.ask({"from": "2026-09-01"}, "ann")
    assert meter.repricer.run(asked.id).state == "waiting"
    meter.repricer.turn()
    done = meter.repricer.run(asked.id)
    assert (done.state, done.outcome["calls"], meter.costs()) == ("done", 2, ["3", "3"])
    assert meter.repricer.progress(asked.id) is None
    with pytest.raises(NotFoundError):
        meter.repricer.run("another")


def test_a_run_that_a_process_left_behind_is_finished_by_the_next(meter: Meter) -> None:
    meter.add(2, 3, book=meter.book)
    meter.set_prices(FROM_NOON)
    asked = meter.repricer.ask({"from": "2026-09-01"}, "ann")
    meter.store.restate((), replace(asked, state="running"), meter.clock.now_us())
    meter.repricer = meter.started()
    meter.repricer.turn()
    assert (meter.repricer.run(asked.id).state, meter.costs()) == ("done", ["3", "3"])


def test_a_stopped_process_leaves_its_run_for_the_next(meter: Meter) -> None:
    meter.add(2)
    asked = meter.repricer.ask({"from": "2026-09-01"}, "ann")
    meter.repricer.stop()
    meter.repricer.turn()
    assert meter.repricer.run(asked.id).state in UNFINISHED


def test_a_run_that_cannot_be_performed_is_kept_as_failed(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = meter.repricer.ask({"from": "2026-09-01"}, "ann")
    broken = replace(asked, request={**asked.request, "filters": {"colour": "red"}})
    meter.store.restate((), broken, 0)
    meter.repricer.turn()
    failed = meter.repricer.run(asked.id)
    assert failed.state == "failed"
    assert "colour" in failed.outcome["error"]


def test_a_store_that_cannot_now_is_asked_again(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    meter.add(2, book=meter.book)
    meter.set_prices(FROM_NOON)
    asked = meter.repricer.ask({"from": "2026-09-01"}, "ann")

    def full(*_given: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(meter.store, "restate", full)
        with pytest.raises(StoreError):
            meter.repricer.turn()
    meter.repricer.turn()
    assert (meter.repricer.run(asked.id).state, meter.costs()) == ("done", ["3"])


def test_unpriced_calls_are_told_by_model_and_reason(meter: Meter) -> None:
    meter.add(1, 2, output_tokens=500)
    meter.add(3, provider="openai", request_model="gpt-4.1", service_tier="scale")
    meter.add(4, provider="openai", request_model="gpt-4.1")
    told = unpriced({}, meter.store, meter.book, meter.clock.now_us())
    first, second = told["rows"]
    assert {name: first[name] for name in ("provider", "model", "unpriced_reason", "unpriced_calls")} == {
        "provider": "acme",
        "model": "secret-1",
        "unpriced_reason": "unknown_provider",
        "unpriced_calls": 2,
    }
    assert (first["unpriced_tokens"], first["input_tokens"], first["output_tokens"]) == (2_001_000, 2_000_000, 1_000)
    assert (first["first_seen"], first["last_seen"]) == (
        rfc3339(START_US + 60_000_000),
        rfc3339(START_US + 120_000_000),
    )
    assert float(first["at_most_usd"]) > 2
    assert (second["service_tier"], second["unpriced_reason"]) == ("scale", "no_price_for_tier")
    assert told["totals"]["unpriced_calls"] == 3
    narrow = {"from": "2026-09-01", "filters": {"provider": "openai"}}
    assert len(unpriced(narrow, meter.store, meter.book, meter.clock.now_us())["rows"]) == 1
