"""What a notification says: one content for all channels, each of which lays it out in its own way.

The first line is enough to act on: severity, what, whom it concerns, the money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from taximeter.alerts.alert import THRESHOLD_LABEL, Alert, Incident, StepTaken
from taximeter.alerts.chart import Chart
from taximeter.alerts.notify import Event, Notification
from taximeter.alerts.states import Alerts
from taximeter.anomaly.finding import Severity
from taximeter.clock import rfc3339
from taximeter.core.money import format_usd

TITLES: Final[Mapping[str, str]] = {
    "volume_spike": "More calls than usual",
    "cost_per_request": "Calls cost more than usual",
    "cache_hit_rate": "The cache hit rate fell",
    "model_drift": "An unexpected model answers",
    "retry_storm": "A storm of retries",
    "slow_creep": "Calls have grown over weeks",
    "error_rate": "More errors than usual",
    "new_spender": "A new heavy spender",
    "z_score": "Cost outside its usual range",
    "threshold": "A bound is crossed",
    "limit_reached": "A limit is reached",
    "limit_warning": "A limit is used up in part",
    "burn_rate": "A budget burns too fast",
    "unpriced_model": "Calls without a price",
    "price_difference": "A provider names other amounts",
    "pipeline_loss": "Records were lost",
    "store_unavailable": "The store does not take events",
    "collector_lag": "Events wait to be stored",
    "delivery_failed": "Notifications do not get through",
    "job_failed": "Periodic work of the meter fails",
    "no_data": "No calls are coming in",
}
"""Kind of trouble → what people call it."""

COLOURS: Final = {"critical": "#d7263d", "warning": "#f5a623", "resolved": "#2e9e5b"}
"""How channels with colours show what is wrong, and what is over."""

EVENT_WORDS: Final[Mapping[Event, str]] = {
    "opened": "",
    "changed": "Changed: ",
    "repeated": "Still: ",
    "escalated": "Nobody has taken this: ",
    "automated": "By itself: ",
    "acknowledged": "Taken: ",
    "resolved": "Over: ",
}


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    url: str


@dataclass(frozen=True, slots=True)
class DeedLink(Link):
    """A link that does something: what for, and the token that it carries."""

    purpose: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told. `dedup_key` is the same for all messages of an incident. `facts` are pairs to show in order;
    `details` are for programs; `deeds` are links that do something, put in when it is sent, as is `thread`: what the
    channel calls its first message of the incident. Times are RFC 3339."""

    event: Event
    dedup_key: str
    severity: Severity
    kind: str
    title: str
    summary: str
    started_at: str
    at: str
    labels: Mapping[str, str] = field(default_factory=dict)
    facts: Sequence[tuple[str, str]] = ()
    contributors: Sequence[str] = ()
    evidence: Sequence[tuple[str, str]] = ()
    chart: Chart | None = None
    action: str | None = None
    runbook: str | None = None
    links: Sequence[Link] = ()
    deeds: Sequence[DeedLink] = ()
    thread: str | None = None
    taken_by: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.event != "resolved"

    @property
    def first_line(self) -> str:
        """`CRITICAL More calls than usual: feature chat, user u1, $12.40 an hour`."""
        return f"{EVENT_WORDS[self.event]}{self.severity.upper()} {self.title}"


def message_of(notification: Notification, incident: Incident, alerts: Alerts, public_url: str) -> Message:
    """The message for a notification. `public_url` is where people find the page."""
    root = alerts[incident.root]
    others = [alerts[key] for key in incident.alerts if key in alerts and key != incident.root]
    return Message(
        event=notification.event,
        dedup_key=incident.incident_id,
        severity=incident.severity,
        kind=root.kind,
        title=title_of(root),
        summary=incident.steps[-1].text if notification.event == "automated" else root.summary,
        started_at=rfc3339(root.started_at_us),
        at=rfc3339(notification.at_us),
        labels=root.labels,
        facts=_facts(root, others, incident.steps),
        contributors=tuple(str(one) for one in root.facts.get("contributors", ())),
        evidence=tuple((str(name), str(told)) for name, told in root.facts.get("evidence", ())),
        chart=chart_of(root),
        action=root.facts.get("action"),
        runbook=root.facts.get("runbook"),
        links=links_of(incident, root, public_url),
        taken_by=None if incident.acknowledged is None else incident.acknowledged.by,
        details={"rule": root.rule, "alerts": len(incident.alerts), **root.facts.get("details", {})},
    )


def chart_of(alert: Alert) -> Chart | None:
    """The chart that was drawn up when the incident opened."""
    drawn = alert.facts.get("chart")
    return None if drawn is None else Chart(drawn["caption"], tuple(drawn["values"]), drawn["since"])


def title_of(alert: Alert) -> str:
    """What it is, whom it concerns, and the money: the whole of it in one line."""
    concerned = [f"{short_name(name)} {value}" for name, value in alert.labels.items() if name not in _SAID_BY_THE_KIND]
    per_hour = alert.facts.get("usd_per_hour")
    amount = alert.facts.get("amount") or (f"${per_hour} an hour" if per_hour else None)
    said = [*concerned, *(str(one) for one in (amount, alert.facts.get("mostly")) if one)]
    return ": ".join(part for part in (TITLES.get(alert.kind, alert.kind), ", ".join(said)) if part)


_SAID_BY_THE_KIND: Final = frozenset({"trouble", THRESHOLD_LABEL})


def counted(number: int, thing: str) -> str:
    """`1 call`, `1,234 calls`."""
    return f"1 {thing}" if number == 1 else f"{number:,} {thing}s"


def dollars(amount: Decimal) -> str:
    """`$1,234.50`; what is less than a cent with all its digits."""
    return f"${amount:,.2f}" if abs(amount) >= Decimal("0.01") else f"${format_usd(amount)}"


def short_name(name: str) -> str:
    """What people call a dimension."""
    return {"user_id": "user", "api_key_id": "key", "request_model": "model", "prompt_version": "prompt version"}.get(
        name, name
    )


def _facts(root: Alert, others: Sequence[Alert], steps: Sequence[StepTaken]) -> tuple[tuple[str, str], ...]:
    told = [(str(name), str(value)) for name, value in root.facts.get("shown", ())]
    if others:
        also = sorted({TITLES.get(one.kind, one.kind) for one in others})
        told.append(("Also seen", f"{len(others)} more: {', '.join(also)}"))
    told += [("By itself", f"{rfc3339(one.at_us)[11:16]} UTC: {one.text}") for one in steps]
    return (("Since", minute_in_words(rfc3339(root.started_at_us))), *told)


def minute_in_words(moment: str) -> str:
    """`2026-11-24 02:03 UTC` of an RFC 3339 moment in UTC."""
    return f"{moment[:16].replace('T', ' ')} UTC"


def links_of(incident: Incident, root: Alert, public_url: str) -> tuple[Link, ...]:
    """The incident, and the calls behind it, on the page."""
    if not public_url:
        return ()
    calls = urlencode([("range", "6h"), *sorted(root.labels.items())])
    return (
        Link("Open the incident", f"{public_url}/?{urlencode({'page': 'alerts', 'incident': incident.incident_id})}"),
        Link("See the calls", f"{public_url}/?{calls}"),
    )
