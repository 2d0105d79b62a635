"""One store of each kind for every test of a contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from all_stores import EVENT_STORES, METADATA_STORES, OpenEvents, OpenMetadata

from taximeter.store.events import EventStore


@pytest.fixture(params=sorted(EVENT_STORES))
def open_events(request: pytest.FixtureRequest) -> OpenEvents:
    return EVENT_STORES[request.param]


@pytest.fixture
def events(open_events: OpenEvents, tmp_path: Path) -> Iterator[EventStore]:
    store = open_events(tmp_path)
    yield store
    store.close()


@pytest.fixture(params=sorted(METADATA_STORES))
def open_metadata(request: pytest.FixtureRequest) -> OpenMetadata:
    return METADATA_STORES[request.param]
