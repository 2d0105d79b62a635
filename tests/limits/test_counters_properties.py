"""Any order of steps: nothing is overspent, nothing is lost, and Redis agrees with memory on every answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from redis_here import fresh_counters

from taximeter.limits.counters import Bucket, Claim, Counters

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "25"))
NOW = 1_800_000_000_000_000
CAPS = {"user": 120, "team": 300, "seen": None, "now": 4}
BUCKETS = {name: Bucket(f"{name}|", cap, NOW + 86_400_000_000, transient=name == "now") for name, cap in CAPS.items()}


@dataclass
class Called:
    """What the test itself knows of a call."""

    held: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    state: str = "open"
    expires: int = 0


class Ledger(RuleBasedStateMachine):
    """Drives the adapter under test beside a model that only adds up."""

    make: Callable[[], Counters]

    def __init__(self) -> None:
        super().__init__()
        self.counters = type(self).make()
        self.calls: dict[str, Called] = {}
        self.number = 0

    @rule(amount=st.integers(0, 80), names=st.sets(st.sampled_from(sorted(CAPS)), min_size=1))
    def reserve(self, amount: int, names: set[str]) -> None:
        self.number += 1
        event_id = f"call-{self.number}"
        wanted = {name: 1 if name == "now" else amount for name in names}
        refused = self.counters.reserve(event_id, _claims(wanted), now_us=NOW, expires_us=NOW + self.number)
        assert (refused is None) == self._fits(wanted)
        if refused is None:
            self.calls[event_id] = Called(held=wanted, expires=self.number)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), more=st.integers(0, 40))
    def extend(self, data: st.DataObject, more: int) -> None:
        event_id, call = self._some(data)
        wanted = {name: more for name in call.held if name != "now"}
        refused = self.counters.extend(event_id, _claims(wanted), now_us=NOW, expires_us=NOW + self.number)
        assert (refused is None) == (call.state == "open" and self._fits(wanted))
        if refused is None:
            call.expires = self.number
            call.held = {name: held + wanted.get(name, 0) for name, held in call.held.items()}

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), share=st.integers(0, 100), unseen=st.booleans())
    def settle(self, data: st.DataObject, share: int, unseen: bool) -> None:
        event_id, call = self._some(data)
        known = {name: call.held[name] + call.spent.get(name, 0) for name in call.held}
        came_to = {name: amount * share // 100 for name, amount in known.items()}
        answer = self.counters.settle(event_id, _claims(came_to), now_us=NOW, at_least_held=unseen)
        assert (answer is None) == (call.state == "ended")
        if call.state != "ended":
            call.spent = {n: 0 if n == "now" else known[n] if unseen else came_to[n] for n in known}
            call.held, call.state = dict.fromkeys(known, 0), "ended"

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        event_id, call = self._some(data)
        if call.state != "ended":
            self.counters.void(event_id)
            del self.calls[event_id]

    @rule(upto=st.integers(0, 30))
    def expire(self, upto: int) -> None:
        self.counters.expire(now_us=NOW + upto)
        for call in self.calls.values():
            if call.state == "open" and call.expires <= upto:
                call.spent = {name: 0 if name == "now" else held for name, held in call.held.items()}
                call.held, call.state = dict.fromkeys(call.held, 0), "expired"

    def _some(self, data: st.DataObject) -> tuple[str, Called]:
        event_id = data.draw(st.sampled_from(sorted(self.calls)))
        return event_id, self.calls[event_id]

    def _sums(self, name: str) -> tuple[int, int]:
        known = self.calls.values()
        return sum(c.spent.get(name, 0) for c in known), sum(c.held.get(name, 0) for c in known)

    def _fits(self, wanted: dict[str, int]) -> bool:
        return all(
            (cap := CAPS[name]) is None or sum(self._sums(name)) + amount <= cap for name, amount in wanted.items()
        )

    @invariant()
    def the_books_agree_and_nothing_is_overspent(self) -> None:
        names = sorted(CAPS)
        standings = self.counters.standings([BUCKETS[name] for name in names])
        for name, (spent, held) in zip(names, standings, strict=True):
            assert (spent, held) == self._sums(name)
            cap = CAPS[name]
            assert cap is None or spent + held <= cap


def _claims(wanted: dict[str, int]) -> Sequence[Claim]:
    return [Claim(BUCKETS[name], amount) for name, amount in wanted.items()]


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_whatever_the_order_of_steps_nothing_is_overspent_or_lost(kind: str, request: pytest.FixtureRequest) -> None:
    class Driven(Ledger):
        make = staticmethod(lambda: fresh_counters(request, kind))

    examples = EXAMPLES * 4 if kind == "memory" else EXAMPLES
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Driven,
        settings=settings(max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=checks),
    )
