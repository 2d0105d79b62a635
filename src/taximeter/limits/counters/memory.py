"""Counters in this process. They are rebuilt at its start from what the store and the spool know."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from taximeter.forks import fork_between_uses
from taximeter.limits.counters import Bucket, Claims, Standing
from taximeter.limits.window import FOREVER_US

MOST_ENDED: Final = 1_000_000
"""Ids of ended calls that are remembered until the store has them (100 MB); beyond it the oldest are forgotten."""

WINDOWS_KEPT: Final = 4
"""Lengths of a rolling window that are remembered: for calls that began a while ago, and clocks that jump back."""

SWEEP_EVERY: Final = 4_096
"""New counters between two looks for those that may be forgotten."""


_standing: Final = partial(tuple.__new__, Standing)
"""A standing without the steps of its constructor."""


class _Counter:
    """One bucket. `spent` is of the steps from `reach_us` on; `steps` is None unless the window rolls."""

    __slots__ = ("held", "keep_until_us", "reach_us", "spent", "steps")

    def __init__(self, bucket: Bucket) -> None:
        self.spent = 0
        self.held = 0
        self.keep_until_us = bucket.keep_until_us
        self.steps: dict[int, int] | None = None if bucket.step_us is None else {}
        self.reach_us = bucket.reach_us if self.steps is None else -FOREVER_US

    def spent_in(self, bucket: Bucket, now_us: int = FOREVER_US) -> int:
        """What counts as spent, seen from a bucket: of a rolling window what has not left it. From a step that lies
        back, of a call that began there: the fullest window that the step is in. A step that lies ahead, by another's
        clock, makes nothing forgotten."""
        if self.steps is None or bucket.step_us is None or bucket.reach_us == self.reach_us:
            return self.spent
        if bucket.reach_us < self.reach_us:
            return _fullest(self.steps, bucket.step_us, bucket.reach_us)
        self.reach_us = bucket.reach_us
        self.keep_until_us = max(self.keep_until_us, bucket.keep_until_us)
        self.spent = sum(amount for step_us, amount in self.steps.items() if step_us >= bucket.reach_us)
        self._forget_before(min(bucket.step_us, now_us) - WINDOWS_KEPT * (bucket.step_us - bucket.reach_us))
        return self.spent

    def booked_in(self, bucket: Bucket) -> int:
        """What is booked in the steps from a bucket's `reach_us` to its own."""
        if self.steps is None or bucket.step_us is None:
            return self.spent
        return sum(amount for step, amount in self.steps.items() if bucket.reach_us <= step <= bucket.step_us)

    def post(self, amount: int, step_us: int | None) -> None:
        if self.steps is None or step_us is None:
            self.spent += amount
            return
        self.steps[step_us] = self.steps.get(step_us, 0) + amount
        if step_us >= self.reach_us:
            self.spent += amount

    def _forget_before(self, moment_us: int) -> None:
        assert self.steps is not None
        for step_us in [step_us for step_us in self.steps if step_us < moment_us]:
            del self.steps[step_us]


def _fullest(steps: Mapping[int, int], step_us: int, reach_us: int) -> int:
    """The most that a window holds in which a step lies; windows are as long as from `reach_us` to there."""
    length_us = step_us - reach_us
    near = sorted((step, amount) for step, amount in steps.items() if reach_us <= step <= step_us + length_us)
    most = spent = sum(amount for step, amount in near if step <= step_us)
    first = 0
    for end_us, amount in near:
        if end_us > step_us:
            spent += amount
            while near[first][0] < end_us - length_us:
                spent -= near[first][1]
                first += 1
            most = max(most, spent)
    return most


class _Hold:
    """What a call holds. When it is `expired`, all of it is posted."""

    __slots__ = ("claims", "expired", "expires_us")

    def __init__(self, claims: Claims, expires_us: int) -> None:
        self.claims = claims
        self.expires_us = expires_us
        self.expired = False

    def grow(self, claims: Claims) -> None:
        more = {bucket.slot: amount for bucket, amount in claims}
        grown = [(bucket, amount + more.pop(bucket.slot, 0)) for bucket, amount in self.claims]
        self.claims = grown + [claim for claim in claims if claim[0].slot in more]

    def at_least(self, claims: Claims) -> list[tuple[Bucket, int]]:
        """Claims, each raised to what is held of it."""
        held = {bucket.slot: amount for bucket, amount in self.claims}
        return [(bucket, max(amount, held.get(bucket.slot, 0))) for bucket, amount in claims]


class MemoryCounters:
    """`Counters` of one process. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, _Counter] = {}
        self._holds: dict[str, _Hold] = {}
        self._ended: dict[str, None] = {}
        self._sweep_at = SWEEP_EVERY
        self.forgotten = 0
        """Ended calls that were forgotten before the store had them."""
        _living.add(self)

    def reserve(self, event_id: str, claims: Claims, *, now_us: int, expires_us: int) -> Sequence[Standing] | None:
        with self._lock:
            if event_id in self._holds or event_id in self._ended:
                return []
            if not self._hold_all(claims, now_us):
                return self._standings([bucket for bucket, _ in claims])
            self._holds[event_id] = _Hold(claims, expires_us)
            return None

    def extend(self, event_id: str, claims: Claims, *, now_us: int, expires_us: int) -> Sequence[Standing] | None:
        with self._lock:
            hold = self._holds.get(event_id)
            if hold is None or hold.expired:
                return self._standings([bucket for bucket, _ in claims])
            if not self._hold_all(claims, now_us):
                return self._standings([bucket for bucket, _ in claims])
            hold.expires_us = expires_us
            hold.grow(claims)
            return None

    def settle(
        self, event_id: str, claims: Claims, *, now_us: int, at_least_held: bool = False, last: bool = False
    ) -> Sequence[Standing] | None:
        with self._lock:
            if event_id in self._ended:
                if last:
                    del self._ended[event_id]
                return None
            hold = self._holds.pop(event_id, None)
            if hold is not None:
                self._give_back(hold)
                if at_least_held:
                    claims = hold.at_least(claims)
            if not last:
                self._remember(event_id)
            return self._posted(claims, now_us)

    def void(self, event_id: str) -> None:
        with self._lock:
            hold = self._holds.pop(event_id, None)
            if hold is not None:
                self._give_back(hold)

    def expire(self, *, now_us: int) -> int:
        with self._lock:
            late = [hold for hold in self._holds.values() if not hold.expired and hold.expires_us <= now_us]
            for hold in late:
                self._give_back(hold)
                self._posted(hold.claims, now_us)
                hold.expired = True
            self._forget_holds(now_us)
            return len(late)

    def standings(self, buckets: Sequence[Bucket]) -> Sequence[Standing]:
        with self._lock:
            return self._standings(buckets)

    def raise_to(self, claims: Claims, *, now_us: int) -> None:
        with self._lock:
            for bucket, amount in claims:
                counter = self._counter(bucket, now_us)
                known = counter.booked_in(bucket)
                if amount > known:
                    counter.post(amount - known, bucket.step_us)

    def generation(self) -> str | None:
        return "memory"

    def filled(self, generation: str) -> None:
        """Nothing to do: they live and die with their process, which fills them before it serves."""

    def _give_back(self, hold: _Hold) -> None:
        """Undo what a hold did: nothing of it is held, or posted, any more."""
        known = self._counters
        for bucket, amount in hold.claims:
            counter = known.get(bucket.slot)
            if counter is None:
                continue  # its window is over for good
            if not hold.expired:
                counter.held -= amount
            elif not bucket.transient:
                counter.post(-amount, bucket.step_us)

    def _posted(self, claims: Claims, now_us: int) -> list[Standing]:
        """Post what a call came to; how its buckets stand then."""
        known, standings = self._counters, []
        for bucket, amount in claims:
            counter = known.get(bucket.slot) or self._counter(bucket, now_us)
            if counter.steps is None:
                counter.spent += 0 if bucket.transient else amount
            else:
                counter.post(amount, bucket.step_us)
            spent = counter.spent if counter.reach_us == bucket.reach_us else counter.spent_in(bucket, now_us)
            standings.append(_standing((spent, counter.held)))
        return standings

    def _hold_all(self, claims: Claims, now_us: int) -> bool:
        """Hold claims if they all fit, otherwise none of them."""
        held_so_far: list[_Counter] = []
        known = self._counters
        for bucket, amount in claims:
            counter = known.get(bucket.slot) or self._counter(bucket, now_us)
            held, cap = counter.held + amount, bucket.cap
            if cap is not None:
                spent = counter.spent if counter.reach_us == bucket.reach_us else counter.spent_in(bucket, now_us)
                if spent + held > cap:
                    for one, (_, theirs) in zip(held_so_far, claims, strict=False):
                        one.held -= theirs
                    return False
            counter.held = held
            held_so_far.append(counter)
        return True

    def _counter(self, bucket: Bucket, now_us: int) -> _Counter:
        counter = self._counters.get(bucket.slot)
        if counter is None:
            if len(self._counters) >= self._sweep_at:
                self._sweep(now_us)
            counter = self._counters[bucket.slot] = _Counter(bucket)
        return counter

    def _sweep(self, now_us: int) -> None:
        """Forget counters of windows that are over for good."""
        gone = [slot for slot, one in self._counters.items() if one.keep_until_us < now_us and not one.held]
        for slot in gone:
            del self._counters[slot]
        self._sweep_at = len(self._counters) + SWEEP_EVERY

    def _standings(self, buckets: Sequence[Bucket]) -> list[Standing]:
        return [
            Standing(0, 0) if counter is None else Standing(counter.spent_in(bucket), counter.held)
            for bucket in buckets
            for counter in (self._counters.get(bucket.slot),)
        ]

    def _remember(self, event_id: str) -> None:
        if len(self._ended) >= MOST_ENDED:
            self._ended.pop(next(iter(self._ended)))
            self.forgotten += 1
        self._ended[event_id] = None

    def _forget_holds(self, now_us: int) -> None:
        """Expired holds are kept, for the truth that may turn up, as long as their windows are."""
        gone = [
            event_id
            for event_id, hold in self._holds.items()
            if hold.expired and all(bucket.keep_until_us < now_us for bucket, _ in hold.claims)
        ]
        for event_id in gone:
            del self._holds[event_id]

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


_living: Final[weakref.WeakSet[MemoryCounters]] = weakref.WeakSet()

fork_between_uses(_living, lambda counters: counters._lock, MemoryCounters._renew_lock)
