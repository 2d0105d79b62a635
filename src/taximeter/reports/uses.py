"""The calculator's own events: what somebody selected, what that costs a month, how the others differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from taximeter.core.money import format_usd
from taximeter.reports.calculator import Amounts, Comparison
from taximeter.reports.what_if import WhatIf
from taximeter.store.metadata import CalculatorUse

THE_SAME_CALLS: Final = "what_if"
"""Under this name a what-if reports its difference: there the other side is the same calls, not another model."""


def use_of_calculator(request: Mapping[str, Any], answer: Comparison, asked_by: str) -> CalculatorUse:
    """The monthly cost of the chosen model, and what each of the others costs more than it."""
    chosen, *others = answer.lines
    return CalculatorUse(
        kind="calculator",
        asked_by=asked_by,
        user_selections=_selections(request),
        calculated_monthly_cost=_per_month(chosen.amounts),
        comparison_delta={line.model.full_name: _per_month(line.difference) for line in others},
    )


def _per_month(amounts: Amounts | None) -> str | None:
    return None if amounts is None else format_usd(amounts.per_month)


def use_of_what_if(request: Mapping[str, Any], answer: WhatIf, asked_by: str) -> CalculatorUse:
    """The cost of 30 days under the hypothesis, and what that is more than what really happened."""
    total = answer.total
    compared = total.compared_calls > 0
    return CalculatorUse(
        kind="what_if",
        asked_by=asked_by,
        user_selections=_selections(request),
        calculated_monthly_cost=format_usd(answer.per_month(total.compared_what_if_usd)) if compared else None,
        comparison_delta={
            THE_SAME_CALLS: format_usd(answer.per_month(total.difference_usd)) if compared else None,
        },
    )


def _selections(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request as it was made; of a price file in it only that there was one, for its prices may be secret."""
    selections = {name: value for name, value in request.items() if name != "prices"}
    return selections | ({"own_prices": True} if request.get("prices") is not None else {})
