"""What a feed has told, by unit of time: an hour of today and yesterday, a whole day before that.

Only the hour in which calls come in is read and kept anew while they do. A day that has become older than yesterday is
folded: its hours become one unit, with the same sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from taximeter.exporters.days import DAY_US, HOUR_US
from taximeter.exporters.series import Amounts, Sums, add
from taximeter.store.metadata import ExportedUnit, Exports, Span


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of time and what the store had of it: the totals that were compared, and the sums by series.

    The totals are older than the sums: what came while the sums were read makes it differ once more.
    """

    start_us: int
    length_us: int
    totals: Amounts
    sums: Sums


class Told:
    """The units that the feed `name` has told. What is read of them is what is kept, unless it is told `anew`."""

    def __init__(self, name: str, kept: Exports) -> None:
        self._kept = kept
        self._ledgers = {DAY_US: name, HOUR_US: f"{name} by hour"}
        self._days: dict[int, Amounts] = {}
        self._hours: dict[int, dict[int, Amounts]] = {}
        """By day and hour."""
        self._anew = False

    def read(self, *, anew: bool) -> None:
        """Take up what is kept; nothing of it when all is to be told anew."""
        self._anew = anew
        self._days, self._hours = self._totals(DAY_US), {}
        for hour_us, totals in self._totals(HOUR_US).items():
            self._hours.setdefault(day_of(hour_us), {})[hour_us] = totals

    def _totals(self, length_us: int) -> dict[int, Amounts]:
        kept = {} if self._anew else self._kept.unit_totals(self._ledgers[length_us])
        return {start_us: msgspec.json.decode(text, type=Amounts) for start_us, text in kept.items()}

    @property
    def days(self) -> dict[int, Amounts]:
        """The totals of every day."""
        return self._days | {day_us: _added(hours.values()) for day_us, hours in self._hours.items()}

    def hours(self, day_us: int) -> Mapping[int, Amounts]:
        """The totals of every hour of a day that is told by hour."""
        return self._hours.get(day_us, {})

    def by_hour(self, day_us: int, now_us: int) -> bool:
        return day_us in self._hours or (day_us not in self._days and day_us >= _yesterday(now_us))

    def sums(self, unit: Unit) -> Sums:
        """What was told of a unit."""
        return self._sums(unit.start_us, unit.length_us)

    def day_sums(self, day_us: int) -> Sums:
        if day_us not in self._hours:
            return self._sums(day_us, DAY_US)
        return _added_series(self._sums(hour_us, HOUR_US) for hour_us in self._hours[day_us])

    def _sums(self, start_us: int, length_us: int) -> Sums:
        text = None if self._anew else self._kept.unit_sums(self._ledgers[length_us], start_us)
        return {} if text is None else msgspec.json.decode(text, type=Sums)

    def kept(self, unit: Unit) -> ExportedUnit:
        """A unit in the form in which it is kept."""
        totals, sums = (msgspec.json.encode(amounts).decode() for amounts in (unit.totals, unit.sums))
        return ExportedUnit(self._ledgers[unit.length_us], unit.start_us, totals, sums)

    @property
    def gone(self) -> list[Span]:
        """What is no longer kept when all is told anew."""
        return [Span(ledger) for ledger in self._ledgers.values()] if self._anew else []

    def remember(self, units: Iterable[Unit]) -> None:
        """These are kept now."""
        self._anew = False
        for unit in units:
            if unit.length_us == DAY_US:
                self._days[unit.start_us] = unit.totals
            else:
                self._hours.setdefault(day_of(unit.start_us), {})[unit.start_us] = unit.totals

    def past(self, now_us: int) -> list[Unit]:
        """The days whose hours are to be folded."""
        days = [day_us for day_us in self._hours if day_us < _yesterday(now_us)]
        return [Unit(day_us, DAY_US, _added(self._hours[day_us].values()), self.day_sums(day_us)) for day_us in days]

    def hours_of(self, unit: Unit) -> Span:
        return Span(self._ledgers[HOUR_US], unit.start_us, unit.start_us + unit.length_us)

    def fold(self, units: Iterable[Unit]) -> None:
        """These are kept in place of their hours now."""
        for unit in units:
            del self._hours[unit.start_us]
            self._days[unit.start_us] = unit.totals

    def forget(self, oldest_us: int) -> None:
        """Drop the days before one. Raises StoreError."""
        gone = [day_us for day_us in self.days if day_us < oldest_us]
        if gone:
            self._kept.forget(*(Span(ledger, to_us=oldest_us) for ledger in self._ledgers.values()))
        for day_us in gone:
            self._days.pop(day_us, None)
            self._hours.pop(day_us, None)


def _added(amounts: Iterable[Amounts]) -> Amounts:
    return _added_series({"": one} for one in amounts).get("", {})


def _added_series(several: Iterable[Sums]) -> Sums:
    whole: Sums = {}
    for sums in several:
        for key, amounts in sums.items():
            add(whole, key, amounts)
    return whole


def day_of(moment_us: int) -> int:
    """The start of the day (UTC) of a moment."""
    return moment_us // DAY_US * DAY_US


def _yesterday(now_us: int) -> int:
    return day_of(now_us) - DAY_US
