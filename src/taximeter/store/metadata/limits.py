"""Limits that were set over the API, every version of them; thresholds that were crossed; bounds of calls unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from taximeter.clock import Clock
from taximeter.store.metadata.database import Database, add_new
from taximeter.store.metadata.tables import LIMIT_CROSSINGS, LIMIT_UNSEEN, LIMIT_VERSIONS
from taximeter.store.metadata.versions import Versions


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCrossing:
    """A threshold of a limit that was crossed in a window (`slot`), once. Amounts are in the measure's unit.

    `kind` is `threshold` (at `percent` of the amount), `burn_fast` or `burn_slow` (spent so fast that
    it will not last).
    """

    slot: str
    kind: str
    percent: int
    name: str
    value: str
    measure: str
    mode: str
    amount: int
    spent: int
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenCall:
    """A call whose end nobody saw: what its limits hold for spent beyond what its event says."""

    event_id: str
    at_us: int
    subject: Mapping[str, str]
    cost_nano_usd: int
    input_tokens: int
    output_tokens: int


class LimitBook(Versions):
    """All methods block and raise StoreError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, LIMIT_VERSIONS, "limits", "limit")

    # ── thresholds ─────────────────────────────────────────────────────────────────────────────────────────────

    def note_crossings(self, crossings: Sequence[LimitCrossing]) -> list[LimitCrossing]:
        """Keep those that are new; each threshold counts once a window, whoever tells it. The new ones."""
        with self._database.writing() as connection:
            return [one for one in crossings if add_new(connection, LIMIT_CROSSINGS, asdict(one))]

    def crossings(self, since_us: int, most: int = 1_000) -> list[LimitCrossing]:
        """Thresholds crossed since an instant, oldest first."""
        wanted = sa.select(LIMIT_CROSSINGS).where(LIMIT_CROSSINGS.c.at_us >= since_us)
        with self._database.reading() as connection:
            rows = connection.execute(wanted.order_by(LIMIT_CROSSINGS.c.at_us).limit(most))
            return [LimitCrossing(**{n: getattr(row, n) for n in LimitCrossing.__slots__}) for row in rows]

    # ── calls unseen ───────────────────────────────────────────────────────────────────────────────────────────

    def note_unseen(self, calls: Sequence[UnseenCall]) -> None:
        """Keep what is spent beyond the events of some calls; of a call that is known the first word stands."""
        with self._database.writing() as connection:
            for call in calls:
                add_new(connection, LIMIT_UNSEEN, asdict(call))

    def unseen(self, since_us: int) -> list[UnseenCall]:
        """Such calls that began since an instant."""
        wanted = sa.select(LIMIT_UNSEEN).where(LIMIT_UNSEEN.c.at_us >= since_us)
        with self._database.reading() as connection:
            rows = connection.execute(wanted)
            return [UnseenCall(**{n: getattr(row, n) for n in UnseenCall.__slots__}) for row in rows]
