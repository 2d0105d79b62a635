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
from taximeter.store.events.rollups import kept_from_us

DAY_US: Final = 86_400_000_000


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

    def _totals(self, oldest_us: int) -> dict[int, Amounts]:
        asked = Query(from_us=oldest_us, to_us=LATEST_US, measures=self.measures, interval="day")
        by_day = sums_of(self.store.query(asked).rows, ("time",), self.measures)
        return {_start_us(series_values(key)[0]): amounts for key, amounts in by_day.items()}


def differing(known: Mapping[int, Amounts], oldest_us: int, found: Mapping[int, Amounts]) -> list[int]:
    """The days from one on whose totals are not the known ones, in their order."""
    compared = {day for day in known if day >= oldest_us} | set(found)
    return sorted(day for day in compared if found.get(day) != known.get(day))


def _start_us(moment: str) -> int:
    return to_unix_us(datetime.fromisoformat(moment))
