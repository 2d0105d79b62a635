"""What is behind a finding: the calls of its time against what its scope does on a usual day.

Usual is the whole day before the finding began, so that every hour has its part in it, scaled to the first attempts
that were expected. Where a finding is not about their number it is scaled to those there were: what is left is why a
call costs more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from taximeter.anomaly.finding import Contributor, Finding
from taximeter.anomaly.telling import MOST_MINUTES
from taximeter.core.money import ZERO, add, format_usd
from taximeter.reports.why import Reason, Span, WhyQuestion, why
from taximeter.store.events import EventStore, Query
from taximeter.store.events.filters import Condition, parse_filters

DAY_US: Final = 86_400_000_000
MINUTE_US: Final = 60_000_000

CAUSE: Final = "cause"
"""The dimension of a contributor that is a factor of the decomposition, such as `retries` or `cache`."""

LEAST_SHARE: Final = 0.15
"""What contributed less is not worth a line of a message."""

MOST_CAUSES: Final = 2
MOST_PEOPLE: Final = 4

EXPLAINED_AWAY: Final = {"volume_spike": "user_id", "retry_storm": "user_id", "model_drift": "model"}
"""By kind: the dimension of its scope that is an answer, not a part of the question. Of all calls of the feature, why
this user's, why this model's?"""


def with_contributors(finding: Finding, store: EventStore, now_us: int) -> Finding:
    """The finding with what contributed to it, the most telling first; unchanged where there is nothing to compare
    with. Raises StoreError, and UsageError when features and models make too many groups."""
    period, usual = _spans(finding, now_us)
    filters = _filters(finding)
    calls, usual_calls = (_first_attempts(store, span, filters) for span in (period, usual))
    expected = calls - _excess_calls(finding)
    if usual_calls <= 0 or expected <= 0:
        return finding
    question = WhyQuestion(
        period=period,
        against=usual,
        filters=filters,
        scaled_by=Decimal(expected) / Decimal(usual_calls),
        limit=MOST_PEOPLE,
        least_share=LEAST_SHARE,
    )
    reason = why(question, store)
    return replace(
        finding,
        contributors=[*_causes(reason), *_people(reason)],
        evidence={**finding.evidence, "explained": _evidence(reason)},
    )


def _spans(finding: Finding, now_us: int) -> tuple[Span, Span]:
    """The minutes that the finding's figures are of, and the usual day before it. A creep is compared day by day."""
    to_us = min(finding.ended_at_us or now_us, finding.updated_at_us)
    usual = Span(finding.started_at_us - DAY_US, finding.started_at_us)
    longest = DAY_US if finding.kind == "slow_creep" else MOST_MINUTES * MINUTE_US
    return Span(max(finding.started_at_us, to_us - longest), to_us), usual


def _filters(finding: Finding) -> tuple[Condition, ...]:
    answer = EXPLAINED_AWAY.get(finding.kind)
    kept = {name: value for name, value in finding.scope.items() if name != answer or len(finding.scope) == 1}
    return parse_filters(kept)


def _excess_calls(finding: Finding) -> float:
    return finding.expectation.actual - finding.expectation.expected if finding.kind == "volume_spike" else 0.0


def _first_attempts(store: EventStore, span: Span, filters: tuple[Condition, ...]) -> float:
    asked = Query(from_us=span.from_us, to_us=span.to_us, measures=("calls", "retries"), filters=filters)
    totals = store.query(asked).totals
    return float(totals["calls"] - (totals["retries"] or 0))


def _causes(reason: Reason) -> Iterator[Contributor]:
    moved = add(*(abs(part) for part in reason.factors.values()))
    largest = sorted(reason.factors.items(), key=lambda item: -abs(item[1]))
    for name, part in largest[:MOST_CAUSES]:
        share = float(abs(part) / moved) if moved else 0.0
        if share >= LEAST_SHARE:
            yield Contributor(CAUSE, name, round(share, 3), part)


def _people(reason: Reason) -> Sequence[Contributor]:
    """Those whose part of the spend changed: who had all of it before and after explains nothing."""
    return [
        Contributor(one.dimension, one.value, round(min(one.share, 1.0), 3), one.change_usd)
        for one, _ in reason.contributors
        if one.score > 0
    ]


def _evidence(reason: Reason) -> dict[str, Any]:
    return {
        "period": reason.question.period.as_dict(),
        "against": reason.question.against.as_dict(),
        "expected_usd": format_usd(reason.before_usd),
        "actual_usd": format_usd(reason.after_usd),
        "factors": {name: format_usd(part) for name, part in reason.factors.items() if part != ZERO},
        "in_a_line": reason.in_a_line(),
    }
