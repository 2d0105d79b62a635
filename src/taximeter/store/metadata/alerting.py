"""What alerting keeps: its desk, the incidents there were, silences, marks of deployments, and the outbox.

The desk and what it gave to tell are kept in one transaction: a crash before it repeats the evaluation, which gives
the same again; after it nothing is lost. The outbox hands a notification out until its delivery is noted, so that
each goes out at least once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from taximeter.clock import Clock
from taximeter.errors import NotFoundError, StoreError
from taximeter.store.metadata.database import Database, add_new, put
from taximeter.store.metadata.tables import ALERT_DESK, ANNOTATIONS, INCIDENTS, OUTBOX, RULE_VERSIONS, SILENCES
from taximeter.store.metadata.versions import Versions

MOST_DELIVERED: Final = 10_000
"""Notifications that are kept after their delivery; the oldest give way."""

ANY_DESK: Final = ""
"""In the place of the text of a desk: whichever there is."""

_THE_DESK: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord:
    """An incident as it is shown; `content` has everything else. Times are microseconds since the epoch."""

    incident_id: str
    severity: str
    opened_at_us: int
    resolved_at_us: int | None
    acknowledged_by: str | None
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A notification on its way to a channel. `state` is waiting, delivered or dead; `error` that of the last try."""

    notification_id: str
    incident_id: str
    channel: str
    event: str
    content: Mapping[str, Any]
    state: str
    tries: int
    created_at_us: int
    due_at_us: int
    delivered_at_us: int | None = None
    error: str | None = None
    receipt: str | None = None
    """What the channel calls the message, where it can be found again there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRecord:
    """A silence; `matchers` in their written form."""

    silence_id: str
    matchers: Mapping[str, Any]
    starts_at_us: int
    ends_at_us: int
    author: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A mark in time, such as a deployment. `labels` say what it concerns."""

    annotation_id: str
    at_us: int
    text: str
    author: str
    labels: Mapping[str, str]


class Alerting:
    """All methods block and raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ── the desk ───────────────────────────────────────────────────────────────────────────────────────────

    def desk(self) -> str | None:
        """The text of the desk as it was kept last; None at first."""
        with self._database.reading() as connection:
            return connection.execute(sa.select(ALERT_DESK.c.content)).scalar()

    def keep(
        self,
        desk: str,
        incidents: Iterable[IncidentRecord],
        letters: Iterable[Letter],
        *,
        replacing: str | None = ANY_DESK,
    ) -> None:
        """Keep the desk, the incidents that changed, and new letters: all or nothing. A letter that is known is not
        taken twice. Raises StoreError when the desk that it was made of, `replacing`, is no longer the one kept."""
        with self._database.writing() as connection:
            if replacing == ANY_DESK:
                put(connection, ALERT_DESK, [{"id": _THE_DESK, "content": desk}])
            elif not _replaced(connection, desk, replacing):
                raise StoreError("alerts were changed by another server meanwhile", hint="try again")
            put(connection, INCIDENTS, [asdict(one) for one in incidents])
            for letter in letters:
                add_new(connection, OUTBOX, asdict(letter))

    def incidents(self, *, open_only: bool = False, limit: int = 100) -> list[IncidentRecord]:
        """Newest first."""
        wanted = sa.select(INCIDENTS).order_by(INCIDENTS.c.opened_at_us.desc()).limit(limit)
        if open_only:
            wanted = wanted.where(INCIDENTS.c.resolved_at_us.is_(None))
        with self._database.reading() as connection:
            return [IncidentRecord(**row._mapping) for row in connection.execute(wanted)]

    def incident(self, incident_id: str) -> IncidentRecord:
        """Raises NotFoundError."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(INCIDENTS).where(INCIDENTS.c.incident_id == incident_id)).first()
        if row is None:
            raise NotFoundError(f"there is no incident {incident_id}", hint="see `taximeter alerts list --all`")
        return IncidentRecord(**row._mapping)

    # ── the outbox ─────────────────────────────────────────────────────────────────────────────────────────

    def due(self, now_us: int, channel: str | None = None, limit: int = 100) -> list[Letter]:
        """Letters to a channel (None: to all) whose time has come, oldest first. They stay due until their delivery or
        failure is noted.

        Those of one incident to one channel go in order: while one waits for its next try, so do those behind it.
        """
        before = OUTBOX.alias()
        held_up = sa.exists().where(
            before.c.channel == OUTBOX.c.channel,
            before.c.incident_id == OUTBOX.c.incident_id,
            before.c.state == "waiting",
            before.c.due_at_us > now_us,
            before.c.created_at_us < OUTBOX.c.created_at_us,
        )
        wanted = (
            sa.select(OUTBOX)
            .where(OUTBOX.c.state == "waiting", OUTBOX.c.due_at_us <= now_us, ~held_up)
            .order_by(OUTBOX.c.created_at_us, OUTBOX.c.notification_id)
            .limit(limit)
        )
        if channel is not None:
            wanted = wanted.where(OUTBOX.c.channel == channel)
        with self._database.reading() as connection:
            return [Letter(**row._mapping) for row in connection.execute(wanted)]

    def delivered(self, notification_id: str, at_us: int, receipt: str | None = None) -> None:
        """`receipt` is what the channel calls the message."""
        self._note(notification_id, state="delivered", delivered_at_us=at_us, error=None, receipt=receipt)

    def first_receipt(self, incident_id: str, channel: str) -> str | None:
        """What a channel calls its first message of an incident; None where it calls it nothing."""
        received = (OUTBOX.c.incident_id == incident_id, OUTBOX.c.channel == channel, OUTBOX.c.receipt.is_not(None))
        wanted = sa.select(OUTBOX.c.receipt).where(*received).order_by(OUTBOX.c.created_at_us).limit(1)
        with self._database.reading() as connection:
            return connection.execute(wanted).scalar()

    def failed(self, notification_id: str, error: str, due_at_us: int | None) -> None:
        """A try that did not go through; without a next one the letter is dead."""
        if due_at_us is None:
            self._note(notification_id, state="dead", error=error)
        else:
            self._note(notification_id, due_at_us=due_at_us, error=error)

    def _note(self, notification_id: str, **values: Any) -> None:
        change = sa.update(OUTBOX).where(OUTBOX.c.notification_id == notification_id)
        with self._database.writing() as connection:
            connection.execute(change.values(tries=OUTBOX.c.tries + 1, **values))

    def letters(self, incident_id: str | None = None, *, state: str | None = None, limit: int = 200) -> list[Letter]:
        """Newest first."""
        wanted = sa.select(OUTBOX).order_by(OUTBOX.c.created_at_us.desc()).limit(limit)
        if incident_id is not None:
            wanted = wanted.where(OUTBOX.c.incident_id == incident_id)
        if state is not None:
            wanted = wanted.where(OUTBOX.c.state == state)
        with self._database.reading() as connection:
            return [Letter(**row._mapping) for row in connection.execute(wanted)]

    def dead_since(self, from_us: int) -> int:
        """Letters whose last try was since then, and that will not be delivered."""
        dead = sa.select(sa.func.count()).where(OUTBOX.c.state == "dead", OUTBOX.c.due_at_us >= from_us)
        with self._database.reading() as connection:
            return int(connection.execute(dead).scalar_one())

    def late(self, before_us: int) -> dict[str, int]:
        """Channel → letters made before then that were tried and wait to be tried again."""
        waiting = (OUTBOX.c.state == "waiting", OUTBOX.c.tries > 0, OUTBOX.c.created_at_us < before_us)
        wanted = sa.select(OUTBOX.c.channel, sa.func.count()).where(*waiting).group_by(OUTBOX.c.channel)
        with self._database.reading() as connection:
            return {channel: int(count) for channel, count in connection.execute(wanted)}

    def tidy(self) -> None:
        """Forget the oldest delivered letters beyond `MOST_DELIVERED`."""
        order = OUTBOX.c.delivered_at_us.desc()
        kept = sa.select(OUTBOX.c.delivered_at_us).where(OUTBOX.c.state == "delivered").order_by(order)
        with self._database.writing() as connection:
            oldest = connection.execute(kept.offset(MOST_DELIVERED).limit(1)).scalar()
            if oldest is not None:
                connection.execute(
                    sa.delete(OUTBOX).where(OUTBOX.c.state == "delivered", OUTBOX.c.delivered_at_us <= oldest)
                )

    # ── silences and annotations ───────────────────────────────────────────────────────────────────────────

    def silence(self, silence: SilenceRecord) -> None:
        """Keep a silence; one of that id is replaced."""
        with self._database.writing() as connection:
            put(connection, SILENCES, [asdict(silence)])

    def silences(self, now_us: int) -> list[SilenceRecord]:
        """Those that are not over, the soonest to end first."""
        wanted = sa.select(SILENCES).where(SILENCES.c.ends_at_us > now_us).order_by(SILENCES.c.ends_at_us)
        with self._database.reading() as connection:
            return [SilenceRecord(**row._mapping) for row in connection.execute(wanted)]

    def end_silence(self, silence_id: str, now_us: int) -> None:
        """Raises NotFoundError when no such silence lasts."""
        lasting = (SILENCES.c.silence_id == silence_id) & (SILENCES.c.ends_at_us > now_us)
        with self._database.writing() as connection:
            ended = connection.execute(sa.update(SILENCES).where(lasting).values(ends_at_us=now_us))
        if not ended.rowcount:
            raise NotFoundError(f"no silence {silence_id} lasts", hint="see `taximeter alerts silence --list`")

    def annotate(self, annotation: Annotation) -> None:
        """Keep a mark; one of that id is replaced."""
        with self._database.writing() as connection:
            put(connection, ANNOTATIONS, [asdict(annotation)])

    def annotations(self, from_us: int, to_us: int, limit: int = 100) -> list[Annotation]:
        """Newest first; `to_us` is not included."""
        wanted = (
            sa.select(ANNOTATIONS)
            .where(ANNOTATIONS.c.at_us >= from_us, ANNOTATIONS.c.at_us < to_us)
            .order_by(ANNOTATIONS.c.at_us.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [Annotation(**row._mapping) for row in connection.execute(wanted)]


class RuleBook(Versions):
    """Rules that were set over the API."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, RULE_VERSIONS, "rules", "rule")


def _replaced(connection: Connection, desk: str, before: str | None) -> bool:
    if before is None:
        return add_new(connection, ALERT_DESK, {"id": _THE_DESK, "content": desk})
    change = sa.update(ALERT_DESK).where(ALERT_DESK.c.content == before).values(content=desk)
    return connection.execute(change).rowcount > 0
