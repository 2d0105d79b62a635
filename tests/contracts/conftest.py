"""One store of each kind for every test of a contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from all_stores import EVENT_STORES, METADATA_STORES, OpenEvents, emptied
from hand_clock import HandClock, counted_bytes

from taximeter.store.events import EventStore
from taximeter.store.metadata import Metadata


@pytest.fixture(params=sorted(EVENT_STORES))
def open_events(request: pytest.FixtureRequest) -> OpenEvents:
    return EVENT_STORES[request.param]


@pytest.fixture(scope="module", params=sorted(EVENT_STORES))
def standing_events(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    store = EVENT_STORES[request.param](tmp_path_factory.mktemp("events"))
    yield store
    store.close()


@pytest.fixture
def events(standing_events: EventStore) -> EventStore:
    """An empty store."""
    return emptied(standing_events)


@pytest.fixture(params=METADATA_STORES)
def metadata_place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a store of metadata may be kept that does not know anything yet."""
    if request.param == "sqlite":
        return tmp_path / "metadata.sqlite"
    address: str = request.getfixturevalue("postgres_database")
    return address


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def reopen(metadata_place: Path | str, clock: HandClock) -> Iterator[Callable[[], Metadata]]:
    """Opens the same store once more, as another process would."""
    opened: list[Metadata] = []
    draw = counted_bytes()

    def again() -> Metadata:
        opened.append(Metadata(metadata_place, clock=clock, draw=draw))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


@pytest.fixture
def metadata(reopen: Callable[[], Metadata]) -> Metadata:
    return reopen()
