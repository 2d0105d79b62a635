"""Re-pricing stored calls: the difference first, then new derivations, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taximeter.clock import rfc3339
from taximeter.core.cost import COMPONENTS
from taximeter.core.ids import uuid7
from taximeter.errors import NotFoundError, UsageError
from taximeter.ingest.collector import CostSplicer
from taximeter.pricing import PriceBook, load_price_book
from taximeter.pricing.price_file import parse
from taximeter.reports import repricing
from taximeter.reports.repricing import asked, cost_history, perform
from taximeter.store.events import DuckDBEvents, EventQuery, parse_query
from taximeter.store.events.repricing import Repricing

START_US = 1_788_220_800_000_000
"""2026-09-01T00:00:00Z"""
NOW_US = START_US + 30 * repricing.DAY_US
MODELS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("openai", "gpt-4o", {}),
    ("anthropic", "claude-sonnet-4-5", {"cache_read_tokens": 400, "cache_write_5m_tokens": 100}),
    ("openai", "gpt-4o-mini", {"service_tier": "batch", "units": {"web_searches": 2}}),
    ("acme", "secret-1", {}),
    ("openai", "gpt-4o-audio-preview", {"input_audio_tokens": 300}),
    (
        "anthropic",
        "claude-opus-5",
        {"by_model": [{"model": "claude-opus-5", "input_tokens": 900, "output_tokens": 90}]},
    ),
)
DEARER = """
prices:
  - {provider: openai, match: gpt-4o, from: 2026-09-02, rates: {input: "3", output: "12"}}
  - {provider: acme, match: "secret-*", rates: {input: "1", output: "2"}}
"""


class StillClock:
    def now_us(self) -> int:
        return NOW_US

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_price_book()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    store = DuckDBEvents(tmp_path_factory.mktemp("repricing") / "events.duckdb", query_timeout_seconds=600)
    yield store
    store.close()


@pytest.fixture
def store(opened: DuckDBEvents, book: PriceBook) -> DuckDBEvents:
    """Ten days, 24 calls a day, priced as they came."""
    return filled(opened, book, 240)


def filled(store: DuckDBEvents, book: PriceBook, calls: int) -> DuckDBEvents:
    for table in ("events", "superseded_costs", "repricings"):
        store._writer.execute(f"DELETE FROM {table}")
    splicer = CostSplicer(book)
    lines = [json.dumps(call(number)).encode() for number in range(calls)]
    store.append([splicer.spliced(line, json.loads(line), rfc3339(START_US)) for line in lines], {})
    return store


def call(number: int) -> dict[str, Any]:
    at_us = START_US + number * repricing.HOUR_US
    provider, model, more = MODELS[number % len(MODELS)]
    return {
        "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(at_us),
        "source": "api",
        "status": "ok",
        "provider": provider,
        "request_model": model,
        "feature": "chat" if number % 2 else "search",
        "input_tokens": 1_000 + number,
        "output_tokens": 100,
        **more,
    }


def other(book: PriceBook, text: str) -> PriceBook:
    return PriceBook([*book.layers, parse(text, "override")], book.snapshots)


def wish(number: int = 1, **request: Any) -> Repricing:
    given = {"from": "2026-09-01", **request}
    return asked(given, run_id=uuid7(NOW_US // 1000, number.to_bytes(10, "big")), by="ann", now_us=NOW_US + number)


def run(store: DuckDBEvents, book: PriceBook, number: int = 1, **request: Any) -> Repricing:
    return perform(wish(number, **request), book, store, StillClock())


def records(store: DuckDBEvents) -> list[dict[str, Any]]:
    return store.events(EventQuery(limit=1000)).events


def spent(store: DuckDBEvents, **filters: str) -> Decimal:
    asked_for = {"measures": "cost_usd", "from": "2026-01-01", "filters": filters}
    return Decimal(store.query(parse_query(asked_for, NOW_US)).totals["cost_usd"])


def test_the_same_book_changes_nothing(store: DuckDBEvents, book: PriceBook) -> None:
    before = records(store)
    done = run(store, book)
    assert (done.state, done.outcome["examined"], done.outcome["calls"], done.outcome["by"]) == ("done", 240, 0, [])
    assert records(store) == before


def test_a_dry_run_tells_the_difference_by_day_and_model_and_writes_nothing(
    store: DuckDBEvents, book: PriceBook
) -> None:
    before = records(store)
    done = run(store, other(book, DEARER), dry_run=True)
    assert records(store) == before
    first = done.outcome["by"][0]
    assert (first["day"], first["provider"], first["model"]) == ("2026-09-01", "acme", "secret-1")
    assert (first["calls"], first["newly_priced"]) == (4, 4)
    assert first["old_cost_usd"] == "0"
    assert {row["day"] for row in done.outcome["by"] if row["model"] == "gpt-4o"} == {
        f"2026-09-{n:02d}" for n in range(2, 11)
    }
    assert {row["model"] for row in done.outcome["by"]} == {"gpt-4o", "secret-1"}


def test_what_is_written_is_what_the_dry_run_told(store: DuckDBEvents, book: PriceBook) -> None:
    dearer = other(book, DEARER)
    before = spent(store)
    told = run(store, dearer, 1, dry_run=True).outcome
    written = run(store, dearer, 2).outcome
    assert written == told
    assert spent(store) - before == Decimal(told["difference_usd"])
    assert run(store, dearer, 3).outcome["calls"] == 0


def test_a_filter_and_a_range_bound_what_is_restated(store: DuckDBEvents, book: PriceBook) -> None:
    outcome = run(store, other(book, DEARER), to="2026-09-03", filters={"provider": "acme"}).outcome
    assert (outcome["examined"], outcome["calls"]) == (8, 8)
    assert {row["day"] for row in outcome["by"]} == {"2026-09-01", "2026-09-02"}


def test_the_old_amount_says_who_replaced_it_and_why(store: DuckDBEvents, book: PriceBook) -> None:
    changed = call(3)["event_id"]
    run(store, other(book, DEARER), note="acme sent its price list")
    told = cost_history(store, changed)
    assert told["current"]["cost_usd"] == "0.001203"
    (old,) = told["superseded"]
    assert (old["cost_usd"], old["unpriced_reason"], old["price_version"]) == (None, "unknown_provider", book.version)
    assert (old["asked_by"], old["note"], old["superseded_at"]) == ("ann", "acme sent its price list", rfc3339(NOW_US))
    assert cost_history(store, call(1)["event_id"])["superseded"] == []
    with pytest.raises(NotFoundError):
        cost_history(store, uuid7(1, bytes(10)))


def test_going_back_to_the_first_book_restores_every_amount(store: DuckDBEvents, book: PriceBook) -> None:
    names = ("event_id", "cost_usd", "cost", "price_rule", "unpriced_reason", "cache_read_saving_usd")
    before = [{name: record[name] for name in names} for record in records(store)]
    run(store, other(book, DEARER), 1)
    run(store, book, 2)
    assert [{name: record[name] for name in names} for record in records(store)] == before
    assert len(cost_history(store, call(3)["event_id"])["superseded"]) == 2


class CutOffError(Exception):
    pass


@pytest.mark.parametrize("after_writes", range(6))
def test_a_run_that_is_cut_off_goes_on_where_it_was(
    store: DuckDBEvents, book: PriceBook, monkeypatch: pytest.MonkeyPatch, after_writes: int
) -> None:
    monkeypatch.setattr(repricing, "SLICE_CALLS", 48)
    dearer = other(book, DEARER)
    told = run(store, dearer, 1, dry_run=True).outcome
    begun = wish(2)
    left = [after_writes]

    class Failing(DuckDBEvents):
        def __init__(self) -> None:
            pass

        def restate(self, *given: Any) -> None:
            if not left[0]:
                raise CutOffError
            left[0] -= 1
            store.restate(*given)

        query, derivations = store.query, store.derivations

    store.restate((), begun, NOW_US)
    with pytest.raises(CutOffError):
        perform(begun, dearer, Failing(), StillClock())
    (kept,) = store.repricings(limit=1, repricing_id=begun.id)
    done = perform(kept, dearer, store, StillClock())
    assert done.outcome == told
    assert run(store, dearer, 3).outcome["calls"] == 0
    assert len(cost_history(store, call(3)["event_id"])["superseded"]) == 1


def test_a_slice_with_more_than_one_transaction_takes_goes_on_within_itself(
    store: DuckDBEvents, book: PriceBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repricing, "PAGE_CALLS", 20)
    monkeypatch.setattr(repricing, "WRITTEN_AT_ONCE", 5)
    dearer = other(book, DEARER)
    told = run(store, dearer, 1, dry_run=True).outcome
    assert run(store, dearer, 2).outcome == told
    assert run(store, dearer, 3).outcome["calls"] == 0


def test_a_run_that_is_stopped_is_still_running(store: DuckDBEvents, book: PriceBook) -> None:
    stopped = perform(wish(), book, store, StillClock(), stopping=lambda: True)
    assert (stopped.state, stopped.cursor_us) == ("running", None)


def test_progress_is_told(store: DuckDBEvents, book: PriceBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "SLICE_CALLS", 100)
    told: list[tuple[int, int]] = []
    perform(wish(), book, store, StillClock(), lambda done, calls: told.append((done, calls)))
    assert told == [(100, 240), (200, 240), (240, 240)]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "from"),
        ({"from": "soon"}, "from"),
        ({"from": "2026-09-02", "to": "2026-09-01"}, "from"),
        ({"from": "2026-09-01", "filters": {"colour": "red"}}, "filters"),
        ({"from": "2026-09-01", "dry_run": "yes"}, "dry_run"),
        ({"from": "2026-09-01", "note": "x" * 501}, "note"),
        ({"from": "2026-09-01", "measures": ["calls"]}, "measures"),
    ],
)
def test_a_wrong_wish_is_named(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as refused:
        asked(request_, run_id="x", by="ann", now_us=NOW_US)
    assert str(refused.value.facts["field"]).startswith(field)


rates = st.decimals("0.01", "100", places=4).map(str)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.sampled_from([model for _, model, _ in MODELS]),
    input_=rates,
    output=rates,
    factor=st.decimals("0.5", "2", places=3).map(str),
    from_day=st.integers(1, 10),
)
def test_any_other_book_restates_exactly_what_it_says(
    opened: DuckDBEvents, book: PriceBook, chosen: str, input_: str, output: str, factor: str, from_day: int
) -> None:
    store = filled(opened, book, 48)
    text = (
        f'prices:\n  - {{provider: "*", match: {chosen}, rates: {{input: "{input_}", output: "{output}"}}}}\n'
        f'  - {{provider: "*", match: "*", from: 2026-09-{from_day:02d}, multiply: "{factor}"}}\n'
    )
    new_book = other(book, text)
    before = spent(store)
    told = run(store, new_book, 1, dry_run=True).outcome
    written = run(store, new_book, 2).outcome
    assert written == told
    assert spent(store) - before == Decimal(written["difference_usd"])
    assert sum(Decimal(row["difference_usd"]) for row in written["by"]) == Decimal(written["difference_usd"])
    for record in records(store):
        if record["cost"] is not None:
            assert sum(Decimal(record["cost"][name]) for name in COMPONENTS) == Decimal(record["cost_usd"])
    assert run(store, new_book, 3).outcome["calls"] == 0
    assert replace(run(store, book, 4), outcome={}).state == "done"
    assert spent(store) == before
