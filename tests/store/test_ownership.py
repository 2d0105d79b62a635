"""One process owns a data directory."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from taximeter.errors import DirectoryInUseError, StoreError
from taximeter.store.ownership import BRIEF_SECONDS, LOCK_FILE, LOOK_SECONDS, OWNER_FILE, Owner, own, owner_of

HOLDER = """
import os, sys, pathlib
from taximeter.store.ownership import own
held = own(pathlib.Path(sys.argv[1]), pid=os.getpid())
held.announce("http://127.0.0.1:1", "t0ken")
print("owned", flush=True)
sys.stdin.read()
"""


@dataclass
class Waiting:
    """Pauses that take no time; at the one numbered `until`, `then` happens."""

    then: Callable[[], object] = lambda: None
    until: int = 3
    seconds: float = 0.0
    pauses: int = 0

    def __call__(self, seconds: float) -> None:
        self.seconds += seconds
        self.pauses += 1
        if self.pauses == self.until:
            self.then()


def test_a_second_owner_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    waiting = Waiting()
    with own(tmp_path, pid=4711), pytest.raises(DirectoryInUseError, match="process 4711") as refused:
        own(tmp_path, pid=4712, pause=waiting)
    assert refused.value.pid == 4711
    assert waiting.seconds == pytest.approx(LOOK_SECONDS, abs=0.03), "at once, as people see it"


def test_a_brief_owner_is_waited_for(tmp_path: Path) -> None:
    command = own(tmp_path, pid=1, brief=True)
    waiting = Waiting(then=command.release, until=100)
    with own(tmp_path, pid=2, pause=waiting) as server:
        assert owner_of(tmp_path) == server.owner == Owner(2)
    assert LOOK_SECONDS < waiting.seconds < BRIEF_SECONDS


def test_a_brief_owner_that_takes_long_is_named(tmp_path: Path) -> None:
    waiting = Waiting()
    with own(tmp_path, pid=1, brief=True), pytest.raises(DirectoryInUseError, match="process 1"):
        own(tmp_path, pid=2, pause=waiting)
    assert waiting.seconds == pytest.approx(BRIEF_SECONDS, abs=0.03)


def test_a_server_that_was_faster_than_the_waiting_one_is_named(tmp_path: Path) -> None:
    command, servers = own(tmp_path, pid=1, brief=True), []

    def overtake() -> None:
        command.release()
        servers.append(own(tmp_path, pid=2))

    with pytest.raises(DirectoryInUseError, match="process 2"):
        own(tmp_path, pid=3, pause=Waiting(then=overtake))
    servers[0].release()


def test_somebody_who_only_looks_stands_in_nobodys_way(tmp_path: Path) -> None:
    own(tmp_path, pid=1).release()
    (tmp_path / OWNER_FILE).write_text(json.dumps({"pid": 1, "url": "http://left.behind:1"}))
    looking = os.open(tmp_path / LOCK_FILE, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    own(tmp_path, pid=2, pause=Waiting(then=lambda: os.close(looking))).release()


def test_a_directory_can_be_owned_again_after_release(tmp_path: Path) -> None:
    first = own(tmp_path, pid=1)
    first.release()
    first.release()
    with own(tmp_path, pid=2):
        assert owner_of(tmp_path) == Owner(2)
    assert owner_of(tmp_path) is None


def test_a_killed_owner_owns_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "owned\n"
        assert owner_of(tmp_path) == Owner(holder.pid, "http://127.0.0.1:1", "t0ken")
        with pytest.raises(DirectoryInUseError, match=str(holder.pid)):
            own(tmp_path, pid=os.getpid(), pause=Waiting())
        holder.kill()
    assert (tmp_path / OWNER_FILE).exists()
    assert owner_of(tmp_path) is None
    own(tmp_path, pid=os.getpid()).release()


def test_the_token_is_for_the_owner_of_the_files_only(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    with own(directory, pid=1) as held:
        held.announce("http://127.0.0.1:8787", "t0ken")
        modes = [stat.S_IMODE((directory / name).stat().st_mode) for name in ("", OWNER_FILE, LOCK_FILE)]
        assert modes == [0o700, 0o600, 0o600]
        assert json.loads((directory / OWNER_FILE).read_text())["url"] == "http://127.0.0.1:8787"
        assert "t0ken" not in repr(held.owner)


@pytest.mark.parametrize("said", ["", "{", "[]", "{}", '{"pid": null}'])
def test_an_owner_that_has_not_spoken_yet_is_not_known_by_pid(tmp_path: Path, said: str) -> None:
    with own(tmp_path, pid=1):
        (tmp_path / OWNER_FILE).write_text(said)
        assert owner_of(tmp_path) is None
        with pytest.raises(DirectoryInUseError, match="another process"):
            own(tmp_path, pid=2, pause=Waiting())


def test_a_directory_that_is_not_there_has_no_owner(tmp_path: Path) -> None:
    assert owner_of(tmp_path / "nowhere") is None


def test_a_place_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        own(tmp_path / "file", pid=1)
