"""The keys of a data directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taximeter.clock import Clock, SystemClock
from taximeter.compose.keeping import METADATA_FILE
from taximeter.config.settings import Settings
from taximeter.server.keydesk import KeyDesk
from taximeter.store.metadata import Metadata
from taximeter.store.ownership import own


@contextmanager
def open_keys(data: Path) -> Iterator[KeyDesk]:
    """The keys of a directory no server is running on. Raises DirectoryInUseError, StoreError."""
    with own(data, pid=os.getpid(), brief=True), open_desk(data, Settings(), SystemClock()) as desk:
        yield desk


@contextmanager
def open_desk(data: Path, settings: Settings, clock: Clock) -> Iterator[KeyDesk]:
    """The keys of a directory that is ours. Raises StoreError."""
    metadata = Metadata(data / METADATA_FILE, clock=clock)
    try:
        yield KeyDesk(metadata, session_seconds=int(settings.server.session_hours * 3600))
    finally:
        metadata.close()
