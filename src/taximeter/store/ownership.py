"""Who owns a data directory: one process, by a lock of the operating system, which a dead process cannot keep.

`owner.json` beside it says who that is, for people and for the command line, which finds the running server there.

Who finds the directory taken is refused at once, with two exceptions that pass by themselves and are waited for:
somebody only looks who the owner is, or the owner is a command that said it would be brief.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from taximeter.errors import DirectoryInUseError, StoreError

LOCK_FILE: Final = "owner.lock"
OWNER_FILE: Final = "owner.json"

LOOK_SECONDS: Final = 0.2
"""How long a lock that is held may be that of somebody who only looks: they have it for microseconds."""

BRIEF_SECONDS: Final = 5.0
"""How long a command that owns the directory for a moment (report, doctor, keys) is waited for."""

RETRY_SECONDS: Final = 0.02

Pause = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns a directory; `url` and `token` (for local administration) once it serves. A `brief` owner
    is a command that will be gone soon."""

    pid: int
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    brief: bool = False


class Ownership:
    """A directory that is ours until `release()`, or until the process ends in whatever way."""

    def __init__(self, directory: Path, lock: int, owner: Owner) -> None:
        self._directory = directory
        self._lock: int | None = lock
        self.owner = owner

    def announce(self, url: str, token: str) -> None:
        """Write where we serve into `owner.json`, for `owner_of`."""
        self.owner = Owner(self.owner.pid, url, token)
        _write(self._directory / OWNER_FILE, self.owner)

    def withdraw(self) -> None:
        """We serve no more, and give the directory up soon: who wants to ask us there waits for that instead."""
        self.owner = Owner(self.owner.pid)
        _write(self._directory / OWNER_FILE, self.owner)

    def release(self) -> None:
        """Give the directory up; a second time does nothing."""
        if self._lock is None:
            return
        (self._directory / OWNER_FILE).unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None

    def __enter__(self) -> Ownership:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def own(directory: Path, *, pid: int, brief: bool = False, pause: Pause = time.sleep) -> Ownership:
    """Take the directory, which is made when it is not there (mode 0700). `brief` promises to give it up soon.

    Waits up to `BRIEF_SECONDS` for a brief owner. Raises DirectoryInUseError with the owner's pid, StoreError when the
    directory cannot be written.
    """
    owner = Owner(pid, brief=brief)
    with _as_store_error(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(lock, directory, pause)
            _write(directory / OWNER_FILE, owner)
        except (OSError, DirectoryInUseError):
            os.close(lock)
            raise
    return Ownership(directory, lock, owner)


def _take(lock: int, directory: Path, pause: Pause) -> None:
    """Lock the directory, now or after those whose owning passes by itself. Raises DirectoryInUseError."""
    waited_seconds = 0.0
    while not _try_lock(lock, fcntl.LOCK_EX):
        owner = _read(directory / OWNER_FILE)
        if waited_seconds >= (BRIEF_SECONDS if owner is not None and owner.brief else LOOK_SECONDS):
            raise DirectoryInUseError(str(directory), owner.pid if owner else None)
        pause(RETRY_SECONDS)
        waited_seconds += RETRY_SECONDS


def owner_of(directory: Path) -> Owner | None:
    """The living owner of a directory, or None. What a dead one left behind does not count."""
    try:
        lock = os.open(directory / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try_lock(lock, fcntl.LOCK_SH) else _read(directory / OWNER_FILE)
    finally:
        os.close(lock)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _read(path: Path) -> Owner | None:
    """None between the owner's lock and its first word."""
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Owner(int(said["pid"]), said.get("url"), said.get("token"), bool(said.get("brief")))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, owner: Owner) -> None:
    """All or nothing, and readable by nobody else from the start: the token is a credential."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(owner), file)
    draft.replace(path)


@contextmanager
def _as_store_error(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{directory} cannot be used: {error.strerror}", hint="check its permissions and the free space"
        ) from error
