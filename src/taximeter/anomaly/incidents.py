"""An incident from its first minute to its last: how bad it is by now, and whether it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.detectors import (
    Learnt,
    Suspicion,
    cache_severity,
    cost_deviation,
    share_severity,
    storm_severity,
    surely_critical,
    volume_deviation,
)
from taximeter.anomaly.finding import FindingKind, Severity
from taximeter.anomaly.panel import Scope
from taximeter.anomaly.windows import LONGEST, Seen, Watch

Floats = NDArray[np.floating[Any]]

CAP_MINUTES: Final = 26 * 60
"""An episode this old is taken for the new course: it ends, and its level is learnt."""

NEW_COURSE_MINUTES: Final = 24 * 60
"""How long nothing is said of the same after that: so long the new level takes to be learnt."""


@dataclass(slots=True)
class Incident:
    """Something that is off, at the scope that explains it. Times in minutes since the epoch. `rows` are those whose
    minutes it spoils; the first one is watched for its end."""

    kind: FindingKind
    watch: Watch
    scope: Scope
    rows: list[int]
    severity: Severity
    start: int
    detected: int
    ratio: float
    score: float
    ended: int | None = None

    @property
    def window(self) -> int:
        return self.detected - self.start + 1


def begun(suspicion: Suspicion, minute: int, scope: Scope, rows: list[int]) -> Incident:
    start = minute - suspicion.window + 1
    return Incident(
        kind=suspicion.kind,
        watch=suspicion.watch,
        scope=scope,
        rows=rows,
        severity=suspicion.severity,
        start=start,
        detected=minute,
        ratio=suspicion.ratio,
        score=suspicion.score,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    over: bool
    ratio: float
    severity: Severity


SETTLE_MINUTES: Final = {Watch.VOLUME: 10, Watch.RETRIES: 10, Watch.COST: 15, Watch.CACHE: 15, Watch.MIX: 15}
"""An incident is over when so many minutes, or as many more as it takes to tell, are back to normal."""

EVIDENCE: Final = {Watch.VOLUME: 12.0, Watch.RETRIES: 8.0, Watch.COST: 15.0, Watch.CACHE: 20.0, Watch.MIX: 20.0}
"""The calls (expected ones, for volume) that it takes to tell."""

MISSED_CALLS: Final = 5.0
"""A model that had a small share is gone when so many of its calls would have been seen: none by chance is 1 in 150."""

NORMAL_RATIO: Final = 1.25
NORMAL_RETRIES: Final = 0.25
NORMAL_CACHE: Final = 0.9
NORMAL_SHARE: Final = 0.04

FEWEST_TO_JUDGE: Final = 20.0
FEWEST_EXPECTED: Final = 4.0
"""Calls, or expected ones, below which a warning is not made critical."""


def standing(learnt: Learnt, incident: Incident, minute: int, *, dear: bool) -> Standing:
    """How an incident stands at the end of a minute. `dear`: its model is much more expensive than the usual one."""
    span = learnt.windows.last(incident.rows[0], minute, LONGEST)
    age = minute - incident.start + 1
    lately = _lately(span, incident, age)
    wholly = span[:, -min(age, LONGEST) :].sum(1)
    may_be_over = age > SETTLE_MINUTES[incident.watch]
    minutes = min(age, LONGEST)
    found = _STANDINGS[incident.watch](_Course(learnt, incident.rows[0], lately, wholly, minutes, dear, incident.ratio))
    return Standing(found.over and may_be_over, found.ratio, found.severity)


@dataclass(frozen=True, slots=True)
class _Course:
    """An incident's sums over its last minutes, as many as it takes to tell, and over all of it."""

    learnt: Learnt
    row: int
    lately: Floats
    wholly: Floats
    minutes: int
    """How many `wholly` is of."""
    dear: bool
    told: float
    """The ratio that was told."""


_COUNTED: Final = {
    Watch.VOLUME: Seen.EXPECTED,
    Watch.RETRIES: Seen.FIRST,
    Watch.COST: Seen.PRICED,
    Watch.CACHE: Seen.INPUT_CALLS,
    Watch.MIX: Seen.FIRST,
}


def _lately(span: Floats, incident: Incident, age: int) -> Floats:
    """Sums over the last minutes, as many as it takes to tell. [what]"""
    watch, enough = incident.watch, EVIDENCE[incident.watch]
    if watch is Watch.MIX:
        enough = max(enough, MISSED_CALLS / incident.ratio)
    evidence = span[_COUNTED[watch], ::-1].cumsum()
    needed = int(np.searchsorted(evidence, enough)) + 1
    return np.asarray(span[:, -min(max(needed, SETTLE_MINUTES[watch]), max(age, 2), LONGEST) :].sum(1))


def _volume(course: _Course) -> Standing:
    ratio, overall = _ratio(course.lately, Seen.CALLS, Seen.EXPECTED), _ratio(course.wholly, Seen.CALLS, Seen.EXPECTED)
    critical, expected = course.learnt.thresholds.volume_critical, float(course.wholly[Seen.EXPECTED])
    severity = surely_critical(overall, critical, volume_deviation(course.learnt, course.row, course.minutes, expected))
    bad = expected >= FEWEST_EXPECTED and ratio >= critical and severity == "critical"
    return Standing(ratio < NORMAL_RATIO, ratio, "critical" if bad else "warning")


def _retries(course: _Course) -> Standing:
    ratio = float(course.lately[Seen.RETRIES] / max(course.lately[Seen.FIRST], 1.0))
    severity = storm_severity(
        float(course.lately[Seen.FIRST]), float(course.lately[Seen.RETRIES]), course.learnt.thresholds
    )
    return Standing(ratio < NORMAL_RETRIES, ratio, severity)


def _cost(course: _Course) -> Standing:
    ratio, overall = (
        _ratio(course.lately, Seen.COST, Seen.COST_EXPECTED),
        _ratio(course.wholly, Seen.COST, Seen.COST_EXPECTED),
    )
    calls = float(course.wholly[Seen.PRICED])
    critical = course.learnt.thresholds.cost_critical
    severity = surely_critical(overall, critical, cost_deviation(course.learnt, course.row, calls))
    bad = calls >= FEWEST_TO_JUDGE and ratio >= critical and severity == "critical"
    return Standing(ratio < NORMAL_RATIO, ratio, "critical" if bad else "warning")


def _cache(course: _Course) -> Standing:
    ratio = _ratio(course.lately, Seen.CACHED, Seen.CACHED_EXPECTED)
    overall = float(course.wholly[Seen.CACHED] / max(course.wholly[Seen.INPUT], 1.0))
    calls = float(course.wholly[Seen.INPUT_CALLS])
    severity = cache_severity(overall, calls, course.learnt.thresholds)
    return Standing(ratio > NORMAL_CACHE, ratio, severity if calls >= FEWEST_TO_JUDGE else "warning")


def _mix(course: _Course) -> Standing:
    share = float(course.lately[Seen.CALLS] / max(course.lately[Seen.FIRST], 1.0))
    critical = course.learnt.thresholds.share_critical
    overall = share_severity(float(course.wholly[Seen.FIRST]), float(course.wholly[Seen.CALLS]), critical)
    bad = course.dear and course.lately[Seen.FIRST] >= 10 and share >= critical and overall == "critical"
    normal = max(min(NORMAL_SHARE, course.told / 2), 2 * course.learnt.ratios.share[course.row])
    return Standing(share < normal, share, "critical" if bad else "warning")


def _ratio(sums: Floats, part: Seen, whole: Seen) -> float:
    return float(sums[part] / max(sums[whole], 1e-9))


_STANDINGS: Final = {
    Watch.VOLUME: _volume,
    Watch.RETRIES: _retries,
    Watch.COST: _cost,
    Watch.CACHE: _cache,
    Watch.MIX: _mix,
}
