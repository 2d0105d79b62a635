"""Limits: what an admission costs, and how few calls are refused falsely.

admission   ten limits that apply, in memory: CPU time of reserve, and of settle
agents      coding agents in virtual time against a budget of 25 USD: how many of the calls that it had room for
            were refused, how much of it was used at the first refusal; worst-case holds beside it
"""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, Literal

from bench.figures import Promise, Result, Row
from taximeter.config.limits import read_limits
from taximeter.limits.amounts import Amounts
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Admitted, Ask, CallKind, Rates, Wait

ADMISSIONS: Final = 20_000
OPEN: Final = 500
"""Calls under way at once."""

ADMISSION_BOUND_US: Final = 30.0
ADMISSIONS_A_SECOND: Final = 10_000
REFUSED_BOUND_PERCENT: Final = 1.0
USED_BOUND_PERCENT: Final = 95.0

NOW: Final = 1_800_000_000_000_000
MODEL: Final = "claude-opus-4-1"
KIND: Final = CallKind("anthropic", MODEL)

OPUS: Final = Rates(18_750_000, 75_000_000, 0)
"""The most that Claude Opus 4.1 is charged: writing the cache at 18.75, output at 75 USD a million tokens."""
SONNET: Final = Rates(3_750_000, 15_000_000, 0)
CACHED_SHARE: Final = 12.5
"""Reading the cache costs so much less than writing it."""

# ── what an admission costs ────────────────────────────────────────────────────────────────────────────────


def ten_limits() -> list[dict[str, Any]]:
    """Five scopes, each with two measures and windows."""
    scopes: list[dict[str, Any]] = [
        {"scope": "global"},
        {"scope": "user", "each": True},
        {"scope": "team", "each": True},
        {"scope": {"feature": "chat"}},
        {"scope": {"model": MODEL}, "each": ["user"]},
    ]
    measures = [("cost_usd", "1000000", "month"), ("total_tokens", 10**12, {"rolling": "24h"})]
    return [
        {"name": f"limit-{i}-{measure}", "measure": measure, "limit": amount, "window": window, **scope}
        for i, scope in enumerate(scopes)
        for measure, amount, window in measures
    ]


def admission_us(calls: int) -> tuple[float, float]:
    """CPU microseconds of an admission under ten limits, and of its settlement: medians of rounds of `OPEN` calls that
    are under way at once. The first round also meets everybody for the first time."""
    guard = LimitGuard(Rules(read_limits(ten_limits())), MemoryCounters(), lambda *_: OPUS)
    bound = CallBound(200, 1000, allowance_key="max_tokens")
    subjects = [{"user_id": f"user-{i}", "team": "core", "feature": "chat", "model": MODEL} for i in range(50)]
    asks = [Ask(f"call-{i}", NOW + i, subjects[i % 50], KIND, bound, 800) for i in range(calls)]
    admitting, settling = [], []
    for first in range(0, calls, OPEN):
        began = time.process_time()
        verdicts = [guard.decide(ask, ask.at_us) for ask in asks[first : first + OPEN]]
        decided = time.process_time()
        for verdict in verdicts:
            if isinstance(verdict, Admitted):
                guard.settle(verdict, Amounts(1000, 200, 300), verdict.ask.at_us)
        admitting.append(decided - began)
        settling.append(time.process_time() - decided)
    return statistics.median(admitting) / OPEN * 1_000_000, statistics.median(settling) / OPEN * 1_000_000


# ── coding agents ──────────────────────────────────────────────────────────────────────────────────────────

Way = Literal["exact", "worst case", "length known", "foreseen"]
"""Ours; holds of the whole `max_tokens` without waiting, as others have them; knowing how long every answer will be,
only not whether its prompt is read from the cache, and waiting as long as it takes: nobody who may not overspend can do
much better; and knowing what a call will cost."""

AGENTS: Final = 20
BUDGET_USD: Final = 25
MAX_TOKENS: Final = 32_000
BYTES_OF_A_TOKEN: Final = 4
FIRST_CONTEXT: Final = 12_000
LAST_CONTEXT: Final = 60_000
"""Tokens of a conversation at its begin, and when it is compacted."""
TOOL_TOKENS: Final = 600
"""What tools add to it at each turn."""

WAIT_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 0.25
SECONDS: Final = 1_800.0
_PATIENCE_SECONDS: Final[dict[Way, float]] = {"exact": WAIT_SECONDS, "length known": SECONDS}


@dataclass
class Agent:
    """One agent. Its conversation grows; of that the provider has counted `known` tokens, and cached them."""

    chance: Random
    context: int = FIRST_CONTEXT
    known: int = 0
    will_write: int = 0
    waits_since: float | None = None

    def thinks_of_a_call(self) -> None:
        self.will_write = min(max(40, int(self.chance.lognormvariate(5.6, 0.7))), 8_000)

    def costs(self, rates: Rates, written: int) -> int:
        """What its next call really costs, nano-USD."""
        fresh = self.context - self.known
        pico = int(self.known * rates.read / CACHED_SHARE) + fresh * rates.read + written * rates.written
        return -(-pico // 1000)

    def went_on(self, written: int) -> None:
        self.known, self.context = self.context, self.context + written + TOOL_TOKENS
        if self.context > LAST_CONTEXT:
            self.context, self.known = FIRST_CONTEXT, 0
        self.waits_since = None


REFUSED: Final = "% refused though there was room"
USED: Final = "% used at the first refusal"


@dataclass
class Outcome:
    """What became of the calls."""

    served: int = 0
    refused: int = 0
    spent: int = 0
    cut_short: int = 0
    used_at_first_refusal: float | None = None
    longest_wait_seconds: float = 0.0

    def told(self, fitting: int) -> dict[str, float | None]:
        """`fitting`: how many calls the budget had room for, by what they really cost."""
        first = self.used_at_first_refusal
        return {
            "served": self.served,
            REFUSED: 100 * max(fitting - self.served, 0) / fitting,
            USED: None if first is None else 100 * first,
            "% used": 100 * self.spent / (BUDGET_USD * 10**9),
            "answers cut short": self.cut_short,
            "longest wait (s)": self.longest_wait_seconds,
        }


@dataclass
class Office:
    """Agents at work in virtual time."""

    way: Way
    rates: Rates
    seed: int = 1
    outcome: Outcome = field(default_factory=Outcome)
    now: float = 0.0

    def __post_init__(self) -> None:
        limit = {"name": "budget", "scope": "global", "measure": "cost_usd", "limit": BUDGET_USD, "window": "month"}
        self.guard = LimitGuard(Rules(read_limits([limit])), MemoryCounters(), lambda *_: self.rates)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def runs(self) -> Outcome:
        """Until time is over."""
        chance = Random(self.seed)
        for number in range(AGENTS):
            agent = Agent(Random(self.seed * 1000 + number))
            self._later(chance.uniform(0, 3), partial(self.begins, agent))
        while self._events and self.now < SECONDS:
            self.now, _, happens = heapq.heappop(self._events)
            happens()
        return self.outcome

    def _later(self, seconds: float, happens: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now + seconds, self._number, happens))

    def begins(self, agent: Agent) -> None:
        agent.thinks_of_a_call()
        agent.waits_since = self.now
        self.asks(agent)

    def asks(self, agent: Agent) -> None:
        since = self.now if agent.waits_since is None else agent.waits_since
        verdict = self.guard.decide(self._ask(agent), NOW)
        if isinstance(verdict, Admitted):
            self.outcome.longest_wait_seconds = max(self.outcome.longest_wait_seconds, self.now - since)
            self.serves(agent, verdict)
        elif isinstance(verdict, Wait) and self.now + PAUSE_SECONDS - since <= _PATIENCE_SECONDS.get(self.way, 0):
            self._later(PAUSE_SECONDS, lambda: self.asks(agent))
        else:
            self.refuses(agent)

    def _ask(self, agent: Agent) -> Ask:
        self._number += 1
        size = agent.context * BYTES_OF_A_TOKEN
        if self.way == "foreseen":
            read = agent.costs(self.rates, agent.will_write) * 1000 // self.rates.read + 1
            bound = CallBound(read, 0)
        elif self.way == "length known":
            bound = CallBound(agent.context, agent.will_write)
        elif self.way == "worst case":
            bound = CallBound(agent.context, MAX_TOKENS)
        else:
            read = agent.known + size - agent.known * BYTES_OF_A_TOKEN
            bound = CallBound(read, MAX_TOKENS, allowance_key="max_tokens")
        return Ask(f"call-{self._number}", NOW, {}, KIND, bound, size)

    def serves(self, agent: Agent, admitted: Admitted) -> None:
        written = min(agent.will_write, admitted.allowance or MAX_TOKENS)
        self.outcome.served += 1
        self.outcome.cut_short += written < agent.will_write
        self._later(1 + written / 80, lambda: self.ends(agent, admitted, written))

    def ends(self, agent: Agent, admitted: Admitted, written: int) -> None:
        cost = agent.costs(self.rates, written)
        self.outcome.spent += cost
        self.guard.settle(admitted, Amounts(cost, agent.context, written), NOW)
        self.guard.learn(admitted, agent.context, written)
        agent.went_on(written)
        self._later(0.5, lambda: self.begins(agent))

    def refuses(self, agent: Agent) -> None:
        self.outcome.refused += 1
        if self.outcome.used_at_first_refusal is None:
            self.outcome.used_at_first_refusal = self.outcome.spent / (BUDGET_USD * 10**9)
        self._later(60, lambda: self.begins(agent))  # its own retries and back-off are over


_SHOWN: Final[tuple[Way, ...]] = ("exact", "worst case", "length known")


def result(calls: int) -> Result:
    """All figures; `calls` are admitted for those of an admission."""
    admitted_us, settled_us = admission_us(calls)
    rows: dict[str, Row] = {
        "admission, ten limits": {"CPU µs": admitted_us},
        "its settlement": {"CPU µs": settled_us},
    }
    promises = [
        Promise("CPU of an admission under ten limits", admitted_us, ADMISSION_BOUND_US, "µs"),
        Promise(
            "admitted and settled",
            1e6 / (admitted_us + settled_us),
            ADMISSIONS_A_SECOND,
            "calls a CPU second",
            at_least=True,
        ),
    ]
    for name, rates in (("Claude Opus 4.1", OPUS), ("Claude Sonnet", SONNET)):
        fitting = Office("foreseen", rates).runs().served
        rows |= {f"{name}, {way}": Office(way, rates).runs().told(fitting) for way in _SHOWN}
        ours = rows[f"{name}, exact"]
        promises += [
            Promise(f"{name}: refused though there was room", ours[REFUSED] or 0.0, REFUSED_BOUND_PERCENT, "%"),
            Promise(f"{name}: used at the first refusal", ours[USED] or 100.0, USED_BOUND_PERCENT, "%", at_least=True),
        ]
    return Result("limits", "Limits: what an admission costs, and twenty coding agents against 25 USD", rows, promises)
