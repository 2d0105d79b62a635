"""An entry of a price file: which calls it speaks of, when it is in force, what it says about their price."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from taximeter.pricing.hours import around_us, minute_of_day, weekday, within
from taximeter.pricing.rates import Origin, Rates, UnitRate

Action = Literal["set", "adjust", "derive", "as", "multiply"]

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
    "datazonebatch": "data-zone-batch",
    "global-batch": "batch",
    "globalbatch": "batch",
    "on-demand-flex": "flex",
    "on-demand-priority": "priority",
    "provisioned-throughput": "provisioned",
    "globalprovisionedmanaged": "provisioned",
    "datazoneprovisionedmanaged": "provisioned",
    "provisionedmanaged": "provisioned",
}
"""Other words of providers for the same tier."""

SURCHARGE: Final = "surcharge"
DISCOUNT: Final = "discount"
KINDS: Final = (SURCHARGE, DISCOUNT, "commitment", "markup")
"""Kinds of multipliers: in each layer the fittest of every kind applies, and kinds multiply with each other."""

_SNAPSHOT_DATE: Final = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})")


@dataclass(frozen=True, slots=True)
class Party:
    """A kind of call: who asks for what, where. Names are in lower case; None: not said."""

    providers: frozenset[str]
    model: str
    region: str | None = None
    team: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a price file. Instants are microseconds since the epoch; `daily` is minutes of the UTC day."""

    action: Action
    providers: frozenset[str]
    match: tuple[str, ...]
    origin: Origin
    from_us: int | None = None
    to_us: int | None = None
    daily: tuple[tuple[int, int], ...] = ()
    days: frozenset[str] = frozenset()
    tier: str | None = None
    regions: tuple[str, ...] = ()
    teams: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    rates: Rates = field(default_factory=Rates)
    derived: Mapping[str, tuple[str, Decimal]] = field(default_factory=dict)
    priced_as: str = ""
    factor: Decimal = Decimal(1)
    kind: str = DISCOUNT
    fees: bool = False
    """Whether `factor` is on fees per unit too."""
    otherwise: bool = False
    fill: bool = False
    """Whether it only speaks where the layers below know no price."""

    @property
    def rule(self) -> str:
        """The name by which a cost refers to it."""
        return self.origin.rule

    @property
    def checked(self) -> date | None:
        """When somebody last looked."""
        return self.origin.checked

    def names(self, providers: frozenset[str], model: str) -> bool:
        """Whether it speaks of this model at one of these provider names (all lower case)."""
        if "*" not in self.providers and self.providers.isdisjoint(providers):
            return False
        if self.action == "as":
            return model in self.match
        return any(matches(pattern, model) for pattern in self.match)

    def in_force(self, at_us: int) -> bool:
        if (self.from_us is not None and at_us < self.from_us) or (self.to_us is not None and at_us >= self.to_us):
            return False
        if self.days and weekday(at_us) not in self.days:
            return False
        return not self.daily or any(within(minute_of_day(at_us), start, end) for start, end in self.daily)

    def covers(self, party: Party) -> bool:
        """Whether it speaks of where and for whom a call was made; an entry that names none speaks of all."""
        if self.teams and party.team not in self.teams:
            return False
        if self.tenants and party.tenant not in self.tenants:
            return False
        return not self.regions or (party.region is not None and any(matches(r, party.region) for r in self.regions))

    def changes_us(self, at_us: int) -> Iterable[int]:
        """Instants around `at_us` at which it comes into force or ceases."""
        yield from (instant for instant in (self.from_us, self.to_us) if instant is not None)
        yield from around_us(at_us, (minute for window in self.daily for minute in window))
        if self.days:
            yield from around_us(at_us, (0,))

    def weight(self, model: str) -> tuple[int, int, int, bool, bool]:
        """The more it says about a call, the more it counts: for whom; the very name, its snapshots, patterns; where,
        when."""
        matching = [pattern for pattern in self.match if matches(pattern, model)]
        named = 2 if model in matching else int(not all("*" in pattern for pattern in matching))
        parties = bool(self.teams) + 2 * bool(self.tenants)
        return parties, named, max(map(len, matching)), bool(self.regions), bool(self.daily or self.days)


def tier_name(given: str | None) -> str | None:
    """A service tier in our words, None for the standard one. Providers spell them in many ways."""
    tier = (given or "").lower().replace("_", "-")
    return None if tier in STANDARD_TIERS else TIER_SYNONYMS.get(tier, tier)


def matches(pattern: str, name: str) -> bool:
    """Whether a name is the pattern's, or its dated snapshot; `*` at either end stands for anything."""
    if pattern.startswith("*") and len(pattern) > 1:
        return pattern[1:-1] in name if pattern.endswith("*") else name.endswith(pattern[1:])
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern or (name.startswith(pattern) and _SNAPSHOT_DATE.fullmatch(name[len(pattern) :]) is not None)


@dataclass(frozen=True, slots=True)
class Alias:
    """What a name of one's own stands for: a deployment, an inference profile, a host. Names are in lower case.

    None in `provider`, `model`, `tier`, `region` leaves what the call says.
    """

    providers: tuple[str, ...]
    models: tuple[str, ...]
    from_us: int | None = None
    to_us: int | None = None
    provider: str | None = None
    model: str | None = None
    tier: str | None = None
    region: str | None = None

    def fits(self, providers: Set[str], models: Iterable[str]) -> bool:
        """Whether it speaks of this provider (under any of its names), and of a name that a call gives its model."""
        if not any(_same(pattern, provider) for pattern in self.providers for provider in providers):
            return False
        return not self.models or any(_same(pattern, model) for pattern in self.models for model in models)

    def in_force(self, at_us: int) -> bool:
        return (self.from_us is None or at_us >= self.from_us) and (self.to_us is None or at_us < self.to_us)


def _same(pattern: str, name: str) -> bool:
    return pattern == name or ("*" in pattern and matches(pattern, name))


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What a price file says."""

    layer: str
    text: str
    entries: tuple[Entry, ...] = ()
    aliases: tuple[Alias, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """Other names of providers, and which is ours."""
    listed_as: Mapping[str, str] = field(default_factory=dict)
    """Where the snapshot has a provider under another name than ours."""
    pass_on: frozenset[str] = frozenset()
    """Providers that sell other makers' models at those makers' prices."""


def same_subject(one: Entry, other: Entry) -> bool:
    """Whether two entries say the same kind of thing about the same calls."""

    def subject(entry: Entry) -> tuple[object, ...]:
        return entry.action, entry.tier, entry.otherwise, bool(entry.daily), entry.days, entry.kind, entry.fill

    return (
        subject(one) == subject(other)
        and not one.providers.isdisjoint(other.providers)
        and not set(one.match).isdisjoint(other.match)
        and _meet(one.regions, other.regions)
        and _meet(one.teams, other.teams)
        and _meet(one.tenants, other.tenants)
        and _change_the_same(one, other)
    )


def _meet(one: Iterable[str], other: Iterable[str]) -> bool:
    first, second = set(one), set(other)
    return first == second or not first.isdisjoint(second)


def _change_the_same(one: Entry, other: Entry) -> bool:
    """Two adjustments may stand beside each other when they touch different rates."""
    if one.action == "derive":
        return not one.derived.keys().isdisjoint(other.derived)
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
