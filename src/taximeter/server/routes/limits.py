"""Limits: how they stand, setting and removing them, what was crossed, what one would have done."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from taximeter.clock import rfc3339
from taximeter.config.limits import shown_amount
from taximeter.errors import UsageError
from taximeter.limits.bounds import CallBound
from taximeter.limits.verdict import Ask, CallKind, Refused, Verdict, Wait
from taximeter.pricing.price_file import instant_us
from taximeter.pricing.priceable import parse_instant
from taximeter.server.access import Caller
from taximeter.server.limit_shapes import (
    AdmissionAnswer,
    AdmissionWish,
    LimitCrossings,
    LimitHistory,
    LimitList,
    LimitShape,
    SimulationAnswer,
    SimulationWish,
)
from taximeter.server.routes.dependencies import Admin, Reader, Sender, TheParts

router: Final = APIRouter(tags=["limits"])

DAY_US: Final = 86_400_000_000


@router.get("/limits", response_model=LimitList)
def limits(parts: TheParts, _caller: Reader) -> Response:
    """Every limit with what is spent, held and left of it, for each value that was met."""
    return JSONResponse({"limits": parts.limits.live(), "admission": parts.limits.health()})


@router.post("/limits", response_model=LimitShape, status_code=201)
def set_limit(definition: dict[str, Any], parts: TheParts, caller: Admin) -> Response:
    """Set a limit: a new one, or a new version of the one with this name. It is in force at once."""
    return JSONResponse(parts.limits.set(definition, _name_of(caller)).as_dict(), 201)


@router.get("/limits/crossings", response_model=LimitCrossings)
def crossings(
    parts: TheParts,
    _caller: Reader,
    since: Annotated[str | None, Query(description="a day (UTC) or RFC 3339; the last 30 days when left out")] = None,
) -> Response:
    """Thresholds that were crossed, oldest first."""
    since_us = parts.clock.now_us() - 30 * DAY_US if since is None else instant_us(since)
    if since_us is None:
        raise UsageError(f"since: not a day or an instant: {since!r}", hint="such as 2026-08-17", field="since")
    found = [
        {
            **{name: getattr(one, name) for name in ("kind", "name", "value", "percent", "measure", "mode")},
            "amount": shown_amount(one.measure, one.amount),
            "spent": shown_amount(one.measure, one.spent),
            "at": rfc3339(one.at_us),
        }
        for one in parts.limits.crossings(since_us)
    ]
    return JSONResponse({"crossings": found})


@router.post("/limits/admit", response_model=AdmissionAnswer)
def admit(wish: AdmissionWish, parts: TheParts, caller: Sender) -> Response:
    """Whether a call may be made, and what is held for it until its event arrives: for the SDK."""
    subject = {
        **wish.subject,
        **{k: v for k, v in caller.attributes.items() if caller.attributes_win or k not in wish.subject},
    }
    if caller.key_id is not None:
        subject["api_key_id"] = caller.key_id
    ask = Ask(
        wish.event_id,
        _instant(wish.started_at),
        subject,
        CallKind(**wish.kind.model_dump()),
        CallBound(**wish.bound.model_dump()),
        wish.size_bytes,
    )
    return JSONResponse(_told(parts.limits.guard.decide(ask, parts.clock.now_us())))


def _told(verdict: Verdict) -> dict[str, Any]:
    if isinstance(verdict, Wait):
        return {"verdict": "wait", "refused": verdict.refused.as_record()}
    if isinstance(verdict, Refused):
        return {"verdict": "refused", "refused": verdict.as_record()}
    return {"verdict": "admitted", "allowance": verdict.allowance, "model": verdict.model}


def _instant(text: str) -> int:
    try:
        return parse_instant(text)
    except (ValueError, TypeError):
        raise UsageError(f"started_at: not RFC 3339: {text!r}", field="started_at") from None


@router.post("/limits/simulate", response_model=SimulationAnswer)
def simulate(wish: SimulationWish, parts: TheParts, _caller: Reader) -> Response:
    """What a limit would have refused of the calls since a time."""
    return JSONResponse(parts.limits.simulated(wish.limit, wish.since))


@router.get("/limits/{name}/history", response_model=LimitHistory)
def history(name: str, parts: TheParts, _caller: Reader) -> Response:
    """Every version of a limit, with who changed it and when."""
    return JSONResponse({"versions": parts.limits.told_history(name)})


@router.delete("/limits/{name}", status_code=204)
def remove_limit(name: str, parts: TheParts, caller: Admin) -> Response:
    """Remove a limit. Its history stays."""
    parts.limits.remove(name, _name_of(caller))
    return Response(status_code=204)


def _name_of(caller: Caller) -> str:
    return f"{caller.kind}: {caller.name}"
