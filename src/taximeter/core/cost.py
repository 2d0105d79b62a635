"""Cost: what a usage came to, in components, or the reason why that is not known."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from taximeter.core.facts import fact
from taximeter.core.money import ZERO

COMPONENTS: Final = ("input", "cache_read", "cache_write", "output", "other")

UnpricedReason = Literal[
    "unknown_model",
    "unknown_provider",
    "usage_unknown",
    "no_price_for_tier",
    "no_price_for_unit",
    "no_price_at_date",
    "usage_contradicts",
    "pricing_failed",
]


@fact(frozen=True, slots=True)
class Cost:
    """An amount in USD. The total is exactly the sum of the components.

    `price_version` names the price book, `price_rule` the entry of it that was applied. What caching did to the amount
    stands beside it: `cache_read_saving` is what the tokens read from a cache would have cost more as plain input,
    `cache_write_surcharge` what those written cost more than plain input. None: the input has no price of its own.
    """

    input: Decimal
    cache_read: Decimal
    cache_write: Decimal
    output: Decimal
    other: Decimal
    price_version: str
    price_rule: str
    cache_read_saving: Decimal | None = ZERO
    cache_write_surcharge: Decimal | None = ZERO

    @property
    def cache_saving(self) -> Decimal | None:
        """What caching saved; negative when writing cost more than reading saved. None: not known."""
        if self.cache_read_saving is None or self.cache_write_surcharge is None:
            return None
        return self.cache_read_saving - self.cache_write_surcharge

    @property
    def total(self) -> Decimal:
        return self.input + self.cache_read + self.cache_write + self.output + self.other


@dataclass(frozen=True, slots=True)
class Unpriced:
    """No amount is known, which is not the same as nothing."""

    reason: UnpricedReason
    price_version: str


def free(price_version: str, price_rule: str) -> Cost:
    """A cost of zero, for what really costs nothing."""
    return Cost(ZERO, ZERO, ZERO, ZERO, ZERO, price_version, price_rule)
