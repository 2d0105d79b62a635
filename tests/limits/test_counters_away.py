"""A Redis that is stopped and started again, with what it had counted or without.

Meanwhile the policy holds; afterwards nothing has leaked and nothing counts twice. Store, collector, limits and their
jobs are the product's, put together as in a process; time is moved by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from redis_here import free_port, redis_server

from taximeter.clock import SystemClock, rfc3339
from taximeter.compose.jobs import Job, Jobs
from taximeter.compose.keeping import collector_of
from taximeter.compose.keys import open_desk
from taximeter.compose.limits import Limiting
from taximeter.config.limits import read_limits
from taximeter.config.settings import Settings
from taximeter.core.ids import uuid7
from taximeter.limits.amounts import Amounts
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters import Claims, CountersAway, Standing
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Admitted, Ask, CallKind, Refused, Verdict
from taximeter.pricing import load_price_book
from taximeter.reports import limit_spending
from taximeter.spool import Spool
from taximeter.store.events import DuckDBEvents, answers

TOKENS = {"name": "tokens", "scope": "global", "measure": "total_tokens", "limit": 1000, "window": "month"}
READ = 50


class Moved:
    """The system's time, and what it was moved by."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._added_seconds = 0.0

    def now_us(self) -> int:
        return self._real.now_us() + int(self._added_seconds * 1_000_000)

    def monotonic(self) -> float:
        return self._real.monotonic() + self._added_seconds

    def move(self, seconds: float) -> None:
        self._added_seconds += seconds


class ByHand(Jobs):
    """Jobs that run when they are told."""

    def __init__(self, clock: Moved) -> None:
        super().__init__(clock)
        self._made: list[Job] = []

    def every(self, name: str, seconds: float, run: Callable[[], None], after_seconds: float = 0.0) -> Job:
        self._made.append(job := super().every(name, seconds, run, after_seconds))
        return job

    def turn(self) -> None:
        for job in self._made:
            job.turn()
            assert job.status.last_error is None


class Counting:
    """What a process has that counts in Redis."""

    def __init__(
        self, data: Path, url: str, fail: str, closing: ExitStack, limits: Sequence[dict[str, Any]] = (TOKENS,)
    ) -> None:
        self.clock = Moved()
        settings = Settings.model_validate(
            {"limits": read_limits(limits), "store": {"counters": url}, "admission": {"fail": fail}}
        )
        data.mkdir()
        book = load_price_book(None, data)
        keys = closing.enter_context(open_desk(data, settings, self.clock))
        store = DuckDBEvents(data / "events.duckdb")
        closing.callback(store.close)
        limiting = Limiting(settings, keys.limits, lambda: book, self.clock, store)
        self._collector = collector_of(data, book, store, self.clock, into=limiting.posting(store))
        self._spool = Spool(data / "spool", clock=self.clock, writer="test")
        closing.callback(self._spool.close)
        limiting.begin(data / "spool", self._collector)
        self.jobs = ByHand(self.clock)
        limiting.look_after(self.jobs)
        self.desk, self.guard = limiting.desk, limiting.desk.guard
        self._calls = 0

    def new_id(self) -> str:
        self._calls += 1
        return uuid7(self.clock.now_us() // 1000, self._calls.to_bytes(10, "big"))

    def ask(self, tokens: int) -> Verdict:
        """Whether a call of so many tokens may be made."""
        now_us = self.clock.now_us()
        ask = Ask(self.new_id(), now_us, {}, CallKind("openai", "gpt-4o"), CallBound(READ, tokens - READ))
        return self.guard.decide(ask, now_us)

    def admitted(self, tokens: int) -> Admitted:
        verdict = self.ask(tokens)
        assert isinstance(verdict, Admitted)
        return verdict

    def ends(self, call: Admitted, tokens: int) -> None:
        """A call ends in its gateway, which writes its event."""
        self.guard.settle(call, Amounts(0, READ, tokens - READ), self.clock.now_us())
        self.stored(call.ask.event_id, tokens)

    def away(self) -> bool:
        return self.desk.counters_away is not None

    def stored(self, event_id: str, tokens: int, **more: Any) -> None:
        event: dict[str, Any] = {
            "event_id": event_id,
            "started_at": rfc3339(self.clock.now_us()),
            "source": "gateway",
            "provider": "openai",
            "request_model": "gpt-4o",
            "status": "ok",
            "input_tokens": READ,
            "output_tokens": tokens - READ,
            **more,
        }
        assert self._spool.extend([json.dumps(event).encode()])
        while self._collector.step():
            pass

    def standing(self, name: str = "tokens") -> tuple[Any, Any]:
        [limit] = [one for one in self.desk.live() if one["name"] == name]
        [value] = limit["values"]
        return value["spent"], value["held"]


class Redis:
    """A server that may be stopped, keeping what it has or not, and started again at the same place."""

    def __init__(self, directory: Path, closing: ExitStack) -> None:
        self._directory = directory
        self._port = free_port()
        self._running = closing.enter_context(ExitStack())
        self.url = self.start()

    def start(self) -> str:
        return self._running.enter_context(redis_server(self._directory, port=self._port))

    def stop(self, *, keeps: bool) -> None:
        if keeps:
            with redis.Redis(port=self._port) as client:
                client.save()
        self._running.close()


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("keeps", [True, False], ids=["with its counts", "empty"])
@pytest.mark.parametrize("fail", ["closed", "open"])
def test_after_redis_was_away_nothing_has_leaked_and_nothing_counts_twice(
    tmp_path: Path, closing: ExitStack, keeps: bool, fail: str
) -> None:
    server = Redis(tmp_path, closing)
    counting = Counting(tmp_path / "data", server.url, fail, closing)
    counting.ends(counting.admitted(400), 300)
    counting.stored(counting.new_id(), 500, status="cached")
    under_way, ends_meanwhile = counting.admitted(200), counting.admitted(200)
    assert counting.standing() == (300, 400)

    server.stop(keeps=keeps)
    verdict = counting.ask(100)
    assert counting.away()
    if fail == "closed":
        assert isinstance(verdict, Refused)
        assert verdict.reason == "counters_away"
    else:
        assert isinstance(verdict, Admitted)
        assert verdict.uncounted
        counting.ends(verdict, 100)
    counting.ends(ends_meanwhile, 150)
    counting.jobs.turn()

    server.start()
    counting.clock.move(2)
    counting.jobs.turn()
    if not keeps:
        assert fail == "open" or isinstance(counting.ask(100), Refused), "nobody knows yet what is spent"
        assert counting.away()
        counting.clock.move(6)
        counting.jobs.turn()
    assert not counting.away()

    spent = 450 if fail == "closed" else 550
    assert counting.standing() == (spent, 200)
    assert not isinstance(counting.ask(1000 - spent - 200 + 1), Admitted)
    counting.ends(under_way, 120)
    counting.jobs.turn()
    assert counting.standing() == (spent + 120, 0)


@pytest.mark.parametrize("failed", [{"status": "error", "http_status": 200}, {"status": "error"}])
def test_a_call_that_broke_off_stays_spent_at_its_bound_also_when_its_event_is_stored_before_its_gateway_ends_it(
    tmp_path: Path, closing: ExitStack, failed: dict[str, Any]
) -> None:
    counting = Counting(tmp_path / "data", "memory", "closed", closing)
    counting.stored(counting.admitted(200).ask.event_id, 60, **failed)
    assert counting.standing() == (200, 0)


@pytest.mark.parametrize("window", ["month", {"rolling": "1h"}], ids=["month", "rolling"])
def test_more_owners_than_one_answer_of_the_store_has_are_all_known_at_a_start(
    tmp_path: Path, closing: ExitStack, monkeypatch: pytest.MonkeyPatch, window: object
) -> None:
    monkeypatch.setattr(answers, "MOST_ROWS", 5)
    monkeypatch.setattr(limit_spending, "MOST_OWNERS_AT_ONCE", 3)
    each = {**TOKENS, "scope": "user", "each": True, "window": window}
    counting = Counting(tmp_path / "data", "memory", "closed", closing, [each])
    for number in range(8):
        counting.stored(counting.new_id(), 100 + number, user_id=f"user_{number}")
    counting.stored(counting.new_id(), 70)
    counting.guard.counters = MemoryCounters()  # type: ignore[misc]
    counting.desk.fill()
    [limit] = counting.desk.live()
    spent = {value["value"]: value["spent"] for value in limit["values"]}
    assert spent == {f"user_{number}": 100 + number for number in range(8)}


@pytest.mark.parametrize("counted_in", ["memory", "redis"])
def test_calls_under_way_when_a_limit_is_set_are_held_of_it_and_spent_when_they_end(
    tmp_path: Path, closing: ExitStack, counted_in: str
) -> None:
    url = "memory" if counted_in == "memory" else Redis(tmp_path, closing).url
    counting = Counting(tmp_path / "data", url, "closed", closing)
    ended, under_way = counting.admitted(100), counting.admitted(300)
    counting.ends(ended, 100)
    counting.desk.set({**TOKENS, "name": "new", "limit": 500}, "somebody")
    counting.desk.set({**TOKENS, "name": "money", "measure": "cost_usd", "limit": "0.01"}, "somebody")
    assert counting.standing("new") == (100, 300)
    assert counting.standing("money")[1] == "0.002625"  # 50 read and 250 written of gpt-4o
    assert not isinstance(counting.ask(101), Admitted)
    counting.ends(under_way, 250)
    assert counting.standing("new") == (350, 0)
    assert counting.standing() == (350, 0)
    counting.desk.remove("new", "somebody")
    assert isinstance(counting.ask(300), Admitted)


class Late(MemoryCounters):
    """Does what is asked, and answers too late."""

    late = True

    def reserve(self, event_id: str, claims: Claims, *, now_us: int, expires_us: int) -> Sequence[Standing] | None:
        answer = super().reserve(event_id, claims, now_us=now_us, expires_us=expires_us)
        if self.late:
            raise CountersAway("Redis: Timeout reading from socket")
        return answer

    def void(self, event_id: str) -> None:
        if self.late:
            raise CountersAway("Redis: Timeout reading from socket")
        super().void(event_id)


def test_a_call_refused_because_the_counters_answered_too_late_holds_nothing_when_they_are_back() -> None:
    counters = Late()
    guard = LimitGuard(Rules(read_limits([TOKENS])), counters)
    now_us = SystemClock().now_us()
    [bucket] = [one.bucket(now_us) for one in guard.rules.ruled()]

    def ask(event_id: str) -> Ask:
        return Ask(event_id, now_us, {}, CallKind("openai", "gpt-4o"), CallBound(READ, 400))

    assert isinstance(guard.decide(ask("too late"), now_us), Refused)
    counters.late = False
    admitted = guard.decide(ask("given up"), now_us)
    assert isinstance(admitted, Admitted)
    counters.late = True
    guard.void(admitted)
    assert counters.standings([bucket]) == [(0, 900)]

    counters.late = False
    guard.let_go(now_us)
    assert counters.standings([bucket]) == [(0, 0)]
    guard.expire(now_us + 3_600_000_000)
    assert counters.standings([bucket]) == [(0, 0)]


def test_what_a_program_was_admitted_and_did_not_hear_of_in_time_is_given_back_by_its_refusal(
    tmp_path: Path, closing: ExitStack
) -> None:
    counting = Counting(tmp_path / "data", "memory", "closed", closing)
    event_id = counting.admitted(400).ask.event_id
    counting.stored(counting.new_id(), 100, status="refused", source="gateway")
    assert counting.standing() == (0, 400)
    counting.stored(event_id, 0, status="refused", source="sdk", not_billed=True)
    assert counting.standing() == (0, 0)


@pytest.mark.parametrize("counted_in", ["memory", "redis"])
def test_a_rolling_limit_counts_each_call_once_however_often_the_store_is_asked(
    tmp_path: Path, closing: ExitStack, counted_in: str
) -> None:
    url = "memory" if counted_in == "memory" else Redis(tmp_path, closing).url
    rolls = {**TOKENS, "window": {"rolling": "1h"}}
    counting = Counting(tmp_path / "data", url, "closed", closing, [rolls])
    for minute in range(24):
        counting.stored(counting.new_id(), 100)
        if minute % 4 == 3:
            counting.desk.fill()
        counting.clock.move(60)
    counting.desk.fill()
    assert counting.standing() == (2400, 0)


def test_an_event_by_a_clock_that_is_ahead_leaves_what_is_spent_now_of_a_rolling_limit(
    tmp_path: Path, closing: ExitStack
) -> None:
    rolls = {**TOKENS, "window": {"rolling": "1h"}}
    counting = Counting(tmp_path / "data", "memory", "closed", closing, [rolls])
    counting.stored(counting.new_id(), 900)
    ahead = rfc3339(counting.clock.now_us() + 8 * 3_600_000_000)
    counting.stored(counting.new_id(), 60, started_at=ahead)
    assert counting.standing() == (960, 0)
    assert not isinstance(counting.ask(41 + READ), Admitted)


def test_events_that_wait_to_be_told_when_a_limit_is_set_count_once(tmp_path: Path, closing: ExitStack) -> None:
    server = Redis(tmp_path, closing)
    counting = Counting(tmp_path / "data", server.url, "closed", closing)
    server.stop(keeps=True)
    counting.stored(counting.new_id(), 300, source="api")
    server.start()
    counting.clock.move(2)
    counting.desk.set({**TOKENS, "name": "new"}, "somebody")
    counting.jobs.turn()
    assert counting.standing() == counting.standing("new") == (300, 0)


def test_a_limit_that_was_set_while_the_counters_were_away_holds_the_calls_under_way_when_they_are_back(
    tmp_path: Path, closing: ExitStack
) -> None:
    server = Redis(tmp_path, closing)
    counting = Counting(tmp_path / "data", server.url, "closed", closing)
    under_way = counting.admitted(300)
    counting.stored(counting.new_id(), 100)
    server.stop(keeps=True)
    counting.desk.set({**TOKENS, "name": "new"}, "somebody")
    server.start()
    counting.clock.move(2)
    counting.jobs.turn()
    assert counting.standing("new") == (100, 300)
    counting.ends(under_way, 250)
    assert counting.standing() == counting.standing("new") == (350, 0)
