"""What an admission costs, counted in calls of functions: the same on every machine, however busy."""

from __future__ import annotations

import cProfile
import pstats

from taximeter.config.limits import read_limits
from taximeter.limits.amounts import Amounts
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Admitted, Ask, CallKind, Rates

NOW = 1_800_000_000_000_000
CALLS = 200
SUBJECT = {"user_id": "anna", "team": "core", "feature": "chat", "model": "gpt-4o"}


def guard_with(limits: int) -> LimitGuard:
    windows = ["month", "day", {"rolling": "24h"}]
    definitions = [
        {"name": f"limit-{i}", "scope": "user", "each": True, "measure": "total_tokens", "limit": 10**9}
        | {"window": windows[i % 3]}
        for i in range(limits)
    ]
    return LimitGuard(Rules(read_limits(definitions)), MemoryCounters(), lambda *_: Rates(1, 1, 0))


def calls_of_functions(limits: int) -> float:
    """Calls of functions, those written in C included, for a call that is admitted and settled."""
    guard = guard_with(limits)
    bound = CallBound(200, 1000, allowance_key="max_tokens")
    asks = [Ask(f"call-{i}", NOW + i, SUBJECT, CallKind("openai", "gpt-4o"), bound) for i in range(CALLS + 1)]

    def served(ask: Ask) -> None:
        verdict = guard.decide(ask, ask.at_us)
        assert isinstance(verdict, Admitted)
        guard.settle(verdict, Amounts(1000, 200, 300), ask.at_us)

    served(asks.pop())  # what calls of one kind have in common is found once
    profile = cProfile.Profile()
    for ask in asks:
        profile.runcall(served, ask)
    total: int = vars(pstats.Stats(profile))["total_calls"]
    return total / CALLS


def test_a_limit_more_is_at_most_eight_calls_of_functions_more() -> None:
    assert (calls_of_functions(10) - calls_of_functions(1)) / 9 <= 8


def test_admission_and_settlement_under_one_limit_are_at_most_eighty_calls_of_functions() -> None:
    assert calls_of_functions(1) <= 80
