"""Calls whose end nobody saw: what of their bounds is still spent when the counters are filled anew."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taximeter.config.limits import read_limits
from taximeter.core.ids import uuid7
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.server.limit_desk import LimitDesk
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata.database import Database
from taximeter.store.metadata.limits import LimitBook, UnseenCall

NOON_US = 1_800_057_600_000_000 + 12 * 3_600_000_000
EXCESS = UnseenCall(
    event_id=uuid7(NOON_US // 1000, bytes(10)),
    at_us=NOON_US,
    subject={"user_id": "ann"},
    cost_nano_usd=21_000_000_000,
    input_tokens=100,
    output_tokens=900,
)
"""A call that was held with 21 USD, as another limit on it is exact."""


class Noon:
    def now_us(self) -> int:
        return NOON_US

    def monotonic(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("how", "spent"),
    [
        ({"admission": "exact"}, 1_000),
        ({"admission": "exact", "action": "cut"}, 1_000),
        ({"admission": "expected"}, 0),
        ({"mode": "soft"}, 0),
    ],
)
def test_the_bound_of_a_call_whose_end_nobody_saw_stays_spent_where_bounds_are_held(
    tmp_path: Path, how: dict[str, Any], spent: int
) -> None:
    """A limit that holds what is usual never held the bound: it would be used up at a restart by what was not spent."""
    defined = {"name": "daily", "scope": "global", "measure": "total_tokens", "limit": 5_000, "window": "day", **how}
    (limit,) = read_limits([defined])
    with (
        closing(Database(tmp_path / "metadata.sqlite")) as database,
        closing(DuckDBEvents(tmp_path / "events")) as store,
    ):
        book = LimitBook(database, Noon())
        book.note_unseen([EXCESS])
        desk = LimitDesk([limit], book, MemoryCounters(), lambda *_: None, Noon(), store=store, fail="closed")
        desk.fill()
        (ruled,) = desk.guard.rules.about({"user_id": "ann"})
        (standing,) = desk.guard.counters.standings([ruled.bucket(NOON_US)])
    assert standing.spent == spent
