"""Definitions that were set over the API, every version of them, with who and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row, Table

from taximeter.clock import Clock, rfc3339
from taximeter.errors import NotFoundError
from taximeter.store.metadata.database import Database
from taximeter.store.metadata.tables import CHANGES


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a definition, which is None where it was removed."""

    name: str
    version: int
    definition: Mapping[str, Any] | None
    changed_at_us: int
    changed_by: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of an entry of a history."""
        return {
            "version": self.version,
            "definition": self.definition,
            "changed_at": rfc3339(self.changed_at_us),
            "changed_by": self.changed_by,
        }


def provenance(version: Version | None) -> dict[str, Any]:
    """Where a definition in force is from, as JSON; None: the configuration file, which alone may change it."""
    return {
        "provisioned": version is None,
        "version": None if version is None else version.version,
        "changed_at": None if version is None else rfc3339(version.changed_at_us),
        "changed_by": None if version is None else version.changed_by,
    }


class Versions:
    """Versions of one kind of definition: `what` is its word, `table` keeps them, `change` names its row of CHANGES.

    All methods block and raise StoreError.
    """

    def __init__(self, database: Database, clock: Clock, table: Table, change: str, what: str) -> None:
        self._database = database
        self._clock = clock
        self._table = table
        self._change = change
        self._what = what

    def set(self, name: str, definition: Mapping[str, Any], changed_by: str) -> Version:
        """A new version, which may be the first."""
        return self._add(name, definition, changed_by)

    def remove(self, name: str, changed_by: str) -> Version:
        """Raises NotFoundError."""
        if all(one.name != name for one in self.current()):
            hint = f"see `taximeter {self._what}s list`"
            raise NotFoundError(f"there is no {self._what} '{name}' that was set here", hint=hint)
        return self._add(name, None, changed_by)

    def current(self) -> list[Version]:
        """The newest version of everything that is not removed, by name."""
        columns = self._table.c
        newest = sa.select(columns.name, sa.func.max(columns.version).label("version"))
        newest_of = newest.group_by(columns.name).subquery()
        joined = sa.and_(columns.name == newest_of.c.name, columns.version == newest_of.c.version)
        wanted = sa.select(self._table).join(newest_of, joined).order_by(columns.name)
        with self._database.reading() as connection:
            return [one for row in connection.execute(wanted) if (one := _version(row)).definition is not None]

    def history(self, name: str) -> list[Version]:
        """Every version of a name, newest first; empty when there never was one."""
        wanted = sa.select(self._table).where(self._table.c.name == name).order_by(self._table.c.version.desc())
        with self._database.reading() as connection:
            return [_version(row) for row in connection.execute(wanted)]

    def change_number(self) -> int:
        """How often definitions were changed, by whomever."""
        with self._database.reading() as connection:
            number = sa.select(CHANGES.c.number).where(CHANGES.c.name == self._change)
            return int(connection.execute(number).scalar_one())

    def _add(self, name: str, definition: Mapping[str, Any] | None, changed_by: str) -> Version:
        with self._database.writing() as connection:
            # First, so that whoever else changes definitions waits here, and sees this version.
            counted = sa.update(CHANGES).where(CHANGES.c.name == self._change)
            connection.execute(counted.values(number=CHANGES.c.number + 1))
            before = sa.select(sa.func.max(self._table.c.version)).where(self._table.c.name == name)
            version = int(connection.execute(before).scalar() or 0) + 1
            added = Version(name, version, definition, self._clock.now_us(), changed_by)
            connection.execute(sa.insert(self._table).values({n: getattr(added, n) for n in Version.__slots__}))
        return added


def _version(row: Row[Any]) -> Version:
    return Version(**{name: getattr(row, name) for name in Version.__slots__})
