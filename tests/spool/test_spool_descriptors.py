"""A host that closes descriptors it does not know, as daemons do, and opens its own files under their numbers."""

from __future__ import annotations

import os
from pathlib import Path

from spool_rig import StillClock, all_lines, file_names, line, start_process

from taximeter.spool import Spool
from taximeter.spool.descriptors import LEAST_NUMBER
from taximeter.spool.writer import LOOK_SECONDS, RETRY_SECONDS


def spool_of(tmp_path: Path, clock: StillClock) -> Spool:
    return Spool(tmp_path / "spool", clock=clock, writer="w")


def numbers_of(spool: Spool) -> list[int]:
    return [descriptor.number for descriptor in spool._files.descriptors()]


def open_under(number: int, path: Path) -> None:
    """What the host opens gets this number, which was somebody else's."""
    opened = os.open(path, os.O_RDWR | os.O_CREAT)
    os.dup2(opened, number)
    os.close(opened)


def test_after_all_was_closed_the_spool_goes_on_with_another_file(tmp_path: Path) -> None:
    clock = StillClock()
    spool = spool_of(tmp_path, clock)
    spool.append(line(1))
    for number in numbers_of(spool):
        os.close(number)

    assert spool.append(line(2))
    clock.seconds += RETRY_SECONDS
    assert spool.append(line(3))
    assert spool.sync()
    assert spool.health().problem is None
    spool.close()
    assert all_lines(spool.directory) == [line(1), line(2), line(3)]


def test_closing_a_spool_whose_files_were_closed_raises_nothing(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, StillClock())
    spool.append(line(1))
    for number in numbers_of(spool):
        os.close(number)
    spool.close()
    assert spool.losses == {}
    assert all_lines(spool.directory) == [line(1)]


def test_a_file_of_the_host_under_our_number_is_written_to_no_longer_than_a_look_takes_and_never_closed(
    tmp_path: Path,
) -> None:
    clock = StillClock()
    spool = spool_of(tmp_path, clock)
    spool.append(line(1))
    theirs = [(number, tmp_path / f"of the host {number}") for number in numbers_of(spool)]
    for number, path in theirs:
        open_under(number, path)

    clock.seconds += LOOK_SECONDS
    spool.flush()
    spool.append(line(2))
    spool.close()

    assert [path.read_bytes() for _, path in theirs] == [b"", b""]
    for number, path in theirs:
        assert os.path.samestat(os.fstat(number), path.stat()), "it was closed under the host"
        os.close(number)
    assert sorted(all_lines(spool.directory)) == [line(1), line(2)]


def test_a_spool_whose_lock_was_closed_takes_another_name(tmp_path: Path) -> None:
    clock = StillClock()
    spool = spool_of(tmp_path, clock)
    spool.append(line(1))
    assert spool._files.lock is not None
    os.close(spool._files.lock.number)

    clock.seconds += LOOK_SECONDS
    spool.flush()
    spool.append(line(2))
    assert len(file_names(spool.directory, ".lock")) == 2, "the one that nobody holds, for whoever adopts, and its own"
    spool.close()


def test_the_standard_streams_are_never_among_ours(tmp_path: Path) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from taximeter.clock import SystemClock
        from taximeter.spool import Spool

        told = os.dup(1)
        for number in (0, 1, 2):
            os.close(number)
        spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="w")
        spool.append(b"{}")
        os.write(told, repr(sorted(one.number for one in spool._files.descriptors())).encode())
        os._exit(0)
    """
    process = start_process(code, tmp_path)
    assert process.communicate()[0] == repr([LEAST_NUMBER, LEAST_NUMBER + 1])


def test_a_process_that_may_have_few_files_keeps_the_numbers_it_gets(tmp_path: Path) -> None:
    code = """
        import resource, sys
        from pathlib import Path
        from taximeter.clock import SystemClock
        from taximeter.spool import Spool

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="w")
        print(spool.append(b"{}"), spool.health().problem)
        spool.close()
    """
    process = start_process(code, tmp_path)
    assert process.communicate()[0] == "True None\n"
    assert all_lines(tmp_path) == [b"{}"]
