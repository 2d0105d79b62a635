"""The events of a data directory moved into another store, while no server runs on it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from taximeter.clock import SystemClock
from taximeter.compose.keeping import open_events
from taximeter.compose.offline import offline
from taximeter.config.settings import Settings
from taximeter.store.events.moving import Moved, Told, move

QUESTION_SECONDS: Final = 3600.0
"""How long one question to a store may take: about everything in it."""


def move_events(settings: Settings, data: Path, from_place: str, to_place: str, told: Told) -> Moved:
    """From one value of `store.events` to another one. What waits in the spool is taken in first.

    Raises DirectoryInUseError, StoreError, UsageError for an address that is none.
    """
    clock = SystemClock()
    with (
        offline(_with_events_in(from_place, settings), data) as opened,
        closing(open_events(_with_events_in(to_place, settings), data, clock)) as target,
    ):
        while opened.collector.step():
            pass
        return move(opened.store, target, clock.now_us(), told)


def _with_events_in(place: str, settings: Settings) -> Settings:
    store = settings.store.model_copy(update={"events": place})
    server = settings.server.model_copy(update={"query_timeout_seconds": QUESTION_SECONDS})
    return settings.model_copy(update={"store": store, "server": server})
