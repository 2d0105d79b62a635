"""Every client library against providers that fail, are slow and are hung up on: their ledger and our store agree.

A call is known by the number of words in its prompt, which is what the provider bills, and by a tag of its event.
`LIBRARY_ROUNDS` says how often every way of every library is gone (2).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from libraries import NEVER_TRY_AGAIN, WAYS, plan
from standing import eventually

import taximeter
from taximeter.cli.offline import open_directory
from taximeter.sdk.guard import GUARD
from taximeter.sdk.instruments import uninstrument_all
from taximeter.simulator.ledger import COUNTED
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

ROUNDS = int(os.environ.get("LIBRARY_ROUNDS", "2"))
HANG_UPS = 0.05 if ROUNDS > 10 else 0.2
FAULTS = {"rate_limit": 0.05, "server_error": 0.05}
SHORT_WORDS, LONG_WORDS = 20, 5_000
"""Prompts have more words than this, each a number of its own; the long ones are cached by some providers."""

# The libraries warn of models that are older than they are.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.timeout(480 + 60 * ROUNDS)]


@dataclass
class Run:
    """What happened: `hung_up` and `failed` by number, the provider's rows by words, the events by number."""

    ways: dict[int, str] = field(default_factory=dict)
    words: dict[int, int] = field(default_factory=dict)
    hung_up: set[int] = field(default_factory=set)
    failed: dict[int, Exception] = field(default_factory=dict)
    rows: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    events: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def complete(self) -> list[int]:
        return [number for number in self.ways if number not in self.hung_up and number not in self.failed]


def make_calls(simulator: RunningSimulator, run: Run) -> None:
    chance = Random(7)

    def call(number: int, way: str, hang_up: bool) -> None:
        words = run.words[number] = number + (LONG_WORDS if number % 10 == 3 else SHORT_WORDS)
        run.ways[number] = way
        if hang_up:
            run.hung_up.add(number)
        try:
            with taximeter.attribute(user=way, call=number):
                WAYS[way](simulator.url, "word " * words, hang_up)
        except Exception as error:
            run.failed[number] = error

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda planned: call(*planned), plan(ROUNDS, lambda: chance.random() < HANG_UPS)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory: Path = tmp_path_factory.mktemp("libraries")
    done = Run()
    settings = Settings(
        seed=7,
        output_tokens_median=12,
        reasoning_tokens_median=8,
        fault_rates=FAULTS,
        retry_after_seconds=0.01,
        tokens_per_second=300,
        latency_ms=5,
    )
    with RunningSimulator(settings) as simulator:
        GUARD.failures.clear()
        taximeter.init(data=directory)
        taximeter.instrument_all()
        try:
            make_calls(simulator, done)
            rows = eventually(lambda: booked(simulator), lambda found: len(found) >= len(done.complete()))
        finally:
            uninstrument_all()
            taximeter.shutdown()
        for row in rows:
            done.rows.setdefault(row["input_tokens"], []).append(row)
    for event in stored(directory):
        done.events.setdefault(int(event["tags"]["call"]), []).append(event)
    return done


def booked(simulator: RunningSimulator) -> list[dict[str, Any]]:
    rows: Any = simulator.ledger["rows"]
    return list(rows)


def stored(data: Path) -> Iterator[dict[str, Any]]:
    """All events that the store of a data directory has, once its spool was taken in."""
    with open_directory(data) as source:
        asked: dict[str, Any] = {"limit": 1000}
        while True:
            page = source.events(asked)
            yield from page["events"]
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]


def test_nothing_of_ours_failed(run: Run) -> None:
    assert not GUARD.failures


def test_only_libraries_that_do_not_try_again_gave_up(run: Run) -> None:
    gave_up = {run.ways[number] for number in run.failed}
    assert gave_up <= NEVER_TRY_AGAIN, run.failed


def test_every_call_that_was_billed_is_in_the_store_token_by_token(run: Run) -> None:
    for number in run.complete():
        (row,) = run.rows[run.words[number]]
        (event,) = [event for event in run.events[number] if event["status"] == "ok"]
        told = {name: event.get(name) or 0 for name in COUNTED}
        assert told == {name: row[name] for name in COUNTED}, run.ways[number]
        assert event["provider"] == row["provider"], run.ways[number]
        assert not event["usage_estimated"], run.ways[number]


def test_every_attempt_is_an_event_of_its_own(run: Run) -> None:
    for number in run.complete():
        events = sorted(run.events[number], key=lambda event: event["attempt"])
        assert [event["attempt"] for event in events] == list(range(1, len(events) + 1)), run.ways[number]
        assert {event["status"] for event in events[:-1]} <= {"error"}, run.ways[number]
        assert {event["http_status"] for event in events[:-1]} <= {429, 500}, run.ways[number]
        if len(events) > 1:
            assert {event["request_id"] for event in events} == {events[0]["event_id"]}, run.ways[number]


def test_attempts_were_made_by_every_library(run: Run) -> None:
    tried = {run.ways[number].split()[0] for number in run.complete() if len(run.events[number]) > 1}
    assert ROUNDS < 10 or tried >= {"openai", "anthropic", "gemini", "boto3", "mistralai", "cohere", "groq"}


def test_a_call_that_was_hung_up_on_is_one_call_with_a_mark(run: Run) -> None:
    assert run.hung_up
    for number in run.hung_up - run.failed.keys():
        (row,) = run.rows[run.words[number]]
        (event,) = [event for event in run.events[number] if event["status"] != "error"]
        assert event["status"] in ("cancelled", "ok"), run.ways[number]
        if not event["usage_estimated"]:  # then it is what the provider had said by then
            assert (event["output_tokens"] or 0) <= row["output_tokens"], run.ways[number]


def test_a_call_that_failed_is_no_more_than_its_failures(run: Run) -> None:
    for number in run.failed:
        assert {event["status"] for event in run.events[number]} == {"error"}, run.ways[number]
        assert run.words[number] not in run.rows


def test_no_call_was_counted_twice(run: Run) -> None:
    assert sum(len(rows) for rows in run.rows.values()) == len(run.complete()) + len(
        [number for number in run.hung_up if run.words[number] in run.rows]
    )
