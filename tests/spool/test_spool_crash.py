"""Crashes and forks of real processes: `kill -9` at random moments loses nothing that was appended."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from spool_rig import all_lines, event_id, ids, start_process

from taximeter.clock import SystemClock
from taximeter.spool import Spool, SpoolReader, adopt, list_segments

WRITER = """
    import sys, threading, json, os
    from pathlib import Path
    from taximeter.clock import SystemClock
    from taximeter.spool import Spool, SpoolLimits

    directory, threads = Path(sys.argv[1]), int(sys.argv[2])
    spool = Spool(directory, clock=SystemClock(), writer="w", limits=SpoolLimits(segment_bytes=20_000))

    def write_on(thread):
        number = 0
        while True:
            name = f"{os.getpid()}.{thread}.{number}"
            begin = {"record": "begin", "event_id": name, "started_at": "2026-09-21T14:13:20.000000Z"}
            assert spool.append(json.dumps(begin).encode())
            end = {"event_id": name, "started_at": "2026-09-21T14:13:20.000000Z", "x": "y" * (number % 700)}
            assert spool.append(json.dumps(end).encode())
            os.write(1, (name + "\\n").encode())  # from here on the event must survive
            number += 1

    for thread in range(threads):
        threading.Thread(target=write_on, args=(thread,)).start()
"""


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_loses_nothing_that_was_appended(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged = set[str]()
    for _ in range(2):
        process = start_process(WRITER, tmp_path, 4)
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(chance.randrange(1, 3000))]
        process.send_signal(signal.SIGKILL)
        seen += process.communicate()[0].splitlines(keepends=True)
        acknowledged |= {name.strip() for name in seen if name.endswith("\n")}
        adopt(tmp_path)

    reader = SpoolReader(tmp_path)
    records = [json.loads(one) for one in all_lines(tmp_path)]
    begun = {record["event_id"] for record in records if record.get("record") == "begin"}
    ended = [record["event_id"] for record in records if "record" not in record]
    assert acknowledged <= set(ended)
    assert begun == set(ended), "every begun call is answered for"
    assert len(ended) == len(set(ended)), "and once"
    assert all(segment.sealed for segment in list_segments(tmp_path))
    assert reader.damaged == set()


def test_a_killed_writer_is_dead_at_once_a_stopped_one_lives(tmp_path: Path) -> None:
    process = start_process(WRITER, tmp_path, 1)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    assert adopt(tmp_path).writers == 0

    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert adopt(tmp_path).writers == 1


FORKER = """
    import os, sys, json
    from pathlib import Path
    from taximeter.clock import SystemClock
    from taximeter.spool import Spool

    spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="w")
    spool.append(b'{"event_id":"parent-before"}')
    child = os.fork()
    if not child:
        spool.append(b'{"event_id":"child"}')
        spool.sync()
        print("child", os.getpid(), flush=True)
        sys.stdin.read()  # lives on
        os._exit(0)
    spool.append(b'{"event_id":"parent-after"}')
    print("parent", os.getpid(), flush=True)
    os.waitpid(child, 0)
"""


def test_a_forked_child_writes_its_own_file_and_does_not_keep_its_dead_parent_alive(tmp_path: Path) -> None:
    process = start_process(FORKER, tmp_path, stdin=subprocess.PIPE)
    assert process.stdout is not None
    pids = dict(process.stdout.readline().split() for _ in range(2))
    by_writer = {segment.writer.split("-")[1]: segment.path.read_bytes() for segment in list_segments(tmp_path)}
    assert by_writer == {
        pids["parent"]: b'{"event_id":"parent-before"}\n{"event_id":"parent-after"}\n',
        pids["child"]: b'{"event_id":"child"}\n',
    }

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert adopt(tmp_path).writers == 1
    living = [segment for segment in list_segments(tmp_path) if not segment.sealed]
    assert [segment.writer.split("-")[1] for segment in living] == [pids["child"]]
    process.communicate()


def test_a_program_started_by_the_writer_does_not_keep_it_alive(tmp_path: Path) -> None:
    code = """
        import subprocess, sys
        from pathlib import Path
        from taximeter.clock import SystemClock
        from taximeter.spool import Spool

        spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="w")
        spool.append(b"{}")
        other = subprocess.Popen(["sleep", "600"], close_fds=False, stdout=subprocess.DEVNULL)
        print(other.pid, flush=True)
        sys.stdin.read()
    """
    process = start_process(code, tmp_path, stdin=subprocess.PIPE)
    assert process.stdout is not None
    other = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert adopt(tmp_path).writers == 1
    os.kill(other, signal.SIGKILL)


def test_a_process_that_ends_normally_seals_by_itself(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from taximeter.clock import SystemClock
        from taximeter.spool import Spool

        spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="w")
        spool.append(b"{}")
    """
    start_process(code, tmp_path).communicate()

    assert [segment.sealed for segment in list_segments(tmp_path)] == [True]


def test_the_reader_in_the_writers_own_process_does_not_end_its_lock(tmp_path: Path) -> None:
    spool = Spool(tmp_path, clock=SystemClock(), writer="w")
    spool.append(f'{{"event_id":"{event_id(1)}"}}'.encode())
    for path in tmp_path.iterdir():
        path.read_bytes()  # opening and closing any of its files would give a POSIX record lock up

    assert adopt(tmp_path).writers == 0
    assert ids(all_lines(tmp_path)) == [event_id(1)]
    spool.close()


def test_two_adopters_at_once_make_one_set_of_events(tmp_path: Path) -> None:
    (tmp_path / "w-1-1.lock").touch()
    begin = '{{"record":"begin","event_id":"{}","started_at":"2026-09-21T14:13:20.000000Z"}}\n'
    (tmp_path / "w-1-1-000001.ndjson").write_text("".join(begin.format(n) for n in range(500)))
    code = """
        import sys
        from pathlib import Path
        from taximeter.spool import adopt

        sys.stdin.read()
        print(adopt(Path(sys.argv[1])).interrupted_calls)
    """
    processes = [start_process(code, tmp_path, stdin=subprocess.PIPE) for _ in range(4)]
    counts = [int(process.communicate(input="")[0]) for process in processes]

    assert sorted(counts) == [0, 0, 0, 500]
    assert len(all_lines(tmp_path)) == 1000
