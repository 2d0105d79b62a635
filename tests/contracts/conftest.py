"""One store of each kind for every test of a contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from all_stores import EVENT_STORES, METADATA_STORES, OpenEvents, OpenMetadata, emptied

from taximeter.store.events import EventStore


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


@pytest.fixture(params=sorted(METADATA_STORES))
def open_metadata(request: pytest.FixtureRequest) -> OpenMetadata:
    return METADATA_STORES[request.param]
