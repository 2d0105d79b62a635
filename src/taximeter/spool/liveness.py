"""Whether the process that wrote a spool file still lives: a lock file for each writer.

The lock is `flock(2)` on `<writer>.lock`, held through one descriptor for as long as the writer lives:

- The kernel gives it up when the process ends in any way, `kill -9` included. A process id in a file would be
  wrong after a crash as soon as the number is used again, and means nothing in another container.
- It belongs to the open file, not to the process as POSIX record locks do. Those would be given up when *any*
  code of the process closes *any* descriptor of that file, and the collector looks at these files in the same
  process; and a process never conflicts with itself, so it could not see its own writer as living.
- For the same reason a forked child shares it: a parent that died would seem alive while a child lives. So a child
  closes its copy at once (closes, never unlocks: unlocking acts on the parent's lock too), and `exec` closes it.
  A fork that passes by Python's hooks only delays adoption, it never makes a living writer look dead.

The lock file is created under another name, locked, and then renamed, so that it is never seen unlocked while its
writer starts. Network file systems that emulate `flock` are not supported: a spool is on a local disk.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from taximeter.spool.segments import FILE_MODE

try:
    import fcntl
except ImportError:  # Windows: a spool cannot be opened there, which its owner reports as a loss
    fcntl = None  # type: ignore[assignment]

LOCK_ENDING: Final = ".lock"
_STARTING: Final = ".starting"


def lock_path(directory: Path, writer: str) -> Path:
    return directory / (writer + LOCK_ENDING)


def hold(path: Path) -> int:
    """Create the lock file at `path` and hold its lock; the descriptor. Closing it is giving it up.

    Raises OSError.
    """
    starting = path.with_name(path.name + _STARTING)
    fd = os.open(starting, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        if not _try_lock(fd):
            raise BlockingIOError(f"{starting} is locked")
        starting.rename(path)
    except OSError:
        os.close(fd)
        raise
    return fd


def try_hold(path: Path) -> int | None:
    """Take the lock at `path` (the file is created if need be), or None when another holds it.

    A writer whose lock can be taken is dead; a missing file counts as dead too, because a living writer's lock
    file is there before its first segment. Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
    if _try_lock(fd) and _same_file(fd, path):
        return fd
    os.close(fd)
    return None


def _try_lock(fd: int) -> bool:
    if fcntl is None:
        raise OSError("this platform has no file locks")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same_file(fd: int, path: Path) -> bool:
    """Whether `path` still names the locked file: another claimant may have removed it in between."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
