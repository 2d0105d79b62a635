"""What is told to whom, when: from the incidents and what was told before, the notifications that are due now.

A notification has an id made of what it is, not of when it was computed: an evaluation that a crash repeats gives the
same one again, and the outbox keeps one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from taximeter.alerts.alert import RANK, Incident, Labels
from taximeter.alerts.incidents import labels_in_common
from taximeter.alerts.routing import Route, routes_for
from taximeter.alerts.silences import Silence, silenced_by
from taximeter.alerts.states import Alerts
from taximeter.anomaly.finding import Severity

Event = Literal["opened", "changed", "repeated", "escalated", "automated", "acknowledged", "resolved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message to one channel. Channels that know incidents (PagerDuty, Alertmanager) use `incident_id` as the
    key that makes further ones the same incident."""

    notification_id: str
    incident_id: str
    route: str
    channel: str
    event: Event
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a route has been told of an incident: when, at which severity, how many times; how many steps of the
    escalation were taken; whether it knows of the acknowledgement and the end; how many steps that were taken by
    themselves it knows of."""

    first_at_us: int
    last_at_us: int
    severity: Severity
    alerts: int
    times: int = 1
    steps: int = 0
    acknowledged: bool = False
    over: bool = False
    channels: tuple[str, ...] = ()
    automated: int = 0


Log = Mapping[tuple[str, str], Told]
"""By incident and route."""


def labels_of(incident: Incident, alerts: Alerts) -> Labels:
    """What an incident is routed and silenced by: what its alerts have in common, severity, kind, rule and family."""
    root = alerts.get(incident.root)
    named = {} if root is None else {"kind": root.kind, "rule": root.rule}
    return {**labels_in_common(incident, alerts), **named, "severity": incident.severity, "family": incident.family}


def due(
    incidents: Iterable[Incident],
    alerts: Alerts,
    root: Route,
    silences: Sequence[Silence],
    log: Log,
    now_us: int,
) -> tuple[list[Notification], dict[tuple[str, str], Told]]:
    """The notifications that are due, and the log after them. Entries of incidents that are gone are dropped."""
    notifications: list[Notification] = []
    after: dict[tuple[str, str], Told] = {}
    for incident in incidents:
        labels = labels_of(incident, alerts)
        quiet = silenced_by(silences, labels, now_us) is not None
        for route in _concerned(incident, root, labels, log):
            told = log.get((incident.incident_id, route.name))
            if not quiet and route.may_tell(now_us):
                sent, told = _of_route(incident, route, told, now_us)
                notifications.extend(sent)
            if told is not None:
                after[incident.incident_id, route.name] = told
    return notifications, after


def _concerned(incident: Incident, root: Route, labels: Labels, log: Log) -> list[Route]:
    """The routes it takes now, and those that were told of it before: they have to hear of its end."""
    taken = {route.name: route for route in routes_for(root, labels)}
    for route in _all(root):
        if (incident.incident_id, route.name) in log:
            taken.setdefault(route.name, replace(route, escalation=()))
    return list(taken.values())


def _all(route: Route) -> Iterator[Route]:
    yield route
    for branch in route.branches:
        yield from _all(branch)


_TO_WHOM_IT_WAS_TOLD: Final[frozenset[Event]] = frozenset({"acknowledged", "automated", "changed", "resolved"})


def _of_route(
    incident: Incident, route: Route, told: Told | None, now_us: int
) -> tuple[list[Notification], Told | None]:
    event = _event(incident, route, told, now_us)
    if event is None:
        return _escalated(incident, route, told, now_us)
    known = _told(incident, route, told, event, now_us)
    channels = known.channels if event in _TO_WHOM_IT_WAS_TOLD else route.channels
    if event == "resolved" and not route.send_resolved:
        channels = ()
    return [_notification(incident, route, channel, event, known.times, now_us) for channel in channels], known


def _event(incident: Incident, route: Route, told: Told | None, now_us: int) -> Event | None:
    """The one thing that is to be told now, the most important first."""
    if told is None or (told.over and incident.open):
        waited = now_us - incident.opened_at_us >= route.group_wait_us
        return "opened" if incident.open and waited else None
    if not incident.open:
        return None if told.over else "resolved"
    if len(incident.steps) > told.automated:
        return "automated"
    if RANK[incident.severity] > RANK[told.severity]:
        return "changed"
    if incident.taken:
        return None if told.acknowledged else "acknowledged"
    if len(incident.alerts) > told.alerts and now_us - told.last_at_us >= route.group_interval_us:
        return "changed"
    return "repeated" if now_us - told.last_at_us >= route.repeat_us else None


def _told(incident: Incident, route: Route, told: Told | None, event: Event, now_us: int) -> Told:
    begins = told is None or event == "opened"
    return Told(
        first_at_us=now_us if begins or told is None else told.first_at_us,
        last_at_us=now_us,
        severity=incident.severity,
        alerts=len(incident.alerts),
        times=1 if told is None else told.times + 1,
        steps=0 if begins or told is None else told.steps,
        acknowledged=incident.taken,
        over=event == "resolved",
        channels=route.channels if begins or told is None else told.channels,
        automated=len(incident.steps),
    )


def _escalated(
    incident: Incident, route: Route, told: Told | None, now_us: int
) -> tuple[list[Notification], Told | None]:
    """The next step of the escalation: when its time has come and nobody has acknowledged, or somebody asked for it."""
    if told is None or told.over or told.steps >= len(route.escalation):
        return [], told
    step = route.escalation[told.steps]
    waited = not incident.taken and now_us - told.first_at_us >= step.after_us
    if not waited and told.steps >= incident.escalations:
        return [], told
    known = replace(
        told,
        steps=told.steps + 1,
        times=told.times + 1,
        channels=tuple(dict.fromkeys((*told.channels, *step.channels))),
    )
    sent = [_notification(incident, route, channel, "escalated", known.times, now_us) for channel in step.channels]
    return sent, known


def can_escalate(incident: Incident, alerts: Alerts, root: Route, log: Log) -> bool:
    """Whether there is somebody further to tell, on any route that it takes."""
    taken = ((log.get((incident.incident_id, one.name)), one) for one in routes_for(root, labels_of(incident, alerts)))
    return any(told is not None and told.steps < len(route.escalation) for told, route in taken)


def _notification(
    incident: Incident, route: Route, channel: str, event: Event, number: int, now_us: int
) -> Notification:
    return Notification(
        notification_id=f"{incident.incident_id}/{route.name}/{channel}/{number}",
        incident_id=incident.incident_id,
        route=route.name,
        channel=channel,
        event=event,
        at_us=now_us,
    )
