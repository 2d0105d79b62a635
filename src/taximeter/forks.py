"""Locks and forks: a process forks between two uses of a lock, not inside one, whose thread the child does not have."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

Owner = TypeVar("Owner")

LONGEST_WAIT_SECONDS = 1
"""For a lock before a fork, which goes ahead then."""


def fork_between_uses(
    living: weakref.WeakSet[Owner],
    lock_of: Callable[[Owner], threading.Lock | threading.RLock],
    renew: Callable[[Owner], None],
) -> None:
    """From now on hold the locks of all that live around each fork; `renew` makes one usable in the child, whose locks
    are never unlocked."""
    held: list[Owner] = []

    def before() -> None:
        held[:] = [owner for owner in list(living) if lock_of(owner).acquire(timeout=LONGEST_WAIT_SECONDS)]

    def after_in_parent() -> None:
        while held:
            lock_of(held.pop()).release()

    def after_in_child() -> None:
        held.clear()
        for owner in list(living):
            renew(owner)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)
