"""A limit that is removed, set again or renamed while a call holds of it: the call holds once, and what it holds ends
with it."""

from __future__ import annotations

from typing import Any

import pytest

from taximeter.config.limits import read_limits
from taximeter.limits.amounts import Amounts
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.reservation import HOLD_US
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Admitted, Ask, CallKind

NOON = 1_800_057_600_000_000 + 12 * 3_600_000_000
DAILY = {"name": "daily", "scope": "global", "measure": "total_tokens", "limit": 1_000, "window": "day"}
CAME_TO = Amounts(0, 100, 50)


class Changing:
    """A guard whose limits change while one call is under way, which holds 400 tokens."""

    def __init__(self) -> None:
        self.counters = MemoryCounters()
        self.guard = LimitGuard(Rules(read_limits([DAILY])), self.counters)
        ask = Ask("call", NOON, {"user_id": "ann"}, CallKind("openai", "gpt-4o"), CallBound(100, 300), 400)
        verdict = self.guard.decide(ask, NOON)
        assert isinstance(verdict, Admitted)
        self.call = verdict

    def are(self, *limits: dict[str, Any]) -> None:
        self.guard.rules = Rules(read_limits(limits))
        self.guard.take_up(NOON)

    def end(self, how: str) -> None:
        if how == "settled":
            self.guard.settle(self.call, CAME_TO, NOON)
        elif how == "voided":
            self.guard.void(self.call)
        else:
            self.guard.post("call", {"user_id": "ann"}, NOON, CAME_TO, NOON, seen=True)

    def standing(self) -> tuple[int, int]:
        """Spent and held of the limit `daily`."""
        (ruled,) = Rules(read_limits([DAILY])).about({"user_id": "ann"})
        [found] = self.counters.standings([ruled.bucket(NOON)])
        return found.spent, found.held


def test_a_limit_that_is_removed_and_set_again_holds_what_it_held() -> None:
    changing = Changing()
    assert changing.standing() == (0, 400)
    for _ in range(3):
        changing.are()
        changing.are(DAILY)
    assert changing.standing() == (0, 400)
    changing.end("settled")
    assert changing.standing() == (150, 0)


@pytest.mark.parametrize("others", [[], [{**DAILY, "name": "other"}]])
@pytest.mark.parametrize("how", ["settled", "voided", "stored"])
def test_what_a_call_holds_of_a_removed_limit_ends_with_it(how: str, others: list[dict[str, Any]]) -> None:
    changing = Changing()
    changing.are(*others)
    changing.end(how)
    assert changing.standing() == (0, 0)
    changing.guard.expire(NOON + 2 * HOLD_US)
    assert changing.standing() == (0, 0)
