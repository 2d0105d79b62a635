"""Limits that were set over the API, every version of them; thresholds that were crossed; bounds of calls unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Row

from taximeter.clock import Clock
from taximeter.errors import NotFoundError
from taximeter.store.metadata.database import Database, add_new
from taximeter.store.metadata.tables import CHANGES, LIMIT_CROSSINGS, LIMIT_UNSEEN, LIMIT_VERSIONS

CHANGE: Final = "limits"


@dataclass(frozen=True, slots=True)
class LimitVersion:
    """One version of a limit. `definition` is None where it was removed."""

    name: str
    version: int
    definition: Mapping[str, Any] | None
    changed_at_us: int
    changed_by: str


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


class LimitBook:
    """All methods block and raise StoreError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # ── definitions ────────────────────────────────────────────────────────────────────────────────────────────

    def set(self, name: str, definition: Mapping[str, Any], changed_by: str) -> LimitVersion:
        """A new version of a limit, which may be its first."""
        return self._add(name, definition, changed_by)

    def remove(self, name: str, changed_by: str) -> LimitVersion:
        """Raises NotFoundError."""
        if all(one.name != name for one in self.current()):
            raise NotFoundError(f"there is no limit '{name}' that was set here", hint="see `taximeter limits list`")
        return self._add(name, None, changed_by)

    def current(self) -> list[LimitVersion]:
        """The newest version of every limit that is not removed, by name."""
        newest = sa.select(LIMIT_VERSIONS.c.name, sa.func.max(LIMIT_VERSIONS.c.version).label("version"))
        newest_of = newest.group_by(LIMIT_VERSIONS.c.name).subquery()
        of_name = LIMIT_VERSIONS.c.name == newest_of.c.name
        joined = sa.and_(of_name, LIMIT_VERSIONS.c.version == newest_of.c.version)
        wanted = sa.select(LIMIT_VERSIONS).join(newest_of, joined).order_by(LIMIT_VERSIONS.c.name)
        with self._database.reading() as connection:
            return [one for row in connection.execute(wanted) if (one := _version(row)).definition is not None]

    def history(self, name: str) -> list[LimitVersion]:
        """Every version of a limit, newest first; empty when there never was one."""
        wanted = sa.select(LIMIT_VERSIONS).where(LIMIT_VERSIONS.c.name == name)
        with self._database.reading() as connection:
            rows = connection.execute(wanted.order_by(LIMIT_VERSIONS.c.version.desc()))
            return [_version(row) for row in rows]

    def change_number(self) -> int:
        """How often definitions were changed, by whomever."""
        with self._database.reading() as connection:
            number = sa.select(CHANGES.c.number).where(CHANGES.c.name == CHANGE)
            return int(connection.execute(number).scalar_one())

    def _add(self, name: str, definition: Mapping[str, Any] | None, changed_by: str) -> LimitVersion:
        with self._database.writing() as connection:
            # First, so that whoever else changes limits waits here, and sees this version.
            counted = sa.update(CHANGES).where(CHANGES.c.name == CHANGE)
            connection.execute(counted.values(number=CHANGES.c.number + 1))
            before = sa.select(sa.func.max(LIMIT_VERSIONS.c.version)).where(LIMIT_VERSIONS.c.name == name)
            version = int(connection.execute(before).scalar() or 0) + 1
            added = LimitVersion(name, version, definition, self._clock.now_us(), changed_by)
            connection.execute(sa.insert(LIMIT_VERSIONS).values({n: getattr(added, n) for n in LimitVersion.__slots__}))
        return added

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


def _version(row: Row[Any]) -> LimitVersion:
    return LimitVersion(**{name: getattr(row, name) for name in LimitVersion.__slots__})
