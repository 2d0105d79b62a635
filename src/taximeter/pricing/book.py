"""The price book: layers of prices, resolved once for a kind of call and a period, then only multiplied.

Layers, the highest wins: the user's price file, our dated corrections, the snapshot of genai-prices. A resolution is
the answer of all layers for one (provider, model, tier, region) and holds until the next instant at which any of
them may change: a date, or an hour of the day.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taximeter.core.cost import Cost, Unpriced, UnpricedReason, free
from taximeter.core.money import ZERO
from taximeter.core.usage import Usage
from taximeter.pricing import snapshot
from taximeter.pricing.entries import Entry, PriceFile, read_file
from taximeter.pricing.priceable import Priceable
from taximeter.pricing.rates import Meter, Rates

CORRECTIONS: Final = Path(__file__).with_name("corrections.yaml")

MOST_RESOLUTIONS: Final = 4096
"""Kinds of calls kept resolved; beyond it the book starts afresh."""

STANDARD_TIERS: Final = frozenset(
    {
        "",
        "auto",
        "default",
        "none",
        "normal",
        "on-demand",
        "on_demand",
        "standard",
        "standard_only",
        "traffic_type_unspecified",
        "unspecified",
    }
)
TIER_SYNONYMS: Final = {
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
    "provisioned_throughput": "provisioned",
}
"""Other words of providers for the same tier."""

FREE_MODELS: Final = ":free"
"""How hosts mark the models that cost nothing; the snapshot lists them without any price."""

FREE: Final = Rates({"input": ZERO, "output": ZERO})

NO_USAGE_NO_CHARGE: Final = frozenset({"error", "refused"})
"""Statuses that cost nothing when the provider reports no usage."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a kind of call costs between two instants: a meter, or the reason why there is none."""

    from_us: float
    until_us: float
    meter: Meter | None
    unpriced: Unpriced


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of the layers: names in lower case, the tier in our words (None is the standard one)."""

    providers: frozenset[str]
    provider_id: str | None
    model: str
    tier: str | None
    region: str | None
    at_us: int
    passed_on: bool


class PriceBook:
    """Prices calls. Immutable but for its cache of resolutions; safe to share between threads."""

    def __init__(self, layers: Sequence[PriceFile]) -> None:
        """`layers` from the lowest to the highest; the snapshot lies below them all."""
        self._layers = tuple(layers)
        self._synonyms = {other: name for layer in layers for other, name in layer.synonyms.items()}
        self._listed_as = {name: theirs for layer in layers for name, theirs in layer.listed_as.items()}
        texts = "\0".join(f"{layer.layer}\0{layer.text}" for layer in layers)
        self.version: Final = f"{snapshot.VERSION}+{hashlib.sha256(texts.encode()).hexdigest()[:12]}"
        self._pass_on = frozenset(name for layer in layers for name in layer.pass_on)
        self._resolutions: dict[tuple[str | None, ...], Resolution] = {}

    def price(self, call: Priceable) -> Cost | Unpriced:
        """The cost of a call at its own time, or why it is not known. Never raises."""
        try:
            return self._price(call)
        except Exception:  # noqa: BLE001 - whatever is odd about one call, the next one must still be priced
            _log.exception("pricing failed for provider %r, model %r", call.provider, call.model)
            return Unpriced("pricing_failed", self.version)

    def _price(self, call: Priceable) -> Cost | Unpriced:
        usage = call.usage
        if call.status != "ok" or call.not_billed or not usage.known:
            settled = self._without_price(call)
            if settled is not None:
                return settled
        if call.by_model:
            return self._shares(call)
        return self._metered(call, call.model, usage)

    def _without_price(self, call: Priceable) -> Cost | Unpriced | None:
        """The rules that need no price; None when none of them settles the matter."""
        if call.not_billed:
            return free(self.version, "rule:not_billed")
        if call.status == "cached":
            return free(self.version, "rule:cached")
        if call.usage.known or call.by_model:
            return None
        if call.status in NO_USAGE_NO_CHARGE:
            return free(self.version, f"rule:{call.status}_without_usage")
        return Unpriced("usage_unknown", self.version)

    def _metered(self, call: Priceable, model: str | None, usage: Usage) -> Cost | Unpriced:
        key = (call.provider, model, call.service_tier, call.region, call.request_model)
        found = self._resolutions.get(key)
        if found is None or not found.from_us <= call.at_us < found.until_us:
            found = self._resolve(call, model)
            if len(self._resolutions) >= MOST_RESOLUTIONS:
                self._resolutions.clear()
            self._resolutions[key] = found
        return found.unpriced if found.meter is None else found.meter.cost(usage)

    def _shares(self, call: Priceable) -> Cost | Unpriced:
        """A call of several models: each share at its model's price, units that no share names at the main one's."""
        parts = list(call.by_model)
        if call.usage.units and not any(usage.units for _, usage in parts):
            parts.append((call.model or parts[0][0], Usage(units=call.usage.units)))
        costs = []
        for model, usage in parts:
            cost = self._metered(call, model, usage)
            if isinstance(cost, Unpriced):
                return cost
            costs.append(cost)
        return _together(costs)

    # ── resolving: once for a kind of call and a period ────────────────────────────────────────────────────

    def _resolve(self, call: Priceable, model: str | None) -> Resolution:
        tier = _tier(call.service_tier)
        provider = (call.provider or "").lower()
        canonical = self._synonyms.get(provider, provider)
        provider_id = self._snapshot_id(canonical)
        providers = frozenset({provider, canonical})
        result: Resolution | None = None
        for name in _candidates(model, call.request_model):
            region = call.region.lower() if call.region else None
            question = _Question(providers, provider_id, name, tier, region, call.at_us, canonical in self._pass_on)
            result = _Resolver(self._layers, question, self.version).resolution()
            if result.meter is not None or result.unpriced.reason != "unknown_model":
                return result
        if result is None or provider_id is None:
            return self._forever("unknown_model" if provider_id else "unknown_provider", result)
        return result

    def _snapshot_id(self, canonical: str) -> str | None:
        """The snapshot's name of a provider; None for a host that it does not know."""
        known = self._listed_as.get(canonical, canonical)
        return known if snapshot.has_provider(known) else None

    def _forever(self, reason: UnpricedReason, like: Resolution | None) -> Resolution:
        from_us, until_us = (like.from_us, like.until_us) if like else (float("-inf"), float("inf"))
        return Resolution(from_us, until_us, None, Unpriced(reason, self.version))


class _Resolver:
    """Asks the layers from the lowest to the highest for one question."""

    def __init__(self, layers: tuple[PriceFile, ...], question: _Question, version: str) -> None:
        self._question = question
        self._layers = layers
        self._version = version
        self._relevant = [[e for e in layer.entries if e.names(question.providers, question.model)] for layer in layers]
        self._listed = self._find(question.model)

    def resolution(self) -> Resolution:
        q = self._question
        renamed = self._pick("as", tier=None)
        if renamed is not None and renamed.priced_as != q.model:
            other = _Question(q.providers, q.provider_id, renamed.priced_as, q.tier, q.region, q.at_us, q.passed_on)
            there = _Resolver(self._layers, other, self._version).resolution()
            return self._within(there.meter, there.unpriced, there)
        standard, rule = self._standard()
        if standard is None:
            return self._within(None, Unpriced("unknown_model", self._version))
        if q.tier is not None:
            standard, rule = self._in_tier(standard, rule)
            if standard is None:
                return self._within(None, Unpriced("no_price_for_tier", self._version))
        rates, rule = self._multiplied(standard, rule)
        return self._within(Meter(rates, self._version, rule), Unpriced("pricing_failed", self._version))

    def _find(self, model: str) -> snapshot.Listed | None:
        """The model as its provider lists it; as its maker does when the provider is unknown or passes prices on."""
        q = self._question
        listed = snapshot.find(q.provider_id, model) if q.provider_id else None
        return snapshot.find_by_maker(model) if listed is None and (q.passed_on or not q.provider_id) else listed

    def _standard(self) -> tuple[Rates | None, str]:
        """The rates of the standard tier: the snapshot's, replaced and adjusted layer by layer."""
        rates = self._listed.rates(self._question.at_us) if self._listed else None
        rule = f"genai-prices:{self._listed.name}" if self._listed else ""
        if rates is not None and not rates.tokens and not rates.units:
            rates = FREE if self._question.model.endswith(FREE_MODELS) else None
        for level in range(len(self._layers)):
            entry = self._pick("set", tier=None, level=level)
            if entry is not None:
                rates, rule = entry.rates.over(rates), entry.rule
            if rates is None:
                continue
            for entry in self._all("adjust", level):
                rates = rates.adjusted(entry.rates)
                if entry.rates.tokens or entry.rates.steps:
                    rule = f"{rule} + {entry.rule}"
        return rates, rule

    def _in_tier(self, standard: Rates, rule: str) -> tuple[Rates | None, str]:
        """The rates of the tier asked for; None when no layer has them."""
        q = self._question
        assert q.tier is not None
        rates: Rates | None = None
        if self._listed is not None:
            rates, tier_rule = self._listed.tier_rates(q.tier, q.at_us, standard), f"{rule} {q.tier}"
        for level in range(len(self._layers)):
            if self._pick("set", tier=None, level=level) is not None:
                rates = None
            entry = self._pick("set", tier=q.tier, level=level)
            if entry is not None:
                rates, tier_rule = entry.rates.over(standard), entry.rule
            factor = self._pick("multiply", tier=q.tier, level=level)
            if factor is not None and not factor.otherwise:
                rates, tier_rule = standard.scaled(factor.factor), f"{rule} x {factor.rule}"
        fallback = self._pick("multiply", tier=q.tier, otherwise=True)
        if rates is None and fallback is not None:
            rates, tier_rule = standard.scaled(fallback.factor), f"{rule} x {fallback.rule}"
        return (rates, tier_rule) if rates is not None else (None, "")

    def _multiplied(self, rates: Rates, rule: str) -> tuple[Rates, str]:
        """Surcharges of a region and discounts: in each layer the fittest of either kind."""
        for level in range(len(self._layers)):
            for regional in (True, False):
                entry = self._pick("multiply", tier=None, level=level, regional=regional)
                if entry is not None:
                    rates, rule = rates.scaled(entry.factor), f"{rule} x {entry.rule}"
        return rates, rule

    def _all(self, action: str, level: int) -> list[Entry]:
        """Entries in force, the least specific first."""
        q = self._question
        fitting = [e for e in self._relevant[level] if e.action == action and e.tier is None and self._fits(e)]
        return sorted(fitting, key=lambda entry: entry.weight(q.model))

    def _pick(
        self,
        action: str,
        *,
        tier: str | None,
        level: int | None = None,
        regional: bool | None = None,
        otherwise: bool = False,
    ) -> Entry | None:
        """The fittest entry in force, of one layer or of the highest that has one."""
        levels = range(len(self._layers) - 1, -1, -1) if level is None else (level,)
        for at in levels:
            fitting = [
                e
                for e in self._relevant[at]
                if e.action == action
                and e.tier == tier
                and (e.otherwise or not otherwise)
                and (regional is None or bool(e.regions) == regional)
                and self._fits(e)
            ]
            if fitting:
                return max(fitting, key=lambda entry: entry.weight(self._question.model))
        return None

    def _fits(self, entry: Entry) -> bool:
        q = self._question
        return entry.in_force(q.at_us) and entry.covers(q.region)

    def _within(self, meter: Meter | None, unpriced: Unpriced, inner: Resolution | None = None) -> Resolution:
        """The resolution with the period in which nothing that it rests on changes."""
        at_us = self._question.at_us
        changes: list[float] = [c for level in self._relevant for e in level for c in e.changes_us(at_us)]
        changes += self._listed.changes_us(at_us) if self._listed else []
        changes += [inner.from_us, inner.until_us] if inner else []
        from_us = max((c for c in changes if c <= at_us), default=float("-inf"))
        until_us = min((c for c in changes if c > at_us), default=float("inf"))
        return Resolution(from_us, until_us, meter, unpriced)


def _tier(given: str | None) -> str | None:
    tier = (given or "").lower()
    return None if tier in STANDARD_TIERS else TIER_SYNONYMS.get(tier, tier)


def _candidates(model: str | None, asked: str | None) -> list[str]:
    """The names to look up: the model that answered, then the one asked for where it is the same by another name."""
    if not model:
        return []
    name = model.lower()
    wanted = (asked or "").lower()
    same = wanted != name and wanted and (name.startswith(wanted) or wanted.endswith(f"/{name}"))
    return [name, wanted] if same else [name]


def _together(costs: Sequence[Cost]) -> Cost:
    return Cost(
        sum((c.input for c in costs), ZERO),
        sum((c.cache_read for c in costs), ZERO),
        sum((c.cache_write for c in costs), ZERO),
        sum((c.output for c in costs), ZERO),
        sum((c.other for c in costs), ZERO),
        costs[0].price_version,
        " & ".join(dict.fromkeys(c.price_rule for c in costs)),
    )


def load_price_book(overrides: Path | None = None) -> PriceBook:
    """The price book of this release under the user's price file. Raises ConfigurationError for a wrong file."""
    layers = [read_file(CORRECTIONS, "corrections")]
    if overrides is not None:
        layers.append(read_file(overrides, "override"))
    return PriceBook(layers)
