"""A finding in words and figures: what was seen, what was expected, and what that rests on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import SLOT_MINUTES
from taximeter.anomaly.creep import tokens_per_call
from taximeter.anomaly.detection import Detection
from taximeter.anomaly.detectors import CACHE_DRIFT
from taximeter.anomaly.finding import CALLS, Expectation, Finding
from taximeter.anomaly.incidents import Incident
from taximeter.anomaly.panel import KEPT_MINUTES, Raw
from taximeter.anomaly.windows import WINDOWS, Seen, Watch

Floats = NDArray[np.floating[Any]]

MINUTE_US: Final = 60_000_000
MOST_MINUTES: Final = KEPT_MINUTES - 1
"""The figures of a finding are of so many of its last minutes at most."""

BAND_DEVIATIONS: Final = 1.645
"""90 % of a normal variable are within so many standard deviations."""

WEEKDAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
CENT: Final = Decimal("0.0001")


def finding_of(detection: Detection, incident: Incident, minute: int, finding_id: str) -> Finding:
    """The finding that an incident is at the end of a minute. `minute` is the last one that was taken in."""
    last = min(minute, incident.ended if incident.ended is not None else minute)
    minutes = int(np.clip(last - incident.start + 1, 1, MOST_MINUTES))
    sums = detection.windows.last(incident.rows[0], last, minutes).sum(1)
    expectation = _expectation(detection, incident, sums, last)
    excess = _excess_usd(detection, incident, sums, last, minutes)
    per_hour = None if excess is None else excess * 60 / minutes
    return Finding(
        finding_id=finding_id,
        kind=incident.kind,
        scope=scope_of(incident),
        severity=incident.severity,
        started_at_us=incident.start * MINUTE_US,
        detected_at_us=(incident.detected + 1) * MINUTE_US,
        updated_at_us=(minute + 1) * MINUTE_US,
        ended_at_us=None if incident.ended is None else (incident.ended + 1) * MINUTE_US,
        expectation=expectation,
        excess_usd=None if per_hour is None else _usd(per_hour * (last - incident.start + 1) / 60),
        excess_usd_per_hour=None if per_hour is None else _usd(per_hour),
        summary=_summary(incident, expectation),
        evidence={
            "ratio": round(incident.ratio, 3),
            "score": round(incident.score, 2),
            "window_minutes": incident.window,
            "confidence": _confidence(detection, incident),
        },
    )


def scope_of(incident: Incident) -> Mapping[str, str]:
    """Without the dimensions that the calls do not have."""
    return {name: value for name, value in incident.scope if value}


def _confidence(detection: Detection, incident: Incident) -> str:
    days = (incident.detected - int(detection.panel.born[incident.rows[0]])) / 1440
    if days < 3:
        return "low: known for less than three days"
    return "medium: known for less than two weeks" if days < 14 else "high"


def _expectation(detection: Detection, incident: Incident, sums: Floats, minute: int) -> Expectation:
    if incident.kind == "slow_creep":
        return _creep(detection, incident)
    row = incident.rows[0]
    unit, actual, expected, relative = _figures(detection, incident.watch, row, sums, incident.window)
    spread = BAND_DEVIATIONS * relative
    return Expectation(
        unit=unit,
        actual=_short(actual),
        expected=_short(expected),
        low=_short(max(0.0, expected * (1 - spread))),
        high=_short(expected * (1 + spread)),
        basis=_basis(detection, row, minute),
    )


def _figures(
    detection: Detection, watch: Watch, row: int, sums: Floats, window: int
) -> tuple[str, float, float, float]:
    """Unit, what was seen, what was expected, and its relative standard deviation."""
    ratios = detection.ratios
    if watch is Watch.VOLUME:
        place = int(np.argmin(np.abs(np.array(WINDOWS) - window)))
        expected = float(sums[Seen.EXPECTED])
        variance = 1 / max(expected, 0.1) + detection.spread.dispersion[row, place]
        return CALLS, float(sums[Seen.CALLS]), expected, float(np.sqrt(variance))
    if watch is Watch.COST:
        calls = max(float(sums[Seen.PRICED]), 1.0)
        variance = detection.spread.cost_variance[row] / calls + detection.spread.cost_drift[row]
        actual, expected = float(sums[Seen.COST]) / calls, float(sums[Seen.COST_EXPECTED]) / calls
        return "USD per call", actual, expected, float(np.sqrt(variance))
    if watch is Watch.CACHE:
        tokens = max(float(sums[Seen.INPUT]), 1.0)
        cached, usually = float(sums[Seen.CACHED]), float(sums[Seen.CACHED_EXPECTED])
        return "of input read from the cache", cached / tokens, usually / tokens, CACHE_DRIFT
    first = max(float(sums[Seen.FIRST]), 1.0)
    if watch is Watch.RETRIES:
        usual = float(ratios.retries[row])
        return "retries per call", float(sums[Seen.RETRIES]) / first, usual, float(np.sqrt(1 / max(usual * first, 1.0)))
    share = float(ratios.share[row])
    return "of the calls", float(sums[Seen.CALLS]) / first, share, float(np.sqrt(1 / max(share * first, 1.0)))


def _creep(detection: Detection, incident: Incident) -> Expectation:
    row = incident.rows[0]
    logs = tokens_per_call(detection.history, detection.history.done // 4, detection.panel.rows)[row]
    today = float(np.exp(logs[-1])) if np.isfinite(logs[-1]) else 0.0
    before = today / incident.ratio
    days = max(1, (incident.detected - incident.start) // 1440)
    return Expectation(
        unit="input tokens per call",
        actual=_short(today),
        expected=_short(before),
        low=_short(before * 0.95),
        high=_short(before * 1.05),
        basis=f"the days before it began to grow, {days} days ago",
    )


def _basis(detection: Detection, row: int, minute: int) -> str:
    local = detection.calendar.local(minute // SLOT_MINUTES)
    weeks = min(4, (minute - int(detection.panel.born[row])) // 10080)
    if weeks:
        day = WEEKDAYS[detection.calendar.weekday(local)]
        return f"{weeks} {day if weeks > 1 else day[:-1]}"
    days = max(1, (minute - int(detection.panel.born[row])) // 1440)
    return f"{days} day{'s' if days > 1 else ''}; still learning"


def _excess_usd(detection: Detection, incident: Incident, sums: Floats, minute: int, minutes: int) -> float | None:
    """Money beyond what was expected, in the minutes that `sums` are of; None when nothing is known of prices."""
    row, ratios = incident.rows[0], detection.ratios
    per_call = float(ratios.cost[row])
    if per_call <= 0 or incident.kind in ("slow_creep", "model_drift"):
        return None
    if incident.watch is Watch.VOLUME:
        return max(0.0, float(sums[Seen.CALLS] - sums[Seen.EXPECTED])) * per_call
    if incident.watch is Watch.RETRIES:
        return float(sums[Seen.RETRIES]) * per_call
    if incident.watch is Watch.COST:
        return max(0.0, float(sums[Seen.COST] - sums[Seen.COST_EXPECTED]))
    column = detection.panel.column(minute)
    raw = detection.panel.raw[:, row, max(0, column - minutes + 1) : column + 1].sum(1)
    return max(0.0, float(raw[Raw.INPUT_USD]) - float(raw[Raw.INPUT]) * float(ratios.input_price[row]))


_WHAT: Final = {
    "volume_spike": "calls",
    "cost_per_request": "cost per call",
    "cache_hit_rate": "cache hit rate",
    "model_drift": "share of a model",
    "retry_storm": "retries",
    "slow_creep": "prompt length",
}


def _summary(incident: Incident, seen: Expectation) -> str:
    where = ", ".join(f"{name} {value}" for name, value in scope_of(incident).items()) or "calls without attribution"
    return (
        f"{where}: {_WHAT[incident.kind]}: {seen.seen}, expected {seen.expected:g}, "
        f"90% between {seen.low:g} and {seen.high:g}, from {seen.basis}"
    )


def _short(value: float) -> float:
    """Four significant digits: more would be pretence."""
    return float(f"{value:.4g}")


def _usd(amount: float) -> Decimal:
    return Decimal(str(amount)).quantize(CENT)
