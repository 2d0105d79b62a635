"""Disks that are full, read-only or not there: real ones where the machine lets us."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from spool_rig import StillClock, all_lines, line, start_process, until

from taximeter.clock import SystemClock
from taximeter.spool import Spool, SpoolLimits

Mount = Callable[[str], Path]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a memory disk with the given options; skips where that is not allowed."""
    point = tmp_path / "disk"
    point.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a disk needs root")
        return point

    yield mount
    subprocess.run(["umount", str(point)], capture_output=True, check=False)


def test_a_full_disk_loses_nothing_that_fits_into_memory(mounted: Mount) -> None:
    disk = mounted("size=64k")
    clock = StillClock()
    spool = Spool(disk / "spool", clock=clock, writer="w")
    ballast = disk / "ballast"
    lines = [line(number) for number in range(500)]
    spool.append(lines[0])
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(b"x" * 70_000)
    assert all(spool.append(one) for one in lines[1:])

    health = spool.health()
    assert health.waiting_lines > 0
    assert (health.problem or "").startswith("disk_full")
    assert health.losses == {}
    assert not spool.sync(), "what waits in memory is not durable, and nobody is told that it is"

    ballast.unlink()
    clock.seconds += 1
    assert spool.append(line(500))
    assert spool.sync()
    assert spool.health().problem is None
    assert all_lines(spool.directory) == [*lines, line(500)]
    spool.close()


def test_a_full_disk_and_a_full_memory_count_the_loss_by_reason(mounted: Mount) -> None:
    disk = mounted("size=64k")
    limits = SpoolLimits(memory_bytes=1000)
    spool = Spool(disk / "spool", clock=StillClock(), writer="w", limits=limits)
    taken = [spool.append(line(number)) for number in range(1500)]
    spool.close()

    assert spool.losses["disk_full"] > taken.count(False) > 0, "close adds what waited in memory"
    read = all_lines(spool.directory)
    assert len(read) + spool.losses["disk_full"] == 1500
    assert read == [line(number) for number in range(len(read))], "whole lines, in order, none torn"


def test_lines_go_on_in_order_after_the_disk_has_room_again(mounted: Mount) -> None:
    disk = mounted("size=64k")
    clock = StillClock()
    spool = Spool(disk / "spool", clock=clock, writer="w")
    lines = [line(number, x="y" * 300) for number in range(400)]
    spool.extend(lines)
    assert spool.health().waiting_lines > 0

    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    clock.seconds += 1
    spool.flush()
    assert all_lines(spool.directory) == lines
    spool.close()


def test_a_read_only_disk_is_survived_from_the_start(mounted: Mount) -> None:
    disk = mounted("size=64k")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    clock = StillClock()
    spool = Spool(disk / "spool", clock=clock, writer="w")
    assert spool.append(line(1))
    assert (spool.health().problem or "").startswith("read_only")

    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    clock.seconds += 1
    spool.append(line(2))
    assert all_lines(spool.directory) == [line(1), line(2)]
    spool.close()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", clock=StillClock(), writer="w", limits=SpoolLimits(memory_bytes=100))

    assert [spool.append(line(number)) for number in range(3)] == [True, False, False]
    assert spool.losses == {"io_error": 2}
    spool.close()
    assert spool.losses == {"io_error": 3}


def test_what_one_flush_could_not_do_the_next_one_does_though_nothing_is_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool", clock=SystemClock(), writer="w", limits=SpoolLimits(sync_interval_ms=10))
    durably, failed = spool._sync_written, threading.Event()

    def fails_once() -> None:
        if not failed.is_set():
            failed.set()
            raise ValueError("nobody thought of this")
        durably()

    monkeypatch.setattr(spool, "_sync_written", fails_once)
    spool.append(line(0))
    until(lambda: spool.synced_position == spool.position)
    assert failed.is_set()
    spool.close()


def test_a_limit_on_the_size_of_files_begins_new_files(tmp_path: Path) -> None:
    code = """
        import resource, sys, json
        from pathlib import Path
        from taximeter.clock import SystemClock
        from taximeter.spool import Spool

        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        spool = Spool(Path(sys.argv[1]), clock=SystemClock(), writer="w")
        for number in range(300):
            assert spool.append(json.dumps({"number": number}).encode())
        while spool.health().waiting_lines:
            spool.flush()
        print(spool.health().losses)
        spool.close()
    """
    process = start_process(code, tmp_path)
    assert process.communicate()[0] == "{}\n"
    assert all_lines(tmp_path) == [b'{"number": %d}' % number for number in range(300)]
