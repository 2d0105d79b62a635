"""The collector: every event of the spool in the store, priced, once, whatever fails on the way."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_rig import NOW_US, Appended, MemoryStore, StillClock, TwoPrices, as_line, event, event_id

from taximeter.clock import SystemClock, rfc3339
from taximeter.core.cost import COMPONENTS
from taximeter.errors import StoreError
from taximeter.ingest import collector as collecting
from taximeter.ingest.collector import FULL_BATCH_LINES, POLL_SECONDS, Collector
from taximeter.pricing import load_price_book
from taximeter.spool import Spool, SpoolReader, list_segments
from taximeter.store.events import DuckDBEvents


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def spool(tmp_path: Path, clock: StillClock) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", clock=clock, writer="gateway")
    yield spool
    spool.close()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def collector(spool: Spool, store: MemoryStore, clock: StillClock) -> Collector:
    return a_collector(spool.directory, store, clock)


def a_collector(directory: Path, store: MemoryStore, clock: StillClock) -> Collector:
    return Collector(SpoolReader(directory), TwoPrices(), store, clock)


def begin(number: int, **fields: Any) -> bytes:
    return as_line({"record": "begin", **event(number, **fields)})


def test_an_event_is_stored_with_its_cost_and_otherwise_as_it_was(
    spool: Spool, collector: Collector, store: MemoryStore
) -> None:
    made = event(1, provider="p", response_model="cheap", input_tokens=1500, tags={"ä": "}"}, other={"kept": [1]})
    spool.append(as_line(made))
    assert collector.step() == 1

    assert store.records[event_id(1)] == {
        **made,
        "cost_usd": "0.5015",
        "cost": {"input": "0.0015", "cache_read": "0", "cache_write": "0", "output": "0.5", "other": "0"},
        "cache_read_saving_usd": "0.25",
        "cache_write_surcharge_usd": None,
        "price_version": "test-1",
        "price_rule": 'rule "one"',
        "ingested_at": rfc3339(NOW_US),
    }
    assert store.lines[event_id(1)].startswith(as_line(made)[:-1]), "the event's own bytes are not rewritten"


def test_an_unknown_model_is_unpriced_not_free(spool: Spool, collector: Collector, store: MemoryStore) -> None:
    spool.append(as_line(event(1, request_model="exotic")))
    collector.step()

    record = store.records[event_id(1)]
    assert (record["unpriced_reason"], record["price_version"]) == ("unknown_model", "test-1")
    assert "cost_usd" not in record
    assert "cost" not in record
    assert collector.status.unpriced_events == 1


def test_the_worked_example_by_the_real_price_book(spool: Spool, store: MemoryStore, clock: StillClock) -> None:
    collector = Collector(SpoolReader(spool.directory), load_price_book(), store, clock)
    for number, started_at in enumerate(("2024-06-15T12:00:00.000000Z", "2026-09-01T00:00:00.000000Z")):
        tokens = {"input_tokens": 1000, "output_tokens": 500}
        spool.append(
            as_line(event(number, started_at=started_at, provider="openai", response_model="gpt-4o", **tokens))
        )
    collector.step()

    costs = [store.records[event_id(number)] for number in range(2)]
    assert [record["cost_usd"] for record in costs] == ["0.0125", "0.0075"]
    for record in costs:
        assert sum(Decimal(record["cost"][name]) for name in COMPONENTS) == Decimal(record["cost_usd"])


def test_an_event_delivered_twice_counts_once(spool: Spool, collector: Collector, store: MemoryStore) -> None:
    spool.extend([as_line(event(1)), as_line(event(2)), as_line(event(1))])
    collector.step()

    assert len(store.records) == 2
    assert (collector.status.stored_events, collector.status.duplicate_events) == (2, 1)


@pytest.mark.parametrize(
    "poison",
    [
        b"garbage",
        b"[1]",
        b"{}",
        b'{"event_id":5}',
        b'{"event_id":"x"}',
        b'{"event_id":"x","started_at":"soon"}',
        b"\xff",
    ],
)
def test_a_line_that_is_no_event_is_set_aside_and_blocks_nothing(
    spool: Spool, collector: Collector, store: MemoryStore, poison: bytes
) -> None:
    spool.extend([as_line(event(1)), poison, as_line(event(2))])
    assert collector.step() == 3

    assert set(store.records) == {event_id(1), event_id(2)}
    assert collector.status.set_aside == {"not_an_event": 1}
    (kept,) = (spool.directory / "rejected.ndjson").read_text().splitlines()
    assert json.loads(kept)["line"] == poison.decode("utf-8", "backslashreplace")
    assert collector.status.lag_bytes == 0


def test_a_line_the_store_cannot_take_is_counted_and_set_aside(tmp_path: Path, clock: StillClock) -> None:
    odd = as_line(event(2, event_id="not-a-uuid"))
    spool = Spool(tmp_path / "spool", clock=clock, writer="gateway")
    store = DuckDBEvents(tmp_path / "events.duckdb")
    spool.extend([as_line(event(1)), odd, as_line(event(3))])
    collector = Collector(SpoolReader(spool.directory), TwoPrices(), store, clock)
    assert collector.step() == 3

    assert store.known_ids([event_id(number) for number in (1, 2, 3)]) == {event_id(1), event_id(3)}
    assert (collector.status.stored_events, collector.status.set_aside) == (2, {"not_storable": 1})
    (kept,) = map(json.loads, (spool.directory / "rejected.ndjson").read_text().splitlines())
    assert kept["reason"] == "not_storable"
    assert kept["line"].startswith(odd[:-1].decode())
    assert collector.step() == 0, "it holds nothing up"
    store.close()
    spool.close()


def test_a_usage_nobody_understands_is_kept_beside_the_others(
    spool: Spool, collector: Collector, store: MemoryStore
) -> None:
    spool.extend([as_line(event(1, input_tokens="many")), as_line(event(2))])
    collector.step()

    assert set(store.records) == {event_id(2)}
    assert collector.status.set_aside == {"not_an_event": 1}


def test_begins_and_progress_are_no_events(spool: Spool, collector: Collector, store: MemoryStore) -> None:
    spool.extend([begin(1), as_line({"record": "progress", "event_id": event_id(1), "output_tokens": 5})])
    collector.step()
    assert (store.records, collector.status.open_calls) == ({}, 1)

    spool.append(as_line(event(1)))
    collector.step()
    assert (len(store.records), collector.status.open_calls) == (1, 0)


def test_calls_of_a_dead_writer_become_interrupted_and_are_priced(
    tmp_path: Path, store: MemoryStore, clock: StillClock
) -> None:
    (tmp_path / "gateway-1-1.lock").touch()
    dead = begin(1, request_model="cheap", input_tokens=1_000_000, expected_output_tokens=7) + b"\n" + begin(2)[:-9]
    (tmp_path / "gateway-1-1-000001.ndjson").write_bytes(dead)
    collector = a_collector(tmp_path, store, clock)
    while collector.step():
        pass

    (record,) = store.records.values()
    assert (record["status"], record["cost_usd"], record["output_tokens"]) == ("interrupted", "1.5", 7)
    assert (collector.status.interrupted_calls, collector.status.torn_lines) == (1, 1)


# -- failures --------------------------------------------------------------------------------------------------


def test_a_store_that_fails_loses_nothing_and_is_seen(spool: Spool, collector: Collector, store: MemoryStore) -> None:
    spool.append(as_line(event(1)))
    spool.append(b"garbage")
    store.fails = 3
    assert [collector._guarded_step() for _ in range(3)] == [None] * 3
    status = collector.status
    assert (status.store_failures, status.last_error, status.lag_bytes > 0) == (3, "the disk is full", True)

    assert collector._guarded_step() == 2
    assert (collector.status.last_error, collector.status.lag_bytes) == (None, 0)
    assert collector.status.set_aside == {"not_an_event": 1}, "once, not once for each attempt"


def test_what_waited_for_the_store_came_when_the_store_took_it(
    spool: Spool, collector: Collector, store: MemoryStore, clock: StillClock
) -> None:
    spool.append(as_line(event(1, provider="p", response_model="cheap", input_tokens=1500)))
    store.fails = 2
    for _ in range(2):
        collector._guarded_step()
        clock.seconds += 3600
    collector.step()
    (record,) = store.records.values()
    assert (record["ingested_at"], record["cost_usd"]) == (rfc3339(clock.now_us()), "0.5015")


def test_a_crash_between_commit_and_answer_counts_once(
    spool: Spool, collector: Collector, store: MemoryStore, clock: StillClock
) -> None:
    spool.extend([as_line(event(number)) for number in range(5)])
    store.fails_after_commit = 1
    with pytest.raises(StoreError):
        collector.step()
    spool.append(as_line(event(5)))
    again = a_collector(spool.directory, store, clock)

    assert again.step() == 1
    assert len(store.records) == 6


def test_something_unexpected_does_not_end_the_collector(spool: Spool, clock: StillClock) -> None:
    class Broken(MemoryStore):
        def append(self, lines: Sequence[bytes], marks: Mapping[str, int]) -> Appended:
            raise ZeroDivisionError("a bug")

    spool.append(as_line(event(1)))
    collector = a_collector(spool.directory, Broken(), clock)

    assert collector._guarded_step() is None
    assert collector.status.last_error == "a bug"


@settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "25")), deadline=None)
@given(
    plan=st.lists(st.sampled_from(["write", "step", "fail", "crash", "restart", "seal"]), max_size=25),
)
def test_any_order_of_failures_ends_with_every_event_once(
    tmp_path_factory: pytest.TempPathFactory, plan: list[str]
) -> None:
    clock, store = StillClock(), MemoryStore()
    directory = tmp_path_factory.mktemp("spool")
    spool = Spool(directory, clock=clock, writer="w")
    collector = a_collector(directory, store, clock)
    written = 0
    for action in [*plan, "step", "step"]:
        clock.seconds += 700
        store.fails, store.fails_after_commit = int(action == "fail"), int(action == "crash")
        if action == "write":
            spool.extend([begin(written), as_line(event(written))])
            written += 1
        elif action == "restart":
            collector = a_collector(directory, store, clock)
        elif action == "seal":
            spool.close()
            spool = Spool(directory, clock=clock, writer="w")
        else:
            collector._guarded_step()
    spool.close()

    assert set(store.records) == {event_id(number) for number in range(written)}
    assert collector.status.open_calls == 0


# -- letting go ------------------------------------------------------------------------------------------------


def test_stored_segments_are_released_after_some_minutes_and_their_marks_forgotten(
    spool: Spool, collector: Collector, store: MemoryStore, clock: StillClock
) -> None:
    spool.append(as_line(event(1)))
    collector.step()
    spool.close()
    clock.seconds += 10
    collector.step()
    assert (len(list_segments(spool.directory)), len(store.kept_marks)) == (1, 1)

    clock.seconds += 700
    collector.step()
    assert (list_segments(spool.directory), store.kept_marks) == ([], {})


def test_a_segment_with_an_open_call_is_kept(
    spool: Spool, collector: Collector, clock: StillClock, store: MemoryStore
) -> None:
    spool.append(begin(1))
    clock.seconds += 61
    spool.flush()
    assert [segment.sealed for segment in list_segments(spool.directory)] == [True]
    for _ in range(3):
        clock.seconds += 700
        collector = a_collector(spool.directory, store, clock)  # a restart does not forget it
        collector.step()
        clock.seconds += 700
        collector.step()
    assert len(list_segments(spool.directory)) == 1

    spool.append(as_line(event(1)))
    collector.step()
    clock.seconds += 700
    collector.step()
    clock.seconds += 700
    collector.step()
    assert [segment.sealed for segment in list_segments(spool.directory)] == [False]


def test_marks_of_segments_that_are_gone_are_forgotten_others_are_left(
    spool: Spool, collector: Collector, store: MemoryStore
) -> None:
    store.kept_marks = {"gateway-1-1-000001": 5, "import:file.csv": 7}
    collector.step()

    assert store.kept_marks == {"import:file.csv": 7}


def test_events_are_counted_as_stored_when_those_who_are_told_know(spool: Spool, store: MemoryStore) -> None:
    seen: list[int] = []

    def told(_: int) -> None:
        seen.append(watched.status.stored_events)

    watched = Collector(SpoolReader(spool.directory), TwoPrices(), store, SystemClock(), on_stored=told)
    spool.append(as_line(event(1)))
    watched.step()

    assert seen == [0]
    assert watched.status.stored_events == 1


# -- the thread ------------------------------------------------------------------------------------------------


def test_the_thread_stores_what_is_written_and_tells(tmp_path: Path, store: MemoryStore) -> None:
    stored = threading.Event()
    spool = Spool(tmp_path, clock=SystemClock(), writer="w")
    collector = Collector(SpoolReader(tmp_path), TwoPrices(), store, SystemClock(), on_stored=lambda _: stored.set())
    collector.start()
    spool.append(as_line(event(1)))

    assert stored.wait(60)
    seen = [collector.status.running]
    collector.stop()
    assert [*seen, collector.status.running] == [True, False]
    assert set(store.records) == {event_id(1)}
    spool.close()


@pytest.mark.parametrize(
    ("lines", "hurried", "most_waiting_bytes", "rests_seconds"),
    [
        (FULL_BATCH_LINES - 1, True, 1 << 20, POLL_SECONDS),
        (FULL_BATCH_LINES, False, 1 << 20, 0.0),
        (FULL_BATCH_LINES, True, 1 << 20, 1.5),
        (FULL_BATCH_LINES, True, 1, 0.0),
    ],
    ids=["little to store", "nobody sends", "senders wait", "senders wait, but too much waits in the spool"],
)
def test_a_collector_with_much_to_store_gives_half_of_the_time_to_who_sends(
    spool: Spool,
    store: MemoryStore,
    clock: StillClock,
    monkeypatch: pytest.MonkeyPatch,
    lines: int,
    hurried: bool,
    most_waiting_bytes: int,
    rests_seconds: float,
) -> None:
    monkeypatch.setattr(collecting, "MOST_WAITING_BYTES", most_waiting_bytes)
    spool.append(as_line(event(1)))
    collector = Collector(SpoolReader(spool.directory), TwoPrices(), store, clock, hurried=lambda: hurried)
    assert collector.rest_seconds(lines, 1.5) == rests_seconds
