"""What was told already and goes on: it is told again only when it has grown by a further step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from taximeter.anomaly.detectors import Suspicion
from taximeter.anomaly.windows import Watch

FURTHER_STEP: Final = 2.0
"""Surely twice as far as it went when it was told is news again."""

WHOLLY: Final = 1.0
"""The level of what may grow to everything: no step is a further one."""


@dataclass(slots=True)
class _Course:
    level: float
    until_minute: int
    quiet_until_minute: int


class Courses:
    """By what a suspicion is about and its row: how far it went, and until when that is taken as known."""

    def __init__(self) -> None:
        self._known: dict[tuple[Watch, int], _Course] = {}

    def settle(self, watch: Watch, row: int, level: float, *, until_minute: int, quiet_until_minute: int) -> None:
        """`level` was told. Whatever it grows to before `quiet_until_minute` belongs to it."""
        self._known[watch, row] = _Course(level, until_minute, quiet_until_minute)

    def has(self, suspicion: Suspicion, minute: int) -> bool:
        """Whether this is what was told already."""
        course = self._known.get((suspicion.watch, suspicion.row))
        if course is None or minute >= course.until_minute:
            return False
        if minute < course.quiet_until_minute:
            course.level = max(course.level, suspicion.surely)
        return suspicion.surely < FURTHER_STEP * course.level
