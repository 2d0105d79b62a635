"""Deleted users go from what was written down about them: findings, crossed limits, calls unseen.

The events store knows them by a hash, whoever deleted them and wherever that was; so this finds them also after a
restart, and in a finding that ended only after the deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from taximeter.clock import Clock
from taximeter.store.events.deleted_users import user_hash
from taximeter.store.events.moving import Movable

LOOK_SECONDS: Final = 20.0
"""How soon a deletion reaches what was written down."""

AGAIN_SECONDS: Final = 3600.0
"""How often it is looked at again, for findings that have ended since."""


class Knows(Protocol):
    """What knows users by their names, beside the store."""

    def forget_users(self, gone: Callable[[str, int], bool], /) -> object: ...


class Forgetting:
    """A job of whoever has the store."""

    def __init__(self, store: Movable, clock: Clock, *knowing: Knows) -> None:
        self._store = store
        self._knowing = knowing
        self._clock = clock
        self._done: Mapping[str, int] = {}
        self._again_at = 0.0

    def turn(self) -> None:
        """Raises StoreError."""
        deleted, now = self._store.bounds().deleted_users, self._clock.monotonic()
        if not deleted or (deleted == self._done and now < self._again_at):
            return

        def gone(user: str, at_us: int) -> bool:
            return at_us <= deleted.get(user_hash(user), -1)

        for one in self._knowing:
            one.forget_users(gone)
        self._done, self._again_at = deleted, now + AGAIN_SECONDS
