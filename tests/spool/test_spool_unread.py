"""Answers that were spooled unread: their events are what a spool gives, each once, and they end their calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from spool_rig import START_US, StillClock, all_lines, begin, ids, only_segment, read_all, start_process

from taximeter.core.ids import timed_id
from taximeter.spool import Spool, SpoolReader, adopt, open_calls

GIST = {"id": "chatcmpl-1", "model": "gpt-4o", "usage": {"prompt_tokens": 19, "completion_tokens": 10}}
LATER = b'{"unread":["a.later.flavour",1,1,"7000-8000-000000000000",{}],"source":"sdk"}'


def random_part(number: int) -> str:
    """As in the ids of `spool_rig`."""
    return f"7000-8000-{number:012x}"


def unread(number: int) -> bytes:
    said = ["openai.chat", START_US + number * 1000, 5_000, random_part(number), GIST]
    return f'{{"unread":{json.dumps(said)},"source":"sdk"}}'.encode()


def write(directory: Path, *lines: bytes) -> Spool:
    spool = Spool(directory, clock=StillClock(), writer="sdk")
    assert spool.extend(lines)
    return spool


@pytest.mark.parametrize("finished", [False, True])
def test_a_reader_gives_the_event_of_each(tmp_path: Path, finished: bool) -> None:
    spool = write(tmp_path, unread(1), unread(2))
    if finished:
        spool.close()
    found = [json.loads(line) for line in all_lines(tmp_path)]
    assert [event["event_id"] for event in found] == [timed_id(START_US // 1000 + n, random_part(n)) for n in (1, 2)]
    assert [(event["input_tokens"], event["output_tokens"], event["status"]) for event in found] == [(19, 10, "ok")] * 2


def test_the_marks_count_the_bytes_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, unread(1), unread(2), unread(3))
    reader, marks = SpoolReader(tmp_path), dict[str, int]()
    found = []
    while batch := reader.read(marks, limit_lines=1):
        found += batch.lines
        marks.update(batch.marks)
    assert found == all_lines(tmp_path)
    assert [*marks.values()] == [only_segment(tmp_path).stat().st_size]


def test_read_again_it_is_the_same_event(tmp_path: Path) -> None:
    write(tmp_path, unread(1))
    assert all_lines(tmp_path) == all_lines(tmp_path)


def test_one_that_only_a_later_version_can_read_is_given_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, LATER)
    assert all_lines(tmp_path) == [LATER]


def test_one_that_was_torn_is_skipped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "sdk-1-1-000001.ndjson").write_bytes(unread(1) + b"\n" + unread(2)[:-9])
    adopt(tmp_path)
    reader = SpoolReader(tmp_path)
    assert ids(read_all(reader, {})) == [timed_id(START_US // 1000 + 1, random_part(1))]
    assert reader.torn_lines == 1


def test_it_ends_the_call_that_has_begun(tmp_path: Path) -> None:
    (tmp_path / "sdk-1-1-000001.ndjson").write_bytes(b"".join(line + b"\n" for line in (begin(1), begin(2), unread(1))))
    (tmp_path / "sdk-1-1.lock").touch()
    marks = {"sdk-1-1-000001": only_segment(tmp_path).stat().st_size}
    assert len(open_calls(tmp_path, marks)) == 1
    assert adopt(tmp_path).interrupted_calls == 1
    events = [event for line in all_lines(tmp_path) if "record" not in (event := json.loads(line))]
    assert [event["status"] for event in events] == ["ok", "interrupted"]


WRITES = """
    import sys
    from pathlib import Path
    from test_spool_unread import unread
    from spool_rig import begin
    from taximeter.clock import SystemClock
    from taximeter.spool import Spool

    spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="sdk")
    for number in range(1, 1_000_000):
        spool.append(begin(number))
        spool.append(unread(number))
        print(number, flush=True)
"""


def test_after_kill_9_each_answer_that_was_spooled_is_one_event_and_no_call_of_them_is_interrupted(
    tmp_path: Path,
) -> None:
    process = start_process(WRITES, tmp_path, env={"PYTHONPATH": str(Path(__file__).parent)})
    assert process.stdout is not None
    for _ in range(200):
        told = int(process.stdout.readline())
    process.kill()
    process.wait()
    told += sum(1 for _ in process.stdout)
    adopt(tmp_path)
    events = [event for line in all_lines(tmp_path) if "record" not in (event := json.loads(line))]
    answered = [event["event_id"] for event in events if event["status"] == "ok"]
    assert len(answered) == len(set(answered)) >= told
    assert len(events) - len(answered) <= 1, "only the one under way"
    process.stdout.close()
