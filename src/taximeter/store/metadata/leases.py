"""Who does what several processes on the same metadata must not do twice: a row that names its holder for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from taximeter.clock import Clock
from taximeter.errors import StoreError
from taximeter.store.metadata.database import Database, add_new
from taximeter.store.metadata.tables import LEASES

LEASE_SECONDS: Final = 20.0
"""How long after its holder's last word another process takes it."""

_SECOND_US: Final = 1_000_000
_HOLDER_BYTES: Final = 8


class Lease:
    """One lease, as one process sees it. `renew` and `release` block and raise StoreError; `held` asks nobody.

    A holder that hears nothing of the store stops before anybody else may begin: it counts from before it asked, on a
    clock that nobody sets. Where the store refuses to answer it goes on: nobody can keep anything there meanwhile, and
    that this fails is to be told. Clocks of several machines may differ: the one that is ahead takes the lease once,
    and then it stays there.
    """

    def __init__(self, database: Database, clock: Clock, name: str, draw: Callable[[int], bytes]) -> None:
        self._database, self._clock, self._name = database, clock, name
        self._holder = draw(_HOLDER_BYTES).hex()
        self._held_until = float("-inf")

    @property
    def held(self) -> bool:
        return self._clock.monotonic() < self._held_until

    def renew(self) -> bool:
        """Keep the lease, or take it where it is free; whether it is ours. More often than `LEASE_SECONDS`."""
        asked_at, now_us, held = self._clock.monotonic(), self._clock.now_us(), self.held
        ours = {"holder": self._holder, "until_us": now_us + int(LEASE_SECONDS * _SECOND_US)}
        free = (LEASES.c.holder == self._holder) | (LEASES.c.until_us <= now_us)
        taken = sa.update(LEASES).where(LEASES.c.name == self._name, free).values(ours)
        try:
            with self._database.writing() as connection:
                new = add_new(connection, LEASES, {"name": self._name, **ours})
                held = new or connection.execute(taken).rowcount > 0
        except StoreError:
            self._held_until = float("inf") if held else float("-inf")
            raise
        self._held_until = asked_at + LEASE_SECONDS if held else float("-inf")
        return held

    def release(self) -> None:
        """Let another process take it at once."""
        self._held_until = float("-inf")
        ours = sa.delete(LEASES).where(LEASES.c.name == self._name, LEASES.c.holder == self._holder)
        with self._database.writing() as connection:
            connection.execute(ours)
