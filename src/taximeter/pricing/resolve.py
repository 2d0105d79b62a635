"""From the layers of prices to one meter: which rates a kind of call has, and until when.

The layers are asked from the lowest to the highest: the snapshot of genai-prices, our corrections, the user's price
file. Each may set the rates of a model anew, adjust some of them, or say what a tier, a region or a discount makes of
them. The answer holds until the next instant at which anything that it rests on may change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from taximeter.core.cost import Unpriced
from taximeter.core.money import ZERO
from taximeter.pricing import snapshot
from taximeter.pricing.entries import Action, Entry, PriceFile
from taximeter.pricing.rates import Meter, Rates

FREE_MODELS: Final = ":free"
"""How hosts mark the models that cost nothing; the snapshot lists them without any price."""

FREE: Final = Rates({"input": ZERO, "output": ZERO})


@dataclass(frozen=True, slots=True)
class Question:
    """A kind of call at an instant. Names are in lower case; `tier` None is the standard one.

    `providers` are all names of the provider in price files, `listed_as` is its name in the snapshot (None: it is not
    there). `passed_on` says that it sells others' models at their makers' prices.
    """

    providers: frozenset[str]
    listed_as: str | None
    model: str
    tier: str | None
    region: str | None
    at_us: int
    passed_on: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer, and the period in which it holds (microseconds; the end is outside)."""

    answer: Meter | Unpriced
    from_us: float = float("-inf")
    until_us: float = float("inf")


class Resolver:
    """Answers one question out of the layers, given from the lowest to the highest."""

    def __init__(
        self, layers: tuple[PriceFile, ...], question: Question, version: str, aliases_below: int | None = None
    ) -> None:
        """`aliases_below`: only the first layers may still rename the model, so that names cannot go in circles."""
        self._layers = layers
        self._question = question
        self._version = version
        self._aliases_below = len(layers) if aliases_below is None else aliases_below
        self._relevant = [[e for e in layer.entries if e.names(question.providers, question.model)] for layer in layers]
        self._listed = self._find()

    def resolution(self) -> Resolution:
        for level in reversed(range(self._aliases_below)):
            alias = self._fittest("as", level)
            if alias is not None:
                renamed = replace(self._question, model=alias.priced_as)
                there = Resolver(self._layers, renamed, self._version, level).resolution()
                return self._until_a_change(there.answer, there.from_us, there.until_us)
        return self._until_a_change(self._answer())

    def _answer(self) -> Meter | Unpriced:
        standard, rule = self._standard()
        if standard is None:
            return Unpriced("unknown_model", self._version)
        rates: Rates | None = standard
        if self._question.tier is not None:
            rates, rule = self._in_tier(self._question.tier, standard, rule)
        if rates is None:
            return Unpriced("no_price_for_tier", self._version)
        return Meter(*self._multiplied(rates, rule), self._version)

    def _find(self) -> snapshot.Listed | None:
        """The model as its provider lists it; as its maker does when the provider is unknown or passes prices on."""
        q = self._question
        listed = snapshot.find(q.listed_as, q.model) if q.listed_as else None
        if listed is None and (q.passed_on or not q.listed_as):
            return snapshot.find_by_maker(q.model)
        return listed

    def _standard(self) -> tuple[Rates | None, str]:
        """The rates of the standard tier: the snapshot's, set anew and adjusted layer by layer."""
        rates, rule = self._listed_rates()
        for level in range(len(self._layers)):
            entry = self._fittest("set", level)
            if entry is not None:
                rates, rule = entry.rates.over(rates), entry.rule
            if rates is None:
                continue
            for adjustment in self._least_specific_first("adjust", level):
                rates = rates.adjusted(adjustment.rates)
                if adjustment.rates.tokens or adjustment.rates.steps:
                    rule = f"{rule} + {adjustment.rule}"
        return rates, rule

    def _listed_rates(self) -> tuple[Rates | None, str]:
        if self._listed is None:
            return None, ""
        rates: Rates | None = self._listed.rates(self._question.at_us)
        if rates == Rates():
            rates = FREE if self._question.model.endswith(FREE_MODELS) else None
        return rates, f"genai-prices:{self._listed.name}"

    def _in_tier(self, tier: str, standard: Rates, rule: str) -> tuple[Rates | None, str]:
        """The rates of a tier: as listed for it, else what a general rule makes of the standard ones, else None."""
        rates = self._listed.tier_rates(tier, self._question.at_us, standard) if self._listed else None
        tier_rule = f"{rule} {tier}"
        for level in range(len(self._layers)):
            if self._fittest("set", level) is not None:
                rates = None  # another standard price, so the tier that was listed beside the old one says nothing
            entry = self._fittest("set", level, tier=tier)
            if entry is not None:
                rates, tier_rule = entry.rates.over(standard), entry.rule
            factor = self._fittest("multiply", level, tier=tier)
            if factor is not None:
                rates, tier_rule = standard.scaled(factor.factor), f"{rule} x {factor.rule}"
        return (rates, tier_rule) if rates is not None else self._by_general_rule(tier, standard, rule)

    def _by_general_rule(self, tier: str, standard: Rates, rule: str) -> tuple[Rates | None, str]:
        for level in reversed(range(len(self._layers))):
            factor = self._fittest("multiply", level, tier=tier, otherwise=True)
            if factor is not None:
                return standard.scaled(factor.factor), f"{rule} x {factor.rule}"
        return None, rule

    def _multiplied(self, rates: Rates, rule: str) -> tuple[Rates, str]:
        """Surcharges of a region and discounts: in each layer the fittest of either kind."""
        for level in range(len(self._layers)):
            for regional in (True, False):
                entry = self._fittest("multiply", level, regional=regional)
                if entry is not None:
                    rates, rule = rates.scaled(entry.factor), f"{rule} x {entry.rule}"
        return rates, rule

    def _fittest(
        self,
        action: Action,
        level: int,
        *,
        tier: str | None = None,
        regional: bool | None = None,
        otherwise: bool = False,
    ) -> Entry | None:
        """The entry in force of one layer that says most about the call."""
        fitting = [
            entry
            for entry in self._least_specific_first(action, level, tier)
            if entry.otherwise == otherwise and (regional is None or bool(entry.regions) == regional)
        ]
        return fitting[-1] if fitting else None

    def _least_specific_first(self, action: Action, level: int, tier: str | None = None) -> list[Entry]:
        q = self._question
        fitting = (e for e in self._relevant[level] if e.action == action and e.tier == tier)
        in_force = [e for e in fitting if e.in_force(q.at_us) and e.covers(q.region)]
        return sorted(in_force, key=lambda entry: entry.weight(q.model))

    def _until_a_change(
        self, answer: Meter | Unpriced, from_us: float = float("-inf"), until_us: float = float("inf")
    ) -> Resolution:
        """The answer with the period in which nothing that it rests on changes, at most the given one."""
        at_us = self._question.at_us
        changes = list(self._changes_us())
        return Resolution(
            answer,
            max([from_us, *(change for change in changes if change <= at_us)]),
            min([until_us, *(change for change in changes if change > at_us)]),
        )

    def _changes_us(self) -> Iterator[int]:
        """Instants around the question's at which some relevant price may change."""
        for level in self._relevant:
            for entry in level:
                yield from entry.changes_us(self._question.at_us)
        if self._listed is not None:
            yield from self._listed.changes_us(self._question.at_us)
