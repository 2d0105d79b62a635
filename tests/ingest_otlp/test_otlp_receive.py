"""The rim: what counts is durable before the answer, what waits survives a crash, trouble is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from otlp_spans import CHAT, NOW_US, S, as_json, as_protobuf, chat, counts, log, log_request
from test_otlp_agents import CLAUDE

from taximeter.errors import SpoolError, StoreError, UsageError
from taximeter.ingest.otlp.agents import CALL_DETAILS
from taximeter.ingest.otlp.held_file import HeldFile
from taximeter.ingest.otlp.receive import OtlpReceiver
from taximeter.ingest.receive import Receiver
from taximeter.spool import Spool, SpoolReader

JSON = "application/json"
RUN = {**chat(900, 120), "gen_ai.operation.name": "invoke_agent"}


class ManualClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now_us(self) -> int:
        return NOW_US + round(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds


class House:
    """A spool and a receiver in front of it; `restart` is a crash and the next process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = ManualClock()
        self.known: set[str] = set()
        self.store_trouble = False
        self.spool = Spool(directory / "spool", clock=self.clock, writer="server")
        self.restart()

    def restart(self) -> None:
        events = Receiver(self.spool, lambda _ids: set(), self.clock)
        self.otlp = OtlpReceiver(events, HeldFile(self.held_path), self.clock, self._traces_with_calls)

    @property
    def held_path(self) -> Path:
        return self.directory / "held.ndjson"

    def _traces_with_calls(self, traces: Sequence[str]) -> set[str]:
        if self.store_trouble:
            raise StoreError("closed")
        return self.known & set(traces)

    def send(self, *spans: S, **bound: Any) -> dict[str, Any]:
        answer = asyncio.run(self.otlp.receive("traces", as_json(*spans), JSON, **bound))
        told: dict[str, Any] = json.loads(answer)
        return told

    def send_logs(self, *logs: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(asyncio.run(self.otlp.receive("logs", log_request(*logs), JSON)))
        return told

    def wait(self, seconds: float = 61) -> None:
        self.clock.seconds += seconds
        asyncio.run(self.otlp.settle())

    def spooled(self) -> list[dict[str, Any]]:
        """What is in the spool, each event once, as a store would keep it."""
        lines = SpoolReader(self.spool.directory).read({}).lines if self.spool.directory.exists() else []
        return list({record["event_id"]: record for record in map(json.loads, lines)}.values())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.spool.close()


def test_a_call_is_durable_when_it_is_answered(house: House) -> None:
    assert house.send(S(1, chat(300, 40))) == {}
    assert [counts(one) for one in house.spooled()] == [{"input_tokens": 300, "output_tokens": 40}]
    assert house.spool.synced_position == house.spool.position > 0


def test_large_batches_are_worked_on_in_a_thread(house: House) -> None:
    body = as_protobuf(*(S(number, chat(300, 40), trace=number) for number in range(1, 500)))
    assert asyncio.run(house.otlp.receive("traces", body, "application/x-protobuf")) == b""
    assert len(house.spooled()) == 499


def test_what_is_bound_to_the_key_is_put_on_calls_and_on_what_waited(house: House) -> None:
    bound = {"attributes": {"team": "core"}, "attributes_win": True, "api_key_id": "key_1"}
    house.send(S(1, chat(3, 1)), S(2, RUN, trace=2), **bound)
    house.restart()
    house.wait()
    assert [(one["team"], one["api_key_id"]) for one in house.spooled()] == [("core", "key_1")] * 2


def test_rejected_spans_are_counted_in_the_answer(house: House) -> None:
    ahead = S(2, chat(1, 1), at=10 * 86_400)
    nameless = json.loads(as_json(S(3, chat(1, 1))))
    nameless["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"] = ""
    whole = {
        "resourceSpans": [*json.loads(as_json(S(1, chat(5, 1)), ahead))["resourceSpans"], *nameless["resourceSpans"]]
    }
    told = json.loads(asyncio.run(house.otlp.receive("traces", json.dumps(whole).encode(), JSON)))
    assert told["partialSuccess"]["rejectedSpans"] == "2"
    assert told["partialSuccess"]["errorMessage"]
    assert len(house.spooled()) == 1
    assert house.otlp.counts["rejected"] == 2


def test_a_body_that_is_no_request(house: House) -> None:
    with pytest.raises(UsageError):
        asyncio.run(house.otlp.receive("traces", b"{", JSON))


def test_metrics_are_taken_and_leave_nothing(house: House) -> None:
    body = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"gen_ai.client.token.usage"}]}]}]}'
    assert asyncio.run(house.otlp.receive("metrics", body, JSON)) == b"{}"
    assert house.spooled() == []
    assert house.otlp.counts["ignored"] == 1


# ── what waits ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_aggregate_counts_after_the_grace_once(house: House) -> None:
    house.send(S(1, RUN))
    house.wait(59)
    assert house.spooled() == []
    house.wait(2)
    house.wait()
    assert [one["input_tokens"] for one in house.spooled()] == [900]
    assert house.held_path.read_bytes() == b""


def test_what_waits_survives_a_crash(house: House) -> None:
    house.send(S(1, RUN))
    house.restart()
    assert house.otlp.held == 1
    house.wait()
    assert [one["input_tokens"] for one in house.spooled()] == [900]


def test_a_call_after_the_crash_still_takes_the_place_of_its_aggregate(house: House) -> None:
    house.send(S(1, RUN))
    house.restart()
    house.send(S(2, chat(900, 120), parent=1, at=1, until=2))
    house.wait()
    assert [one["span_id"] for one in house.spooled()] == [f"{2:016x}"]


def test_a_call_before_the_crash_is_asked_of_the_store(house: House) -> None:
    house.send(S(2, chat(900, 120), parent=1, at=1, until=2))
    house.clock.seconds += 5
    house.restart()
    house.known = {f"{1:032x}"}
    house.send(S(1, RUN))
    house.wait()
    assert [one["span_id"] for one in house.spooled()] == [f"{2:016x}"]


def test_what_was_settled_before_the_crash_does_not_come_again(house: House) -> None:
    house.send(S(1, RUN), S(5, RUN, trace=2))
    house.send(S(2, chat(900, 120), parent=1, at=1, until=2))
    house.restart()
    assert house.otlp.held == 1
    house.wait()
    house.restart()
    assert house.otlp.held == 0
    assert len(house.spooled()) == 2


def test_a_store_that_does_not_answer_makes_it_wait_on(house: House) -> None:
    house.send(S(1, RUN))
    house.restart()
    house.store_trouble = True
    with pytest.raises(StoreError):
        house.wait()
    assert house.spooled() == []
    house.store_trouble = False
    house.wait(0)
    assert len(house.spooled()) == 1


def test_a_torn_line_of_the_file_is_left_out(house: House) -> None:
    house.send(S(1, RUN), S(2, RUN, trace=2))
    content = house.held_path.read_bytes()
    house.held_path.write_bytes(content[:-20])
    house.restart()
    assert house.otlp.held == 1
    house.held_path.write_bytes(b'[1]\n{"key": "zz"}\n{"dropped": 5}\n\xff\n' + content)
    house.restart()
    assert house.otlp.held == 2


def test_a_large_file_is_written_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taximeter.ingest.otlp.held_file.REWRITE_BYTES", 2_000)
    for number in range(1, 20):
        house.send(S(number, RUN, trace=number))
    for number in range(1, 19):
        house.send(S(100 + number, chat(1, 1), parent=number, trace=number, at=1, until=2))
    assert house.held_path.stat().st_size < 2_000
    house.restart()
    assert house.otlp.held == 1


def test_a_disk_that_takes_nothing_is_no_answer(house: House) -> None:
    house.held_path.mkdir()
    with pytest.raises(SpoolError):
        house.send(S(1, RUN))
    house.held_path.rmdir()
    house.send(S(1, RUN))
    house.wait()
    assert len(house.spooled()) == 1


def test_what_the_spool_refuses_is_handed_over_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.send(S(1, RUN))

    async def full(*_args: object, **_more: object) -> None:
        raise SpoolError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(house.otlp._events, "receive_events", full)
        with pytest.raises(SpoolError):
            house.wait()
        with pytest.raises(SpoolError):
            house.send(S(7, chat(1, 1), trace=7))
    house.send(S(7, chat(1, 1), trace=7))
    house.wait(1)
    assert sorted(one["input_tokens"] for one in house.spooled()) == [1, 900]


@pytest.mark.parametrize("log_first", [True, False])
def test_a_usage_that_a_call_waited_for_is_handed_over_later(
    house: House, monkeypatch: pytest.MonkeyPatch, log_first: bool
) -> None:
    """The sender repeats the span that completed it, and not what had waited."""
    span = S(1, CHAT) if log_first else S(1, chat(300, 40), scope="a.framework")
    if log_first:
        house.send_logs(log(DETAILS, span=span))
    else:
        house.send(S(2, CHAT, parent=1, at=1, until=9))

    async def full(*_args: object, **_more: object) -> None:
        raise SpoolError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(house.otlp._events, "receive_events", full)
        with pytest.raises(SpoolError):
            house.send(span)
    house.send(span)
    house.wait()
    lines = [json.loads(line) for line in SpoolReader(house.spool.directory).read({}).lines]
    assert counts(lines[0]) == {"input_tokens": 300, "output_tokens": 40}
    assert len({line["event_id"] for line in lines}) == 1


def test_the_tick_settles_until_it_is_cancelled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taximeter.ingest.otlp.receive.TICK_SECONDS", 0.001)
    house.send(S(1, RUN))
    house.clock.seconds += 61

    async def live() -> None:
        task = asyncio.create_task(house.otlp.keep_settling())
        while house.otlp.held:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(live())
    assert len(house.spooled()) == 1


# ── the same numbers in several signals ─────────────────────────────────────────────────────────────────────────

DETAILS = {"event.name": CALL_DETAILS, **chat(300, 40)}


@pytest.mark.parametrize("span_first", [True, False])
def test_a_log_event_of_a_call_gives_way_to_its_span(house: House, span_first: bool) -> None:
    span = S(1, chat(300, 40))
    if span_first:
        house.send(span)
    house.send_logs(log(DETAILS, span=span))
    if not span_first:
        house.send(span)
    house.wait()
    assert len(house.spooled()) == 1


def test_a_log_event_whose_span_never_comes_counts(house: House) -> None:
    house.send_logs(log({}, event_name=CALL_DETAILS), log(DETAILS, span=S(1)))
    house.wait()
    (found,) = house.spooled()
    assert (counts(found), found["tags"]["otlp_signal"]) == ({"input_tokens": 300, "output_tokens": 40}, "log")


def test_a_log_event_gives_its_usage_to_a_span_without(house: House) -> None:
    house.send_logs(log(DETAILS, span=S(1)))
    house.send(S(1, CHAT))
    house.wait()
    assert [counts(one) for one in house.spooled()] == [{"input_tokens": 300, "output_tokens": 40}]


def test_of_an_agents_signals_the_log_event_counts(house: House) -> None:
    agent = {"service.name": "claude-code"}
    house.send_logs(log(CLAUDE, body="claude_code.api_request", service="claude-code"))
    house.send(S(1, chat(12, 200), resource=agent), S(2, RUN, resource=agent, trace=2))
    house.wait()
    assert [one["input_tokens"] for one in house.spooled()] == [10_012]
    assert house.otlp.counts["ignored"] == 2
