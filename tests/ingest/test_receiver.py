"""Receiving: an event is answered for when it is durable, and the same event again is a duplicate."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from ingest_rig import NOW_US, MemoryStore, StillClock, as_line, event, event_id

from taximeter.core.ids import uuid7
from taximeter.errors import SpoolError, StoreError, UsageError
from taximeter.ingest import receive
from taximeter.ingest.receive import Received, Receiver, RecentIds
from taximeter.spool import Spool, SpoolLimits, SpoolReader


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", clock=StillClock(), writer="server")
    yield spool
    spool.close()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def receiver(spool: Spool, store: MemoryStore) -> Receiver:
    return Receiver(spool, store.known_ids, StillClock())


def post(receiver: Receiver, *items: dict[str, Any], **bound: Any) -> Received:
    return asyncio.run(receiver.receive(json.dumps(items).encode(), "application/json", **bound))


def spooled(spool: Spool) -> list[dict[str, Any]]:
    return [json.loads(line) for line in SpoolReader(spool.directory).read({}).lines]


def test_what_is_accepted_is_in_the_spool_and_durable(receiver: Receiver, spool: Spool) -> None:
    answer = post(receiver, event(1), event(2, status="great"), event(3))

    assert (answer["accepted"], answer["duplicates"]) == (2, 0)
    assert [(bad["index"], bad["code"]) for bad in answer["rejected"]] == [(1, "invalid_field")]
    assert [record["event_id"] for record in spooled(spool)] == [event_id(1), event_id(3)]
    assert spool.synced_position == spool.position


def test_the_same_event_three_times_counts_once(receiver: Receiver, spool: Spool) -> None:
    answers = [post(receiver, event(1), event(1)) for _ in range(3)]

    assert [(one["accepted"], one["duplicates"]) for one in answers] == [(1, 1), (0, 2), (0, 2)]
    assert len(spooled(spool)) == 1


def test_the_same_id_in_another_spelling_is_the_same_event(receiver: Receiver) -> None:
    post(receiver, event(1))

    assert post(receiver, {**event(1), "event_id": event_id(1).upper()})["duplicates"] == 1


def test_ids_older_than_the_memory_are_looked_up_in_the_store(receiver: Receiver, store: MemoryStore) -> None:
    old = {**event(1), "event_id": uuid7(NOW_US // 1000 - 60_000, bytes(10))}
    other_kind = {**event(1), "event_id": str(uuid4())}
    store.append([as_line(old), as_line(other_kind)], {})
    answer = post(receiver, old, other_kind, event(5))

    assert (answer["accepted"], answer["duplicates"]) == (1, 2)
    assert store.lookups == [[old["event_id"], other_kind["event_id"]]]


def test_a_store_that_does_not_answer_holds_nobody_up(spool: Spool) -> None:
    def busy(ids: list[str]) -> set[str]:
        raise StoreError("closed")

    receiver = Receiver(spool, busy, StillClock())
    assert post(receiver, {**event(1), "event_id": str(uuid4())})["accepted"] == 1


def test_a_spool_that_cannot_write_is_no_acceptance_and_no_memory(tmp_path: Path, store: MemoryStore) -> None:
    (tmp_path / "file").touch()
    broken = Spool(tmp_path / "file" / "spool", clock=StillClock(), writer="w", limits=SpoolLimits(memory_bytes=100))
    receiver = Receiver(broken, store.known_ids, StillClock())
    for _ in range(2):
        with pytest.raises(SpoolError):
            post(receiver, event(1))
    assert broken.losses
    broken.close()


def test_an_event_that_only_memory_has_taken_is_not_acknowledged(tmp_path: Path, store: MemoryStore) -> None:
    (tmp_path / "file").touch()
    clock = StillClock()
    spool = Spool(tmp_path / "file" / "spool", clock=clock, writer="w")
    receiver = Receiver(spool, store.known_ids, clock)
    with pytest.raises(SpoolError):
        post(receiver, event(1))

    (tmp_path / "file").unlink()
    clock.seconds += 1
    answer = post(receiver, event(1))
    assert (answer["accepted"], answer["duplicates"]) == (1, 0), "repeated, and now durable; the store counts it once"
    spool.close()


def at_once(receiver: Receiver, *bodies: list[dict[str, Any]]) -> list[Any]:
    """The answers, or errors, of requests that run side by side."""

    async def all_of_them() -> list[Any]:
        requests = (receiver.receive(json.dumps(items).encode(), "application/json") for items in bodies)
        return await asyncio.gather(*requests, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_the_same_event_in_requests_at_once_is_accepted_once(receiver: Receiver, spool: Spool) -> None:
    answers = at_once(receiver, [event(1), event(2)], [event(2), event(3)], [event(3), event(1)], [event(2)])

    assert [(answer["accepted"], answer["duplicates"]) for answer in answers] == [(2, 0), (1, 1), (0, 2), (0, 1)]
    assert len(spooled(spool)) == 3


def test_who_waited_for_a_request_that_failed_keeps_the_event_itself(
    receiver: Receiver, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_extend, refusals = spool.extend, iter([False])
    monkeypatch.setattr(spool, "extend", lambda lines: next(refusals, True) and real_extend(lines))
    failed, kept, duplicate = at_once(receiver, [event(1)], [event(1)], [event(1)])

    assert isinstance(failed, SpoolError)
    assert sorted([kept["accepted"], duplicate["accepted"]]) == [0, 1]
    assert len(spooled(spool)) == 1


def test_a_request_that_is_given_up_lets_go_of_its_events(
    receiver: Receiver, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def given_up() -> Received:
        with monkeypatch.context() as patched:
            patched.setattr(spool, "durable", never)
            first = asyncio.create_task(receiver.receive(as_line(event(1)), "application/json"))
            await asyncio.sleep(0)
        second = asyncio.create_task(receiver.receive(as_line(event(1)), "application/json"))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(given_up())["accepted"] == 1


def test_an_event_the_store_has_is_a_duplicate_for_all_that_ask_at_once(receiver: Receiver, store: MemoryStore) -> None:
    old = {**event(1), "event_id": str(uuid4())}
    store.append([as_line(old)], {})

    assert [answer["duplicates"] for answer in at_once(receiver, [old], [old])] == [1, 1]


def test_requests_at_once_share_fsyncs(receiver: Receiver, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    real_fsync = os.fsync

    def counted_fsync(fd: int) -> None:
        syncs.append(fd)
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", counted_fsync)

    async def many() -> list[Received]:
        requests = (receiver.receive(as_line(event(number)), "application/json") for number in range(100))
        return await asyncio.gather(*requests)

    answers = asyncio.run(many())
    assert [answer["accepted"] for answer in answers] == [1] * 100
    assert len(syncs) < 20


def test_a_large_body_is_checked_in_a_thread(receiver: Receiver, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "THREAD_BYTES", 10)
    assert post(receiver, event(1))["accepted"] == 1
    assert len(spooled(spool)) == 1


@pytest.mark.parametrize(("wins", "team"), [(True, "core"), (False, "mine")])
def test_attributes_and_key_are_put_on(receiver: Receiver, spool: Spool, wins: bool, team: str) -> None:
    bound = {"team": "core", "user": "u1"}
    post(receiver, event(1, team="mine"), attributes=bound, attributes_win=wins, api_key_id="key_1")

    (record,) = spooled(spool)
    assert (record["team"], record["user_id"], record["api_key_id"]) == (team, "u1", "key_1")


def test_an_empty_body_of_lines_is_accepted_as_nothing(receiver: Receiver, spool: Spool) -> None:
    answer = asyncio.run(receiver.receive(b"", "application/x-ndjson"))

    assert answer == {"accepted": 0, "duplicates": 0, "rejected": []}
    assert not spool.directory.exists()


def test_the_memory_is_bounded_and_knows_how_far_back_it_goes() -> None:
    recent = RecentIds(NOW_US, most=4)
    for minute in range(6):
        now_us = NOW_US + minute * 60_000_000
        recent.remember([uuid7(now_us // 1000, bytes(10))], now_us)
    first, last = uuid7(NOW_US // 1000, bytes(10)), uuid7(NOW_US // 1000 + 300_000, bytes(10))

    assert first not in recent
    assert recent.may_predate(first)
    assert last in recent
    assert not recent.may_predate(last)
    assert len(recent._young) + len(recent._old) <= 4


def test_it_is_busy_while_somebody_waits_for_an_answer(spool: Spool) -> None:
    seen: list[bool] = []

    def known_ids(ids: list[str]) -> set[str]:
        seen.append(watched.is_busy)
        return set()

    watched = Receiver(spool, known_ids, StillClock())
    post(watched, {**event(1), "event_id": str(uuid4())})
    with pytest.raises(UsageError):
        asyncio.run(watched.receive(b"no JSON", "application/json"))
    assert [*seen, watched.is_busy] == [True, False]
