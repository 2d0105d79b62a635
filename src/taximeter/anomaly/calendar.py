"""Which stretches of the past resemble a moment: the same hour of the week, on the operator's clock.

Time is counted in slots of 15 minutes since the epoch, UTC. A *local* slot is counted on the zone's wall clock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

SLOT_MINUTES: Final = 15
SLOTS_A_DAY: Final = 96
SLOTS_A_WEEK: Final = 672
MINUTES_A_DAY: Final = 1440

EVE_BEGINS_SLOT: Final = 18 * 4
"""From this time on the day before a holiday may be like the one before a Sunday."""

_EPOCH: Final = date(1970, 1, 1)
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday."""

SATURDAY: Final = 5
SUNDAY: Final = 6


@dataclass(frozen=True)
class Calendar:
    """A zone and its days off. `holidays` are local dates."""

    timezone: str = "UTC"
    holidays: Collection[date] = ()
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_zone", ZoneInfo(self.timezone))
        object.__setattr__(self, "holidays", frozenset(self.holidays))

    def local(self, slot: int) -> int:
        """The local slot of a slot."""
        return slot + self.offset(slot)

    def utc(self, local: int) -> int:
        """The slot of a local slot; of two that have it, the later one."""
        slot = local - self.offset(local)
        return local - self.offset(slot)

    def offset(self, slot: int) -> int:
        """What the wall clock is ahead of UTC, in slots."""
        return _offset(self._zone, slot // SLOTS_A_DAY * SLOTS_A_DAY, slot)

    def weekday(self, local: int) -> int:
        """Monday is 0."""
        return (local // SLOTS_A_DAY + _EPOCH_WEEKDAY) % 7

    def is_holiday(self, local: int) -> bool:
        return _EPOCH + timedelta(days=local // SLOTS_A_DAY) in self.holidays

    def is_eve(self, local: int) -> bool:
        """Whether it is the evening before a holiday."""
        return local % SLOTS_A_DAY >= EVE_BEGINS_SLOT and self.is_holiday(local + SLOTS_A_DAY)

    def is_unlike_itself(self, local: int) -> bool:
        """Whether this stretch says nothing about the same hour of another week."""
        return self.is_holiday(local) or self.is_eve(local)

    def clock_changed_within(self, slot: int, weeks: int) -> bool:
        """Whether the wall clock was moved in the weeks before a slot."""
        now = self.offset(slot)
        return any(self.offset(slot - week * SLOTS_A_WEEK) != now for week in range(1, weeks + 1))


def day_kind(weekday: int) -> int:
    """A day of work, a Saturday or a Sunday."""
    return max(weekday, SATURDAY - 1)


@cache
def _day_offsets(zone: ZoneInfo, day_slot: int) -> tuple[int, int]:
    return _offset_slots(zone, day_slot), _offset_slots(zone, day_slot + SLOTS_A_DAY)


def _offset(zone: ZoneInfo, day_slot: int, slot: int) -> int:
    begins, ends = _day_offsets(zone, day_slot)
    return begins if begins == ends else _offset_slots(zone, slot)


@cache
def _offset_slots(zone: ZoneInfo, slot: int) -> int:
    offset = datetime.fromtimestamp(slot * SLOT_MINUTES * 60, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) // (SLOT_MINUTES * 60)
