"""The file beside a spool for lines that nobody wants: kept for a person to look at, bounded, counted by reason."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from taximeter.spool.segments import FILE_MODE

FILE_NAME: Final = "rejected.ndjson"
LIMIT_BYTES: Final = 16 << 20
"""Beyond it lines are only counted."""

LONGEST_KEPT: Final = 65_536
"""Characters of one line that are kept."""


@dataclass(slots=True)
class RejectedLines:
    """Appends `{"reason", "message", "line"}` to `rejected.ndjson` in `directory`. `counts` are by reason."""

    directory: Path
    limit_bytes: int = LIMIT_BYTES
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, message: str, line: bytes) -> None:
        """Keep one line. Raises OSError when that is not possible."""
        self.counts[reason] += 1
        text = line.decode("utf-8", "backslashreplace")[:LONGEST_KEPT]
        entry = json.dumps({"reason": reason, "message": message, "line": text}) + "\n"
        fd = os.open(self.directory / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
        try:
            if os.fstat(fd).st_size + len(entry) <= self.limit_bytes:
                os.write(fd, entry.encode())
        finally:
            os.close(fd)
