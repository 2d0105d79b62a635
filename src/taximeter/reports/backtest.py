"""Detection over one's own history: what would have been told, for how long, and what it was about in money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from taximeter.anomaly.calendar import Calendar
from taximeter.anomaly.detection import Detection
from taximeter.anomaly.finding import Finding
from taximeter.anomaly.incidents import Incident
from taximeter.anomaly.panel import FEATURE, MODEL, USER
from taximeter.anomaly.rules import Thresholds
from taximeter.anomaly.telling import MINUTE_US, finding_of
from taximeter.clock import rfc3339
from taximeter.config.anomalies import AnomalySettings, OverrideSettings
from taximeter.core.money import format_usd
from taximeter.reports.signals import HISTORY_US, Signals
from taximeter.store.events import EventStore

SHORT_MINUTES: Final = 20
"""Findings that were over this soon are the ones that people find annoying."""

CHUNK_MINUTES: Final = 360
WEEK_US: Final = 7 * 86_400_000_000


def detection_for(settings: AnomalySettings) -> Detection:
    """A detection that has learnt nothing yet, with what the operator has told."""
    dimensions = [name for name in settings.dimensions if name not in (FEATURE, MODEL, USER)]
    return Detection(
        Calendar(settings.timezone, settings.holidays),
        dimensions=(FEATURE, MODEL, USER, *dimensions),
        grouped=(FEATURE, *dimensions),
        thresholds=Thresholds(**settings.thresholds.model_dump()),
        allowed=settings.allowed_minutes() or None,
    )


def is_told(settings: AnomalySettings, incident: Incident, finding: Finding) -> bool:
    """Whether an incident is worth a word, by what the operator has said."""
    if any(_covers(planned.scope, finding) and _is_in(planned, finding) for planned in settings.planned):
        return finding.kind != "volume_spike"
    overrides = [
        one
        for one in settings.overrides
        if _covers(one.scope, finding) and (not one.kinds or finding.kind in one.kinds)
    ]
    least = max((one.minimum_usd_per_hour for one in overrides if one.minimum_usd_per_hour is not None), default=None)
    per_hour = finding.excess_usd_per_hour
    if per_hour is not None and per_hour < (settings.minimum_usd_per_hour if least is None else least):
        return False
    return not any(one.off or not _is_large(one, incident) for one in overrides)


def _covers(scope: Mapping[str, str], finding: Finding) -> bool:
    return all(finding.scope.get(name) == value for name, value in scope.items())


def _is_in(planned: Any, finding: Finding) -> bool:
    begins, ends = (int(moment.timestamp() * 1_000_000) for moment in (planned.from_, planned.to))
    return begins <= finding.detected_at_us and finding.started_at_us < ends


def _is_large(override: OverrideSettings, incident: Incident) -> bool:
    if override.least_ratio is None or incident.kind in ("model_drift", "retry_storm"):
        return True
    ratio = 1 / max(incident.ratio, 1e-9) if incident.kind == "cache_hit_rate" else incident.ratio
    return ratio >= override.least_ratio


@dataclass(frozen=True, slots=True)
class Backtest:
    from_us: int
    to_us: int
    learnt_from_us: int
    findings: Sequence[Finding]

    def as_dict(self) -> dict[str, Any]:
        known = [finding.excess_usd for finding in self.findings if finding.excess_usd is not None]
        weeks = max((self.to_us - self.from_us) / WEEK_US, 1 / 7)
        return {
            "from": rfc3339(self.from_us),
            "to": rfc3339(self.to_us),
            "learnt_from": rfc3339(self.learnt_from_us),
            "findings": [_as_dict(finding, self.to_us) for finding in self.findings],
            "by_kind": dict(Counter(finding.kind for finding in self.findings)),
            "per_week": round(len(self.findings) / weeks, 2),
            "excess_usd": format_usd(sum(known, Decimal(0))),
            "advice": list(_advice(self.findings, self.to_us)),
        }


def backtest(settings: AnomalySettings, store: EventStore, from_us: int, to_us: int) -> Backtest:
    """What would have been told between two moments, had detection begun five weeks before the first.

    Raises StoreError, QueryStoppedError.
    """
    detection = detection_for(settings)
    signals = Signals(store, detection.panel.dimensions)
    signals.choose_spenders(to_us)
    detection.models.prices.update(signals.model_prices(to_us))
    begins = signals.first_minute(from_us - HISTORY_US, to_us)
    learnt_from = from_us // MINUTE_US if begins is None else begins
    findings = [] if begins is None else list(_told(settings, detection, signals, begins, from_us, to_us))
    return Backtest(from_us, to_us, learnt_from * MINUTE_US, sorted(findings, key=lambda one: one.started_at_us))


def _told(
    settings: AnomalySettings, detection: Detection, signals: Signals, begins: int, from_us: int, to_us: int
) -> Iterator[Finding]:
    last = to_us // MINUTE_US - 1
    for first in range(begins, last + 1, CHUNK_MINUTES):
        for block in signals.blocks(detection.panel, first, min(first + CHUNK_MINUTES - 1, last)):
            for news in detection.run(block):
                if news.news == "closed" and news.minute * MINUTE_US >= from_us:
                    yield from _worth(settings, detection, news.incident, news.minute)
    for incident in detection.under_way():
        yield from _worth(settings, detection, incident, last)


def _worth(settings: AnomalySettings, detection: Detection, incident: Incident, minute: int) -> Iterator[Finding]:
    finding = finding_of(detection, incident, minute, "")
    if is_told(settings, incident, finding):
        yield finding


def _minutes(finding: Finding, now_us: int) -> int:
    return ((finding.ended_at_us or now_us) - finding.started_at_us) // MINUTE_US


def _as_dict(finding: Finding, now_us: int) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "scope": dict(finding.scope),
        "severity": finding.severity,
        "started_at": rfc3339(finding.started_at_us),
        "detected_at": rfc3339(finding.detected_at_us),
        "ended_at": None if finding.ended_at_us is None else rfc3339(finding.ended_at_us),
        "minutes": _minutes(finding, now_us),
        "excess_usd": None if finding.excess_usd is None else format_usd(finding.excess_usd),
        "summary": finding.summary,
    }


def _advice(findings: Sequence[Finding], now_us: int) -> Iterator[str]:
    """What would have made it quieter, where one scope has most of the short findings."""
    short = Counter(
        (finding.kind, tuple(sorted(finding.scope.items())))
        for finding in findings
        if _minutes(finding, now_us) < SHORT_MINUTES
    )
    for (kind, scope), number in short.most_common(5):
        if number >= 3:
            where = ", ".join(f"{name}: {value}" for name, value in scope)
            ratios = sorted(
                float(one.evidence["ratio"])
                for one in findings
                if one.kind == kind and sorted(one.scope.items()) == list(scope)
            )
            yield (
                f"{number} findings {kind} of {{{where}}} were over within {SHORT_MINUTES} minutes; an override with "
                f"least_ratio: {ratios[len(ratios) // 2]:.1f} would have kept half of them quiet"
            )
    if not findings:
        yield "nothing would have been told"
