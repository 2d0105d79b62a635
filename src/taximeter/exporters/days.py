"""What the store has by day (UTC), to be compared with what was told of each day before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from taximeter.clock import to_unix_us
from taximeter.errors import UsageError
from taximeter.exporters.series import Amounts, series_values, sums_of
from taximeter.store.events import EventStore, Query
from taximeter.store.events.instants import EARLIEST_US, LATEST_US
from taximeter.store.events.intervals import Interval
from taximeter.store.events.rollups import kept_from_us

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Days:
    """The totals of the days that a store has. `kept_days` is for how many days it keeps what is asked; None: for
    ever."""

    store: EventStore
    measures: tuple[str, ...]
    kept_days: int | None

    def oldest(self, now_us: int) -> int:
        """The first day that is compared: a day before the store begins to delete."""
        if self.kept_days is None:
            return EARLIEST_US
        return (now_us // DAY_US - self.kept_days + 1) * DAY_US

    def found(self, oldest_us: int) -> tuple[int, dict[int, Amounts]]:
        """The totals of the days from one on; from a later one when the store has deleted more than is said today.

        Raises StoreError.
        """
        try:
            return oldest_us, self._totals(oldest_us)
        except UsageError as error:
            first_us = kept_from_us(error, DAY_US)
            return first_us, self._totals(first_us)

    def any(self, oldest_us: int) -> bool:
        """Whether the store has calls from a day on. Raises StoreError."""
        try:
            return self._has_calls(oldest_us)
        except UsageError as error:
            return self._has_calls(kept_from_us(error, DAY_US))

    def _has_calls(self, from_us: int) -> bool:
        asked = Query(from_us=from_us, to_us=LATEST_US, measures=("calls",))
        return bool(self.store.query(asked).totals["calls"])

    def hours(self, day_us: int) -> dict[int, Amounts]:
        """The totals of the hours of a day. Raises StoreError."""
        return self._by("hour", day_us, day_us + DAY_US)

    def _totals(self, oldest_us: int) -> dict[int, Amounts]:
        return self._by("day", oldest_us, LATEST_US)

    def _by(self, interval: Interval, from_us: int, to_us: int) -> dict[int, Amounts]:
        asked = Query(from_us=from_us, to_us=to_us, measures=self.measures, interval=interval)
        by_start = sums_of(self.store.query(asked).rows, ("time",), self.measures)
        return {_start_us(series_values(key)[0]): amounts for key, amounts in by_start.items()}


def differing(known: Mapping[int, Amounts], oldest_us: int, found: Mapping[int, Amounts]) -> list[int]:
    """The days from one on whose totals are not the known ones, in their order. A day without calls has none."""
    compared = {day for day in known if day >= oldest_us} | set(found)
    return sorted(day for day in compared if found.get(day, {}) != known.get(day, {}))


def _start_us(moment: str) -> int:
    return to_unix_us(datetime.fromisoformat(moment))
