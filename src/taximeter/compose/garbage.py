"""Python's garbage collector in a server: it looks at all there is only while nobody waits.

To look at everything takes tens of milliseconds, in which every call and every stream stands still. It is hardly ever
worth it, because calls leave nothing behind (`tests/gateway/test_gateway_garbage.py`).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LOOK_SECONDS: Final = 60.0
"""How often it is asked whether this is a quiet moment."""

ROUNDS_WORTH_A_LOOK: Final = 20
"""Looks at what is younger, after which all of it may be worth one: there is hardly anything new before."""

ROUNDS_AT_MOST: Final = 1_000
"""After so many, and when a quarter is new, it is looked at even in a moment that is not quiet."""


@contextmanager
def starting() -> Iterator[None]:
    """Until `forget_what_stays` nothing is looked at: what is made at a start stays, and to look through it all again
    and again takes a twelfth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def forget_what_stays() -> None:
    """What was made so far stays (the price data above all), and is not looked at again."""
    gc.enable()
    gc.collect()
    gc.freeze()
    young, middle, old = gc.get_threshold()
    if old:  # 0 where the collector goes through what is old bit by bit
        gc.set_threshold(young, middle, ROUNDS_AT_MOST)


def collect_if_quiet(open_calls: int) -> None:
    if not open_calls and gc.get_count()[2] >= ROUNDS_WORTH_A_LOOK:
        gc.collect()
