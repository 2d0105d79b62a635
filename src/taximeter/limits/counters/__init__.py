"""What is spent and what is held, by bucket: a limit, one value of its `each`, and a window.

`Counters` is the port; `memory` and `redis` are its adapters, and one contract suite holds for both. All amounts are
whole numbers in the unit of the limit's measure. A hold goes through these states, whatever is repeated:

    reserve → open ── settle ──→ ended      what was held is given back, what was really spent is posted
                │  └─ void ────→ (nothing)  the call was not made, or costs nothing
                └─── expire ──→ expired     its owner vanished: what was held is posted in full
                                   └─ settle → ended      the difference is posted, should the truth turn up
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a claim is booked. `slot` names its counter.

    `step_us` is None but for rolling windows, whose counter has a row for each step; of those the ones from `reach_us`
    on count. `cap` None counts without refusing. The counter may be forgotten after `keep_until_us`. Of a `transient`
    one nothing is left when a call has ended (calls at once).
    """

    slot: str
    cap: int | None
    keep_until_us: int
    step_us: int | None = None
    reach_us: int = 0
    transient: bool = False


class Claim(NamedTuple):
    """So much of a bucket."""

    bucket: Bucket
    amount: int


Claims = Sequence[tuple[Bucket, int]]
"""Claims, or pairs like them: ten are made for a call, and a plain pair costs a fifth of a named one."""


class Standing(NamedTuple):
    """How a bucket stands."""

    spent: int
    held: int


class Counters(Protocol):
    """Atomic over all buckets of a call, and idempotent by its event id. Every method may raise `CountersAway`."""

    def reserve(self, event_id: str, claims: Claims, *, now_us: int, expires_us: int) -> Sequence[Standing] | None:
        """Hold all claims, or none and answer how their buckets stand. Known already: nothing more is held, and the
        answer is empty."""
        ...

    def extend(self, event_id: str, claims: Claims, *, now_us: int, expires_us: int) -> Sequence[Standing] | None:
        """Hold more for a call that is open, as `reserve` does."""
        ...

    def settle(
        self, event_id: str, claims: Claims, *, now_us: int, at_least_held: bool = False, last: bool = False
    ) -> Sequence[Standing] | None:
        """End a call, with or without a hold: post what it really came to. How the buckets stand then; None when it
        had ended before.

        `at_least_held`: what was held is posted where it is more: the end was not seen, so the bound stands. `last`:
        nobody will settle this call again, and its id may be forgotten.
        """
        ...

    def void(self, event_id: str) -> None:
        """Give back what is held; the call was not made, or costs nothing."""
        ...

    def expire(self, *, now_us: int) -> int:
        """Post in full what is held beyond its time; how many holds that were."""
        ...

    def standings(self, buckets: Sequence[Bucket]) -> Sequence[Standing]:
        """How some buckets stand."""
        ...

    def raise_to(self, claims: Claims, *, now_us: int) -> None:
        """See to it that at least so much is booked as spent: what the store knows. Of a rolling window: in the steps
        from `reach_us` to `step_us`; what is missing there is booked in the last of them."""
        ...

    def generation(self) -> str | None:
        """A name of these counters that lasts until they lose what they counted; None: they came back empty.

        Empty ones hold and post nothing that has a cap (CountersAway), until they are `filled`.
        """
        ...

    def filled(self, generation: str) -> None:
        """They have been told what is spent and held, and go on under this name unless they have one."""
        ...


class CountersAway(Exception):  # noqa: N818 - it is a state, and the policy decides what it means
    """The counters do not answer."""
