"""An upper bound for calls without a price, so that a limit can hold something for them.

The bound is what the dearest model of the provider would cost: for every rate the highest that any of its models has
at any context size, x the highest factor of any tier and surcharge. It is an honest bound, not an estimate; settling
replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from taximeter.core.money import ZERO, exact
from taximeter.core.usage import Usage
from taximeter.pricing.entries import Entry, PriceFile, matches
from taximeter.pricing.rates import EXACT, TOKENS_PER_RATE, UNIT_SYNONYMS, Rates, UnitRate
from taximeter.pricing.snapshot import CLOSED_MAKERS, Listed, Snapshots

_INPUT = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "input_image", "input_video")
_OUTPUT = ("output", "reasoning", "output_image")
_INPUT_AUDIO = ("input_audio", "cache_read_audio")
_OUTPUT_AUDIO = ("output_audio",)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The highest rates of a provider on one day. USD per token; fees by unit."""

    input: Decimal
    input_audio: Decimal
    output: Decimal
    output_audio: Decimal
    units: dict[str, UnitRate]

    @classmethod
    def of(
        cls,
        snapshots: Snapshots,
        files: Sequence[PriceFile],
        providers: frozenset[str],
        listed_as: str | None,
        at_us: int,
    ) -> Ceiling:
        """The ceiling over the models of a provider, over all models when it is not known (`listed_as` None)."""
        about = _entries_about(files, None if listed_as is None else providers, at_us)
        listed = _listed(snapshots, _sellers(snapshots, files, providers, listed_as), at_us)
        named = (*listed, *((entry.match[0], entry.rates) for _, entry in about))
        all_rates = [_all_derived(model, rates, about) for model, rates in named]
        factor = _highest_factor(about)
        input_usd, output_usd = _highest(all_rates, _INPUT), _highest(all_rates, _OUTPUT)
        return cls(
            _per_token(input_usd, factor),
            _per_token(max(_highest(all_rates, _INPUT_AUDIO), input_usd), factor),
            _per_token(output_usd, factor),
            _per_token(max(_highest(all_rates, _OUTPUT_AUDIO), output_usd), factor),
            _highest_fees(all_rates, factor),
        )

    def bound(self, usage: Usage) -> Decimal | None:
        """No more than this; None for a unit that nobody has a price for, or when no model at all has one."""
        if not self.input:
            return None
        audio_in, audio_out = usage.input_audio_tokens or 0, usage.output_audio_tokens or 0
        bound = ZERO
        for count, rate in (
            ((usage.input_tokens or 0) - audio_in, self.input),
            (audio_in, self.input_audio),
            ((usage.output_tokens or 0) - audio_out, self.output),
            (audio_out, self.output_audio),
        ):
            bound = EXACT.add(bound, EXACT.multiply(Decimal(count), rate))
        for name, quantity in {"requests": 1, **usage.units}.items():
            fee = self.units.get(UNIT_SYNONYMS.get(name, name))
            if fee is None and quantity and name != "requests":
                return None
            if fee is not None:
                bound = EXACT.add(bound, fee.charge(quantity))
        return exact(bound)


def _sellers(
    snapshots: Snapshots, files: Sequence[PriceFile], providers: frozenset[str], listed_as: str | None
) -> frozenset[str] | None:
    """The providers in the snapshot whose models a provider may sell; None: anybody's."""
    if listed_as is None:
        return None
    resells = {maker for edition in snapshots.editions for maker in edition.makers_behind(listed_as)}
    passes_on = any(not file.pass_on.isdisjoint(providers) for file in files)
    return frozenset({listed_as, *resells, *(CLOSED_MAKERS if passes_on else ())})


def _listed(snapshots: Snapshots, sellers: frozenset[str] | None, at_us: int) -> Iterator[tuple[str, Rates]]:
    """Models and their rates, in any tier."""
    for number, edition in enumerate(snapshots.editions):
        for provider in edition.providers:
            if sellers is None or provider.id in sellers:
                for model in provider.models:
                    for rates in Listed(snapshots, provider.id, ((number, model),)).all_rates(at_us):
                        yield model.id, rates


def _entries_about(files: Sequence[PriceFile], providers: frozenset[str] | None, at_us: int) -> list[tuple[str, Entry]]:
    """The entries in force about some providers (None: any), with their layer."""
    return [
        (file.layer, entry)
        for file in files
        for entry in file.entries
        if entry.in_force(at_us)
        and (providers is None or "*" in entry.providers or not entry.providers.isdisjoint(providers))
    ]


def _all_derived(model: str, rates: Rates, about: Sequence[tuple[str, Entry]]) -> Rates:
    for _, entry in about:
        if entry.derived and any(matches(pattern, model) for pattern in entry.match):
            rates = rates.derived(entry.derived, entry.origin)
    return rates


def _highest_factor(about: Sequence[tuple[str, Entry]]) -> Decimal:
    """The highest factor of a tier x the highest of every other kind in every layer."""
    highest: dict[tuple[str, str], Decimal] = {}
    for layer, entry in about:
        if entry.action == "multiply":
            key = ("any layer", "tier") if entry.tier else (layer, entry.kind)
            highest[key] = max(highest.get(key, Decimal(1)), entry.factor)
    product = Decimal(1)
    for factor in highest.values():
        product = EXACT.multiply(product, factor)
    return product


def _highest(all_rates: Iterable[Rates], names: Sequence[str]) -> Decimal:
    found = [
        usd
        for rates in all_rates
        for tokens in (rates.tokens, *(step.tokens for step in rates.steps))
        for name, usd in tokens.items()
        if name in names
    ]
    return max(found, default=ZERO)


def _per_token(usd: Decimal, factor: Decimal) -> Decimal:
    return EXACT.divide(EXACT.multiply(usd, factor), Decimal(TOKENS_PER_RATE))


def _highest_fees(all_rates: Iterable[Rates], factor: Decimal) -> dict[str, UnitRate]:
    fees: dict[str, UnitRate] = {}
    for rates in all_rates:
        for name, rate in rates.units.items():
            known = fees.get(name)
            if known is None or rate.charge(rate.per) * known.per > known.charge(known.per) * rate.per:
                fees[name] = UnitRate(rate.usd, rate.per, rate.at_least)
    return {name: rate.scaled(factor) for name, rate in fees.items()}
