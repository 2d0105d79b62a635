"""The bounds of a spool, the reasons for which a line can be lost, and how a writer reports on itself."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LOSS_REASONS: Final = (
    "disk_full",
    "read_only",
    "io_error",
    "spool_full",
    "too_long",
    "not_one_line",
    "closed",
    "expired",
)
"""Why a line can be lost: no place on disk, not writable, another error of the disk (each only when the memory is
full as well); the spool's own bound; a line over its bound; a line break inside a line; appended after `close`;
older than `age_seconds` when nobody had collected it."""

_REASONS: Final = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EFBIG: "disk_full",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
}


def loss_reason(error: OSError) -> str:
    """The reason for a loss that an error of the disk stands for."""
    return _REASONS.get(error.errno or 0, "io_error")


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """The bounds of a spool; each has its unit in its name."""

    total_bytes: int = 2 << 30
    """All segments in the directory together, those of other writers included."""

    age_seconds: float = 30 * 86_400.0
    """A sealed segment nobody collected for so long is deleted, and counted."""

    segment_bytes: int = 16 << 20
    segment_age_seconds: float = 60.0
    memory_bytes: int = 8 << 20
    """Lines kept in memory while the disk refuses them."""

    line_bytes: int = 1 << 20
    sync_interval_ms: int = 50


@dataclass(frozen=True, slots=True)
class SpoolHealth:
    """How a writer is. `problem` is a sentence while the disk refuses lines, else None."""

    directory: str
    writer: str
    waiting_lines: int
    waiting_bytes: int
    unsynced_bytes: int
    problem: str | None
    losses: Mapping[str, int]

    @property
    def healthy(self) -> bool:
        return self.problem is None and not self.losses
