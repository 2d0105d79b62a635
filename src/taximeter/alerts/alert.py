"""The nouns of alerting: what a rule observed, the alert that becomes of it, the incident that alerts belong to.

    observation ─ states ─ alert ─ incidents ─ incident ─ routing, notify ─ notification ─ outbox ─ channel

Everything up to the outbox is a function of its arguments. Times are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from taximeter.anomaly.finding import Severity

Labels = Mapping[str, str]
"""Dimension → value: what is watched (feature, team, model, environment, ...) and what a rule adds."""

THRESHOLD_LABEL: Final = "percent"
"""Which threshold of a limit an alert is of: it tells alerts of one incident apart."""

AlertState = Literal["pending", "firing", "resolved"]
"""Whether an alert is acknowledged or silenced stands beside its state, not in its place."""

RANK: Final[Mapping[Severity, int]] = {"warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A rule holds now for these labels. `facts` are carried into messages: values, money, contributors, a finding.

    `kind` is what kind of trouble it is (`volume_spike`, `limit_reached`, `pipeline_loss`, `threshold`, ...): it picks
    the runbook and may be routed by. `started_at_us` is when the trouble began, when that is known better than by the
    first time it was seen.
    """

    rule: str
    kind: str
    labels: Labels
    severity: Severity
    summary: str
    started_at_us: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return alert_key(self.rule, self.labels)


def alert_key(rule: str, labels: Labels) -> str:
    """What makes an observation the same alert as the one before: the rule and its labels."""
    return "|".join((rule, *(f"{name}={value}" for name, value in sorted(labels.items()))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One rule that holds for one set of labels, from its first observation until it has been quiet long enough.

    `seen_at_us` is when it was last observed. `flaps` counts how often it came back after it was quiet.
    """

    key: str
    rule: str
    kind: str
    labels: Labels
    severity: Severity
    summary: str
    state: AlertState
    started_at_us: int
    pending_since_us: int
    seen_at_us: int
    fired_at_us: int | None = None
    resolved_at_us: int | None = None
    flaps: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def firing(self) -> bool:
        return self.state == "firing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """Somebody has taken an incident at a severity; a graver one is not covered by it."""

    by: str
    at_us: int
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """A step of a runbook's escalation that was taken by itself, see `automation`. `text` says what and why."""

    name: str
    at_us: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Alerts of one cause. `root` is the key of the one that names it. It ends when all of them are resolved.

    `family` and `anchor` decide which further alerts belong to it, see `incidents`. `escalations` counts how often
    somebody asked for the next step of its escalation.
    """

    incident_id: str
    family: str
    anchor: str
    root: str
    alerts: tuple[str, ...]
    severity: Severity
    opened_at_us: int
    acknowledged: Acknowledgement | None = None
    resolved_at_us: int | None = None
    steps: tuple[StepTaken, ...] = ()
    escalations: int = 0

    @property
    def open(self) -> bool:
        return self.resolved_at_us is None

    @property
    def taken(self) -> bool:
        """Whether somebody has acknowledged it at its present severity."""
        return self.acknowledged is not None and RANK[self.acknowledged.severity] >= RANK[self.severity]
