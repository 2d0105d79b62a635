"""A user deleted in the store goes from what was written down about spending, now and when a finding ends later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taximeter.compose.forgetting import AGAIN_SECONDS, Forgetting
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata import LimitCrossing, Metadata

NOW_US = 1_795_000_000_000_000


class HandClock:
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now_us(self) -> int:
        return NOW_US


def crossing(slot: str, user: str) -> LimitCrossing:
    told = {"kind": "threshold", "percent": 80, "name": "daily", "measure": "cost_usd", "mode": "hard"}
    return LimitCrossing(**told, slot=slot, value=user, user_id=user, amount=10, spent=8, at_us=NOW_US)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path / "events.duckdb")
    yield opened
    opened.close()


def test_a_deletion_reaches_what_was_crossed_also_later(store: DuckDBEvents, tmp_path: Path) -> None:
    clock = HandClock()
    metadata = Metadata(tmp_path / "metadata.sqlite")
    forgetting = Forgetting(store, clock, metadata.findings, metadata.limits)

    def users_after(seconds: float) -> list[str]:
        clock.seconds += seconds
        forgetting.turn()
        return [one.value for one in metadata.limits.crossings(0)]

    metadata.limits.note_crossings([crossing("1", "ann"), crossing("2", "bob")])
    assert users_after(0) == ["ann", "bob"]
    store.delete_user("ann", NOW_US)
    assert users_after(1) == ["bob"]
    metadata.limits.note_crossings([crossing("3", "ann")])
    assert users_after(1) == ["bob", "ann"]
    assert users_after(AGAIN_SECONDS) == ["bob"]
    store.delete_user("bob", NOW_US)
    assert users_after(1) == []
    metadata.close()
