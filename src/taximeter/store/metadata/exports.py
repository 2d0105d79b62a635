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
class ExportedUnit:
    """What was told of a unit of time, in the ledger `ledger`: its totals, and its sums by series."""

    ledger: str
    start_us: int
    totals: str
    sums: str


@dataclass(frozen=True, slots=True)
class Span:
    """The units of a ledger that begin within [from_us, to_us); without bounds, all of them."""

    ledger: str
    from_us: int | None = None
    to_us: int | None = None


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

    def unit_totals(self, ledger: str) -> dict[int, str]:
        """The totals of every unit that was told, by its start."""
        wanted = sa.select(EXPORT_DAYS.c.day_us, EXPORT_DAYS.c.totals).where(EXPORT_DAYS.c.feed == ledger)
        with self._database.reading() as connection:
            return {row.day_us: row.totals for row in connection.execute(wanted)}

    def unit_sums(self, ledger: str, start_us: int) -> str | None:
        unit = (EXPORT_DAYS.c.feed == ledger, EXPORT_DAYS.c.day_us == start_us)
        with self._database.reading() as connection:
            return connection.execute(sa.select(EXPORT_DAYS.c.sums).where(*unit)).scalar()

    def advance(
        self,
        feed: str,
        state: str,
        replacing: str | None,
        units: Iterable[ExportedUnit],
        window: tuple[int, str] | None = None,
        *,
        gone: Iterable[Span] = (),
    ) -> None:
        """A feed's next state, without what is `gone`, with the units and the window that belong to it: all or none."""
        with self._database.writing() as connection:
            _keep(connection, feed, state, replacing)
            for span in gone:
                connection.execute(_deleted(span))
            for unit in units:
                connection.execute(_deleted(Span(unit.ledger, unit.start_us, unit.start_us + 1)))
                row = {"feed": unit.ledger, "day_us": unit.start_us, "totals": unit.totals, "sums": unit.sums}
                connection.execute(sa.insert(EXPORT_DAYS).values(**row))
            if window is not None:
                number, content = window
                connection.execute(sa.insert(EXPORT_WINDOWS).values(feed=feed, number=number, content=content))

    def forget(self, *spans: Span) -> None:
        with self._database.writing() as connection:
            for span in spans:
                connection.execute(_deleted(span))

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


def _deleted(span: Span) -> sa.Delete:
    gone = sa.delete(EXPORT_DAYS).where(EXPORT_DAYS.c.feed == span.ledger)
    if span.from_us is not None:
        gone = gone.where(EXPORT_DAYS.c.day_us >= span.from_us)
    return gone if span.to_us is None else gone.where(EXPORT_DAYS.c.day_us < span.to_us)


def _keep(connection: Connection, name: str, content: str, replacing: str | None) -> None:
    if replacing is None:
        kept = add_new(connection, EXPORT_STATES, {"name": name, "content": content})
    else:
        here = (EXPORT_STATES.c.name == name, EXPORT_STATES.c.content == replacing)
        kept = connection.execute(sa.update(EXPORT_STATES).where(*here).values(content=content)).rowcount > 0
    if not kept:
        raise OvertakenError(name)
