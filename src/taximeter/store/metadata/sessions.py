"""Sessions of the page, kept as hashes of their tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from taximeter.clock import Clock
from taximeter.store.metadata.database import Database
from taximeter.store.metadata.tables import SESSIONS

_TOKEN_BYTES: Final = 24
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that has signed in, and what it may."""

    scope: str
    created_at_us: int
    expires_at_us: int


class Sessions:
    """Sessions of the page. `draw` gives that many random bytes. All methods block and raise StoreError."""

    def __init__(self, database: Database, clock: Clock, draw: Callable[[int], bytes]) -> None:
        self._database = database
        self._clock = clock
        self._draw = draw

    def open(self, lifetime_seconds: int, scope: str = "admin") -> str:
        """A new session's token. Sessions that have expired are cleared away meanwhile."""
        token, now_us = self._draw(_TOKEN_BYTES).hex(), self._clock.now_us()
        expires_at_us = now_us + lifetime_seconds * _SECOND_US
        with self._database.writing() as connection:
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.expires_at_us <= now_us))
            connection.execute(
                sa.insert(SESSIONS).values(
                    hash=_hash(token), scope=scope, created_at_us=now_us, expires_at_us=expires_at_us
                )
            )
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token; None when there is none, or it has expired or ended."""
        columns = (SESSIONS.c.scope, SESSIONS.c.created_at_us, SESSIONS.c.expires_at_us)
        known = sa.select(*columns).where(SESSIONS.c.hash == _hash(token))
        with self._database.reading() as connection:
            row = connection.execute(known.where(SESSIONS.c.expires_at_us > self._clock.now_us())).one_or_none()
        return None if row is None else Session(*row)

    def end(self, token: str) -> None:
        """End a session; one that is not known is ended already."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.hash == _hash(token)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
