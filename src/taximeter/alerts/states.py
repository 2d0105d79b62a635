"""The life of an alert: pending until a rule has held long enough, firing, resolved after it was quiet long enough.

    nothing ── observed ──> pending ── held for `wait` ──> firing ── quiet for `keep` ──> resolved
                               └── quiet ──> nothing           ^───── observed soon after ──────┘  (a flap)

An alert that comes and goes keeps firing longer each time, so that a value that dances around its bound is one alert
and not twenty. A rule that could not be evaluated changes nothing: no answer is not a good answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from taximeter.alerts.alert import RANK, Alert, Observation

SECOND_US: Final = 1_000_000

FLAP_WINDOW_US: Final = 3600 * SECOND_US
"""An alert that comes back within this time of its end is the same one again."""

LONGEST_KEEP_US: Final = 3600 * SECOND_US
"""However often it flaps, an alert that is quiet for so long is over."""

FORGET_US: Final = 7 * 24 * 3600 * SECOND_US
"""A resolved alert is part of the state for so long; the history has it for ever."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a rule has to hold before its alert fires, and how long it has to be quiet before that is over."""

    wait_us: int = 0
    keep_us: int = 120 * SECOND_US


PATIENT: Final = Patience()
Alerts = Mapping[str, Alert]


def advance(
    alerts: Alerts,
    observations: Iterable[Observation],
    patience: Mapping[str, Patience],
    now_us: int,
    unknown: Collection[str] = (),
) -> dict[str, Alert]:
    """All alerts after this evaluation, by key. `unknown` are the rules that could not be evaluated.

    Several observations of one key count as the gravest of them.
    """
    seen = _gravest(observations)
    after = {}
    for key in sorted({*alerts, *seen}):
        before, observed = alerts.get(key), seen.get(key)
        if observed is not None:
            after[key] = _observed(before, observed, patience.get(observed.rule, PATIENT), now_us)
        elif before is not None:
            left = before if before.rule in unknown else _quiet(before, patience.get(before.rule, PATIENT), now_us)
            if left is not None:
                after[key] = left
    return after


def _gravest(observations: Iterable[Observation]) -> dict[str, Observation]:
    seen: dict[str, Observation] = {}
    for one in observations:
        known = seen.get(one.key)
        if known is None or RANK[one.severity] > RANK[known.severity]:
            seen[one.key] = one
    return seen


def _observed(before: Alert | None, observed: Observation, patience: Patience, now_us: int) -> Alert:
    if before is None or _is_over(before, now_us):
        begun = _begun(observed, now_us)
    elif before.state == "resolved":
        begun = replace(before, state="firing", resolved_at_us=None, flaps=before.flaps + 1)
    else:
        begun = before
    told = replace(begun, severity=observed.severity, summary=observed.summary, facts=observed.facts, seen_at_us=now_us)
    if told.state == "pending" and now_us - told.pending_since_us >= patience.wait_us:
        return replace(told, state="firing", fired_at_us=now_us)
    return told


def _is_over(alert: Alert, now_us: int) -> bool:
    return alert.resolved_at_us is not None and now_us - alert.resolved_at_us > FLAP_WINDOW_US


def _begun(observed: Observation, now_us: int) -> Alert:
    return Alert(
        key=observed.key,
        rule=observed.rule,
        kind=observed.kind,
        labels=observed.labels,
        severity=observed.severity,
        summary=observed.summary,
        state="pending",
        started_at_us=now_us if observed.started_at_us is None else observed.started_at_us,
        pending_since_us=now_us,
        seen_at_us=now_us,
    )


def _quiet(alert: Alert, patience: Patience, now_us: int) -> Alert | None:
    """An alert that was not observed this time; None when it is forgotten."""
    if alert.state == "pending":
        return None
    if alert.state == "firing":
        over = now_us - alert.seen_at_us >= keep_us(alert, patience)
        return replace(alert, state="resolved", resolved_at_us=now_us) if over else alert
    assert alert.resolved_at_us is not None
    return None if now_us - alert.resolved_at_us > FORGET_US else alert


def keep_us(alert: Alert, patience: Patience) -> int:
    """How long it must be quiet: twice as long after each flap."""
    return max(patience.keep_us, min(patience.keep_us << min(alert.flaps, 20), LONGEST_KEEP_US))
