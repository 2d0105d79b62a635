"""How far limits may be exceeded by what is under way: said before it happens."""

from __future__ import annotations

from typing import Any

import pytest

from taximeter.config.limits import read_limits
from taximeter.limits.amounts import Amounts
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.overshoot import Exceeded
from taximeter.limits.reservation import SLICE_TOKENS
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Admitted, Ask, CallKind, Rates

NOW = 1_800_000_000_000_000
RATES = Rates(1_000, 2_000, 0)
EXACT: dict[str, Any] = {"name": "a", "scope": "global", "measure": "total_tokens", "limit": 10**6, "window": "day"}
EXPECTED = {**EXACT, "admission": "expected"}


def guard(*definitions: dict[str, Any]) -> LimitGuard:
    return LimitGuard(Rules(read_limits(definitions)), MemoryCounters(), lambda *_: RATES)


def admitted(limits: LimitGuard, event_id: str = "call", **bound: Any) -> Admitted:
    asked = {"input_tokens": 100, "output_tokens": 5_000, "allowance_key": "max_tokens", **bound}
    verdict = limits.decide(Ask(event_id, NOW, {}, CallKind("openai", "gpt-4o"), CallBound(**asked), 400), NOW)
    assert isinstance(verdict, Admitted)
    return verdict


@pytest.mark.parametrize(
    ("definition", "bound", "expected"),
    [
        (EXACT, {}, 0),
        (EXACT, {"leased": True}, 5_000 - SLICE_TOKENS),
        ({**EXACT, "measure": "input_tokens"}, {"leased": True}, 0),
        ({**EXACT, "measure": "requests"}, {"leased": True}, 0),
        ({**EXACT, "measure": "cost_usd"}, {"leased": True}, 2 * (5_000 - SLICE_TOKENS)),
        (EXPECTED, {"unbounded": "it brings a document"}, None),
    ],
)
def test_what_a_call_may_come_to_beyond_its_hold(
    definition: dict[str, Any], bound: dict[str, Any], expected: int | None
) -> None:
    limits = guard(definition)
    admitted(limits, **bound)
    assert limits.may_exceed() == {("a", ""): expected}


def test_under_expected_admission_it_is_what_is_more_than_usual() -> None:
    limits = guard(EXPECTED)
    usual = admitted(limits).usual
    assert 0 < usual.input_tokens + usual.output_tokens < 5_100
    assert limits.may_exceed() == {("a", ""): 5_100 - usual.input_tokens - usual.output_tokens}


def test_it_grows_with_every_call_shrinks_with_every_slice_and_ends_with_the_call() -> None:
    limits = guard(EXACT)
    first, second = (admitted(limits, name, leased=True) for name in ("first", "second"))
    key = ("a", "")
    assert limits.may_exceed()[key] == 2 * (5_000 - SLICE_TOKENS)
    assert limits.extend(first, SLICE_TOKENS, NOW)
    assert limits.may_exceed()[key] == (5_000 - 2 * SLICE_TOKENS - 256) + (5_000 - SLICE_TOKENS)
    limits.settle(first, Amounts(1, 100, 1_200), NOW)
    limits.void(second)
    nothing: Exceeded = {}
    assert limits.may_exceed() == nothing
