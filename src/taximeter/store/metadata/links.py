"""The key that links in messages are signed with, and which of them were used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from taximeter.store.metadata.database import Database, add_new
from taximeter.store.metadata.tables import SECRETS, USED_LINKS

KEY_BYTES: Final = 32
_KEY: Final = "alert links"


class Links:
    """All methods block and raise StoreError. `draw` gives that many random bytes."""

    def __init__(self, database: Database, draw: Callable[[int], bytes]) -> None:
        self._database = database
        self._draw = draw

    def key(self) -> bytes:
        """The same for all servers of this metadata, drawn when it is first asked for."""
        wanted = sa.select(SECRETS.c.content).where(SECRETS.c.name == _KEY)
        with self._database.reading() as connection:
            known = connection.execute(wanted).scalar()
        if known is not None:
            return bytes(known)
        with self._database.writing() as connection:
            add_new(connection, SECRETS, {"name": _KEY, "content": self._draw(KEY_BYTES)})
            return bytes(connection.execute(wanted).scalar_one())

    def used(self, link: str) -> bool:
        wanted = sa.select(USED_LINKS.c.link).where(USED_LINKS.c.link == link)
        with self._database.reading() as connection:
            return connection.execute(wanted).scalar() is not None

    def use(self, link: str, now_us: int, expires_at_us: int) -> bool:
        """Use a link up, whoever else tries to at the same time; False when it was used before. Those that have
        expired are forgotten."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(USED_LINKS).where(USED_LINKS.c.expires_at_us <= now_us))
            return add_new(connection, USED_LINKS, {"link": link, "expires_at_us": expires_at_us})

    def give_back(self, link: str) -> None:
        """A link that did nothing may be used again."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(USED_LINKS).where(USED_LINKS.c.link == link))
