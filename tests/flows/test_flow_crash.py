"""The gateway is killed with kill -9 under load from real clients, again and again: nothing is lost or doubled.

`FLOW_KILLS=30` makes it the full run.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any, Self

import pytest
from standing import Standing, eventually

from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

KILLS = int(os.environ.get("FLOW_KILLS", "2"))
WORKERS = 6
CALLS_A_LIFE = 20
"""At least so many are answered between two kills, however slow the machine is."""
HELLO: list[Any] = [{"role": "user", "content": "hello big world"}]
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens")


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    settings = Settings(latency_ms=20, tokens_per_second=900, output_tokens_median=30, seed=3)
    with RunningSimulator(settings) as running:
        yield running


class Load:
    """Real clients that call without a pause; `answered` are the tags of the calls that came back whole."""

    def __init__(self, standing: Standing) -> None:
        self._gpt = standing.gpt(max_retries=0, timeout=60)
        self._claude = standing.claude(max_retries=0, timeout=60)
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WORKERS)]
        self.answered: set[str] = set()
        self.failed: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._gpt.close()
        self._claude.close()

    def wait_for(self, calls: int) -> None:
        """Until more than so many were answered."""
        eventually(lambda: len(self.answered), lambda answered: answered > calls)

    def _work(self, worker: int) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            tag = f"w{worker}-{number}"
            try:
                self._call(number, tag)
            except Exception as error:  # whatever a client says about a gateway that died
                self.failed[type(error).__name__] += 1
                time.sleep(0.05)
            else:
                self.answered.add(tag)

    def _call(self, number: int, tag: str) -> None:
        headers = {"X-Ledger-Tag": tag, "X-Taximeter-Tags": f"call={tag}", "X-Taximeter-Feature": "crash"}
        stream = number % 2 == 0
        if number % 3:
            answer: Any = self._gpt.chat.completions.create(
                model="gpt-4o-mini", messages=HELLO, stream=stream, extra_headers=headers
            )
            if stream:
                chunks = list(answer)
                assert chunks[-1].choices[0].finish_reason
                assert all(chunk.usage is None for chunk in chunks)
            return
        message = {"model": "claude-haiku-4-5-20251001", "max_tokens": 99, "messages": HELLO}
        if stream:
            with self._claude.messages.stream(**message, extra_headers=headers) as events:  # type: ignore[arg-type]
                assert events.get_final_message().stop_reason
        else:
            self._claude.messages.create(**message, extra_headers=headers)  # type: ignore[call-overload]


def by_tag(rows: list[dict[str, Any]], tag_of: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[tag_of(row)].append(row)
    return found


@pytest.mark.timeout(240 + 60 * KILLS)
def test_every_answered_call_is_there_once_and_every_begun_one_is_answered_for(
    simulator: RunningSimulator, tmp_path: Any
) -> None:
    chance = Random(17)
    with Standing(tmp_path, simulator.url) as standing:
        standing.key("read")
        with Load(standing) as load:
            for life in range(1, KILLS + 1):
                time.sleep(chance.uniform(0.3, 1.5))
                load.wait_for(CALLS_A_LIFE * life)
                standing.kill()
                standing.start()
            time.sleep(0.5)
        eventually(lambda: simulator_is_idle(simulator), bool)
        rows: Any = simulator.ledger["rows"]
        billed = by_tag(rows, lambda row: row["tag"])
        events = settled_events(standing, set(billed))
    recorded = by_tag(events, lambda event: event["tags"]["call"])

    assert load.failed, "no call was hit: the test has shown nothing"
    assert len(load.answered) > CALLS_A_LIFE * KILLS
    assert len({event["event_id"] for event in events}) == len(events)

    for tag in load.answered:
        (event,), (row,) = recorded[tag], billed[tag]
        assert event["status"] == "ok", event
        assert {name: event.get(name) or 0 for name in TOKENS} == {name: row[name] for name in TOKENS}, (event, row)
    for tag in billed:
        (event,) = recorded[tag]
        assert event["status"] in ("ok", "interrupted", "cancelled", "error"), event
    assert not set(recorded) - set(billed) - unbilled(recorded), "events without a call"

    def total(name: str, of: dict[str, list[dict[str, Any]]]) -> int:
        return sum(one.get(name) or 0 for tag in load.answered for one in of[tag])

    for name in TOKENS:
        assert total(name, recorded) == total(name, billed), name


def unbilled(recorded: dict[str, list[dict[str, Any]]]) -> set[str]:
    """Calls whose request never came to the provider, or that it refused."""
    return {tag for tag, events in recorded.items() if all(event["status"] != "ok" for event in events)}


def simulator_is_idle(simulator: RunningSimulator) -> bool:
    before: Any = simulator.ledger["totals"]
    time.sleep(0.3)
    return bool(simulator.ledger["totals"] == before)


def settled_events(standing: Standing, wanted: set[str]) -> list[dict[str, Any]]:
    """All events, once every billed call has one."""

    def complete(events: list[dict[str, Any]]) -> bool:
        return wanted <= {event["tags"]["call"] for event in events}

    return eventually(lambda: standing.events(feature="crash"), complete)
