"""How an incident goes, looked up in the stored calls: what `automation` decides by."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from taximeter.alerts.alert import Alert, Incident
from taximeter.alerts.automation import Course, StepName, after_seconds
from taximeter.alerts.evidence import BEFORE_US, DEPLOYED_US, Explain, Marks, Question, scope_in
from taximeter.alerts.states import SECOND_US
from taximeter.config.alerting import AutomationSettings
from taximeter.errors import StoreError, UsageError
from taximeter.store.events import EventStore

LOOK_EVERY_US: Final = 60 * SECOND_US
SPAN_US: Final = 300 * SECOND_US
"""Calls are compared over so long."""

GROWTH: Final = 1.1
"""Calls grow that are so many times those of when it opened."""

PARTS: Final = 4
"""A rate stays low when it is low in each of so many parts of the time."""

VERSIONS: Final = ("prompt_version", "service_version")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Lookout:
    """Looks at each step of each incident once a minute."""

    store: EventStore
    marks: Marks
    explain: Explain
    wanted: AutomationSettings
    _looked_us: dict[tuple[str, StepName], int] = field(default_factory=dict)

    def __call__(self, name: StepName, incident: Incident, alert: Alert, now_us: int) -> Course | None:
        place = incident.incident_id, name
        if now_us - self._looked_us.get(place, 0) < LOOK_EVERY_US:
            return None
        self._looked_us = {key: at for key, at in self._looked_us.items() if now_us - at < LOOK_EVERY_US}
        self._looked_us[place] = now_us
        question = Question(self.store, self.marks, self.explain, scope_in(alert), alert.started_at_us, now_us)
        try:
            return self._course(name, incident, question)
        except (StoreError, UsageError) as error:
            _log.warning("alerts: whether %s is called for cannot be found out: %s", name, error)
            return None

    def _course(self, name: StepName, incident: Incident, question: Question) -> Course:
        if name == "rate_limit":
            calls_a_minute = question.total("calls", question.from_us - BEFORE_US, question.from_us) / 60
            return Course(grows=grows(question, incident.opened_at_us), calls_a_minute=calls_a_minute)
        if name == "roll_back":
            return Course(
                cause_marked=cause_marked(question, incident.opened_at_us), version_before=version_before(question)
            )
        after = after_seconds(self.wanted)[name] or 0
        return Course(best_cache_hit_rate=best_cache_hit_rate(question, after * SECOND_US))


def grows(question: Question, opened_at_us: int) -> bool:
    """Whether there are more calls now than when it opened, and no fewer than just before."""
    now_us = question.now_us
    then, before, now = (
        question.total("calls", at_us - SPAN_US, at_us) for at_us in (opened_at_us, now_us - SPAN_US, now_us)
    )
    return now > then * GROWTH and now >= before


def cause_marked(question: Question, opened_at_us: int) -> bool:
    """Whether anything was marked since it opened that may concern it: a mark of another feature does not."""
    marks = question.marks.annotations(opened_at_us, question.now_us + 1)
    return any(_may_concern(mark.labels, question.scope) for mark in marks)


def _may_concern(labels: Mapping[str, str], scope: Mapping[str, str]) -> bool:
    return all(scope.get(name, value) == value for name, value in labels.items())


def version_before(question: Question) -> str | None:
    """What most calls had before, where most have something else now; else what was deployed shortly before."""
    for dimension in VERSIONS:
        now, before = (_most(question, dimension, before=then) for then in (False, True))
        if now and before and now != before:
            return f"{dimension.replace('_', ' ')} {before} (now {now})"
    marks = question.marks.annotations(question.from_us - DEPLOYED_US, question.from_us)
    return f"what was there before “{marks[0].text}”" if marks else None


def _most(question: Question, dimension: str, *, before: bool) -> str | None:
    rows = question.ask(("calls",), (dimension,), before=before)
    most = max(rows, key=lambda row: (row["calls"], str(row[dimension])), default=None)
    return None if most is None else most[dimension]


def best_cache_hit_rate(question: Question, span_us: int) -> float | None:
    """Of the parts of the last time, the highest rate; None when there was no input in one."""
    edges = [question.now_us - span_us * part // PARTS for part in range(PARTS, -1, -1)]
    rates: Sequence[float | None] = [
        question.between("cache_hit_rate", *bounds) for bounds in itertools.pairwise(edges)
    ]
    known = [rate for rate in rates if rate is not None]
    return max(known) if len(known) == PARTS else None
