"""Re-pricing stored calls by today's price book, and the amounts that were replaced."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from taximeter.reports.repricing import cost_history
from taximeter.server.parts import Parts, Repricings
from taximeter.server.routes.dependencies import Admin, Reader, TheParts
from taximeter.store.events.repricing import Repricing

router: Final = APIRouter(tags=["prices"])

MOST_RUNS_AT_ONCE: Final = 100
"""Runs in one answer."""


class RepriceWish(BaseModel):
    """Which calls to price again, and why."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    from_: str = Field(alias="from", description="RFC 3339, a date or 30d; included")
    to: str | None = Field(default=None, description="as `from`, not included; now when left out")
    filters: dict[str, Any] = Field(default_factory=dict, examples=[{"model": "gpt-4o"}])
    timezone: str | None = Field(default=None, description="IANA name; where a date begins")
    dry_run: bool = Field(default=False, description="only tell the difference")
    note: str | None = Field(default=None, description="why; kept with the run")


class MovedShape(BaseModel):
    """Calls whose cost changes, and their cost before and after."""

    calls: int
    newly_priced: int
    newly_unpriced: int
    old_cost_usd: str
    new_cost_usd: str
    difference_usd: str


class MovedByShape(MovedShape):
    day: str
    provider: str | None
    model: str | None


class OutcomeShape(MovedShape):
    """What a run has found so far. `examined` are the calls that it looked at."""

    examined: int
    by: list[MovedByShape]
    error: str | None = None


class RepricingShape(BaseModel):
    """A run of re-pricing. Everything before `done_until` is restated; `outcome` is null before it begins."""

    id: str
    kind: str = Field(description="reprice, or backfill: a price came for calls that had none")
    asked_at: str
    asked_by: str
    note: str | None
    request: dict[str, Any]
    state: str = Field(description="waiting, running, done, failed")
    price_version: str | None
    done_until: str | None
    outcome: OutcomeShape | None
    done_calls: int | None = Field(description="of a run under way: the calls it has looked at")
    expected_calls: int | None = Field(description="of a run under way: those it will have looked at")


class RepricingList(BaseModel):
    repricings: list[RepricingShape]


class CostHistory(BaseModel):
    """The derivations of one call's cost: the current one, and those that were replaced, the newest first."""

    event_id: str
    current: dict[str, Any]
    superseded: list[dict[str, Any]] = Field(
        description="the cost columns, `superseded_at`, `repricing_id`, `asked_by` and `note`"
    )


@router.post("/prices/reprice", status_code=202)
def reprice(wish: RepriceWish, parts: TheParts, caller: Admin) -> RepricingShape:
    """Price stored calls again. The run begins at once; `GET /prices/repricings/{id}` tells how it goes."""
    request = wish.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
    return _shape(_repricings(parts).ask(request, caller.name), None)


@router.get("/prices/repricings")
def repricings(
    parts: TheParts, _caller: Reader, limit: Annotated[int, Query(ge=1, le=MOST_RUNS_AT_ONCE)] = 20
) -> RepricingList:
    """Runs of re-pricing, the newest first."""
    kept = _repricings(parts)
    return RepricingList(repricings=[_shape(run, kept.progress(run.id)) for run in kept.runs(limit)])


@router.get("/prices/repricings/{repricing_id}")
def one_repricing(repricing_id: str, parts: TheParts, _caller: Reader) -> RepricingShape:
    """One run of re-pricing."""
    kept = _repricings(parts)
    return _shape(kept.run(repricing_id), kept.progress(repricing_id))


@router.get("/prices/history")
def history(event_id: str, parts: TheParts, _caller: Reader) -> CostHistory:
    """What a stored call cost by earlier derivations: amounts, price books, who replaced them, when and why."""
    return CostHistory(**cost_history(parts.kept(), event_id))


def _repricings(parts: Parts) -> Repricings:
    parts.kept()
    assert parts.repricings is not None
    return parts.repricings


def _shape(run: Repricing, progress: tuple[int, int] | None) -> RepricingShape:
    done, expected = progress or (None, None)
    told = {**run.as_dict(), "outcome": run.outcome or None}
    return RepricingShape(**told, done_calls=done, expected_calls=expected)
