"""Rules of one's own: list, set, remove, who changed them when, and when one would have fired."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from taximeter.server.access import Caller
from taximeter.server.deeds import alerting_of
from taximeter.server.routes.dependencies import Admin, Reader, TheParts
from taximeter.server.rule_shapes import RuleHistory, RuleList, RulePreview, RuleShape, RuleTrial
from taximeter.store.events.instants import parse_instant

router: Final = APIRouter(tags=["rules"])


@router.get("/rules", response_model=RuleList)
def rules(parts: TheParts, _caller: Reader) -> Response:
    """Every rule, with who set it and when; those of the configuration file can only be changed there."""
    return JSONResponse({"rules": [one.as_dict() for one in alerting_of(parts).rules.defined()]})


@router.post("/rules", response_model=RuleShape, status_code=201)
def set_rule(definition: dict[str, Any], parts: TheParts, caller: Admin) -> Response:
    """Set a rule: a new one, or a new version of the one with this name. It is watched at once."""
    return JSONResponse(alerting_of(parts).rules.set(definition, _name_of(caller)).as_dict(), 201)


@router.post("/rules/preview", response_model=RulePreview)
def preview(wish: RuleTrial, parts: TheParts, _caller: Reader) -> Response:
    """When a rule would have fired in the past, with what. Nothing is told to anybody."""
    now_us = parts.clock.now_us()
    from_us, to_us = (
        parse_instant(text, now_us, "UTC", field=name) for name, text in (("since", wish.since), ("until", wish.until))
    )
    return JSONResponse(alerting_of(parts).rules.tried(wish.rule, from_us, to_us).as_dict())


# A rule may be named `search/answers`, so the rest of the path is its name, and its history is looked for first.
@router.get("/rules/{name:path}/history", response_model=RuleHistory)
def history(name: str, parts: TheParts, _caller: Reader) -> Response:
    """Every version of a rule, with who changed it and when."""
    return JSONResponse({"versions": [one.as_dict() for one in alerting_of(parts).rules.history(name)]})


@router.get("/rules/{name:path}", response_model=RuleShape)
def rule(name: str, parts: TheParts, _caller: Reader) -> Response:
    """One rule."""
    return JSONResponse(alerting_of(parts).rules.one(name).as_dict())


@router.delete("/rules/{name:path}", status_code=204)
def remove_rule(name: str, parts: TheParts, caller: Admin) -> Response:
    """Remove a rule: what it watched is over soon. Its history stays."""
    alerting_of(parts).rules.remove(name, _name_of(caller))
    return Response(status_code=204)


def _name_of(caller: Caller) -> str:
    return f"{caller.kind}: {caller.name}"
