"""Python's garbage collector, in steps that no call notices.

By itself it looks when many more objects were made than were given back, and then at all that were made since it last
looked and still live. Where calls come and go, nearly as many are given back as are made: it looks late, at much, and
all calls stand still meanwhile (5 to 10 ms at 800 streams begun in a second). What a few calls have made takes a
quarter of a millisecond. A call that has ended leaves nothing to look at: only those count that are still open.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

CALLS_A_STEP: Final = 8
"""So many calls, begun since the last look, are open when it looks again."""

_BUT_THE_OLD: Final = 1
"""The generation up to which it looks: at nothing twice."""


class SmallSteps:
    """Lets the collector look after every few calls that have begun and go on."""

    __slots__ = ("_looks", "_open")

    def __init__(self) -> None:
        self._open = 0
        self._looks = 0

    def begun(self) -> int:
        """A call has begun; what `ended` is to be told of it."""
        looks = self._looks
        self._open += 1
        if self._open == CALLS_A_STEP:
            self._open = 0
            self._looks += 1
            asyncio.get_running_loop().call_soon(gc.collect, _BUT_THE_OLD)
        return looks

    def ended(self, begun: int) -> None:
        if begun == self._looks:
            self._open -= 1
