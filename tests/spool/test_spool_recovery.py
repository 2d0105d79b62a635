"""Recovery: what a dead writer began is answered for, once; a living one is left alone."""

from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spool_rig import StillClock, all_lines, begin, event_id, file_names, ids, line, only_segment, progress

from taximeter.clock import SystemClock
from taximeter.spool import OpenCalls, Releaser, Spool, SpoolReader, adopt, list_segments, open_calls
from taximeter.spool import recovery as recovery_module

DEAD = "gateway-7-abc"


def leave(directory: Path, *segments: list[bytes]) -> None:
    """The files of a writer that died: its lock file lies there, and nobody holds the lock."""
    (directory / f"{DEAD}.lock").touch()
    for number, lines in enumerate(segments, start=1):
        (directory / f"{DEAD}-{number:06d}.ndjson").write_bytes(b"".join(one + b"\n" for one in lines))


def interrupted(directory: Path) -> list[dict[str, Any]]:
    records = [json.loads(one) for one in all_lines(directory)]
    return [record for record in records if record.get("status") == "interrupted"]


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("nothing known", {}),
        ("expected output", {"input_tokens": 12, "output_tokens": 300}),
        ("streamed", {"input_tokens": 12, "output_tokens": 41}),
        ("streamed nothing yet", {"input_tokens": 12, "output_tokens": 0}),
    ],
)
def test_a_call_without_an_end_is_interrupted_with_estimated_usage(
    tmp_path: Path, story: str, expected: dict[str, int]
) -> None:
    learnt = {} if story == "nothing known" else {"input_tokens": 12, "expected_output_tokens": 300.2}
    lines = [begin(1, user_id="u1", **learnt)]
    lines += [progress(1, 7), progress(1, 41)] if story == "streamed" else []
    lines += [progress(1, 0)] if story == "streamed nothing yet" else []
    leave(tmp_path, lines)

    assert adopt(tmp_path).interrupted_calls == 1
    assert interrupted(tmp_path) == [
        {
            "event_id": event_id(1),
            "started_at": "2026-09-21T14:13:20.000000Z",
            "source": "gateway",
            "provider": "openai",
            "user_id": "u1",
            "status": "interrupted",
            "usage_estimated": True,
            **expected,
        }
    ]


def test_a_call_that_goes_on_without_its_gateway_is_left_to_the_fetch_that_tells_it(tmp_path: Path) -> None:
    leave(tmp_path, [begin(1, input_tokens=12, expected_output_tokens=300, told_later=True), progress(1, 41)])
    adopt(tmp_path)
    (event,) = interrupted(tmp_path)
    assert event["not_billed"]
    assert not {"input_tokens", "output_tokens", "usage_estimated", "told_later"} & event.keys()


def test_a_call_that_ended_in_a_later_segment_is_not_interrupted(tmp_path: Path) -> None:
    leave(tmp_path, [begin(1), begin(2)], [line(1)], [progress(2, 3), line(2)])

    assert adopt(tmp_path).interrupted_calls == 0
    assert file_names(tmp_path, ".lock") == []


def test_adopting_twice_is_adopting_once(tmp_path: Path) -> None:
    leave(tmp_path, [begin(1), begin(2), line(2)])
    adopt(tmp_path)
    names = sorted(os.listdir(tmp_path))
    again = adopt(tmp_path)

    assert (again.writers, again.interrupted_calls) == (0, 0)
    assert sorted(os.listdir(tmp_path)) == names


def test_a_living_writer_is_never_touched(tmp_path: Path) -> None:
    spool = Spool(tmp_path, clock=SystemClock(), writer="gateway")
    spool.append(begin(1))

    assert adopt(tmp_path).writers == 0
    assert not list_segments(tmp_path)[0].sealed

    spool.close()
    assert adopt(tmp_path).interrupted_calls == 1
    assert ids(all_lines(tmp_path)) == [event_id(1), event_id(1)]


def test_everything_adopted_is_sealed(tmp_path: Path) -> None:
    leave(tmp_path, [line(1)], [begin(2)])
    adopt(tmp_path)

    reader = SpoolReader(tmp_path)
    assert [segment.sealed for segment in list_segments(tmp_path)] == [True, True, True]
    assert len(reader.read({}).lines) == 3
    assert reader.damaged == set()


def test_a_torn_begin_is_no_call(tmp_path: Path) -> None:
    leave(tmp_path, [begin(1)])
    path = only_segment(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])

    assert adopt(tmp_path).interrupted_calls == 0
    reader = SpoolReader(tmp_path)
    reader.read({})
    assert reader.torn_lines == 1


def test_a_begin_without_id_or_start_is_counted(tmp_path: Path) -> None:
    leave(tmp_path, [b'{"record":"begin"}', b'{"record":"begin","event_id":"x"}'])
    done = adopt(tmp_path)

    assert (done.unreadable_begins, done.interrupted_calls) == (2, 0)


def test_a_word_record_in_an_event_is_not_a_record(tmp_path: Path) -> None:
    leave(tmp_path, [begin(1), line(1, tags={"record": "begin"})])

    assert adopt(tmp_path).interrupted_calls == 0


CALLS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["begin", "progress", "end"])), max_size=15)


@settings(max_examples=80, deadline=None)
@given(calls=CALLS, cut=st.integers(0, 4000), splits=st.lists(st.integers(0, 15), max_size=3))
def test_after_any_crash_every_begun_call_has_exactly_one_end(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, str]], cut: int, splits: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    make = {"begin": begin, "end": line, "progress": lambda number: progress(number, 5)}
    lines, begun = [], set[int]()
    for number, kind in calls:
        if (kind == "begin") != (number in begun):
            begun ^= {number} if kind != "progress" else set()
            lines.append(make[kind](number))
    bounds = [0, *sorted(min(split, len(lines)) for split in splits), len(lines)]
    leave(directory, *[lines[a:b] for a, b in pairwise(bounds)])
    last = list_segments(directory)[-1].path
    last.write_bytes(last.read_bytes()[: max(0, last.stat().st_size - cut)])

    adopt(directory)
    adopt(directory)
    records = [json.loads(one) for one in all_lines(directory)]
    balance: dict[str, int] = {}
    for record in records:
        step = {"begin": 1, "progress": 0}.get(record.get("record", "end"), -1)
        balance[record["event_id"]] = balance.get(record["event_id"], 0) + step
    assert set(balance.values()) <= {0}
    shutil.rmtree(directory)


@pytest.mark.parametrize("step", ["seal", "_write_segment", "unlink"])
def test_a_crash_inside_adoption_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    leave(tmp_path, [begin(1), begin(2)], [line(2), begin(3)])

    class CrashError(Exception): ...

    def crash(*_: object, **__: object) -> None:
        raise CrashError

    with monkeypatch.context() as broken:
        if step == "unlink":
            broken.setattr(Path, "unlink", crash)
        else:
            broken.setattr(recovery_module, step, crash)
        with pytest.raises(CrashError):
            adopt(tmp_path)
    adopt(tmp_path)

    assert sorted(record["event_id"] for record in interrupted(tmp_path)) == [event_id(1), event_id(3)]


# -- letting go -----------------------------------------------------------------------------------------------


def full_marks(directory: Path) -> dict[str, int]:
    return {segment.id: segment.path.stat().st_size for segment in list_segments(directory)}


@pytest.mark.parametrize(
    ("stored", "call_open", "minutes", "expected"),
    [
        (True, False, 11, True),
        (True, False, 9, False),
        (False, False, 11, False),
        (True, True, 11, False),
    ],
    ids=["all is done", "too early", "not yet stored", "a call is open"],
)
def test_a_segment_goes_when_it_is_stored_its_calls_have_ended_and_time_has_passed(
    tmp_path: Path, stored: bool, call_open: bool, minutes: int, expected: bool
) -> None:
    clock = StillClock()
    (tmp_path / "w-1-1-000001.00000000.sealed.ndjson").write_bytes(begin(1) + b"\n")
    marks = full_marks(tmp_path) if stored else {"w-1-1-000001": 5}
    calls = OpenCalls()
    calls.begun(event_id(1), "w-1-1-000001")
    if not call_open:
        calls.ended(event_id(1))
    releaser = Releaser(tmp_path, clock)

    assert releaser.release(marks, calls, set()) == []
    clock.seconds += minutes * 60
    assert releaser.release(marks, calls, set()) == (["w-1-1-000001"] if expected else [])
    assert (list_segments(tmp_path) == []) is expected


def test_an_unsealed_segment_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "w-1-1-000001.ndjson").write_bytes(b"{}\n")

    assert Releaser(tmp_path, StillClock(), retention_seconds=0).release(full_marks(tmp_path), OpenCalls(), set()) == []


def test_stored_segments_give_way_when_they_take_too_much_room(tmp_path: Path) -> None:
    for number in range(1, 4):
        (tmp_path / f"w-1-1-{number:06d}.00000000.sealed.ndjson").write_bytes(b"x" * 100)
    releaser = Releaser(tmp_path, StillClock(), retained_bytes=150)

    assert releaser.release(full_marks(tmp_path), OpenCalls(), set()) == ["w-1-1-000001", "w-1-1-000002"]


def test_a_damaged_segment_is_put_aside_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "w-1-1-000001.00000000.sealed.ndjson").write_bytes(b"{}\n")
    releaser = Releaser(tmp_path, StillClock(), retention_seconds=0)
    releaser.release(full_marks(tmp_path), OpenCalls(), {"w-1-1-000001"})

    assert os.listdir(tmp_path / "quarantine") == ["w-1-1-000001.00000000.sealed.ndjson"]
    assert list_segments(tmp_path) == []


def test_open_calls_are_found_again_after_a_restart_of_the_reader(tmp_path: Path) -> None:
    spool = Spool(tmp_path, clock=SystemClock(), writer="gateway")
    for one in (begin(1), begin(2), line(1, tags={"record": "x"}), begin(3)):
        spool.append(one)
    (segment,) = list_segments(tmp_path)
    behind_third = sum(len(one) + 1 for one in all_lines(tmp_path)[:3])

    assert len(open_calls(tmp_path, {segment.id: behind_third})) == 1
    assert open_calls(tmp_path, {segment.id: behind_third}).in_segment(segment.id)
    assert len(open_calls(tmp_path, {})) == 0
    spool.close()
