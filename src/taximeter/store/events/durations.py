"""How long calls took, counted by how long: what a histogram is made of.

Each call is counted once, in the narrowest bucket that it fits into, so that counts add up and differences of them do.
Sums are of whole microseconds: those of floating-point numbers would not be the same at every look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BOUNDS_MS: Final = tuple(10 * 2**power for power in range(14))
"""Upper bounds of buckets, those of the GenAI conventions for the duration of an operation and for the time to its
first chunk: 10 ms to 81.92 s. What took longer is counted in one more."""

LONGEST_MS: Final = 10**10
"""What is said to have taken longer, or less than nothing, is no duration and is not counted."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A column of events in milliseconds, and the names of its counts and its sum in a row."""

    column: str

    @property
    def buckets(self) -> tuple[str, ...]:
        """In the order of their bounds; the last one has none."""
        return tuple(f"{self.column}_in_{number}" for number in range(len(BOUNDS_MS) + 1))

    @property
    def name(self) -> str:
        return self.column.removesuffix("_ms")

    @property
    def sum_us(self) -> str:
        return f"{self.name}_sum_us"


DURATION: Final = Timing("duration_ms")
FIRST_TOKEN: Final = Timing("time_to_first_token_ms")
TIMINGS: Final = (DURATION, FIRST_TOKEN)

COUNTED: Final = ("calls", *(name for timing in TIMINGS for name in (*timing.buckets, timing.sum_us)))
"""What is counted by the groups of a query. All of them add up."""
