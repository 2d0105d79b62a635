"""The intervals of a calendar: what a bucket of an answer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Interval = Literal["minute", "hour", "day", "week", "month", "quarter", "year"]
INTERVALS: Final[tuple[Interval, ...]] = ("minute", "hour", "day", "week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Calendar:
    """An interval in a zone, where quarters and years begin with a fiscal month. Weeks begin on Monday."""

    interval: Interval
    timezone: str
    fiscal_start_month: int = 1
