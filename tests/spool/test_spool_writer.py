"""The writer: what it takes it has, under names and bounds that others rely on."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from spool_rig import StillClock, all_lines, file_names, line, only_segment

from taximeter.clock import SystemClock
from taximeter.errors import SpoolError
from taximeter.spool import Segment, Spool, SpoolLimits, list_segments, writer
from taximeter.spool.liveness import lock_path
from taximeter.spool.writer import FULL_LOOK_SECONDS, LOOK_SECONDS, RETRY_SECONDS, SURVEY_SECONDS


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def spool(tmp_path: Path, clock: StillClock) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", clock=clock, writer="sdk")
    yield spool
    spool.close()


def test_a_line_is_in_the_file_when_append_returns(spool: Spool) -> None:
    assert spool.append(b'{"a":1}')

    assert only_segment(spool.directory).read_bytes() == b'{"a":1}\n'


def test_nothing_is_created_before_the_first_line(spool: Spool) -> None:
    assert not spool.directory.exists()


def test_only_the_owner_can_read(spool: Spool) -> None:
    spool.append(b"{}")

    assert stat.S_IMODE(spool.directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.directory.iterdir()} == {0o600}


def test_the_name_carries_label_process_and_start(tmp_path: Path, clock: StillClock) -> None:
    spool = Spool(tmp_path, clock=clock, writer="my app/1")
    spool.append(b"{}")

    assert only_segment(tmp_path).name == f"my_app_1-{os.getpid()}-{clock.now_us():x}-000001.ndjson"
    spool.close()


def test_a_closed_spool_is_sealed_with_the_checksum_of_its_content(spool: Spool) -> None:
    spool.extend([b'{"a":1}', b'{"a":2}'])
    spool.close()

    path = only_segment(spool.directory)
    assert path.name.endswith(f"-000001.{zlib.crc32(path.read_bytes()):08x}.sealed.ndjson")


def test_lines_after_close_are_counted(spool: Spool) -> None:
    spool.append(b"{}")
    spool.close()

    assert not spool.append(b"{}")
    assert spool.health().losses == {"closed": 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(b'{"a":\n1}', "not_one_line"), (b"x" * 2000, "too_long")],
)
def test_what_is_not_one_line_is_counted_and_does_no_harm(tmp_path: Path, bad: bytes, reason: str) -> None:
    spool = Spool(tmp_path, clock=StillClock(), writer="sdk", limits=SpoolLimits(line_bytes=1000, segment_bytes=1000))

    assert [spool.append(b'{"a":1}'), spool.append(bad), spool.append(b'{"a":2}')] == [True, False, True]
    assert not spool.extend([b'{"a":3}', bad, b'{"a":4}'])

    assert all_lines(tmp_path) == [b'{"a":1}', b'{"a":2}', b'{"a":3}', b'{"a":4}']
    assert spool.losses == {reason: 2}
    spool.close()


def test_a_segment_is_full_at_its_bound_and_sealed_by_the_next_flush(tmp_path: Path) -> None:
    limits = SpoolLimits(segment_bytes=100, line_bytes=100)
    spool = Spool(tmp_path, clock=StillClock(), writer="sdk", limits=limits)
    lines = [line(number) for number in range(5)]
    for one in lines:
        assert spool.append(one)
    spool.sync()

    segments = list_segments(tmp_path)
    assert [(s.number, s.sealed) for s in segments] == [(1, True), (2, True), (3, True), (4, True), (5, False)]
    assert all_lines(tmp_path) == lines
    spool.close()


def test_an_old_segment_is_sealed_though_nothing_comes(spool: Spool, clock: StillClock) -> None:
    spool.append(b"{}")
    clock.seconds += spool.limits.segment_age_seconds
    spool.flush()

    assert [segment.sealed for segment in list_segments(spool.directory)] == [True]


def test_a_full_directory_refuses_counts_says_so_and_recovers(tmp_path: Path, clock: StillClock) -> None:
    limits = SpoolLimits(total_bytes=300, segment_bytes=100, line_bytes=100, memory_bytes=150)
    spool = Spool(tmp_path, clock=clock, writer="sdk", limits=limits)
    taken = [spool.append(line(number)) for number in range(10)]

    health = spool.health()
    assert taken.count(False) == health.losses["spool_full"] > 0
    assert health.waiting_bytes <= 150
    assert "total_bytes" in (health.problem or "")

    spool.sync()
    for segment in list_segments(tmp_path):
        if segment.sealed:
            segment.path.unlink()
    clock.seconds += FULL_LOOK_SECONDS
    spool.flush()  # looks around, and finds room
    clock.seconds += RETRY_SECONDS
    spool.flush()
    assert spool.health().problem is None
    assert spool.health().waiting_lines == 0
    spool.close()


def test_no_line_waits_for_a_look_at_a_slow_directory(
    spool: Spool, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, looked = threading.Event(), threading.Event()

    def slow_list(directory: Path) -> list[Segment]:
        looking.set()
        assert looked.wait(60)
        return list_segments(directory)

    spool.append(b'{"a":1}')
    clock.seconds += SURVEY_SECONDS
    monkeypatch.setattr(writer, "list_segments", slow_list)
    flush = threading.Thread(target=spool.flush)
    flush.start()
    try:
        assert looking.wait(60)
        append = threading.Thread(target=spool.append, args=(b'{"a":2}',))
        append.start()
        append.join(60)
        assert all_lines(spool.directory) == [b'{"a":1}', b'{"a":2}']
    finally:
        looked.set()
        flush.join()


def test_what_is_written_while_the_directory_is_looked_at_is_not_lost_from_its_bound(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = SpoolLimits(total_bytes=300, segment_bytes=100, line_bytes=50, memory_bytes=50)
    spool = Spool(tmp_path, clock=clock, writer="sdk", limits=limits)
    spool.append(b'{"a":1}')

    def write_meanwhile(directory: Path, name: str) -> Path:  # asked once the sizes are known
        monkeypatch.setattr(writer, "lock_path", lock_path)
        for _ in range(20):
            spool.append(b'{"a":2}')
        return lock_path(directory, name)

    clock.seconds += SURVEY_SECONDS
    monkeypatch.setattr(writer, "lock_path", write_meanwhile)
    spool.flush()
    for _ in range(60):
        spool.append(b'{"a":3}')

    assert sum(segment.path.stat().st_size for segment in list_segments(tmp_path)) <= 300
    spool.close()


def test_room_that_is_freed_in_a_full_directory_is_noticed_at_the_next_look(tmp_path: Path, clock: StillClock) -> None:
    limits = SpoolLimits(total_bytes=300, segment_bytes=100, line_bytes=50, memory_bytes=50)
    spool, others = Spool(tmp_path, clock=clock, writer="sdk", limits=limits), tmp_path / "other-1-a-000001.ndjson"
    others.write_bytes(b"x" * 250)
    assert not all(spool.append(b'{"a":1}') for _ in range(20))

    others.unlink()
    clock.seconds += FULL_LOOK_SECONDS
    spool.flush()
    clock.seconds += RETRY_SECONDS

    assert all(spool.append(b'{"a":2}') for _ in range(20))
    spool.close()


def test_what_nobody_collected_for_too_long_is_dropped_and_counted(tmp_path: Path) -> None:
    former = Spool(tmp_path, clock=SystemClock(), writer="old")
    former.extend([b"{}", b"{}"])
    former.close()
    long_ago = SystemClock().now_us() // 1_000_000 - 3600
    os.utime(only_segment(tmp_path), (long_ago, long_ago))

    spool = Spool(tmp_path, clock=SystemClock(), writer="sdk", limits=SpoolLimits(age_seconds=1800))
    spool.append(b'{"a":1}')
    spool._surveyed_at -= SURVEY_SECONDS
    spool._looked_at -= LOOK_SECONDS
    spool.flush()

    assert spool.losses == {"expired": 2}
    assert all_lines(tmp_path) == [b'{"a":1}']
    spool.close()


def test_a_deleted_directory_loses_nothing_that_is_still_open(spool: Spool, clock: StillClock) -> None:
    spool.append(b'{"a":1}')
    for path in spool.directory.iterdir():
        path.unlink()
    spool.directory.rmdir()
    clock.seconds += LOOK_SECONDS
    spool.flush()  # notices
    spool.flush()  # rescues
    spool.append(b'{"a":2}')

    assert all_lines(spool.directory) == [b'{"a":1}', b'{"a":2}']


def test_two_writers_in_one_directory_do_not_meet(tmp_path: Path) -> None:
    spools = [Spool(tmp_path, clock=SystemClock(), writer="sdk") for _ in range(3)]
    for number, spool in enumerate(spools):
        spool.append(line(number))

    assert len({segment.writer for segment in list_segments(tmp_path)}) == 3
    assert sorted(all_lines(tmp_path)) == sorted(line(number) for number in range(3))
    for spool in spools:
        spool.close()


def test_threads_may_append_at_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, clock=SystemClock(), writer="sdk", limits=SpoolLimits(segment_bytes=20_000, line_bytes=500))

    def append_some(first: int) -> None:
        for number in range(first, first + 200):
            spool.append(line(number))

    threads = [threading.Thread(target=append_some, args=(n * 1000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()

    expected = [line(n * 1000 + i) for n in range(8) for i in range(200)]
    assert sorted(all_lines(tmp_path)) == sorted(expected)
    assert len(file_names(tmp_path, ".sealed.ndjson")) == len(file_names(tmp_path, ".ndjson")) > 5


def test_sync_makes_everything_durable(spool: Spool) -> None:
    spool.append(b"{}")
    assert spool.sync()
    assert spool.synced_position == spool.position == 3


def test_all_who_wait_while_the_disk_works_share_the_next_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, clock=SystemClock(), writer="sdk")
    all_written = threading.Event()
    syncs: list[int] = []
    real_fsync = os.fsync

    def slow_fsync(fd: int) -> None:
        assert all_written.wait(60)
        syncs.append(fd)
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", slow_fsync)

    async def one(number: int) -> bool:
        spool.append(line(number))
        position = spool.position
        if number == 199:
            all_written.set()
        await spool.durable(position)
        return spool.synced_position >= position

    async def all_at_once() -> list[bool]:
        return await asyncio.gather(*(one(number) for number in range(200)))

    assert all(asyncio.run(all_at_once()))
    assert 1 <= len(syncs) <= 3, "what was under way, the directory, and one for all who came meanwhile"
    spool.close()


def test_whoever_waits_for_a_disk_that_fails_is_told(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append(b'{"a":1}')

    def failing(fd: int) -> None:
        raise OSError(5, "Input/output error")

    async def wait() -> None:
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", failing)
            with pytest.raises(SpoolError, match="did not confirm"):
                await spool.durable()
        spool.append(b'{"a":2}')
        await spool.durable()

    asyncio.run(wait())
    assert len(list_segments(spool.directory)) == 2, "later lines go to a file that the failure has not touched"


def test_the_sender_is_told_when_something_was_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path, clock=SystemClock(), writer="sdk")
    told = threading.Event()
    spool.on_written = told.set
    spool.append(b"{}")

    assert told.wait(60)
    spool.close()


def test_a_line_appended_by_a_finalizer_in_the_middle_of_an_append(spool: Spool) -> None:
    with spool._lock:  # as the thread that is appending holds it when the garbage collector runs
        assert spool.append(b'{"a":1}')

    assert all_lines(spool.directory) == [b'{"a":1}']


def test_the_flusher_waits_for_locks_of_the_kind_that_there_are_when_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gevent replaces threads and locks, under a preloading gunicorn after the application has made its spool. A
    greenlet that waits for a real lock lets nobody else run, ever."""
    real, waits = threading.Lock, threading.Event()

    class Replaced:
        def __init__(self) -> None:
            self.real = real()
            self.release = self.real.release

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            if timeout > 0 and threading.current_thread().name == "taximeter-spool":
                waits.set()
            return self.real.acquire(blocking, timeout)

        def __enter__(self) -> bool:
            return self.real.__enter__()

        def __exit__(self, *_: object) -> None:
            self.real.release()

    spool = Spool(tmp_path / "spool", clock=SystemClock(), writer="sdk")
    monkeypatch.setattr(threading, "Lock", Replaced)
    spool.append(b"{}")

    assert waits.wait(60)
    spool.close()
