"""The keys: of a data directory, or of a PostgreSQL that several share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from taximeter.clock import Clock, SystemClock
from taximeter.compose.keeping import METADATA_FILE
from taximeter.config.settings import EMBEDDED, Settings
from taximeter.errors import NotFoundError
from taximeter.server.keydesk import KeyDesk
from taximeter.store.metadata import Metadata
from taximeter.store.ownership import own


@contextmanager
def open_keys(settings: Settings, data: Path, *, new: bool) -> Iterator[KeyDesk]:
    """The keys for a command, while no server runs on this directory; `new`: it may be a new one. Raises
    NotFoundError, DirectoryInUseError, StoreError."""
    with ExitStack() as closing:
        if settings.store.metadata == EMBEDDED and not new and not (data / METADATA_FILE).is_file():
            raise NotFoundError(f"there are no keys in {data}", hint="name the data directory with --data")
        if settings.store.metadata == EMBEDDED:
            closing.enter_context(own(data, pid=os.getpid(), brief=True))
        yield closing.enter_context(open_desk(data, settings, SystemClock()))


@contextmanager
def open_desk(data: Path, settings: Settings, clock: Clock) -> Iterator[KeyDesk]:
    """The keys of the settings: in a directory that is ours, or in a PostgreSQL. Raises StoreError."""
    named = settings.store.metadata
    metadata = Metadata(data / METADATA_FILE if named == EMBEDDED else named, clock=clock)
    try:
        yield KeyDesk(metadata, session_seconds=int(settings.server.session_hours * 3600))
    finally:
        metadata.close()
