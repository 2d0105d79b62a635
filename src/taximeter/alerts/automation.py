"""What the escalation of a runbook says, done by itself where it is switched on: when a step is due, and what it is.

| Step | When | What |
|---|---|---|
| `rate_limit` | calls still grow, and nobody has taken the incident | hold them to a number a minute |
| `roll_back` | no cause was marked | name the version to roll back to |
| `caching_off` | the cache hit rate stayed low all the time | advise to switch caching off |

Each is taken once an incident, and told to everybody who was told of it. What is silenced is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from taximeter.alerts.alert import Alert, Incident, Labels, StepTaken
from taximeter.alerts.desk import Desk
from taximeter.alerts.notify import labels_of
from taximeter.alerts.silences import Silence, silenced_by
from taximeter.alerts.states import SECOND_US, Alerts
from taximeter.config.alerting import AutomationSettings, duration

StepName = Literal["rate_limit", "roll_back", "caching_off"]

KINDS: Final[Mapping[StepName, Collection[str]]] = {
    "rate_limit": ("volume_spike", "new_spender", "retry_storm"),
    "roll_back": ("volume_spike", "cost_per_request", "model_drift", "retry_storm", "error_rate"),
    "caching_off": ("cache_hit_rate",),
}
"""Which troubles a step is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How an incident goes, as far as its steps ask.

    `calls_a_minute` are those of the hour before it, `best_cache_hit_rate` is that of the best part of the time that is
    looked at; None where there is nothing to tell it by.
    """

    grows: bool = False
    calls_a_minute: float = 0.0
    version_before: str | None = None
    cause_marked: bool = False
    best_cache_hit_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """`calls_a_minute` is what whom it is about is to be held to, None for an advice."""

    text: str
    calls_a_minute: int | None = None


Look = Callable[[StepName, Incident, Alert, int], Course | None]
"""How an incident goes at a moment; None when it is not known, or was looked at just before."""

Hold = Callable[[Incident, Alert, int], str | None]
"""Hold whom an alert is about to so many calls a minute, and say what was done; None when it cannot be done now. Doing
it again changes nothing."""


def with_steps(
    desk: Desk, wanted: AutomationSettings, silences: Sequence[Silence], look: Look, hold: Hold, now_us: int
) -> Desk:
    """The desk after the steps that are due were taken."""
    if all(after is None for after in after_seconds(wanted).values()):
        return desk
    incidents = tuple(
        one if _is_quiet(one, desk.alerts, silences, now_us) else _stepped(one, desk.alerts, wanted, look, hold, now_us)
        for one in desk.incidents
    )
    return replace(desk, incidents=incidents)


def _is_quiet(incident: Incident, alerts: Alerts, silences: Sequence[Silence], now_us: int) -> bool:
    return not incident.open or silenced_by(silences, labels_of(incident, alerts), now_us) is not None


def _stepped(
    incident: Incident, alerts: Alerts, wanted: AutomationSettings, look: Look, hold: Hold, now_us: int
) -> Incident:
    for name, alert in due_steps(incident, alerts, wanted, now_us):
        course = look(name, incident, alert, now_us)
        decision = None if course is None else decided(name, alert.labels, course, wanted)
        text = None if decision is None else _done(decision, incident, alert, hold)
        if text is not None:
            taken = StepTaken(name=name, at_us=now_us, text=text)
            incident = replace(incident, steps=(*incident.steps, taken))
    return incident


def _done(decision: Decision, incident: Incident, alert: Alert, hold: Hold) -> str | None:
    if decision.calls_a_minute is None:
        return decision.text
    held = hold(incident, alert, decision.calls_a_minute)
    return None if held is None else f"{decision.text} {held}"


def due_steps(
    incident: Incident, alerts: Alerts, wanted: AutomationSettings, now_us: int
) -> Iterator[tuple[StepName, Alert]]:
    """Steps whose time has come and that were not taken yet, each with the alert that it is for."""
    taken = {step.name for step in incident.steps}
    for name, after in after_seconds(wanted).items():
        alert = _alert_for(name, incident, alerts)
        if name in taken or after is None or alert is None or (name == "rate_limit" and incident.taken):
            continue
        if now_us - incident.opened_at_us >= after * SECOND_US:
            yield name, alert


def after_seconds(wanted: AutomationSettings) -> Mapping[StepName, int | None]:
    return {
        "rate_limit": wanted.rate_limit_after,
        "roll_back": wanted.roll_back_after,
        "caching_off": wanted.caching_off_after,
    }


def _alert_for(name: StepName, incident: Incident, alerts: Alerts) -> Alert | None:
    """The root before all others."""
    firing = [alerts[key] for key in (incident.root, *incident.alerts) if key in alerts and alerts[key].firing]
    return next((one for one in firing if one.kind in KINDS[name]), None)


def decided(name: StepName, labels: Labels, course: Course, wanted: AutomationSettings) -> Decision | None:
    """What a step that is due comes to; None while it is not called for."""
    return _DECIDERS[name](labels, course, wanted)


def _rate_limit(_labels: Labels, course: Course, wanted: AutomationSettings) -> Decision | None:
    if not course.grows or wanted.rate_limit_after is None:
        return None
    rate = max(1, round(course.calls_a_minute * wanted.rate_limit_percent / 100))
    return Decision(f"Calls still grew {duration(wanted.rate_limit_after)} after it opened.", rate)


def _roll_back(_labels: Labels, course: Course, wanted: AutomationSettings) -> Decision | None:
    if course.cause_marked or course.version_before is None or wanted.roll_back_after is None:
        return None
    return Decision(f"No cause was found in {duration(wanted.roll_back_after)}: roll back to {course.version_before}.")


def _caching_off(labels: Labels, course: Course, wanted: AutomationSettings) -> Decision | None:
    best, after = course.best_cache_hit_rate, wanted.caching_off_after
    if best is None or best >= wanted.caching_off_below or after is None:
        return None
    whose = f" for feature {labels['feature']}" if "feature" in labels else ""
    return Decision(
        f"The cache hit rate stayed below {wanted.caching_off_below:.0%} for {duration(after)} ({best:.0%} at best): "
        f"switch caching off{whose}, since writing to caches costs more than reading saves."
    )


_DECIDERS: Final[Mapping[StepName, Callable[[Labels, Course, AutomationSettings], Decision | None]]] = {
    "rate_limit": _rate_limit,
    "roll_back": _roll_back,
    "caching_off": _caching_off,
}
