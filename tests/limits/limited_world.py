"""A provider, some agents and a guard between them, in one thread and without time: every step is one of chance.

The provider keeps books of its own. Whatever the order of steps, what it bills may never exceed a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from taximeter.config.limits import read_limits
from taximeter.limits.ahead import LEAST_TOKENS
from taximeter.limits.amounts import Amounts
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters import Bucket, Claim, Counters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules, subject_of_record
from taximeter.limits.verdict import Admitted, Ask, CallKind, Rates, Refused, Wait

NOW = 1_800_000_000_000_000
RATES = Rates(3_000_000, 15_000_000, 0)
"""Claude Sonnet's: 3 and 15 USD for a million tokens."""


def dearest(kind: CallKind, input_tokens: int, at_us: int) -> Rates:
    return RATES


@dataclass
class Running:
    """A call that was admitted: what it will really write, and how much of that was seen."""

    admitted: Admitted
    input_tokens: int
    output_tokens: int
    stream: bool
    written: int = 0


@dataclass
class World:
    """`step` does one thing of chance. `billed` are the provider's books, by user."""

    chance: Random
    counters: Counters
    definitions: Sequence[dict[str, object]]
    users: int = 5
    billed: dict[str, Amounts] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    refused: int = 0
    served: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        self.limits = read_limits(self.definitions)
        self.guard = self.fresh()

    def fresh(self) -> LimitGuard:
        return LimitGuard(Rules(self.limits), self.counters, dearest)

    def step(self) -> None:
        happens = self.chance.random()
        if not self.running or happens < 0.4:
            self.begin()
            return
        event_id = self.chance.choice(sorted(self.running))
        call = self.running[event_id]
        if happens < 0.7:
            self.flow(event_id, call)
        elif happens < 0.9:
            self.finish(event_id, call)
        elif happens < 0.95:
            self.hang_up(event_id, call)
        elif happens < 0.98:
            self.guard.void(self.running.pop(event_id).admitted)

    def begin(self) -> None:
        self.number += 1
        chance = self.chance
        user = f"user-{chance.randrange(self.users)}"
        read, asked = chance.randrange(20, 3000), chance.choice([None, 500, 4_000, 32_000])
        stream = chance.random() < 0.5
        bound = CallBound(read * 4, asked, allowance_key="max_tokens", leased=stream)
        kind = CallKind("anthropic", "claude-sonnet-4-5")
        ask = Ask(f"call-{self.number}", NOW, {"user_id": user, "model": kind.model or ""}, kind, bound, read * 4)
        verdict = self.guard.decide(ask, NOW)
        if isinstance(verdict, Refused | Wait):
            self.refused += 1
            return
        wants = int(chance.lognormvariate(5.5, 1.2))
        allowed = asked if verdict.allowance is None else verdict.allowance
        self.served += 1
        self.running[ask.event_id] = Running(verdict, read, min(wants, allowed or wants), stream)

    def flow(self, event_id: str, call: Running) -> None:
        """More of a stream is seen. The provider is ahead of what is seen, but not by more than it is believed."""
        if not call.stream or call.written >= call.output_tokens:
            return
        call.written = min(call.output_tokens, call.written + self.chance.randrange(1, 200))
        if not self.guard.extend(call.admitted, call.written, NOW):
            ahead = min(call.output_tokens, call.written + self.chance.randrange(LEAST_TOKENS + 1))
            self.bill(call, ahead)
            del self.running[event_id]
            self.guard.settle(call.admitted, Amounts(0, call.input_tokens, call.written), NOW, seen=False)

    def finish(self, event_id: str, call: Running) -> None:
        while call.stream and call.written < call.output_tokens and event_id in self.running:
            self.flow(event_id, call)
        if self.running.pop(event_id, None) is None:
            return
        came_to = self.bill(call, call.output_tokens)
        self.guard.settle(call.admitted, came_to, NOW)
        self.guard.learn(call.admitted, came_to.input_tokens, came_to.output_tokens)

    def hang_up(self, event_id: str, call: Running) -> None:
        """The caller left, and what was written is an estimate."""
        del self.running[event_id]
        leased = call.admitted.leased
        most = call.output_tokens if leased is None else min(call.output_tokens, leased)
        self.bill(call, self.chance.randrange(call.written, most + 1) if most >= call.written else call.written)
        self.guard.settle(call.admitted, Amounts(0, call.input_tokens, call.written), NOW, seen=False)

    def kill(self, counters: Counters) -> None:
        """The process dies; calls under way are billed, and nobody saw their end. Another one starts.

        It knows what was settled (from the store) and what was held (from the begin records).
        """
        left, self.running = self.running, {}
        settled = dict(self.billed)
        self.counters = counters
        self.guard = self.fresh()
        known: dict[Bucket, int] = {}
        for user, amounts in settled.items():
            subject = subject_of_record({"user_id": user, "request_model": "claude-sonnet-4-5"})
            for one in self.guard.rules.about(subject):
                bucket = one.bucket(NOW)
                known[bucket] = known.get(bucket, 0) + amounts.of(one.limit.measure)
        counters.raise_to([Claim(*one) for one in known.items()], now_us=NOW)
        for event_id, call in left.items():
            held, leased = call.admitted.held, call.admitted.leased
            self.guard.post(event_id, call.admitted.ask.subject, NOW, held, NOW, seen=False)
            self.bill(call, call.output_tokens if leased is None else min(call.output_tokens, leased))

    def bill(self, call: Running, output_tokens: int) -> Amounts:
        cost = RATES.nano_usd(call.input_tokens, output_tokens)
        amounts = Amounts(cost, call.input_tokens, output_tokens)
        user = call.admitted.ask.subject["user_id"]
        before = self.billed.get(user, Amounts(0, 0, 0, 0))
        self.billed[user] = Amounts(*(a + b for a, b in zip(before, amounts, strict=True)))
        return amounts

    def overspent(self) -> list[str]:
        """Limits that the provider's books exceed."""
        everybody = [Amounts(*(sum(column) for column in zip(*self.billed.values(), strict=True)))]
        return [
            limit.name
            for limit in self.limits
            for amounts in (self.billed.values() if limit.each else everybody if self.billed else [])
            if limit.caps and amounts.of(limit.measure) > limit.amount
        ]
