"""The shared golden costs: published prices and providers' own bills, met to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from golden import CASES, call_of

from taximeter.core.cost import Cost
from taximeter.core.usage import violations
from taximeter.pricing import PriceBook

COMPONENT_OF = {
    "input text/other, uncached": "input",
    "audio input": "input",
    "image input": "input",
    "cache read": "cache_read",
    "cached audio input": "cache_read",
    "cache write 5m or default": "cache_write",
    "cache write 1h": "cache_write",
    "output incl. reasoning": "output",
    "audio output": "output",
    "image output": "output",
}
"""Where a golden component belongs; whatever is not named is `other`."""


def components_of(case: dict[str, Any]) -> dict[str, Decimal]:
    sums = dict.fromkeys(("input", "cache_read", "cache_write", "output", "other"), Decimal(0))
    for part in case["components"]:
        sums[COMPONENT_OF.get(part["component"], "other")] += Decimal(part["usd"])
    return sums


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_golden_cost_is_met_to_the_last_digit(book: PriceBook, case: dict[str, Any]) -> None:
    call = call_of(case)
    assert violations(call.usage) == []
    cost = book.price(call)
    assert isinstance(cost, Cost), cost
    assert cost.total == Decimal(case["cost_usd"])
    assert {name: getattr(cost, name) for name in components_of(case)} == components_of(case)


def test_all_golden_cases_are_here() -> None:
    assert len(CASES) == 61
