"""Settings made while running (saved views and the like), as JSON values by name."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from taximeter.store.metadata.database import Database
from taximeter.store.metadata.tables import SETTINGS


class StoredSettings:
    """All methods block and raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str, default: Any = None) -> Any:
        with self._database.reading() as connection:
            row = connection.execute(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == name)).one_or_none()
        return default if row is None else row.value

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name, in place of what was there."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(SETTINGS).where(SETTINGS.c.name == name))
            connection.execute(sa.insert(SETTINGS).values(name=name, value=value))
