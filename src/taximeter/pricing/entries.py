"""An entry of a price file: which calls it speaks of, when it is in force, what it says about their price."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from taximeter.pricing.hours import around_us, minute_of_day, weekday, within
from taximeter.pricing.rates import Rates, UnitRate

Action = Literal["set", "adjust", "as", "multiply"]

STANDARD_TIERS: Final = frozenset(
    {
        "",
        "auto",
        "default",
        "global",
        "global-standard",
        "globalstandard",
        "none",
        "normal",
        "on-demand",
        "standard",
        "standard-only",
        "traffic-type-unspecified",
        "unspecified",
    }
)
TIER_SYNONYMS: Final = {
    "data-zone-standard": "data-zone",
    "datazone": "data-zone",
    "datazonestandard": "data-zone",
    "on-demand-flex": "flex",
    "on-demand-priority": "priority",
    "provisioned-throughput": "provisioned",
}
"""Other words of providers for the same tier."""

_SNAPSHOT_DATE: Final = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a price file. Instants are microseconds since the epoch; `daily` is minutes of the UTC day."""

    action: Action
    providers: frozenset[str]
    match: tuple[str, ...]
    rule: str
    from_us: int | None = None
    to_us: int | None = None
    daily: tuple[tuple[int, int], ...] = ()
    days: frozenset[str] = frozenset()
    tier: str | None = None
    regions: tuple[str, ...] = ()
    rates: Rates = field(default_factory=Rates)
    priced_as: str = ""
    factor: Decimal = Decimal(1)
    otherwise: bool = False
    checked: date | None = None
    """When somebody last looked."""

    def names(self, providers: frozenset[str], model: str) -> bool:
        """Whether it speaks of this model at one of these provider names (all lower case)."""
        if "*" not in self.providers and self.providers.isdisjoint(providers):
            return False
        if self.action == "as":
            return model in self.match
        return any(_matches(pattern, model) for pattern in self.match)

    def in_force(self, at_us: int) -> bool:
        if (self.from_us is not None and at_us < self.from_us) or (self.to_us is not None and at_us >= self.to_us):
            return False
        minute = minute_of_day(at_us)
        if self.days and weekday(at_us) not in self.days:
            return False
        return not self.daily or any(within(minute, start, end) for start, end in self.daily)

    def covers(self, region: str | None) -> bool:
        """Whether it speaks of a region; one that names none speaks of all."""
        return not self.regions or (region is not None and any(_matches(r, region) for r in self.regions))

    def changes_us(self, at_us: int) -> Iterable[int]:
        """Instants around `at_us` at which it comes into force or ceases."""
        yield from (instant for instant in (self.from_us, self.to_us) if instant is not None)
        yield from around_us(at_us, (minute for window in self.daily for minute in window))
        if self.days:
            yield from around_us(at_us, (0,))

    def weight(self, model: str) -> tuple[int, int, bool, bool]:
        """The more it says about a call, the more it counts: the very name, its snapshots, patterns; region, hours."""
        matching = [pattern for pattern in self.match if _matches(pattern, model)]
        named = 2 if model in matching else int(not all(pattern.endswith("*") for pattern in matching))
        return named, max(map(len, matching)), bool(self.regions), bool(self.daily or self.days)


def tier_name(given: str | None) -> str | None:
    """A service tier in our words, None for the standard one. Providers spell them in many ways."""
    tier = (given or "").lower().replace("_", "-")
    return None if tier in STANDARD_TIERS else TIER_SYNONYMS.get(tier, tier)


def _matches(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern or (name.startswith(pattern) and _SNAPSHOT_DATE.fullmatch(name[len(pattern) :]) is not None)


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What a price file says."""

    layer: str
    text: str
    entries: tuple[Entry, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """Other names of providers, and which is ours."""
    listed_as: Mapping[str, str] = field(default_factory=dict)
    """Where the snapshot has a provider under another name than ours."""
    pass_on: frozenset[str] = frozenset()
    """Providers that sell other makers' models at those makers' prices."""


def same_subject(one: Entry, other: Entry) -> bool:
    """Whether two entries say the same kind of thing about the same calls."""

    def subject(entry: Entry) -> tuple[object, ...]:
        return entry.action, entry.tier, entry.otherwise, bool(entry.daily), entry.days

    return (
        subject(one) == subject(other)
        and not one.providers.isdisjoint(other.providers)
        and not set(one.match).isdisjoint(other.match)
        and (one.regions == other.regions or not set(one.regions).isdisjoint(other.regions))
        and _change_the_same(one, other)
    )


def _change_the_same(one: Entry, other: Entry) -> bool:
    """Two adjustments may stand beside each other when they touch different rates."""
    if one.action != "adjust":
        return True
    return any(not a.keys().isdisjoint(b) for a, b in ((one.rates.tokens, other.rates.tokens), _units(one, other)))


def _units(one: Entry, other: Entry) -> tuple[Mapping[str, UnitRate], Mapping[str, UnitRate]]:
    return one.rates.units, other.rates.units


def overlap(one: Entry, other: Entry) -> bool:
    """Whether two entries are in force at the same time."""
    for a, b in ((one, other), (other, one)):
        if a.to_us is not None and b.from_us is not None and a.to_us <= b.from_us:
            return False
    if not one.daily:
        return True
    return any(within(start, *window) for start, _ in one.daily for window in other.daily) or any(
        within(start, *window) for start, _ in other.daily for window in one.daily
    )
