"""Time and chance that tests hold in their hand."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from typing import Final

START_US: Final = 1_795_000_000_000_000


class HandClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_us(self) -> int:
        return START_US + int(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds


def counted_bytes() -> Callable[[int], bytes]:
    """Bytes that look random and never repeat."""
    numbers = itertools.count()
    return lambda size: hashlib.shake_128(str(next(numbers)).encode()).digest(size)
