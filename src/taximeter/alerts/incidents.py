"""Alerts of one cause are one incident, with the alert that explains it as its root.

Two alerts belong together when they are of one family and name the same thing:

- the family is what is in trouble: spending, or the meter itself. A failing database of ours raises many alerts and
  is one incident.
- the thing named (the anchor) is the outermost of the labels `feature`, `model`, `team`, ... that an alert has: more
  calls of a feature, dearer calls of it, and five hundred users of it at once are one incident. Of a limit it is the
  limit, with the team or tenant whose amount it is.

When many incidents of a family would open within a few minutes, the cause is a common one: the later ones join the
first. Alerts on the whole deployment join whatever is open, and whatever opens joins them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from taximeter.alerts.alert import RANK, Alert, Incident, Labels
from taximeter.alerts.states import FORGET_US, SECOND_US, Alerts
from taximeter.core.ids import uuid7

METER_KINDS: Final = frozenset({"pipeline_loss", "store_unavailable", "collector_lag", "delivery_failed", "job_failed"})
"""Kinds of trouble of the meter itself."""

ANCHORS: Final = ("feature", "model", "team", "tenant", "api_key_id", "user_id", "environment", "provider")
"""Labels that can name an incident, the most telling first."""

OWNERS: Final = ("team", "tenant")
"""Labels that a limit's incident is named by beside the limit: each of them has an amount of its own, and people of its
own who hear of it."""

EVERYTHING: Final = "everything"

STORM_INCIDENTS: Final = 5
STORM_US: Final = 300 * SECOND_US
"""After so many incidents of one family within so long, further ones join the first of them."""

OPEN_AGAIN_US: Final = 1800 * SECOND_US
"""An incident that was over is open again when its cause comes back within this time."""


def family_of(kind: str) -> str:
    return "meter" if kind in METER_KINDS else "spending"


def anchor_of(alert: Alert) -> str:
    """The thing an alert is about: `feature=chat`."""
    if family_of(alert.kind) == "meter":
        return EVERYTHING
    if "limit" in alert.labels:
        return ",".join(f"{name}={alert.labels[name]}" for name in ("limit", *OWNERS) if name in alert.labels)
    for name in ANCHORS:
        if name in alert.labels:
            return f"{name}={alert.labels[name]}"
    return EVERYTHING


def gathered(incidents: Iterable[Incident], alerts: Alerts, now_us: int) -> list[Incident]:
    """All incidents after the alerts moved: those that fire are gathered, those that all resolved are over."""
    current = {incident.incident_id: incident for incident in incidents}
    placed = {key for incident in current.values() if incident.open for key in incident.alerts}
    for alert in sorted(_firing(alerts), key=lambda one: (one.fired_at_us or 0, one.key)):
        if alert.key not in placed:
            home = _home(alert, list(current.values()), now_us)
            joined = _joined(home, alert, placed) if home is not None else _opened(alert, now_us)
            placed |= {*joined.alerts}
            current[joined.incident_id] = joined
    looked_over = (_looked_over(incident, alerts, now_us) for incident in current.values())
    return [one for one in looked_over if one.resolved_at_us is None or now_us - one.resolved_at_us <= FORGET_US]


def _firing(alerts: Alerts) -> list[Alert]:
    return [alert for alert in alerts.values() if alert.firing]


def _home(alert: Alert, incidents: Sequence[Incident], now_us: int) -> Incident | None:
    """The incident that an alert belongs to: of several an open one, the oldest."""
    family, anchor = family_of(alert.kind), anchor_of(alert)
    near = sorted(
        (one for one in incidents if one.family == family and _is_near(one, now_us)),
        key=lambda one: (not one.open, one.opened_at_us),
    )
    same = [one for one in near if anchor == one.anchor or (one.open and EVERYTHING in (anchor, one.anchor))]
    if same:
        return same[0]
    fresh = [one for one in near if one.open and now_us - one.opened_at_us <= STORM_US]
    return fresh[0] if len(fresh) >= STORM_INCIDENTS else None


def _is_near(incident: Incident, now_us: int) -> bool:
    return incident.resolved_at_us is None or now_us - incident.resolved_at_us <= OPEN_AGAIN_US


def _opened(alert: Alert, now_us: int) -> Incident:
    return Incident(
        incident_id=_incident_id(alert, now_us),
        family=family_of(alert.kind),
        anchor=anchor_of(alert),
        root=alert.key,
        alerts=(alert.key,),
        severity=alert.severity,
        opened_at_us=now_us,
    )


def _incident_id(alert: Alert, now_us: int) -> str:
    """The same for the same alert at the same time: an evaluation that is done again opens no second incident."""
    return uuid7(now_us // 1000, _ten_bytes(alert.key))


def _ten_bytes(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=10).digest()


def _joined(incident: Incident, alert: Alert, placed: Collection[str]) -> Incident:
    """One that is open again leaves those of its alerts that are in another one by now where they are."""
    kept = incident.alerts if incident.open else tuple(key for key in incident.alerts if key not in placed)
    keys = kept if alert.key in kept else (*kept, alert.key)
    if incident.open:
        return replace(incident, alerts=keys)
    return replace(incident, alerts=keys, resolved_at_us=None, acknowledged=None, escalations=0)


def _looked_over(incident: Incident, alerts: Alerts, now_us: int) -> Incident:
    firing = [alerts[key] for key in incident.alerts if key in alerts and alerts[key].firing]
    if not firing:
        return incident if not incident.open else replace(incident, resolved_at_us=now_us)
    gravest = max(firing, key=lambda one: RANK[one.severity]).severity
    return replace(incident, severity=gravest, root=_root(incident, firing))


def _root(incident: Incident, firing: Sequence[Alert]) -> str:
    """The alert that names the incident: the gravest, of those the first, so that a root rarely changes."""
    place = {key: number for number, key in enumerate(incident.alerts)}
    return min(firing, key=lambda one: (-RANK[one.severity], _vague(one), place[one.key])).key


def _vague(alert: Alert) -> int:
    """What says only that money goes is explained by what says why."""
    return int(alert.kind in ("threshold", "burn_rate", "limit_warning"))


def labels_in_common(incident: Incident, alerts: Alerts) -> Mapping[str, str]:
    """What all its alerts say alike: what it is routed by, beside severity and kind."""
    return in_common([alerts[key].labels for key in incident.alerts if key in alerts])


def in_common(every: Sequence[Labels]) -> Labels:
    """What several sets of labels say alike."""
    first = every[0] if every else {}
    return {name: value for name, value in first.items() if all(labels.get(name) == value for labels in every)}
