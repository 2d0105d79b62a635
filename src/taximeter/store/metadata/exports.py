"""Where exports stand. What the texts say is the exporters' own; here they are only kept, together or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from taximeter.errors import StoreError
from taximeter.store.metadata.database import Database, add_new
from taximeter.store.metadata.tables import EXPORT_DAYS, EXPORT_STATES, EXPORT_WINDOWS


@dataclass(frozen=True, slots=True)
class ExportedDay:
    """What a feed has told of a day: its totals, and its sums by series."""

    day_us: int
    totals: str
    sums: str


class OvertakenError(StoreError):
    """Another server went on from the same place. What is kept now has to be read first."""

    def __init__(self, name: str) -> None:
        super().__init__(f"another server went on with {name!r} meanwhile", hint="it goes on from there by itself")


class Exports:
    """All methods block and raise StoreError.

    What follows a state says which one: `replacing` is what was read or kept last. So two servers never both go on
    from the same place; the one that was overtaken is told by OvertakenError, and nothing of its turn is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def state(self, name: str) -> str | None:
        wanted = sa.select(EXPORT_STATES.c.content).where(EXPORT_STATES.c.name == name)
        with self._database.reading() as connection:
            return connection.execute(wanted).scalar()

    def keep(self, name: str, content: str, replacing: str | None) -> None:
        with self._database.writing() as connection:
            _keep(connection, name, content, replacing)

    def day_totals(self, feed: str) -> dict[int, str]:
        """The totals of every day that was told, by its start."""
        wanted = sa.select(EXPORT_DAYS.c.day_us, EXPORT_DAYS.c.totals).where(EXPORT_DAYS.c.feed == feed)
        with self._database.reading() as connection:
            return {row.day_us: row.totals for row in connection.execute(wanted)}

    def day_sums(self, feed: str, day_us: int) -> str | None:
        day = (EXPORT_DAYS.c.feed == feed, EXPORT_DAYS.c.day_us == day_us)
        with self._database.reading() as connection:
            return connection.execute(sa.select(EXPORT_DAYS.c.sums).where(*day)).scalar()

    def advance(
        self,
        feed: str,
        state: str,
        replacing: str | None,
        days: Iterable[ExportedDay],
        window: tuple[int, str] | None,
        *,
        anew: bool = False,
    ) -> None:
        """A feed's next state, with the days and the window that belong to it: all or none. `anew`: no other days."""
        with self._database.writing() as connection:
            _keep(connection, feed, state, replacing)
            if anew:
                connection.execute(sa.delete(EXPORT_DAYS).where(EXPORT_DAYS.c.feed == feed))
            for day in days:
                here = sa.and_(EXPORT_DAYS.c.feed == feed, EXPORT_DAYS.c.day_us == day.day_us)
                connection.execute(sa.delete(EXPORT_DAYS).where(here))
                row = {"feed": feed, "day_us": day.day_us, "totals": day.totals, "sums": day.sums}
                connection.execute(sa.insert(EXPORT_DAYS).values(**row))
            if window is not None:
                number, content = window
                connection.execute(sa.insert(EXPORT_WINDOWS).values(feed=feed, number=number, content=content))

    def forget_days(self, feed: str, before_us: int | None = None) -> None:
        """The days before a moment; without one, all of them."""
        gone = sa.delete(EXPORT_DAYS).where(EXPORT_DAYS.c.feed == feed)
        if before_us is not None:
            gone = gone.where(EXPORT_DAYS.c.day_us < before_us)
        with self._database.writing() as connection:
            connection.execute(gone)

    def windows(self, feed: str, after: int, limit: int) -> list[str]:
        """The first windows after a number, in order."""
        wanted = (
            sa.select(EXPORT_WINDOWS.c.content)
            .where(EXPORT_WINDOWS.c.feed == feed, EXPORT_WINDOWS.c.number > after)
            .order_by(EXPORT_WINDOWS.c.number)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return list(connection.execute(wanted).scalars())

    def forget_windows(self, feed: str, until: int) -> None:
        """Those up to a number, which everybody has sent."""
        gone = sa.delete(EXPORT_WINDOWS).where(EXPORT_WINDOWS.c.feed == feed, EXPORT_WINDOWS.c.number <= until)
        with self._database.writing() as connection:
            connection.execute(gone)


def _keep(connection: Connection, name: str, content: str, replacing: str | None) -> None:
    if replacing is None:
        kept = add_new(connection, EXPORT_STATES, {"name": name, "content": content})
    else:
        here = (EXPORT_STATES.c.name == name, EXPORT_STATES.c.content == replacing)
        kept = connection.execute(sa.update(EXPORT_STATES).where(*here).values(content=content)).rowcount > 0
    if not kept:
        raise OvertakenError(name)
