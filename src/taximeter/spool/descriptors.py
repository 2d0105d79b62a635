"""Descriptors of ours in a process of somebody else, who may close all that he does not know, as daemons do.

The next file that he opens then gets the lowest number that is free. So ours have high numbers, where his hardly come,
and before one is closed, or trusted for long, it is compared with the file that it was opened for.
"""

from __future__ import annotations

import errno
import os
from typing import Final, NamedTuple

LEAST_NUMBER: Final = 200
"""Of a descriptor of ours, where the process may have as many."""


class Descriptor(NamedTuple):
    """A descriptor, and the file it was opened for."""

    number: int
    device: int
    inode: int

    def ours(self) -> bool:
        """Whether it still stands for that file."""
        try:
            found = os.fstat(self.number)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)

    def sync(self) -> None:
        """Make what was written to it durable. Raises OSError, also when it was written to somebody else's file."""
        if not self.ours():
            raise OSError(errno.EBADF, "somebody closed a file of the spool")
        os.fsync(self.number)

    def close(self) -> None:
        """Close it, unless it is somebody else's by now. Raises OSError."""
        if self.ours():
            os.close(self.number)


def kept(number: int) -> Descriptor:
    """A descriptor that has just been opened, under a higher number if there is one. Raises OSError."""
    number = _raised(number)
    found = os.fstat(number)
    return Descriptor(number, found.st_dev, found.st_ino)


def _raised(number: int) -> int:
    import fcntl  # not there on Windows, where no spool comes so far

    try:
        high = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, LEAST_NUMBER)
    except OSError:  # so many are not allowed
        return number
    os.close(number)
    return high
