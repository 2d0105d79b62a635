"""What the calculator was asked and answered. These are no calls and never count as spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from taximeter.clock import Clock
from taximeter.store.metadata.database import Database
from taximeter.store.metadata.tables import CALCULATOR_USES

MOST_USES: Final = 10_000
"""Uses that are kept; the oldest give way. Their number is counted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalculatorUse:
    """One use. `kind` is `calculator` or `what_if`, `asked_by` the kind of caller.

    `calculated_monthly_cost` is that of the chosen model in USD as canonical text, None when it has no price;
    `comparison_delta` is by model what another one costs more (less: negative) in a month, None where unknown.
    """

    kind: str
    asked_by: str
    user_selections: Mapping[str, Any]
    calculated_monthly_cost: str | None
    comparison_delta: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class RecordedUse:
    """A use with its number (from 1, in order) and time, microseconds since the epoch."""

    number: int
    at_us: int
    use: CalculatorUse


class CalculatorUses:
    """All methods block and raise StoreError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(self, use: CalculatorUse) -> int:
        """Keep a use; its number."""
        values = {name: getattr(use, name) for name in CalculatorUse.__slots__}
        with self._database.writing() as connection:
            added = connection.execute(sa.insert(CALCULATOR_USES).values(at_us=self._clock.now_us(), **values))
            number = int(added.inserted_primary_key[0]) if added.inserted_primary_key else 0
            connection.execute(sa.delete(CALCULATOR_USES).where(CALCULATOR_USES.c.id <= number - MOST_USES))
        return number

    def newest(self, limit: int) -> list[RecordedUse]:
        """The last uses, newest first."""
        latest = sa.select(CALCULATOR_USES).order_by(CALCULATOR_USES.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            return [
                RecordedUse(row.id, row.at_us, CalculatorUse(**{n: getattr(row, n) for n in CalculatorUse.__slots__}))
                for row in connection.execute(latest)
            ]
