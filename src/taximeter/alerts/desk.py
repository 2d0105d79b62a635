"""One evaluation, from what the rules observed to what is to be told: the whole of alerting as one function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from taximeter.alerts.alert import Acknowledgement, Alert, Incident, Observation
from taximeter.alerts.incidents import gathered
from taximeter.alerts.notify import Log, Notification, can_escalate, due
from taximeter.alerts.routing import Route
from taximeter.alerts.silences import Silence
from taximeter.alerts.states import Patience, advance
from taximeter.errors import NotFoundError, UsageError


@dataclass(frozen=True, slots=True)
class Desk:
    """All that alerting remembers from one evaluation to the next."""

    alerts: Mapping[str, Alert] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    log: Log = field(default_factory=dict)


EMPTY: Final = Desk()


@dataclass(frozen=True, slots=True)
class Policy:
    """What people have decided: how patient rules are, who is told, what is silenced."""

    root: Route
    patience: Mapping[str, Patience] = field(default_factory=dict)
    silences: Sequence[Silence] = ()


def evaluated(
    desk: Desk,
    observations: Iterable[Observation],
    policy: Policy,
    now_us: int,
    unknown: Collection[str] = (),
) -> tuple[Desk, list[Notification]]:
    """The desk after an evaluation, and the notifications that it gives. Both are to be kept together: the outbox
    gets the notifications in the transaction that keeps the desk."""
    alerts = advance(desk.alerts, observations, policy.patience, now_us, unknown)
    incidents = tuple(gathered(desk.incidents, alerts, now_us))
    notifications, log = due(incidents, alerts, policy.root, policy.silences, desk.log, now_us)
    return Desk(alerts, incidents, log), notifications


def acknowledged(desk: Desk, incident_id: str, by: str, now_us: int) -> Desk:
    """The desk after somebody took an incident. Raises NotFoundError when there is no such open incident."""

    def taken(one: Incident) -> Incident:
        return replace(one, acknowledged=Acknowledgement(by=by, at_us=now_us, severity=one.severity))

    return _with(desk, incident_id, taken)


def unacknowledged(desk: Desk, incident_id: str) -> Desk:
    """The desk after somebody gave an incident back. Raises NotFoundError when there is no such open incident."""
    return _with(desk, incident_id, lambda one: replace(one, acknowledged=None))


def escalated(desk: Desk, incident_id: str, root: Route) -> Desk:
    """The desk after somebody asked for the next step of an incident's escalation. Raises NotFoundError when there is
    no such open incident, UsageError when there is nobody further to tell."""

    def asked(one: Incident) -> Incident:
        if not can_escalate(one, desk.alerts, root, desk.log):
            raise UsageError("there is nobody further to tell", hint="`escalate` of a route says who is")
        known = [told.steps for (incident, _route), told in desk.log.items() if incident == incident_id]
        return replace(one, escalations=max(known) + 1)

    return _with(desk, incident_id, asked)


def _with(desk: Desk, incident_id: str, changed: Callable[[Incident], Incident]) -> Desk:
    if not any(one.incident_id == incident_id and one.open for one in desk.incidents):
        raise NotFoundError(f"there is no open incident {incident_id}", hint="see `taximeter alerts list`")
    return replace(
        desk,
        incidents=tuple(changed(one) if one.incident_id == incident_id else one for one in desk.incidents),
    )
