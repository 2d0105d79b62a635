"""Findings: what left its normal course, what was expected instead, and what people say of it."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from fastapi import Query as Asked
from fastapi.responses import JSONResponse, Response

from taximeter.anomaly.finding import Finding
from taximeter.clock import rfc3339
from taximeter.core.money import format_usd
from taximeter.errors import UnavailableError
from taximeter.server.finding_shapes import (
    BacktestAnswer,
    BacktestWish,
    ContributorShape,
    ExpectationShape,
    FindingList,
    FindingPage,
    FindingShape,
    SeriesPoint,
    VerdictWish,
)
from taximeter.server.parts import Anomalies, Parts
from taximeter.server.routes.dependencies import Admin, Reader, TheParts
from taximeter.store.events import Query
from taximeter.store.events.filters import parse_filters
from taximeter.store.events.instants import parse_instant
from taximeter.store.metadata import JudgedFinding

router: Final = APIRouter(tags=["findings"])

MOST_AT_ONCE: Final = 500
BEFORE_US: Final = 2 * 3600 * 1_000_000
"""So much before a finding is shown with it."""

SERIES_MEASURES: Final = ("calls", "cost_usd", "input_tokens", "cache_read_tokens", "output_tokens", "retries")
LONGEST_US: Final = {"minute": 12 * 3600 * 1_000_000, "hour": 14 * 24 * 3600 * 1_000_000}
"""Up to what length a series is told by the minute, and by the hour; beyond, by the day."""

_backtesting = threading.Lock()


@router.get("/findings")
def findings(
    parts: TheParts,
    _caller: Reader,
    state: Annotated[Literal["open", "all"], Asked(description="those that last, or all")] = "all",
    since: Annotated[str | None, Asked(description="detected since then, as for queries")] = None,
    limit: Annotated[int, Asked(ge=1, le=MOST_AT_ONCE)] = 100,
) -> FindingList:
    """Findings, newest first."""
    since_us = None if since is None else parse_instant(since, parts.clock.now_us(), "UTC", field="since")
    found = _kept(parts).findings.list(open_only=state == "open", since_us=since_us, limit=limit)
    return FindingList(findings=[_shape(one) for one in found])


@router.get("/findings/{finding_id}")
def finding(finding_id: str, parts: TheParts, _caller: Reader) -> FindingPage:
    """One finding: the band that was expected, what its calls were meanwhile, the evidence."""
    judged = _kept(parts).findings.get(finding_id)
    interval, series = _series(parts, judged.finding)
    return FindingPage(finding=_shape(judged), interval=interval, series=series)


@router.post("/findings/{finding_id}/verdict")
def judge(finding_id: str, wish: VerdictWish, parts: TheParts, caller: Admin) -> FindingShape:
    """Say what a finding was. What was nothing, or is the new normal, ends at once and is learnt."""
    return _shape(_kept(parts).judge(finding_id, wish.verdict, caller.kind))


@router.post("/rules/backtest", response_model=BacktestAnswer)
def backtest(wish: BacktestWish, parts: TheParts, _caller: Reader) -> Response:
    """What detection would have told over one's own history, and how to make it quieter."""
    now_us = parts.clock.now_us()
    from_us, to_us = (parse_instant(text, now_us, "UTC", field=name) for name, text in _bounds(wish))
    if not _backtesting.acquire(blocking=False):
        raise UnavailableError("another backtest is under way", hint="ask again when it is done")
    try:
        return JSONResponse(_kept(parts).backtest(from_us, to_us))
    finally:
        _backtesting.release()


def _bounds(wish: BacktestWish) -> tuple[tuple[str, str], ...]:
    return ("from", wish.from_), ("to", wish.to)


def _kept(parts: Parts) -> Anomalies:
    if parts.anomalies is None:
        raise UnavailableError("this process detects nothing", hint="ask its collector, or see `anomalies.enabled`")
    return parts.anomalies


def _series(parts: Parts, finding: Finding) -> tuple[Literal["minute", "hour", "day"], list[SeriesPoint]]:
    from_us = finding.started_at_us - BEFORE_US
    to_us = min(parts.clock.now_us(), (finding.ended_at_us or parts.clock.now_us()) + BEFORE_US) + 1
    length = to_us - from_us
    interval: Literal["minute", "hour", "day"] = (
        "minute" if length <= LONGEST_US["minute"] else "hour" if length <= LONGEST_US["hour"] else "day"
    )
    asked = Query(
        from_us=from_us,
        to_us=max(to_us, from_us + 1),
        measures=SERIES_MEASURES,
        filters=parse_filters(dict(finding.scope)),
        interval=interval,
    )
    rows = parts.kept().query(asked).rows
    return interval, [SeriesPoint(**{name: row[name] for name in ("time", *SERIES_MEASURES)}) for row in rows]


def _shape(judged: JudgedFinding) -> FindingShape:
    one = judged.finding
    return FindingShape(
        finding_id=one.finding_id,
        kind=one.kind,
        scope=dict(one.scope),
        severity=one.severity,
        started_at=rfc3339(one.started_at_us),
        detected_at=rfc3339(one.detected_at_us),
        updated_at=rfc3339(one.updated_at_us),
        ended_at=None if one.ended_at_us is None else rfc3339(one.ended_at_us),
        expectation=ExpectationShape(**asdict(one.expectation)),
        excess_usd=None if one.excess_usd is None else format_usd(one.excess_usd),
        excess_usd_per_hour=None if one.excess_usd_per_hour is None else format_usd(one.excess_usd_per_hour),
        contributors=[
            ContributorShape(
                dimension=part.dimension, value=part.value, share=part.share, change_usd=format_usd(part.change_usd)
            )
            for part in one.contributors
        ],
        summary=one.summary,
        evidence=dict(one.evidence),
        verdict=judged.verdict,
        verdict_by=judged.verdict_by,
    )
