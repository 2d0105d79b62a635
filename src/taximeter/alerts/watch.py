"""The periodic evaluation: ask the sources, move the desk on, keep it together with what is to be told.

1. Ask every source. One that cannot be asked leaves its rules as they were.
2. Take the steps that are to be taken by themselves: doing one again changes nothing.
3. Compute the desk and the notifications, and lay the messages out.
4. Keep desk, incidents and letters in one transaction. A crash before it does 1 to 3 again, and gives the same
   letters; after it, delivery has them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol

from taximeter.alerts.alert import Alert, Incident, Observation
from taximeter.alerts.desk import EMPTY, Desk, Policy, acknowledged, escalated, evaluated, unacknowledged
from taximeter.alerts.desk_text import desk_text, read_desk
from taximeter.alerts.message import message_of
from taximeter.alerts.notify import Notification
from taximeter.alerts.silences import Silence
from taximeter.alerts.sources import Source
from taximeter.clock import Clock
from taximeter.errors import TaximeterError
from taximeter.store.metadata import IncidentRecord, Letter

EVALUATE_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)

Evidence = Callable[[Alert], Mapping[str, Any]]
"""Further facts about an alert whose incident is told for the first time: runbook, the answers to its first steps."""


Automatic = Callable[[Desk, Sequence[Silence], int], Desk]
"""Takes the steps that are taken by themselves: the desk with those that were taken now noted in their incidents."""


class Records(Protocol):
    """What the watch needs of the metadata store."""

    def desk(self) -> str | None: ...

    def keep(
        self,
        desk: str,
        incidents: Iterable[IncidentRecord],
        letters: Iterable[Letter],
        *,
        replacing: str | None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Changed:
    """A desk, and what differs from the one before."""

    desk: Desk
    incidents: Sequence[Incident]
    notifications: Sequence[Notification]


class Watch:
    """Alerting of one process. Its methods may be called from any thread; all raise StoreError."""

    def __init__(
        self,
        sources: Callable[[], Sequence[Source]],
        policy: Callable[[], Policy],
        records: Records,
        clock: Clock,
        *,
        public_url: Callable[[], str] = lambda: "",
        evidence: Evidence = lambda _alert: {},
        automatic: Automatic = lambda desk, _silences, _now_us: desk,
    ) -> None:
        self._sources = sources
        self._policy = policy
        self._records = records
        self._clock = clock
        self._public_url = public_url
        self._kept: tuple[str | None, Desk] = (None, EMPTY)
        """The desk as it was kept last, beside its text."""
        self._evidence = evidence
        self._automatic = automatic
        self._lock = threading.Lock()

    @property
    def desk(self) -> Desk:
        """What is remembered now."""
        with self._lock:
            return self._known()

    def evaluate(self) -> None:
        """One evaluation."""
        now_us = self._clock.now_us()
        observations, unknown = self._observed(now_us)
        with self._lock:
            before, policy = self._known(), self._policy()
            acted = self._automatic(before, policy.silences, now_us)
            desk, notifications = evaluated(acted, observations, policy, now_us, unknown)
            self._keep(before, self._with_evidence(before, desk), notifications)

    def acknowledge(self, incident_id: str, by: str) -> None:
        """Raises NotFoundError when there is no such open incident."""
        with self._lock:
            before = self._known()
            self._keep(before, acknowledged(before, incident_id, by, self._clock.now_us()), [])

    def unacknowledge(self, incident_id: str) -> None:
        """Raises NotFoundError when there is no such open incident."""
        with self._lock:
            before = self._known()
            self._keep(before, unacknowledged(before, incident_id), [])

    def escalate(self, incident_id: str) -> None:
        """Tell the next ones of its escalation with the next evaluation. Raises NotFoundError when there is no such
        open incident, UsageError when there is nobody further to tell."""
        with self._lock:
            before = self._known()
            self._keep(before, escalated(before, incident_id, self._policy().root), [])

    # ── within an evaluation ───────────────────────────────────────────────────────────────────────────────

    def _known(self) -> Desk:
        """As it was kept last, by whichever process."""
        text = self._records.desk()
        if text != self._kept[0]:
            self._kept = text, read_desk(text)
        return self._kept[1]

    def _observed(self, now_us: int) -> tuple[list[Observation], list[str]]:
        observations: list[Observation] = []
        unknown: list[str] = []
        for source in self._sources():
            try:
                found = source.observe(now_us)
            except TaximeterError as error:
                _log.warning("alerts: %s cannot be evaluated: %s", ", ".join(source.rules), error)
                found = None
            except Exception:  # noqa: BLE001 - one rule that cannot be judged must not silence all the others
                _log.exception("alerts: %s cannot be evaluated", ", ".join(source.rules))
                found = None
            if found is None:
                unknown += source.rules
            else:
                observations += found
        return observations, unknown

    def _with_evidence(self, before: Desk, desk: Desk) -> Desk:
        """The first steps of the runbook are taken when an incident opens, and when another alert names it from now on.
        They go with their alert from then on."""
        named = {incident.incident_id: incident.root for incident in before.incidents if incident.open}
        carried = {key: _carried(before.alerts.get(key), alert) for key, alert in desk.alerts.items()}
        for key in [one.root for one in desk.incidents if one.open and _is_to_look_into(one, named, carried)]:
            carried[key] = replace(carried[key], facts={**carried[key].facts, **self._found_out(carried[key])})
        return replace(desk, alerts=carried)

    def _found_out(self, alert: Alert) -> Mapping[str, Any]:
        try:
            return self._evidence(alert)
        except Exception:  # noqa: BLE001 - no alert is held up by its evidence, nor all others by that of one
            _log.exception("alerts: the first steps for %s failed", alert.key)
            return {}

    def _keep(self, before: Desk, after: Desk, notifications: Sequence[Notification]) -> None:
        url = self._public_url()
        by_id = {incident.incident_id: incident for incident in after.incidents}
        letters = [_letter(one, by_id[one.incident_id], after, url) for one in notifications]
        changed = [one for one in after.incidents if one not in before.incidents or _moved(one, before, after)]
        if after != before or letters:
            text = desk_text(after)
            records = [_record(one, after) for one in changed]
            self._records.keep(text, records, letters, replacing=self._kept[0])
            self._kept = text, after


def _is_to_look_into(incident: Incident, named: Mapping[str, str], alerts: Mapping[str, Alert]) -> bool:
    """`named` are the roots of the incidents that were open before."""
    before = named.get(incident.incident_id)
    return before is None or (before != incident.root and not alerts[incident.root].facts.get("evidence"))


_EVIDENCE_KEYS: Final = ("evidence", "chart", "runbook", "action")


def _carried(before: Alert | None, alert: Alert) -> Alert:
    """What was found out when its incident opened stays with an alert, whose facts are observed anew each time."""
    if before is None or not alert.firing:
        return alert
    kept = {name: before.facts[name] for name in _EVIDENCE_KEYS if before.facts.get(name)}
    return replace(alert, facts={**kept, **{name: value for name, value in alert.facts.items() if value is not None}})


def _moved(incident: Incident, before: Desk, after: Desk) -> bool:
    return incident.open and any(before.alerts.get(key) != after.alerts.get(key) for key in incident.alerts)


def _letter(notification: Notification, incident: Incident, desk: Desk, url: str) -> Letter:
    message = message_of(notification, incident, desk.alerts, url)
    return Letter(
        notification_id=notification.notification_id,
        incident_id=notification.incident_id,
        channel=notification.channel,
        event=notification.event,
        content=asdict(message),
        state="waiting",
        tries=0,
        created_at_us=notification.at_us,
        due_at_us=notification.at_us,
    )


def _record(incident: Incident, desk: Desk) -> IncidentRecord:
    alerts = [desk.alerts[key] for key in incident.alerts if key in desk.alerts]
    return IncidentRecord(
        incident_id=incident.incident_id,
        severity=incident.severity,
        opened_at_us=incident.opened_at_us,
        resolved_at_us=incident.resolved_at_us,
        acknowledged_by=None if incident.acknowledged is None else incident.acknowledged.by,
        content={
            "family": incident.family,
            "anchor": incident.anchor,
            "root": incident.root,
            "steps": [asdict(step) for step in incident.steps],
            "alerts": [asdict(alert) for alert in alerts],
        },
    )
