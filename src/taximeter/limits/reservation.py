"""Reserving one call: in full, then with a smaller allowance; what stands in the way when neither fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from taximeter.limits.ahead import LEAST_TOKENS
from taximeter.limits.amounts import NOTHING, Amounts
from taximeter.limits.counters import Counters, Standing
from taximeter.limits.learnt import Learnt
from taximeter.limits.rules import Applicable, Ruled
from taximeter.limits.verdict import (
    NEVER_AGAIN_SECONDS,
    NOT_PRICED,
    Admitted,
    Ask,
    HighestRates,
    Refused,
    Verdict,
    Wait,
    refusal,
    usual_of,
)

HOLD_SECONDS: Final = 900
HOLD_US: Final = HOLD_SECONDS * 1_000_000
"""A hold that is neither settled nor extended for so long has lost its owner, and is spent in full."""

SLICE_TOKENS: Final = 1_024
"""Output tokens by which a stream's hold grows; what its provider is ahead at least is part of the first of them."""

CLAMP_SHARE: Final = 4
"""A call whose allowance is cut down takes at most a quarter of what is left, so that others fit beside it."""

USUAL_SHARE: Final = 0.9
"""Share of answers that are no longer than what `expected` admission holds."""

ROOMY_SHARE: Final = 0.99
"""No allowance is cut below twice what this share of answers needs: an answer cut short helps nobody."""

NO_ALLOWANCE: Final = "it does not state how much it may write, and cannot be told to write less"

CLAMP_TRIES: Final = 3
"""Tries to reserve a smaller allowance, while other calls take what was left."""


class Reservation:
    """One attempt to reserve a call: in full, then with a smaller allowance."""

    __slots__ = (
        "_ask",
        "_bound",
        "_counters",
        "_find_rates",
        "_held",
        "_learnt",
        "_now_us",
        "_rates",
        "_ruled",
        "_usual",
    )

    def __init__(
        self,
        counters: Counters,
        rates: HighestRates | None,
        learnt: Learnt,
        ask: Ask,
        ruled: Applicable,
        now_us: int,
    ) -> None:
        self._counters = counters
        self._find_rates = rates
        self._learnt = learnt
        self._ask = ask
        self._bound = ask.bound
        self._ruled = ruled
        self._now_us = now_us
        self._rates = NOT_PRICED
        self._usual = self._held = NOTHING

    def verdict(self) -> Verdict:
        bounded = self._ruled.bounded
        unbound = self._why_unbound()
        if unbound is not None:
            return unbound
        if len(self._ruled.exact) < len(self._ruled):
            self._usual = self._usually()
        wanted = self._wanted()
        leased = self._bound.leased and self._bound.clampable
        first = min(SLICE_TOKENS + self._ask.ahead_tokens - LEAST_TOKENS, wanted) if leased else wanted
        standings = self._reserve(first)
        if standings is None:
            stated = self._bound.output_tokens is not None or not bounded or not self._bound.clampable
            return self._admitted(first, wanted, None if stated else wanted)
        if not standings:
            return self._repeated()
        if self._bound.clampable and bounded:
            return self._smaller(wanted, standings)
        return self._wait_or_refuse(first, standings)

    def _why_unbound(self) -> Refused | None:
        """Refuses a call that nobody can bound, under limits that must not be overspent. Finds the rates."""
        bounded, money = self._ruled.bounded, self._ruled.money
        if bounded and self._bound.unbounded is not None:
            return self._no_bound(bounded[0], self._bound.unbounded, "no_bound")
        if self._bound.output_tokens is None and not self._bound.clampable:
            writing = next((one for one in bounded if one.limit.measure != "input_tokens"), None)
            if writing is not None:
                return self._no_bound(writing, NO_ALLOWANCE, "no_bound")
        if money:
            find = self._find_rates
            rates = None if find is None else find(self._ask.kind, self._bound.input_tokens, self._ask.at_us)
            held_exactly = next((one for one in money if one.exact), None)
            if rates is None and held_exactly is not None:
                return self._no_bound(held_exactly, "no price bounds its model", "no_price")
            self._rates = (rates or NOT_PRICED).searching(self._bound.searches)
        return None

    def _no_bound(self, ruled: Ruled, why: str, reason: Literal["no_bound", "no_price"]) -> Refused:
        refused = refusal(ruled, self._ask.at_us, Standing(0, 0), self._now_us)
        message = f"the limit '{ruled.limit.name}' must not be overspent, and this call has no upper bound: {why}"
        return Refused(
            reason,
            message,
            limit=refused.limit,
            scope=refused.scope,
            measure=refused.measure,
            window=refused.window,
            amount=refused.amount,
            retry_after_seconds=NEVER_AGAIN_SECONDS,
        )

    def _usually(self) -> Amounts:
        usual = usual_of(self._learnt, self._ask)
        read = min(usual.input(self._ask.size_bytes), self._bound.input_tokens)
        written = usual.output(USUAL_SHARE)
        if self._bound.output_tokens is not None:
            written = min(written, self._bound.output_tokens * self._bound.choices)
        return Amounts(self._rates.nano_usd(read, written), read, written)

    def _wanted(self) -> int:
        """The allowance for one choice, as asked for."""
        asked = self._bound.output_tokens
        return self._bound.usual_allowance if asked is None else asked

    def _written(self, allowance: int) -> int:
        return allowance * self._bound.choices + (self._bound.fixed_output if allowance else 0)

    def _most(self, allowance: int) -> Amounts:
        read, written = self._bound.input_tokens, self._written(allowance)
        return Amounts(self._rates.nano_usd(read, written), read, written)

    def _reserve(self, allowance: int) -> Sequence[Standing] | None:
        ask, now_us = self._ask, self._now_us
        self._held = self._most(allowance)
        claims = self._ruled.claims(ask.at_us, self._held, self._usual)
        return self._counters.reserve(ask.event_id, claims, now_us=now_us, expires_us=now_us + HOLD_US)

    def _admitted(self, held_output: int, allowed: int, allowance: int | None) -> Admitted:
        """What was reserved last, for so much output of what is allowed."""
        return Admitted(
            self._ask,
            self._ruled,
            held=self._held,
            rates=self._rates,
            allowance=allowance,
            leased=self._written(held_output) if held_output < allowed else None,
            most_output=self._written(allowed),
            usual=self._usual,
        )

    def _repeated(self) -> Admitted:
        """A call of this id holds, or has ended: whoever asks knows whether it is the same one."""
        return Admitted(self._ask, self._ruled, repeated=True)

    # ── a smaller allowance ────────────────────────────────────────────────────────────────────────────────────

    def _smaller(self, wanted: int, standings: Sequence[Standing]) -> Verdict:
        """Reserve what can be afforded beside the other calls; wait, or refuse, when that is too little."""
        floor = self._floor(wanted)
        for _ in range(CLAMP_TRIES):
            affordable = self._affordable(standings, with_held=True)
            if affordable < floor:
                break
            allowance = min(wanted, max(floor, affordable // CLAMP_SHARE))
            found = self._reserve(allowance)
            if found is None:
                return self._admitted(
                    allowance, allowance, allowance if allowance != self._bound.output_tokens else None
                )
            if not found:
                return self._repeated()
            standings = found
        return self._wait_or_refuse(floor, standings)

    def _floor(self, wanted: int) -> int:
        """The smallest allowance that is worth having: ample for nearly every answer of this kind."""
        ample = 2 * usual_of(self._learnt, self._ask).output(ROOMY_SHARE)
        return min(wanted, max(self._bound.least_output, ample))

    def _affordable(self, standings: Sequence[Standing], *, with_held: bool) -> int:
        """The largest allowance that all limits leave; -1 when even none does not fit."""
        most = self._wanted()
        for one, standing in zip(self._ruled, standings, strict=True):
            cap = one.bucket(self._ask.at_us).cap
            if cap is not None:
                left = cap - standing.spent - (standing.held if with_held else 0)
                most = min(most, self._affordable_of(one, left))
        return most

    def _affordable_of(self, ruled: Ruled, left: int) -> int:
        read, measure = self._bound.input_tokens, ruled.limit.measure
        if not ruled.exact:
            return self._wanted() if self._usual.of(measure) <= left else -1
        if measure == "cost_usd":
            written = self._rates.affordable_output(left, read)
        elif measure == "total_tokens":
            written = left - read
        elif measure == "output_tokens":
            written = left
        else:
            return self._wanted() if self._most(0).of(measure) <= left else -1
        written -= self._bound.fixed_output
        return written // self._bound.choices if written >= 0 else -1

    def _wait_or_refuse(self, least: int, standings: Sequence[Standing]) -> Verdict:
        fits_alone = self._affordable(standings, with_held=False) >= least
        ruled, standing = self._tightest(least, standings)
        refused = refusal(ruled, self._ask.at_us, standing, self._now_us, 1.0 if fits_alone else None)
        if fits_alone:
            return Wait(refused)
        return replace(refused, used_up=ruled) if self._is_used_up(least, ruled, standing) else refused

    def _is_used_up(self, least: int, ruled: Ruled, standing: Standing) -> bool:
        """Whether most of an amount is spent, and not the call too large for all of it."""
        cap = ruled.bucket(self._ask.at_us).cap or 0
        return standing.spent * 2 >= cap and self._affordable_of(ruled, cap) >= least

    def _tightest(self, least: int, standings: Sequence[Standing]) -> tuple[Ruled, Standing]:
        """The limit that stands in the way: one that would even without what is held, if there is one."""
        capped = [
            (one, standing)
            for one, standing in zip(self._ruled, standings, strict=True)
            if one.bucket(self._ask.at_us).cap is not None
        ]
        for held in (0, 1):
            for one, standing in capped:
                cap = one.bucket(self._ask.at_us).cap or 0
                if self._affordable_of(one, cap - standing.spent - held * standing.held) < least:
                    return one, standing
        return capped[0]
