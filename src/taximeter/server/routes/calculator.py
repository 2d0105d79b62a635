"""The calculator, what-if on recorded calls, and what the two were used for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from taximeter.clock import rfc3339
from taximeter.errors import StoreError, UnavailableError
from taximeter.reports.calculator import calculate
from taximeter.reports.uses import use_of_calculator, use_of_what_if
from taximeter.reports.what_if import what_if
from taximeter.server.calculator_shapes import (
    Calculation,
    CalculatorUseList,
    CalculatorUseShape,
    CalculatorWish,
    WhatIfAnswer,
    WhatIfWish,
)
from taximeter.server.parts import Parts
from taximeter.server.routes.dependencies import Reader, TheParts
from taximeter.store.metadata import CalculatorUse

router: Final = APIRouter(tags=["calculator"])

MOST_USES_AT_ONCE: Final = 1_000
"""Uses in one answer."""

_log = logging.getLogger(__name__)
_pricing_again = threading.Lock()


@router.post("/calculator", response_model=Calculation)
def calculator(wish: CalculatorWish, parts: TheParts, caller: Reader) -> Response:
    """What a workload costs on a model, by call, day, month and year, and how others differ."""
    request = _asked(wish)
    answer = calculate(request, parts.prices(), parts.clock.now_us())
    _record(parts, use_of_calculator(request, answer, caller.kind))
    return JSONResponse(answer.as_dict())


@router.post("/what-if", response_model=WhatIfAnswer)
def ask_what_if(wish: WhatIfWish, parts: TheParts, caller: Reader) -> Response:
    """What recorded calls would have cost under another model, tier, cache share, price book or date."""
    request = _asked(wish)
    with _one_at_a_time():
        answer = what_if(request, parts.prices(), parts.kept(), parts.clock.now_us())
    _record(parts, use_of_what_if(request, answer, caller.kind))
    return JSONResponse(answer.as_dict())


@router.get("/calculator/uses")
def uses(
    parts: TheParts,
    _caller: Reader,
    limit: Annotated[int, Query(ge=1, le=MOST_USES_AT_ONCE, description="at most so many, the newest")] = 100,
) -> CalculatorUseList:
    """What the calculator was asked: user selections, calculated monthly cost, comparison delta. Newest first."""
    return CalculatorUseList(
        uses=[
            CalculatorUseShape(number=one.number, at=rfc3339(one.at_us), **_fields(one.use))
            for one in parts.calculator_uses.newest(limit)
        ]
    )


def _asked(wish: BaseModel) -> dict[str, Any]:
    return wish.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)


def _fields(use: CalculatorUse) -> dict[str, Any]:
    return {name: getattr(use, name) for name in CalculatorUse.__slots__}


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Pricing a million calls keeps a core busy that the gateway may need: never two at once."""
    if not _pricing_again.acquire(blocking=False):
        raise UnavailableError("another what-if is being calculated", hint="ask again when it is done")
    try:
        yield
    finally:
        _pricing_again.release()


def _record(parts: Parts, use: CalculatorUse) -> None:
    """A use that cannot be kept costs nobody the answer."""
    try:
        parts.calculator_uses.record(use)
    except StoreError as error:
        _log.warning("a use of the calculator could not be kept: %s", error)
