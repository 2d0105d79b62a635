"""The reader: every whole line once, whatever else is in the directory."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spool_rig import StillClock, all_lines, line, only_segment, read_all

from taximeter.clock import SystemClock
from taximeter.spool import Spool, SpoolLimits, SpoolReader, adopt, list_segments

LINES = st.lists(st.binary(max_size=40).map(lambda b: json.dumps({"x": b.hex()}).encode()), max_size=12)


def write(directory: Path, lines: list[bytes], **limits: int) -> None:
    spool = Spool(directory, clock=SystemClock(), writer="w", limits=SpoolLimits(**limits))
    for one in lines:
        spool.append(one)
    spool.close()


@settings(max_examples=60, deadline=None)
@given(LINES, st.integers(30, 200), st.integers(1, 300), st.integers(1, 5))
def test_what_was_written_is_read_in_any_portions(
    lines: list[bytes], segment_bytes: int, limit_bytes: int, limit_lines: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory), lines, segment_bytes=segment_bytes, line_bytes=200)
        reader = SpoolReader(Path(directory))

        assert list(read_all(reader, {}, limit_bytes=limit_bytes, limit_lines=limit_lines)) == lines
        assert (reader.torn_lines, reader.damaged) == (0, set())


@pytest.mark.parametrize("alive", [True, False])
def test_a_file_cut_off_at_every_byte(tmp_path: Path, alive: bool) -> None:
    lines = [line(number, note="ä\u2028 }{") for number in range(3)]
    content = b"\n".join(lines) + b"\n"
    path = tmp_path / "w-1-1-000001.ndjson"
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        if not alive:
            adopt(tmp_path)
        reader = SpoolReader(tmp_path)
        whole = content[:end].count(b"\n")
        last = content[:end].rpartition(b"\n")[2]
        if not alive and last == [*lines, b""][whole]:
            whole += bool(last)  # only the line break is missing: the line is all there

        assert list(read_all(reader, {})) == lines[:whole]
        assert reader.torn_lines == (not alive and bool(last) and last not in lines)
        for file in tmp_path.iterdir():
            file.unlink()


def test_a_line_being_written_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "w-1-1-000001.ndjson"
    reader, marks = SpoolReader(tmp_path), {"w-1-1-000001": 0}
    path.write_bytes(b'{"a":1}\n{"a":')
    assert list(read_all(reader, marks)) == [b'{"a":1}']
    path.write_bytes(b'{"a":1}\n{"a":2}\n')
    assert list(read_all(reader, marks)) == [b'{"a":2}']


def test_marks_stay_good_when_a_segment_is_sealed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, clock=StillClock(), writer="w")
    spool.append(b'{"a":1}')
    reader, marks = SpoolReader(tmp_path), dict[str, int]()
    assert list(read_all(reader, marks)) == [b'{"a":1}']
    spool.append(b'{"a":2}')
    spool.close()

    assert list(read_all(reader, marks)) == [b'{"a":2}']
    assert list(marks) == [list_segments(tmp_path)[0].id]


def test_a_damaged_segment_is_reported_and_read_as_far_as_lines_are_whole(tmp_path: Path) -> None:
    write(tmp_path, [line(number) for number in range(3)])
    path = only_segment(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(line(0)) + 5] = 0xFF  # inside the second line
    path.write_bytes(content)

    reader = SpoolReader(tmp_path)
    assert list(read_all(reader, {})) == [line(0), line(2)]
    assert reader.torn_lines == 1
    assert reader.damaged == {list_segments(tmp_path)[0].id}


def test_no_writer_is_starved_by_a_busy_one(tmp_path: Path) -> None:
    (tmp_path / "busy-1-1-000001.ndjson").write_bytes(b'{"from":"busy"}\n' * 100)
    (tmp_path / "calm-1-1-000001.ndjson").write_bytes(b'{"from":"calm"}\n')
    reader, marks = SpoolReader(tmp_path), dict[str, int]()
    seen: list[bytes] = []
    for _ in range(2):
        batch = reader.read(marks, limit_lines=10)
        marks.update(batch.marks)
        seen += batch.lines

    assert b'{"from":"calm"}' in seen


def test_a_line_longer_than_the_limit_is_read_whole(tmp_path: Path) -> None:
    long = json.dumps({"x": "y" * 5000}).encode()
    write(tmp_path, [long, b"{}"])

    assert list(read_all(SpoolReader(tmp_path), {}, limit_bytes=100)) == [long, b"{}"]


def test_other_files_are_no_segments(tmp_path: Path) -> None:
    for name in ("rejected.ndjson", "sent.json", "w-1-1-000001.ndjson.tmp", "notes.txt", "w-1-1.lock"):
        (tmp_path / name).write_bytes(b'{"a":1}\n')

    assert all_lines(tmp_path) == []


def test_no_directory_is_an_empty_spool(tmp_path: Path) -> None:
    assert all_lines(tmp_path / "nowhere") == []
    assert SpoolReader(tmp_path / "nowhere").unread_bytes({}) == 0


def test_unread_bytes_say_how_far_behind_a_reader_is(tmp_path: Path) -> None:
    write(tmp_path, [b'{"a":1}', b'{"a":2}'])
    (segment,) = list_segments(tmp_path)

    assert SpoolReader(tmp_path).unread_bytes({}) == 16
    assert SpoolReader(tmp_path).unread_bytes({segment.id: 8}) == 8
