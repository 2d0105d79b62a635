"""Newer price data beside the ones in use: what would change, and whether that can be believed.

Nothing here reads or writes anything; `shelf` keeps what was accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from taximeter.core.money import format_usd
from taximeter.pricing.rates import Rates
from taximeter.pricing.snapshot import Edition, Listed, Snapshots

LARGEST_FACTOR: Final = Decimal(2)
"""A price that moves further than this, up or down, needs to be accepted by a person."""

FEWEST_KEPT: Final = Decimal("0.5")
"""The share of known models that newer data must still have."""


@dataclass(frozen=True, slots=True)
class Move:
    """One rate that changes. `over_tokens` as in price files; None in `old` or `new`: there is none."""

    provider: str
    model: str
    rate: str
    over_tokens: int | None
    old: Decimal | None
    new: Decimal | None

    def further_than(self, factor: Decimal) -> bool:
        """Whether a known price moved by more than a factor. From or to nothing at all is further than any."""
        if self.old is None or self.new is None:
            return False
        low, high = sorted((self.old, self.new))
        return low != high and (low == 0 or high > low * factor)

    def as_dict(self) -> dict[str, Any]:
        usd = {"old": self.old, "new": self.new}
        return {
            "provider": self.provider,
            "model": self.model,
            "rate": self.rate,
            "over_tokens": self.over_tokens,
            **{name: None if amount is None else format_usd(amount) for name, amount in usd.items()},
        }


@dataclass(frozen=True, slots=True)
class Refresh:
    """What newer data change from an instant on. `retold` counts models whose past they tell differently: it stays."""

    moves: tuple[Move, ...]
    too_far: tuple[Move, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    retold: int
    known_before: int

    @property
    def believable(self) -> bool:
        """Whether nobody needs to be asked."""
        return not self.too_far and not self.loses_too_many

    @property
    def loses_too_many(self) -> bool:
        kept = self.known_before - len(self.dropped)
        return kept < self.known_before * FEWEST_KEPT

    @property
    def empty(self) -> bool:
        return not (self.moves or self.added or self.dropped)

    def as_dict(self) -> dict[str, Any]:
        return {
            "moves": [move.as_dict() for move in self.moves],
            "too_far": [move.as_dict() for move in self.too_far],
            "added": list(self.added),
            "dropped": list(self.dropped),
            "retold": self.retold,
            "believable": self.believable,
        }


def compare(current: Snapshots, newer: Edition, at_us: int, factor: Decimal = LARGEST_FACTOR) -> Refresh:
    """What `newer` says differently from the newest edition in use, at an instant."""
    before, after = _models(current.editions[-1]), _models(newer)
    both = [name for name in before if name in after]
    moves = [move for name in both for move in _moves(name, before[name].rates(at_us), after[name].rates(at_us))]
    return Refresh(
        moves=tuple(moves),
        too_far=tuple(move for move in moves if move.further_than(factor)),
        added=tuple("/".join(name) for name in after if name not in before),
        dropped=tuple("/".join(name) for name in before if name not in after),
        retold=sum(_tells_otherwise(before[name], after[name], at_us) for name in both),
        known_before=len(before),
    )


def _models(edition: Edition) -> Mapping[tuple[str, str], Listed]:
    alone = Snapshots([edition])
    return {
        (provider.id, model.id): Listed(alone, provider.id, ((0, model),))
        for provider in edition.providers
        for model in provider.models
    }


def _moves(name: tuple[str, str], old: Rates, new: Rates) -> Iterator[Move]:
    olds, news = _flat(old), _flat(new)
    for rate, over in dict.fromkeys((*olds, *news)):
        was, is_now = olds.get((rate, over)), news.get((rate, over))
        if was != is_now:
            yield Move(*name, rate, over, was, is_now)


def _flat(rates: Rates) -> dict[tuple[str, int | None], Decimal]:
    flat: dict[tuple[str, int | None], Decimal] = {(name, None): usd for name, usd in rates.tokens.items()}
    flat |= {(name, step.over): usd for step in rates.steps for name, usd in step.tokens.items()}
    return flat | {(name, None): rate.charge(1) for name, rate in rates.units.items()}


def _tells_otherwise(before: Listed, after: Listed, until_us: int) -> bool:
    """Whether two editions disagree about a model on some day before an instant on which a price of it begins."""
    days = {0, *before.changes_us(until_us), *after.changes_us(until_us)}
    return any(before.rates(day) != after.rates(day) for day in days if day < until_us)
