"""Who is behind a change of spend: the values of every dimension, ranked by how well each of them explains it.

A value explains a change when a large share of it fell to the value (explanatory power), and more than its usual
share of spend would lead one to expect (surprise). Both are the measures of R. Bhagwan et al., "Adtributor: Revenue
Debugging in Advertising Systems", NSDI 2014; we rank by their product, so that of a feature and the one user of it
who caused everything, the user comes first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from taximeter.core.money import ZERO


@dataclass(frozen=True, slots=True)
class Explained:
    """How spend on one value of a dimension moved. `share` is its part of the whole change: negative when it went
    the other way, above one when others went the other way, 0 when the whole did not change."""

    dimension: str
    value: str | None
    before_usd: Decimal
    after_usd: Decimal
    share: float
    score: float

    @property
    def change_usd(self) -> Decimal:
        return self.after_usd - self.before_usd


Spend = Mapping[str | None, Decimal]
"""Value of a dimension → USD."""


def ranked(
    before: Mapping[str, Spend], after: Mapping[str, Spend], totals_usd: tuple[Decimal, Decimal]
) -> list[Explained]:
    """All values of all dimensions, the best explanation first; among equals the larger change, then the dimension
    that is named first. A dimension of many values may lack those that cost little: `totals_usd` is all spend before
    and after."""
    found = [
        one for dimension in after for one in _of_dimension(dimension, before[dimension], after[dimension], totals_usd)
    ]
    order = {dimension: place for place, dimension in enumerate(after)}
    return sorted(found, key=lambda one: (-one.score, -abs(one.change_usd), order[one.dimension], one.value or ""))


def _of_dimension(dimension: str, before: Spend, after: Spend, totals_usd: tuple[Decimal, Decimal]) -> list[Explained]:
    total_before, total_after = totals_usd
    change = total_after - total_before
    found = []
    for value in {**before, **after}:
        old, new = before.get(value, ZERO), after.get(value, ZERO)
        share = float((new - old) / change) if change else 0.0
        surprise = _surprise(_part(old, total_before), _part(new, total_after))
        found.append(Explained(dimension, value, old, new, share, max(0.0, share) * surprise))
    return found


def _part(amount: Decimal, total: Decimal) -> float:
    return float(amount / total) if total else 0.0


def _surprise(usual: float, now: float) -> float:
    """The value's term of the Jensen-Shannon divergence between the shares of spend before and after, in nats."""
    middle = (usual + now) / 2
    return sum(0.5 * part * math.log(part / middle) for part in (usual, now) if part > 0)
