"""What people do about an incident, whichever way they come: over the API, or by a link in a message."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from taximeter.alerts.actions import Wish, limit_for, prefix_of, scope_of
from taximeter.alerts.alert import THRESHOLD_LABEL, Alert, Labels
from taximeter.alerts.incidents import in_common
from taximeter.alerts.message import title_of
from taximeter.core.ids import uuid7
from taximeter.errors import NotFoundError, UnavailableError, UsageError
from taximeter.server.limit_desk import Defined
from taximeter.server.parts import Alerting, Parts
from taximeter.store.metadata import Annotation, IncidentRecord, SilenceRecord

EVERYBODY: Final = "everybody"


def alerting_of(parts: Parts) -> Alerting:
    """Raises UnavailableError in a process that keeps no events."""
    if parts.alerting is None:
        raise UnavailableError("this process is a gateway and has no alerts", hint="ask its collector")
    return parts.alerting


def alerts_of(record: IncidentRecord) -> list[Alert]:
    """The alerts of an incident, its root first."""
    alerts = [Alert(**one) for one in record.content["alerts"]]
    return sorted(alerts, key=lambda one: one.key != record.content["root"])


def steps_of(record: IncidentRecord) -> Sequence[Mapping[str, Any]]:
    """The steps that were taken by themselves; records of earlier versions have none."""
    steps: Sequence[Mapping[str, Any]] = record.content.get("steps", ())
    return steps


def title(record: IncidentRecord) -> str:
    return title_of(alerts_of(record)[0])


def matching(record: IncidentRecord) -> Labels:
    """What a silence of an incident matches: what its alerts have in common, else its kind of trouble. Not the
    threshold of a limit: the next one is of the same incident, and the silence would be over with it."""
    alerts = alerts_of(record)
    common = in_common([one.labels for one in alerts])
    return {name: value for name, value in common.items() if name != THRESHOLD_LABEL} or {"kind": alerts[0].kind}


def new_id(parts: Parts) -> str:
    return uuid7(parts.clock.now_us() // 1000, os.urandom(10))


def silenced(
    parts: Parts, match: Mapping[str, Any], from_us: int | None, to_us: int, author: str, comment: str
) -> SilenceRecord:
    """A new silence, from now on where `from_us` is None. Raises UsageError."""
    now_us = parts.clock.now_us()
    made = SilenceRecord(
        silence_id=new_id(parts),
        matchers=match,
        starts_at_us=now_us if from_us is None else from_us,
        ends_at_us=to_us,
        author=author,
        comment=comment,
    )
    if made.ends_at_us <= max(now_us, made.starts_at_us):
        raise UsageError("a silence ends after it begins, and in the future", field="to")
    alerting_of(parts).records.silence(made)
    return made


def whom(parts: Parts, incident_id: str) -> dict[str, str]:
    """Whom an incident is about, as the scope of a limit. Raises NotFoundError."""
    return scope_of(alerts_of(alerting_of(parts).records.incident(incident_id))[0].labels)


def planned(parts: Parts, incident_id: str, wish: Wish) -> dict[str, Any]:
    """The limit that an action would set. Raises UsageError."""
    definition: dict[str, Any] = parts.limits.read(limit_for(incident_id, wish)).as_definition()
    return definition


def acted(parts: Parts, incident_id: str, wish: Wish, by: str) -> Defined:
    """Set the limit that an action is, and mark it beside the incident. Raises UsageError."""
    done = parts.limits.set(limit_for(incident_id, wish), by)
    mark(parts, f"{wish.kind.replace('_', ' ')}: {in_words(wish.scope)}", by, wish.scope)
    return done


def undone(parts: Parts, incident_id: str, name: str, by: str) -> None:
    """Take back an action. Raises NotFoundError."""
    if not name.startswith(prefix_of(incident_id)):
        raise NotFoundError(f"{name!r} is nothing that was done about this incident", hint="see GET .../actions")
    parts.limits.remove(name, by)
    mark(parts, f"undone: {name.removeprefix(prefix_of(incident_id))}", by, {})


def in_words(scope: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in scope.items()) or EVERYBODY


def mark(parts: Parts, text: str, by: str, labels: Mapping[str, str]) -> None:
    """A mark in time, now."""
    marked = Annotation(
        annotation_id=new_id(parts), at_us=parts.clock.now_us(), text=text, author=by, labels=dict(labels)
    )
    alerting_of(parts).records.annotate(marked)
