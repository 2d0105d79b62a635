"""Begin records: only of calls that last, never behind an event, none missing after `kill -9`."""

from __future__ import annotations

import gc
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from spool_rig import StillClock, all_lines, begin, event_id, line, start_process, until

from taximeter.spool import Spool, SpoolLimits, adopt, writer
from taximeter.spool.writer import BEGIN_AFTER_MS, BEGIN_LOOK_MS, MOST_BEGINS


class OpenCall:
    """A call as the SDK has it: noted when it begins, taken out before its event is appended."""

    def __init__(self, spool: Spool, number: int) -> None:
        self.spool, self.number = spool, number

    def begin_line(self) -> bytes | None:
        return begin(self.number)

    def start(self) -> OpenCall:
        note(self.spool, self)
        return self

    def end(self) -> None:
        self.spool.begun.pop(self, None)
        self.spool.append(line(self.number))


LONG_AGO = 0.0
"""On the clocks of these spools."""


def note(spool: Spool, call: OpenCall, began: float = LONG_AGO) -> None:
    spool.begun[call] = began
    if not spool.awake:
        spool.wake()


class BrokenCall(OpenCall):
    def begin_line(self) -> bytes | None:
        return None


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """One whose own thread does nothing: the tests take its turns."""
    spool = Spool(tmp_path, clock=StillClock(), writer="sdk", limits=SpoolLimits(sync_interval_ms=3_600_000))
    spool._flusher = threading.current_thread()
    yield spool
    spool.close()


def written(spool: Spool) -> list[tuple[str, int]]:
    """What is in the files, in order: `begin` or `event`, and of which call."""
    numbers = {event_id(number): number for number in range(3_000)}
    records = [json.loads(one) for one in all_lines(spool.directory)]
    return [(record.get("record", "event"), numbers[record["event_id"]]) for record in records]


def test_a_call_that_is_answered_at_once_leaves_its_event_alone(spool: Spool) -> None:
    OpenCall(spool, 1).start().end()
    spool.flush()
    assert written(spool) == [("event", 1)]


def test_a_call_that_is_open_at_the_next_turn_gets_one_begin_record(spool: Spool) -> None:
    call = OpenCall(spool, 1).start()
    spool.flush()
    spool.flush()
    assert written(spool) == [("begin", 1)]
    call.end()
    assert written(spool) == [("begin", 1), ("event", 1)]


def test_a_call_that_began_a_moment_ago_gets_none_yet(tmp_path: Path) -> None:
    clock = StillClock()
    spool = Spool(tmp_path, clock=clock, writer="sdk", limits=SpoolLimits(sync_interval_ms=3_600_000))
    spool._flusher = threading.current_thread()
    for number in range(3):
        note(spool, OpenCall(spool, number), clock.monotonic())
        spool.flush()
        clock.seconds += 0.6 * BEGIN_AFTER_MS / 1000
    assert written(spool) == [("begin", 0)], "the second is three fifths as old as it has to be, the third is new"
    assert spool.awake, "the thread comes again for the others"
    spool.close()
    assert written(spool) == [("begin", 0), ("begin", 1), ("begin", 2)]


@pytest.mark.parametrize("look", [Spool.sync, Spool.close])
@pytest.mark.parametrize("began", [LONG_AGO, 1e3, 1e6], ids=["long ago", "now", "later, where clocks differ"])
def test_whatever_makes_everything_durable_writes_what_is_open_first(spool: Spool, look: object, began: float) -> None:
    note(spool, OpenCall(spool, 1), began)
    look(spool)  # type: ignore[operator]
    assert written(spool) == [("begin", 1)]


def test_many_open_calls_are_written_some_at_a_time_and_each_once(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [OpenCall(spool, number).start() for number in range(2 * MOST_BEGINS + 1)]
    writes = list[int]()
    real = os.write

    def counted(fd: int, data: bytes) -> int:
        writes.append(bytes(data).count(b"\n"))
        return real(fd, data)

    monkeypatch.setattr(os, "write", counted)
    spool.flush()
    monkeypatch.undo()
    assert writes == [MOST_BEGINS, MOST_BEGINS, 1]
    assert written(spool) == [("begin", call.number) for call in calls]


def test_a_call_that_cannot_say_what_it_is_does_no_harm_to_others(spool: Spool) -> None:
    broken = BrokenCall(spool, 1).start()
    OpenCall(spool, 2).start()
    spool.flush()
    broken.end()
    assert written(spool) == [("begin", 2), ("event", 1)]


@pytest.mark.parametrize("when", ["while its line is made", "before the lines are written"])
def test_a_call_that_a_finalizer_ends_in_the_midst_of_it_ends_behind_its_begin_record(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The collector of garbage may come round in the thread that writes begin records, and has its lock."""

    class Ending(OpenCall):
        def begin_line(self) -> bytes | None:
            if when == "while its line is made":
                self.end()
            return super().begin_line()

    real = os.write

    def write(fd: int, data: bytes) -> int:
        if when == "before the lines are written" and call in ended:
            ended.pop().end()
        return real(fd, data)

    OpenCall(spool, 0).start().end()
    call = Ending(spool, 1).start()
    ended = [call]
    monkeypatch.setattr(os, "write", write)
    spool.flush()
    monkeypatch.undo()
    OpenCall(spool, 2).start().end()
    assert written(spool) == [("event", 0), ("begin", 1), ("event", 1), ("event", 2)]


def test_a_call_that_another_thread_ends_in_the_midst_of_it_ends_behind_its_begin_record(spool: Spool) -> None:
    class Ending(OpenCall):
        def begin_line(self) -> bytes | None:
            threads.append(threading.Thread(target=self.end))
            threads[0].start()
            threads[0].join(0.2)
            waited.append(threads[0].is_alive())
            return super().begin_line()

    threads, waited = list[threading.Thread](), list[bool]()
    OpenCall(spool, 0).start().end()
    Ending(spool, 1).start()
    spool.flush()
    threads[0].join()
    assert waited == [True], "it goes on when its event is written, which is after ours"
    assert written(spool) == [("event", 0), ("begin", 1), ("event", 1)]


def test_events_in_many_threads_never_come_before_their_begin_records(tmp_path: Path) -> None:
    """The writer of begin records goes round without a pause, and every call may end at any step of it."""
    spool = Spool(tmp_path, clock=StillClock(), writer="sdk", limits=SpoolLimits(segment_bytes=20_000))
    over = threading.Event()

    def turns() -> None:
        while not over.is_set():
            spool._write_begun()

    def calls(thread: int) -> None:
        chance = random.Random(thread)
        still_open = list[OpenCall]()
        for number in range(600):
            still_open.append(OpenCall(spool, 600 * thread + number).start())
            while len(still_open) > chance.randrange(4):
                still_open.pop(chance.randrange(len(still_open))).end()
        for call in still_open:
            call.end()

    threads = [threading.Thread(target=calls, args=(number,)) for number in range(4)]
    turning = threading.Thread(target=turns)
    for thread in (turning, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    turning.join()
    spool.close()

    seen = written(spool)
    place = {record: at for at, record in enumerate(seen)}
    begun = [number for kind, number in seen if kind == "begin"]
    assert len(place) == len(seen), "nothing is there twice"
    assert sorted(number for kind, number in seen if kind == "event") == list(range(2400))
    assert begun, "some calls were open at a turn"
    assert all(place["begin", number] < place["event", number] for number in begun)
    assert spool.begun == {}
    assert adopt(tmp_path).interrupted_calls == 0


LASTING = """
    import sys, time
    from pathlib import Path
    from spool_rig import begin, line
    from taximeter.clock import SystemClock
    from taximeter.spool import Spool, SpoolLimits

    class Call:
        def __init__(self, number):
            self.number = number
        def begin_line(self):
            return begin(self.number)

    spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="w", limits=SpoolLimits(sync_interval_ms=1000))
    answered, lasting, young = map(Call, (1, 2, 3))
    spool.begun.update(dict.fromkeys((answered, lasting), time.monotonic()))
    spool.wake()
    spool.begun.pop(answered)
    spool.append(line(1))
    while lasting in spool.begun:
        time.sleep(0.01)
    spool.health()  # waits for the lock, under which it is being written
    spool.begun[young] = time.monotonic()
    spool.wake()
    print("now", flush=True)
    time.sleep(100)
"""


def test_after_kill_9_a_call_that_lasted_is_interrupted_an_answered_one_is_answered(tmp_path: Path) -> None:
    """One that was open for less than `BEGIN_WITHIN_MS` is the price: nothing is left of it, unless a turn came."""
    process = start_process(LASTING, tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)})
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.kill()
    process.communicate()
    assert adopt(tmp_path).interrupted_calls >= 1
    events = [json.loads(one) for one in all_lines(tmp_path) if b'"record"' not in one]
    states = {event["event_id"]: event.get("status", "answered") for event in events}
    states.pop(event_id(3), None)
    assert states == {event_id(1): "answered", event_id(2): "interrupted"}


class Clocked(writer._Bell):
    """Notes how long it was waited for, and what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = list[float | None]()

    def wait(self, seconds: float | None) -> bool:
        self.waits.append(seconds)
        return super().wait(seconds)


def test_the_thread_looks_within_its_bound_and_rests_when_no_call_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_Bell", Clocked)
    spool = Spool(tmp_path, clock=StillClock(), writer="sdk", limits=SpoolLimits(sync_interval_ms=20))
    assert spool._flusher is None, "nothing began: there is no thread"

    call = OpenCall(spool, 1).start()
    wake, hurry = spool._wake, spool._hurry
    assert isinstance(wake, Clocked)
    assert isinstance(hurry, Clocked)
    until(lambda: written(spool) == [("begin", 1)])
    until(lambda: not spool.awake and wake.waits[-1] is not None)
    rounds = len(wake.waits)
    call.end()
    until(lambda: len(wake.waits) > rounds and not spool.awake)
    assert wake.waits[-1] == spool.limits.segment_age_seconds, "until the file is old, if nothing comes"
    assert {wait for wait in hurry.waits if wait is not None} == {0.02}
    spool.close()


@pytest.mark.parametrize(
    ("sync_interval_ms", "waits"),
    [(1000, [0.25] * 4), (600, [0.25, 0.25, 0.1]), (BEGIN_LOOK_MS, [0.25]), (50, [0.05])],
)
def test_a_long_wait_for_the_next_fsync_has_turns_in_it(
    tmp_path: Path, sync_interval_ms: int, waits: list[float]
) -> None:
    class Passing(Clocked):
        def wait(self, seconds: float | None) -> bool:
            self.waits.append(seconds)
            return False

    spool = Spool(tmp_path, clock=StillClock(), writer="sdk", limits=SpoolLimits(sync_interval_ms=sync_interval_ms))
    spool._flusher = threading.current_thread()
    hurry = spool._hurry = Passing()
    OpenCall(spool, 1).start()
    spool._gather()
    assert hurry.waits == waits
    assert written(spool) == [("begin", 1)]
    spool.close()


def test_a_bell_is_heard_once_however_often_it_rang() -> None:
    bell = writer._Bell()
    bell.ring()
    bell.ring()
    assert [bell.wait(0), bell.wait(0)] == [True, False]
    bell.ring()
    bell.hush()
    bell.hush()
    assert not bell.wait(0)


def test_a_bell_wakes_the_one_who_waits() -> None:
    bell = writer._Bell()
    waiting = threading.Timer(0.05, bell.ring)
    waiting.start()
    assert bell.wait(None)
    waiting.join()


def test_a_call_that_begins_while_the_thread_is_at_its_fsync_wakes_it_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees that the thread has been told, and the thread has looked for open calls already."""
    OpenCall(spool, 1).start()
    spool._write_begun()
    OpenCall(spool, 2).start()
    spool._wake.hush()
    monkeypatch.setattr(spool, "_write_lasting", lambda: None)
    spool.flush()
    assert spool._wake.wait(0)


def test_a_forked_child_writes_no_begin_records_of_its_parent(spool: Spool) -> None:
    call = OpenCall(spool, 1).start()
    spool._leave_to_parent()
    OpenCall(spool, 2).start()
    spool.flush()
    assert written(spool) == [("begin", 2)]
    call.end()


def test_a_spool_that_keeps_lines_in_memory_keeps_their_order(tmp_path: Path) -> None:
    directory = tmp_path / "in the way"
    directory.write_bytes(b"")
    clock = StillClock()
    spool = Spool(directory, clock=clock, writer="sdk")
    spool._flusher = threading.current_thread()
    call = OpenCall(spool, 1).start()
    spool.flush()
    call.end()
    directory.unlink()
    clock.seconds += writer.RETRY_SECONDS
    spool.flush()
    assert written(spool) == [("begin", 1), ("event", 1)]
    assert spool.losses == {}
    spool.close()


def test_a_call_is_not_held_longer_than_it_takes_to_write_it(spool: Spool) -> None:
    OpenCall(spool, 1).start()
    spool.flush()
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, OpenCall)]
