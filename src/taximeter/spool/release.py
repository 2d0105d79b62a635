"""Letting go of segments that are no longer needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from taximeter.clock import Clock
from taximeter.spool.reader import sizes
from taximeter.spool.recovery import OpenCalls
from taximeter.spool.segments import DIRECTORY_MODE, Segment

QUARANTINE: Final = "quarantine"
"""Folder for damaged segments, which are never deleted unseen."""

QUARANTINE_FILES: Final = 32


@dataclass(slots=True)
class Releaser:
    """Deletes a sealed segment when all of it is stored, every call begun in it has ended, and `retention_seconds`
    have passed since - or earlier, oldest first, while such segments hold more than `retained_bytes`.
    """

    directory: Path
    clock: Clock
    retention_seconds: float = 600.0
    retained_bytes: int = 512 << 20
    _done_since: dict[str, float] = field(default_factory=dict)

    def release(self, marks: Mapping[str, int], calls: OpenCalls, damaged: set[str]) -> list[str]:
        """Delete what may go, given how far the store has got; the ids of the segments that are gone."""
        now = self.clock.monotonic()
        done = [
            (segment, size)
            for segment, size in sizes(self.directory)
            if segment.sealed and marks.get(segment.id, 0) >= size and not calls.in_segment(segment.id)
        ]
        self._done_since = {segment.id: self._done_since.get(segment.id, now) for segment, _ in done}
        surplus = sum(size for _, size in done) - self.retained_bytes
        gone = []
        for segment, size in sorted(done, key=lambda d: self._done_since[d[0].id]):
            if surplus > 0 or now - self._done_since[segment.id] >= self.retention_seconds:
                self._remove(segment, segment.id in damaged)
                surplus -= size
                gone.append(segment.id)
        return gone

    def _remove(self, segment: Segment, damaged: bool) -> None:
        if not damaged:
            segment.path.unlink(missing_ok=True)
            return
        quarantine = self.directory / QUARANTINE
        quarantine.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        if sum(1 for _ in quarantine.iterdir()) < QUARANTINE_FILES:
            segment.path.rename(quarantine / segment.path.name)
        else:
            segment.path.unlink(missing_ok=True)
