"""Facts are values: equal by their fields, hashed by them, without room for more."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.cost import Cost
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage
from taximeter.pricing import Priceable

COST = Cost(Decimal(1), Decimal(0), Decimal(0), Decimal(2), Decimal(0), "2026-11-01", "a:b")
FACTS = [COST, Priceable("openai", "gpt-4o", 5), Usage(input_tokens=3, units={"pages": 2})]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_copy_is_the_same_fact_and_another_field_makes_it_another(fact: Any) -> None:
    assert copy.copy(fact) == pickle.loads(pickle.dumps(fact)) == fact
    name = type(fact).__slots__[0]
    assert replace(fact, **{name: None}) != fact


def test_facts_of_equal_fields_have_one_hash() -> None:
    assert hash(COST) == hash(replace(COST)) != hash(replace(COST, price_rule="other"))


@pytest.mark.parametrize("kind", [Cost, Priceable, Usage, UsageEvent])
def test_a_fact_has_room_for_its_fields_alone(kind: type) -> None:
    assert "__dict__" not in dir(kind)
    assert set(kind.__slots__) == set(kind.__dataclass_fields__)  # type: ignore[attr-defined]
