"""Scenario files: what is observed when, and what has to be told. Anybody can try a tree of routes with one.

    channels: [slack, pager]
    routes:
      - match: {severity: critical}
        channels: [pager]
    rules:
      spike: {for: 5m}
    silences:
      - {match: {feature: chat}, from: 1h, to: 2h}
    timeline:
      - at: 0m
        observe: [{rule: spike, kind: volume_spike, severity: critical, labels: {feature: chat}}]
      - at: 5m
        told: [pager opened volume_spike feature=chat]
      - at: 20m
        observe: []
      - at: 22m
        told: [pager resolved volume_spike feature=chat]

What is observed stays observed until the next `observe`. The rules are evaluated every `tick` (30 seconds unless said
otherwise); `told` lists everything that was told since the entry before, up to and with this moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pydantic import Field, ValidationError

from taximeter.alerts.alert import Alert, Incident, Observation
from taximeter.alerts.automation import Course, StepName, with_steps
from taximeter.alerts.desk import EMPTY, Desk, Policy, acknowledged, escalated, evaluated
from taximeter.alerts.matching import parse_matchers
from taximeter.alerts.notify import Notification
from taximeter.alerts.policy import root_of
from taximeter.alerts.silences import Silence
from taximeter.alerts.states import SECOND_US, Patience
from taximeter.anomaly.finding import Severity
from taximeter.clock import to_unix_us
from taximeter.config.alerting import AlertSettings, AutomationSettings, Matching, RouteSettings, Seconds, Written
from taximeter.errors import UsageError

MOST_TICKS: Final = 100_000


class ObservedText(Written):
    rule: str
    kind: str = "threshold"
    severity: Severity = "warning"
    labels: dict[str, str] = Field(default_factory=dict)
    times: int = Field(default=1, ge=1, le=10_000, description="So many alike, told apart by the label `number`.")


class RuleText(Written):
    for_: Seconds = Field(default=0, alias="for")
    keep_firing_for: Seconds = 120


class SilenceText(Written):
    match: Matching
    from_: Seconds = Field(alias="from")
    to: Seconds


class CourseText(Written):
    """What automation would find out: see `alerts.automation`."""

    grows: bool = False
    calls_a_minute: float = 0.0
    version_before: str | None = None
    cause_marked: bool = False
    best_cache_hit_rate: float | None = None


class EntryText(Written):
    at: Seconds
    observe: list[ObservedText] | None = None
    unknown: list[str] | None = Field(default=None, description="Rules that cannot be evaluated from now on.")
    acknowledge: bool = Field(default=False, description="Somebody takes every open incident.")
    escalate: bool = Field(default=False, description="Somebody asks for the next step of every open incident.")
    course: CourseText | None = Field(default=None, description="How every incident goes from now on.")
    told: list[str] | None = None


class ScenarioText(Written):
    """A scenario as it is written."""

    name: str = ""
    starts: datetime = datetime.fromisoformat("2026-01-05T00:00:00Z")
    tick: Seconds = 30
    channels: list[str]
    routes: list[RouteSettings] = Field(default_factory=list)
    rules: dict[str, RuleText] = Field(default_factory=dict)
    silences: list[SilenceText] = Field(default_factory=list)
    automation: AutomationSettings = Field(default_factory=AutomationSettings)
    timeline: list[EntryText] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry of the timeline at which other things were told than it says."""

    at_seconds: int
    expected: Sequence[str]
    told: Sequence[str]

    def __str__(self) -> str:
        return f"at {self.at_seconds}s: expected {list(self.expected)}, told {list(self.told)}"


def parse_scenario(written: Mapping[str, Any]) -> ScenarioText:
    """Raises UsageError with everything that is wrong."""
    try:
        scenario = ScenarioText.model_validate(written)
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise UsageError("the scenario is wrong: " + "; ".join(mistakes), mistakes=mistakes) from None
    moments = [entry.at for entry in scenario.timeline]
    if moments != sorted(moments):
        raise UsageError("the entries of a timeline come in the order of their times", field="timeline")
    if moments[-1] // max(1, scenario.tick) > MOST_TICKS:
        raise UsageError(f"a timeline has at most {MOST_TICKS} ticks", hint="a longer tick", field="tick")
    return scenario


def played(scenario: ScenarioText) -> list[Difference]:
    """Play a scenario; where it went other than it says. None of that: all is as written."""
    play = _Play(scenario)
    differences = []
    for entry in scenario.timeline:
        told = play.until(entry)
        if entry.told is not None and sorted(entry.told) != sorted(told):
            differences.append(Difference(entry.at, entry.told, told))
    return differences


class _Play:
    """A scenario under way."""

    def __init__(self, scenario: ScenarioText) -> None:
        self._scenario = scenario
        self._start_us = to_unix_us(scenario.starts)
        self._policy = _policy(scenario, self._start_us)
        self._desk: Desk = EMPTY
        self._observed: list[ObservedText] = []
        self._unknown: list[str] = []
        self._course = Course()
        self._next_tick = 0
        self._told: list[str] = []

    def until(self, entry: EntryText) -> list[str]:
        """Everything told up to an entry of the timeline, in words; what it changes is seen by its own tick."""
        while self._next_tick < entry.at:
            self._tick(self._next_tick)
            self._next_tick += self._scenario.tick
        if entry.observe is not None:
            self._observed = entry.observe
        if entry.unknown is not None:
            self._unknown = entry.unknown
        if entry.course is not None:
            self._course = Course(**entry.course.model_dump())
        if entry.acknowledge:
            self._acknowledge(entry.at)
        if entry.escalate:
            self._escalate()
        self._tick(entry.at)
        self._next_tick = max(self._next_tick, entry.at + self._scenario.tick)
        told, self._told = self._told, []
        return told

    def _tick(self, at_seconds: int) -> None:
        now_us = self._start_us + at_seconds * SECOND_US
        observations = [one for text in self._observed for one in _observations(text)]
        acted = with_steps(
            self._desk, self._scenario.automation, self._policy.silences, self._look, _held_in_words, now_us
        )
        self._desk, notifications = evaluated(acted, observations, self._policy, now_us, self._unknown)
        self._told += [_in_words(one, self._desk) for one in notifications]

    def _look(self, _name: StepName, _incident: Incident, _alert: Alert, _now_us: int) -> Course:
        return self._course

    def _acknowledge(self, at_seconds: int) -> None:
        for incident in self._desk.incidents:
            if incident.open:
                now_us = self._start_us + at_seconds * SECOND_US
                self._desk = acknowledged(self._desk, incident.incident_id, "the scenario", now_us)

    def _escalate(self) -> None:
        for incident in self._desk.incidents:
            if incident.open:
                self._desk = escalated(self._desk, incident.incident_id, self._policy.root)


def _policy(scenario: ScenarioText, start_us: int) -> Policy:
    settings = AlertSettings(channels={name: {} for name in scenario.channels}, routes=scenario.routes)
    patience = {
        name: Patience(rule.for_ * SECOND_US, rule.keep_firing_for * SECOND_US) for name, rule in scenario.rules.items()
    }
    silences = [
        Silence(
            silence_id=str(number),
            matchers=parse_matchers(one.match),
            starts_at_us=start_us + one.from_ * SECOND_US,
            ends_at_us=start_us + one.to * SECOND_US,
            author="the scenario",
            comment="",
        )
        for number, one in enumerate(scenario.silences)
    ]
    return Policy(root_of(settings), patience, silences)


def _observations(text: ObservedText) -> Iterator[Observation]:
    one = Observation(rule=text.rule, kind=text.kind, labels=text.labels, severity=text.severity, summary=text.kind)
    if text.times == 1:
        yield one
        return
    for number in range(text.times):
        yield replace(one, labels={**text.labels, "number": str(number)})


def _held_in_words(_incident: Incident, _alert: Alert, calls: int) -> str:
    return f"They are held to {calls} a minute."


def _in_words(notification: Notification, desk: Desk) -> str:
    """`slack opened volume_spike feature=chat`: channel, event, and the root of the incident; of a step that was taken
    by itself its name too."""
    incident = next(one for one in desk.incidents if one.incident_id == notification.incident_id)
    root = desk.alerts[incident.root]
    labels = [f"{name}={value}" for name, value in sorted(root.labels.items()) if name != "number"]
    steps = [incident.steps[-1].name] if notification.event == "automated" else []
    return " ".join((notification.channel, notification.event, *steps, root.kind, *labels))
