"""Admission before a call, settlement after it: the one way to a provider, for gateway and SDK.

    ask → decide → Admitted           the call may be made, with this allowance; `settle` or `void` ends it
                 → Wait               it would fit but for what other calls hold; ask again in a moment
                 → Refused            it does not fit, and will not before the limit resets

A limit that must not be overspent (`exact`) holds the most that a call can cost, kept small by three means: the output
allowance is cut down to what can be afforded, streams whose every token is seen hold a slice at a time, and a call
waits shortly while only the holds of others stand in its way. A limit of `expected` admission holds what such calls
usually cost, and says how far it may be exceeded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Literal

from taximeter.limits.ahead import LEAST_TOKENS
from taximeter.limits.amounts import NOTHING, Amounts
from taximeter.limits.bounds import with_model
from taximeter.limits.counters import Bucket, Claim, Claims, Counters, CountersAway, Standing
from taximeter.limits.learnt import Learnt
from taximeter.limits.overshoot import Exceeded, may_exceed
from taximeter.limits.prompts import KnownPrompts
from taximeter.limits.reservation import HOLD_US, SLICE_TOKENS, Reservation
from taximeter.limits.rules import Applicable, Ruled, Rules, Subject
from taximeter.limits.verdict import (
    Admitted,
    Ask,
    Crossing,
    HighestRates,
    Rates,
    Refused,
    Unseen,
    Verdict,
    Wait,
    refusal,
    usual_of,
)
from taximeter.limits.window import FOREVER_US

MOST_OPEN: Final = 50_000
"""Calls under way that are remembered, to be held again in counters that lost them."""

PUT_OFF_US: Final = 2 * HOLD_US // 3
"""A hold of a call under way that would expire within so long is put off."""

ALL_PERCENT: Final = 100

LATE_US: Final = 15 * 60 * 1_000_000
"""So long after its end thresholds of a window are told: events take some time to come."""

MOST_QUEUES: Final = 10_000
"""Queues of limits that throttle, by window; beyond it those in which nobody waits are forgotten."""

LONGEST_THROTTLE_SECONDS: Final = 30.0

Policy = Literal["closed", "open"]


class LimitGuard:
    """Decides about calls. Safe to use from many threads; blocks as its counters do.

    `fail` is what holds while the counters are away: `closed` refuses calls under hard limits, `open` lets them
    through uncounted. `crossed` is told of thresholds, `unseen` of what stays spent beyond what an event says. Counters
    for the product: `admitted`, `refused`, `waited`, `clamped`, `downgraded`, `throttled`, `uncounted`, `cut`,
    `overshoots`.
    """

    def __init__(
        self,
        rules: Rules,
        counters: Counters,
        rates: HighestRates | None = None,
        *,
        fail: Policy = "closed",
        crossed: Callable[[Crossing], None] = lambda _: None,
        unseen: Callable[[Unseen], None] = lambda _: None,
    ) -> None:
        self.rules = rules
        self.counters: Final = counters
        self.learnt: Final = Learnt()
        self.prompts: Final = KnownPrompts()
        self.counts: Final = dict.fromkeys(
            ("admitted", "refused", "waited", "clamped", "downgraded", "throttled", "uncounted", "cut", "overshoots"), 0
        )
        self.away: str | None = None
        """Why the counters do not answer; None while they do."""
        self._rates = rates
        self._fail = fail
        self._crossed = crossed
        self._unseen = unseen
        self._told: dict[str, int] = {}
        self._queue: dict[str, int] = {}
        self._restored: dict[str, Amounts] = {}
        self._open: dict[str, Admitted] = {}
        self._doubtful: dict[str, None] = {}

    # ── before the call ────────────────────────────────────────────────────────────────────────────────────────

    def decide(self, ask: Ask, now_us: int) -> Verdict:
        """Whether a call may be made. Reserves what it may cost."""
        ruled = self.rules.about(ask.subject)
        if not ruled:
            return Admitted(ask)
        try:
            verdict = self._decide(ask, ruled, now_us)
            self.away = None
        except CountersAway as error:
            self.away = str(error)
            verdict = self._without_counters(ask, ruled)
            if isinstance(verdict, Refused):
                self._doubt(ask.event_id)
        self._count(verdict)
        return verdict

    def _count(self, verdict: Verdict) -> None:
        if isinstance(verdict, Refused):
            self.counts["refused"] += 1
        elif isinstance(verdict, Wait):
            self.counts["waited"] += 1
        else:
            counts = self.counts
            counts["admitted"] += 1
            counts["clamped"] += verdict.allowance is not None
            counts["downgraded"] += verdict.model is not None
            counts["throttled"] += verdict.delay_seconds > 0
            counts["uncounted"] += verdict.uncounted

    def _without_counters(self, ask: Ask, ruled: Applicable) -> Verdict:
        if self._fail == "closed" and any(one.limit.caps for one in ruled):
            message = "the counters of its limits do not answer, and calls are configured to be refused then"
            return Refused("counters_away", message, retry_after_seconds=1)
        return Admitted(ask, ruled, uncounted=True)

    def _decide(self, ask: Ask, ruled: Applicable, now_us: int, given_up: tuple[str | None, ...] = ()) -> Verdict:
        """`given_up` are models that it was to be made with before: limits that name each other's end somewhere."""
        over = self._over(ruled.acting, ask.at_us, now_us) if ruled.acting else []
        for one in over:
            model = one.limit.action.model
            if model is not None and model != ask.kind.model and model not in given_up:
                return self._downgraded(ask, model, now_us, (*given_up, ask.kind.model))
        delay_seconds = max([self._queued(one, ask.at_us, now_us) for one in over]) if over else 0.0
        if delay_seconds > LONGEST_THROTTLE_SECONDS:
            return refusal(over[0], ask.at_us, self._standing(over[0], ask.at_us), now_us, delay_seconds)
        verdict = Reservation(self.counters, self._rates, self.learnt, ask, ruled, now_us).verdict()
        if isinstance(verdict, Refused) and verdict.used_up is not None:
            self._look_at_used_up(verdict.used_up, ask.at_us, now_us)
        if isinstance(verdict, Admitted) and not verdict.repeated:
            verdict.delay_seconds = delay_seconds
            if len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open)), None)
            self._open[ask.event_id] = verdict
        return verdict

    def _standing(self, ruled: Ruled, at_us: int) -> Standing:
        [found] = self.counters.standings([ruled.bucket(at_us)])
        return found

    def _over(self, acting: Sequence[Ruled], at_us: int, now_us: int) -> list[Ruled]:
        """Those of some limits whose amount is used up."""
        standings = self.counters.standings([one.bucket(at_us) for one in acting])
        return [
            one
            for one, standing in zip(acting, standings, strict=True)
            if standing.spent >= one.limit.amount_of(one.value, now_us)
        ]

    def _downgraded(self, ask: Ask, model: str, now_us: int, given_up: tuple[str | None, ...]) -> Verdict:
        """The call with another model: it may fall under other limits, and has other rates."""
        instead = Ask(
            ask.event_id,
            ask.at_us,
            {**ask.subject, "model": model},
            ask.kind._replace(model=model),
            with_model(ask.bound, model),
            ask.size_bytes,
            None,
            ask.ahead_tokens,
        )
        verdict = self._decide(instead, self.rules.about(instead.subject), now_us, given_up)
        if isinstance(verdict, Admitted) and verdict.model is None:
            verdict.model = model
        return verdict

    def _queued(self, ruled: Ruled, at_us: int, now_us: int) -> float:
        """Seconds that a call has to queue under a limit that throttles; its place is taken."""
        if not ruled.limit.action.per_hour:
            return 0.0
        slot = ruled.bucket(at_us).slot
        turn_us = max(self._queue.get(slot, 0), now_us)
        delay_seconds = (turn_us - now_us) / 1_000_000
        if delay_seconds <= LONGEST_THROTTLE_SECONDS:
            if len(self._queue) >= MOST_QUEUES:
                self._queue = {slot: turn for slot, turn in self._queue.items() if turn > now_us}
            self._queue[slot] = turn_us + 3_600_000_000 // ruled.limit.action.per_hour
        return delay_seconds

    # ── while a stream flows ───────────────────────────────────────────────────────────────────────────────────

    def extend(self, admitted: Admitted, seen_tokens: int, now_us: int, ahead_tokens: int = LEAST_TOKENS) -> bool:
        """Whether a stream may go on, of which at most so many output tokens were seen, and whose provider may be so
        many ahead. It holds a slice more then.

        False: it has to be cut; what it holds covers all that was seen, and what the provider is ahead.
        """
        leased = admitted.leased
        if leased is None or admitted.covers(seen_tokens + ahead_tokens):
            return True
        wanted = min(max(leased, seen_tokens + ahead_tokens) + SLICE_TOKENS, admitted.most_output)
        more = wanted - leased
        if more <= 0:
            admitted.leased = None
            return True
        cost = admitted.rates.nano_usd(0, more) - admitted.rates.fee
        extra = Amounts(cost, 0, more, 0)
        at_us = admitted.ask.at_us
        claims = [Claim(one.bucket(at_us), extra.of(one.limit.measure)) for one in admitted.ruled.exact]
        try:
            refused = self.counters.extend(admitted.ask.event_id, claims, now_us=now_us, expires_us=now_us + HOLD_US)
        except CountersAway as error:
            self.away = str(error)
            refused = None if self._fail == "open" else []
        if refused is not None:
            self.counts["cut"] += 1
            admitted.stopped_by = _in_the_way(admitted.ruled.exact, claims, refused)
            return False
        admitted.leased = leased + more
        held = admitted.held
        admitted.held = held._replace(cost=held.cost + cost, output_tokens=held.output_tokens + more)
        return True

    # ── after the call ─────────────────────────────────────────────────────────────────────────────────────────

    def settle(self, admitted: Admitted, came_to: Amounts | None, now_us: int, *, seen: bool = True) -> None:
        """A call has ended and came to so much; None: nobody knows, and what is held is spent.

        `seen` False: it is an estimate, and the bound stands where it is more.
        """
        if not admitted.ruled and not admitted.left:
            return
        self._open.pop(admitted.ask.event_id, None)
        amounts = came_to or admitted.held
        claims = admitted.ruled.claims(admitted.ask.at_us, amounts, amounts)
        known = came_to is not None and seen
        if not known and admitted.ruled.exact:
            self._keep_bound(admitted.ask.event_id, admitted.ask.at_us, admitted.ask.subject, admitted.held, came_to)
        try:
            standings = self.counters.settle(admitted.ask.event_id, claims, now_us=now_us, at_least_held=not known)
        except CountersAway as error:
            self.away = str(error)  # the collector posts the event when they are back, and the hold ends with it
            return
        if known:
            self.counts["overshoots"] += _exceeds(amounts, admitted)
        self._look_at_thresholds(admitted.ruled, standings or (), admitted.ask.at_us, now_us)

    def _keep_bound(self, event_id: str, at_us: int, subject: Subject, held: Amounts, came_to: Amounts | None) -> None:
        excess = Amounts(*(max(h - c, 0) for h, c in zip(held, came_to or NOTHING, strict=True)))
        self._unseen(Unseen(event_id, at_us, subject, excess))

    def restore(self, event_id: str, subject: Subject, at_us: int, held: Amounts, now_us: int) -> None:
        """Hold again what a call held whose process died. Nothing is refused: it has left already."""
        exact = Applicable(self.rules.about(subject).exact)
        if exact:
            self._hold_whatever(event_id, exact, at_us, held, now_us)
            self._restored[event_id] = held

    def may_exceed(self) -> Exceeded:
        """How far limits may be exceeded by what is under way through this process."""
        return may_exceed(list(self._open.values()))

    def hold_again(self, now_us: int) -> None:
        """Hold what the calls under way hold, in counters that may have lost it. Raises CountersAway."""
        for event_id, one in list(self._open.items()):
            if one.ask.at_us + HOLD_US < now_us and one.leased is None and one.expires_us is None:
                self._open.pop(event_id, None)  # nobody will settle it here; its event does
            else:
                self._hold_whatever(event_id, one.ruled, one.ask.at_us, one.held, now_us)

    def take_up(self, now_us: int) -> None:
        """Let the calls under way fall under the limits that are in force now. Of new ones they hold what they hold
        already, whether it fits or not: they have left. Raises CountersAway."""
        for event_id, one in list(self._open.items()):
            ruled, at_us = self.rules.about(one.ask.subject), one.ask.at_us
            before = one.left.union([known.bucket(at_us).slot for known in one.ruled])
            new = Applicable([known for known in ruled if known.bucket(at_us).slot not in before])
            if new:
                self._price(one, new)
                claims = [
                    (replace(bucket, cap=None), amount) for bucket, amount in new.claims(at_us, one.held, one.usual)
                ]
                self.counters.extend(event_id, claims, now_us=now_us, expires_us=now_us + HOLD_US)
            one.ruled, one.left = ruled, before.difference([known.bucket(at_us).slot for known in ruled])

    def _price(self, admitted: Admitted, ruled: Applicable) -> None:
        """Find what a call holds in money, when no limit has asked for that so far."""
        ask = admitted.ask
        if not ruled.money or admitted.ruled.money or self._rates is None:
            return
        rates = self._rates(ask.kind, ask.bound.input_tokens, ask.at_us)
        if rates is not None:
            admitted.rates = rates = rates.searching(ask.bound.searches)
            admitted.held = _priced(admitted.held, rates)
            admitted.usual = _priced(admitted.usual, rates)

    def _hold_whatever(self, event_id: str, ruled: Applicable, at_us: int, held: Amounts, now_us: int) -> None:
        claims = [Claim(replace(bucket, cap=None), amount) for bucket, amount in ruled.claims(at_us, held, held)]
        self.counters.reserve(event_id, claims, now_us=now_us, expires_us=now_us + HOLD_US)

    def restore_ended(self, event_id: str, subject: Subject, at_us: int, held: Amounts) -> None:
        """Keep the bound of a call that was held, and whose event is an estimate."""
        if self.rules.about(subject).exact:
            self._unseen(Unseen(event_id, at_us, subject, held))

    def learn(self, admitted: Admitted, input_tokens: int | None, output_tokens: int | None) -> None:
        """What the provider said of a call."""
        ask = admitted.ask
        if output_tokens is not None:
            usual_of(self.learnt, ask).learn(output_tokens, input_tokens or 0, ask.size_bytes)
        if input_tokens is not None and admitted.model is None:
            self.prompts.learn(ask.prompt, input_tokens)

    def void(self, admitted: Admitted) -> None:
        """The call was not made, or costs nothing. What is held by its id for another one stays."""
        if not (admitted.ruled or admitted.left) or admitted.repeated:
            return
        self._open.pop(admitted.ask.event_id, None)
        try:
            self.counters.void(admitted.ask.event_id)
        except CountersAway as error:
            self.away = str(error)
            self._doubt(admitted.ask.event_id)

    def _doubt(self, event_id: str) -> None:
        """A call is not made, and may hold something: counters that answer too late have done what was asked."""
        if len(self._doubtful) >= MOST_OPEN:
            self._doubtful.pop(next(iter(self._doubtful)), None)
        self._doubtful[event_id] = None

    def let_go(self, now_us: int) -> None:
        """End what calls may hold that were not made, so that it does not expire and is spent. For a periodic job;
        raises CountersAway."""
        for event_id in list(self._doubtful):
            self.end_unmade(event_id, now_us)
            self._doubtful.pop(event_id, None)

    def end_unmade(self, event_id: str, now_us: int) -> None:
        """A call was not made: whatever it holds is given back, also what is still on its way. Raises CountersAway."""
        self._open.pop(event_id, None)
        self.counters.settle(event_id, (), now_us=now_us, last=True)

    def post(self, event_id: str, subject: Subject, at_us: int, came_to: Amounts, now_us: int, *, seen: bool) -> None:
        """A stored event, by whatever road it came: spent, unless its call was settled here already.

        Raises CountersAway.
        """
        ruled = self.rules.about(subject)
        if not ruled and event_id not in self._open:
            return
        self._open.pop(event_id, None)
        held = self._restored.pop(event_id, None)
        if held is not None and not seen:
            self._keep_bound(event_id, at_us, subject, held, came_to)
        current = [one for one in ruled if one.bucket(at_us).keep_until_us > now_us]
        claims = [Claim(_bucket_of_stored(one, at_us, now_us), came_to.of(one.limit.measure)) for one in current]
        standings = self.counters.settle(event_id, claims, now_us=now_us, at_least_held=not seen, last=True)
        if standings is None:  # settled by a gateway, which may be another process and tells nobody of thresholds
            standings = self.counters.standings([bucket for bucket, _ in claims])
        self._look_at_thresholds(current, standings, at_us, now_us)

    def expire(self, now_us: int) -> int:
        """Spend in full what has lost its owner. For a periodic job; raises CountersAway."""
        self._put_off(now_us)
        return self.counters.expire(now_us=now_us)

    def _put_off(self, now_us: int) -> None:
        """Calls that this process makes have an owner, however long they take."""
        for event_id, one in list(self._open.items()):
            if one.expires_us is not None and one.expires_us - now_us < PUT_OFF_US:
                self.counters.extend(event_id, (), now_us=now_us, expires_us=now_us + HOLD_US)
                one.expires_us = now_us + HOLD_US

    def _look_at_thresholds(
        self, ruled: Sequence[Ruled], standings: Sequence[Standing], at_us: int, now_us: int
    ) -> None:
        for one, standing in zip(ruled, standings, strict=False):
            if standing[0] >= one.first_told:
                self._look(one, standing.spent, at_us, now_us)

    def _look_at_used_up(self, ruled: Ruled, at_us: int, now_us: int) -> None:
        """What is refused for its last part is used up, though it will never be spent to the last."""
        if ruled.first_told == FOREVER_US:
            return
        told_once = told_once_for(ruled, at_us, ruled.limit.amount_of(ruled.value, now_us))
        to_tell = max([one for one in ruled.limit.warn_at if one <= ALL_PERCENT], default=0)
        if self._told.get(told_once, 0) < to_tell:
            self._look(ruled, self._standing(ruled, at_us).spent, at_us, now_us, ALL_PERCENT)

    def _look(self, ruled: Ruled, spent: int, at_us: int, now_us: int, at_least_percent: int = 0) -> None:
        limit = ruled.limit
        amount = limit.amount_of(ruled.value, now_us)
        percent = max(spent * 100 // amount, at_least_percent)
        if percent < limit.warn_at[0]:
            return
        window = told_once_for(ruled, at_us, amount)
        told = self._told.get(window, 0)
        reached = [one for one in limit.warn_at if told < one <= percent]
        if not reached or _is_long_over(ruled, at_us, now_us):
            return
        if len(self._told) > 100_000:
            self._told.clear()
        self._told[window] = reached[-1]
        for one in reached:
            self._crossed(Crossing(limit, ruled.value, window, one, amount, spent, now_us))


def _bucket_of_stored(ruled: Ruled, at_us: int, now_us: int) -> Bucket:
    """Where an event is spent: now, when by a clock that is far ahead it began in no rolling window of now."""
    bucket = ruled.bucket(at_us)
    return bucket if bucket.step_us is None or bucket.reach_us <= now_us else ruled.bucket(now_us)


def _priced(amounts: Amounts, rates: Rates) -> Amounts:
    return amounts._replace(cost=rates.nano_usd(amounts.input_tokens, amounts.output_tokens))


def _in_the_way(ruled: Sequence[Ruled], claims: Claims, standings: Sequence[Standing]) -> Ruled | None:
    """The first limit that has no room for a claim; None when that is not known (the counters are away)."""
    for one, (bucket, amount), standing in zip(ruled, claims, standings, strict=False):
        if bucket.cap is not None and sum(standing) + amount > bucket.cap:
            return one
    return None


def _exceeds(amounts: Amounts, admitted: Admitted) -> bool:
    """Whether a call came to more than its bound: then a rule of ours is wrong, and the product says so."""
    if admitted.uncounted:
        return False
    came_to, held = amounts.by_measure(), admitted.held.by_measure()
    return any(came_to[place] > held[place] for place in admitted.ruled.places_of_exact)


def told_once_for(ruled: Ruled, at_us: int, amount: int) -> str:
    """What something is told once for: a window, of a rolling one a stretch of its length, and an amount."""
    bucket = ruled.bucket(at_us)
    stretch = "" if bucket.step_us is None else bucket.step_us // (ruled.limit.window.seconds * 1_000_000)
    return f"{bucket.slot}{stretch}|{amount}"


def _is_long_over(ruled: Ruled, at_us: int, now_us: int) -> bool:
    """Whether the window of an instant is: what is told of it late, by an import, concerns nobody any more."""
    ended_us = ruled.resets_at(at_us)
    return ended_us is not None and ended_us + LATE_US <= now_us
