"""From the layers of prices to one meter: which rates a kind of call has, and until when.

The layers are asked from the lowest to the highest: the snapshot of genai-prices, imported lists, our corrections, the
user's price file. Each may set the rates of a model anew, adjust some of them, or say what a tier, a region or a
discount makes of them. The answer holds until the next instant at which anything that it rests on may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from taximeter.core.cost import Unpriced, UnpricedReason
from taximeter.core.money import ZERO
from taximeter.pricing.entries import KINDS, Action, Entry, Party, PriceFile
from taximeter.pricing.meter import Meter
from taximeter.pricing.rates import MODALITIES, Rates
from taximeter.pricing.snapshot import Listed, Snapshots

FREE_MODELS: Final = ":free"
"""How hosts mark the models that cost nothing; the snapshot lists them without any price."""

FREE: Final = Rates({"input": ZERO, "output": ZERO})

PASSED_ON_TIERS: Final = ("flex", "priority", "fast")
"""Tiers that those who pass models on pass on, too, and bill as they were served."""

CORRECTIONS_LAYER: Final = "corrections"
"""The layer of what we correct in the makers' lists."""

ALWAYS_US: Final = -(1 << 62)
NEVER_US: Final = 1 << 62
"""Before and after everything."""


@dataclass(frozen=True, slots=True)
class Question:
    """A kind of call at an instant. `tier` None is the standard one.

    `listed_as` is the provider's name in the snapshot (None: it is not there). `passed_on` says that it sells others'
    models at their makers' prices.
    """

    party: Party
    listed_as: str | None
    tier: str | None
    at_us: int
    passed_on: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer, and the period in which it holds (microseconds; the end is outside).

    `model` is the name under which the price was found.
    """

    answer: Meter | Unpriced
    from_us: int = ALWAYS_US
    until_us: int = NEVER_US
    model: str | None = None


class Layer:
    """A price file, indexed by provider: most of its entries are about others."""

    def __init__(self, file: PriceFile) -> None:
        self.file = file
        self._by_provider: dict[str, list[Entry]] = {}
        for entry in file.entries:
            for provider in entry.providers:
                self._by_provider.setdefault(provider, []).append(entry)

    def about(self, party: Party) -> list[Entry]:
        """The entries about a provider's model, whenever, wherever and for whomever."""
        found = {
            id(entry): entry
            for provider in ("*", *party.providers)
            for entry in self._by_provider.get(provider, ())
            if entry.names(party.providers, party.model)
        }
        return list(found.values())


class Resolver:
    """Answers one question out of the layers, given from the lowest to the highest."""

    def __init__(
        self,
        snapshots: Snapshots,
        layers: Sequence[Layer],
        question: Question,
        version: str,
        aliases_below: int | None = None,
    ) -> None:
        """`aliases_below`: only the first layers may still rename the model, so that names cannot go in circles."""
        self._snapshots = snapshots
        self._layers = layers
        self._question = question
        self._party = question.party
        self._version = version
        self._aliases_below = len(layers) if aliases_below is None else aliases_below
        self._listed = self._find()
        self._makers = snapshots.find_by_maker(self._party.model) if question.passed_on else None
        self._relevant = [layer.about(self._party_in(layer)) for layer in layers]

    def resolution(self) -> Resolution:
        for level in reversed(range(self._aliases_below)):
            alias = self._fittest("as", level)
            if alias is not None:
                renamed = replace(self._question, party=replace(self._party, model=alias.priced_as))
                there = Resolver(self._snapshots, self._layers, renamed, self._version, level).resolution()
                return self._until_a_change(there)
        return self._until_a_change(Resolution(self._answer(), model=self._party.model))

    def _answer(self) -> Meter | Unpriced:
        standard, rule = self._standard()
        if standard is None:
            return Unpriced(self._why_unknown(), self._version)
        rates: Rates | None = standard
        if self._question.tier is not None:
            rates, rule = self._in_tier(self._question.tier, standard, rule)
        if rates is None:
            return Unpriced("no_price_for_tier", self._version)
        return Meter(*self._multiplied(rates, rule), self._version)

    def _derived(self, rates: Rates, level: int) -> Rates:
        """The rates with those filled in that follow from others, as one layer says."""
        for derivation in reversed(self._least_specific_first("derive", level)):
            rates = rates.derived(derivation.derived, derivation.origin)
        return rates

    def _not_derived(self, rates: Rates) -> Rates:
        """The rates without those that follow from others: in a tier they follow from those of the tier."""
        derivations = {entry.origin for level in self._relevant for entry in level if entry.action == "derive"}
        follow = {name for name in rates.tokens if any(o in derivations for o in rates.trails.get(name, ()))}
        return rates.without(follow) if follow else rates

    def _why_unknown(self) -> UnpricedReason:
        known = any(entry.action == "set" and entry.tier is None for level in self._relevant for entry in level)
        return "no_price_at_date" if known else "unknown_model"

    def _find(self) -> Listed | None:
        """The model as its provider lists it; as its maker does when the provider is unknown or passes prices on."""
        q = self._question
        listed = self._snapshots.find(q.listed_as, self._party.model) if q.listed_as else None
        if listed is None and (q.passed_on or not q.listed_as):
            return self._snapshots.find_by_maker(self._party.model)
        return listed

    def _party_in(self, layer: Layer) -> Party:
        """The party as a layer knows it: what we correct of a maker's list holds for whoever is priced by that list."""
        if self._question.listed_as or self._listed is None or layer.file.layer != CORRECTIONS_LAYER:
            return self._party
        return replace(self._party, providers=self._party.providers | {self._listed.provider_id})

    def _standard(self) -> tuple[Rates | None, str]:
        """The rates of the standard tier: the snapshot's, set anew and adjusted layer by layer."""
        rates, rule = self._listed_rates()
        for level in range(len(self._layers)):
            entry = self._fittest("set", level, known=rates is not None)
            if entry is not None:
                rates, rule = entry.rates.over(rates), entry.rule
            if rates is None:
                continue
            for adjustment in self._least_specific_first("adjust", level):
                rates = rates.adjusted(adjustment.rates)
                if adjustment.rates.tokens or adjustment.rates.steps:
                    rule = f"{rule} + {adjustment.rule}"
            rates = self._derived(rates, level)
        return rates, rule

    def _listed_rates(self) -> tuple[Rates | None, str]:
        if self._listed is None:
            return None, ""
        rates: Rates | None = self._listed.rates(self._question.at_us)
        rule = self._listed.rule(self._question.at_us)
        if rates is not None and rates.empty:
            free = self._party.model.endswith(FREE_MODELS)
            rates = FREE.marked(self._listed.origin(self._question.at_us)) if free else None
        return rates if rates is None else self._with_makers_modalities(rates), rule

    def _with_makers_modalities(self, rates: Rates) -> Rates:
        """What is passed on at its maker's price costs that for sound and pictures too, where the host's list is
        silent about them: charged as text they would be far too cheap."""
        if self._makers is None:
            return rates
        theirs = self._makers.rates(self._question.at_us)
        if not _alike(theirs, rates):
            return rates
        missing = {name: usd for name in MODALITIES if name not in rates.tokens and (usd := theirs.tokens.get(name))}
        return rates.adjusted(Rates(missing).marked(self._makers.origin(self._question.at_us))) if missing else rates

    def _in_tier(self, tier: str, standard: Rates, rule: str) -> tuple[Rates | None, str]:
        """The rates of a tier: as listed for it, else what a general rule makes of the standard ones, else None."""
        rates = self._listed_in_tier(tier, self._not_derived(standard))
        tier_rule = f"{rule} {tier}"
        for level in range(len(self._layers)):
            if self._fittest("set", level, known=True) is not None:
                rates = None  # another standard price, so the tier that was listed beside the old one says nothing
            entry = self._fittest("set", level, tier=tier, known=rates is not None)
            if entry is not None:
                rates, tier_rule = entry.rates.over(standard), entry.rule
            factor = self._fittest("multiply", level, tier=tier)
            if factor is not None:
                rates, tier_rule = _times(standard, factor), f"{rule} x {factor.rule}"
            if rates is not None:
                for adjustment in self._least_specific_first("adjust", level, tier):
                    rates, tier_rule = rates.adjusted(adjustment.rates), f"{tier_rule} + {adjustment.rule}"
                rates = self._derived(rates, level)
        return (rates, tier_rule) if rates is not None else self._by_general_rule(tier, standard, rule)

    def _listed_in_tier(self, tier: str, standard: Rates) -> Rates | None:
        """As the snapshot has it: what is passed on at its maker's price costs what its maker asks in a tier, too."""
        at_us, makers = self._question.at_us, self._makers
        rates = self._listed.tier_rates(tier, at_us, standard) if self._listed else None
        if rates is None and makers is not None and tier in PASSED_ON_TIERS and _alike(makers.rates(at_us), standard):
            return makers.tier_rates(tier, at_us, standard)
        return rates

    def _by_general_rule(self, tier: str, standard: Rates, rule: str) -> tuple[Rates | None, str]:
        for level in reversed(range(len(self._layers))):
            factor = self._fittest("multiply", level, tier=tier, otherwise=True)
            if factor is not None:
                return _times(standard, factor), f"{rule} x {factor.rule}"
        return None, rule

    def _multiplied(self, rates: Rates, rule: str) -> tuple[Rates, str]:
        """Surcharges of a region, discounts, commitments, mark-ups: in each layer the fittest of every kind."""
        for level in range(len(self._layers)):
            for kind in KINDS:
                entry = self._fittest("multiply", level, kind=kind)
                if entry is not None:
                    rates, rule = _times(rates, entry), f"{rule} x {entry.rule}"
        return rates, rule

    def _fittest(
        self,
        action: Action,
        level: int,
        *,
        tier: str | None = None,
        kind: str | None = None,
        otherwise: bool = False,
        known: bool = False,
    ) -> Entry | None:
        """The entry in force of one layer that says most about the call. `known`: those that only fill are out."""
        fitting = [
            entry
            for entry in self._least_specific_first(action, level, tier)
            if entry.otherwise == otherwise and kind in (None, entry.kind) and not (known and entry.fill)
        ]
        return fitting[-1] if fitting else None

    def _least_specific_first(self, action: Action, level: int, tier: str | None = None) -> list[Entry]:
        q = self._question
        fitting = (e for e in self._relevant[level] if e.action == action and e.tier == tier)
        in_force = [e for e in fitting if e.in_force(q.at_us) and e.covers(self._party)]
        return sorted(in_force, key=lambda entry: entry.weight(self._party.model))

    def _until_a_change(self, found: Resolution) -> Resolution:
        """The answer with the period in which nothing that it rests on changes, at most its own."""
        return narrowed(found, self._question.at_us, self._changes_us())

    def _changes_us(self) -> Iterator[int]:
        """Instants around the question's at which some relevant price may change."""
        for level in self._relevant:
            for entry in level:
                yield from entry.changes_us(self._question.at_us)
        for listed in (self._listed, self._makers):
            if listed is not None:
                yield from listed.changes_us(self._question.at_us)


def _alike(one: Rates, other: Rates) -> bool:
    """Whether text costs the same."""
    return all(one.tokens.get(name) == other.tokens.get(name) for name in ("input", "output"))


def _times(rates: Rates, multiplier: Entry) -> Rates:
    return rates.scaled(multiplier.factor, multiplier.origin, fees=multiplier.fees)


def narrowed(found: Resolution, at_us: int, changes_us: Iterator[int]) -> Resolution:
    """A resolution at an instant, with its period cut at the nearest changes around that."""
    changes = list(changes_us)
    return Resolution(
        found.answer,
        max([found.from_us, *(change for change in changes if change <= at_us)]),
        min([found.until_us, *(change for change in changes if change > at_us)]),
        found.model,
    )


def layers_of(files: Sequence[PriceFile]) -> tuple[Layer, ...]:
    return tuple(Layer(file) for file in files)


def merged_names(files: Sequence[PriceFile]) -> tuple[Mapping[str, str], Mapping[str, str], frozenset[str]]:
    """Synonyms of providers, the snapshot's names of them, and those that pass prices on, over all files."""
    synonyms = {other: name for file in files for other, name in file.synonyms.items()}
    listed_as = {name: theirs for file in files for name, theirs in file.listed_as.items()}
    return synonyms, listed_as, frozenset(name for file in files for name in file.pass_on)
