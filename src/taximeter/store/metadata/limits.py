"""Limits that were set over the API, every version of them; thresholds that were crossed; bounds of calls unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa

from taximeter.clock import Clock
from taximeter.limits.rules import parts_of
from taximeter.store.metadata.database import Database, add_new
from taximeter.store.metadata.forgotten import Gone
from taximeter.store.metadata.tables import LIMIT_CROSSINGS, LIMIT_UNSEEN, LIMIT_VERSIONS
from taximeter.store.metadata.versions import Versions

_USER: Final = "user_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCrossing:
    """A threshold of a limit that was crossed in a window (`slot`), once. Amounts are in the measure's unit.

    `kind` is `threshold` (at `percent` of the amount), `burn_fast` or `burn_slow` (spent so fast that
    it will not last). `user_id` is the user whose calls crossed it, "" when they are not one user's, and None when it
    was written down before this was kept.
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
    user_id: str | None = ""


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

    def crossings(self, since_us: int, most: int = 1_000, *, latest: bool = False) -> list[LimitCrossing]:
        """Thresholds crossed since an instant, oldest first; of more than `most` the oldest, or the `latest`."""
        wanted = sa.select(LIMIT_CROSSINGS).where(LIMIT_CROSSINGS.c.at_us >= since_us).limit(most)
        order = (LIMIT_CROSSINGS.c.at_us, LIMIT_CROSSINGS.c.percent)
        with self._database.reading() as connection:
            rows = list(connection.execute(wanted.order_by(*(one.desc() if latest else one for one in order))))
        found = [LimitCrossing(**{n: getattr(row, n) for n in LimitCrossing.__slots__}) for row in rows]
        return found[::-1] if latest else found

    def forget_users(self, gone: Gone) -> int:
        """Delete what was crossed by users who are gone since, and take their names from calls unseen, which stay
        spent; how many that were."""
        with self._database.writing() as connection:
            crossed = [row for row in connection.execute(sa.select(LIMIT_CROSSINGS)) if _is_by_one(row, gone)]
            for row in crossed:
                key = [column == row._mapping[column.name] for column in LIMIT_CROSSINGS.primary_key]
                connection.execute(sa.delete(LIMIT_CROSSINGS).where(*key))
            unseen = [row for row in connection.execute(sa.select(LIMIT_UNSEEN)) if _is_of_one(row, gone)]
            for row in unseen:
                subject = {name: value for name, value in row.subject.items() if name != _USER}
                this = LIMIT_UNSEEN.c.event_id == row.event_id
                connection.execute(sa.update(LIMIT_UNSEEN).where(this).values(subject=subject))
        return len(crossed) + len(unseen)

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


def _is_by_one(crossing: Any, gone: Gone) -> bool:
    """Of one that does not say whose it is, any part of its value may be the user: one too many goes, none too few."""
    if crossing.user_id is not None:
        return bool(crossing.user_id) and gone(crossing.user_id, crossing.at_us)
    if gone(crossing.value, crossing.at_us):
        return True
    return any(gone(part, crossing.at_us) for part in parts_of(crossing.value) if part)


def _is_of_one(call: Any, gone: Gone) -> bool:
    user = call.subject.get(_USER)
    return user is not None and gone(user, call.at_us)
