"""One process owns a data directory."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from taximeter.errors import DirectoryInUseError, StoreError
from taximeter.store.ownership import LOCK_FILE, OWNER_FILE, Owner, own, owner_of

HOLDER = """
import os, sys, pathlib
from taximeter.store.ownership import own
held = own(pathlib.Path(sys.argv[1]), pid=os.getpid())
held.announce("http://127.0.0.1:1", "t0ken")
print("owned", flush=True)
sys.stdin.read()
"""


def test_a_second_owner_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    with own(tmp_path, pid=4711), pytest.raises(DirectoryInUseError, match="process 4711") as refused:
        own(tmp_path, pid=4712)
    assert refused.value.pid == 4711


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
            own(tmp_path, pid=os.getpid())
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
            own(tmp_path, pid=2)


def test_a_directory_that_is_not_there_has_no_owner(tmp_path: Path) -> None:
    assert owner_of(tmp_path / "nowhere") is None


def test_a_place_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        own(tmp_path / "file", pid=1)
