"""The bottom layer: genai-prices, asked only when a price is resolved. The one door to that library.

Its data speak of providers, models, prices with a start date or a daily window, and variants of a price for batch,
flex, priority and fast processing. It answers silently with the standard price where it has no variant; here such an
answer is None, and the layers above decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Final

import genai_prices
from genai_prices import data_snapshot, types
from genai_prices.data_units import unit_data

from taximeter.clock import to_datetime, to_unix_us
from taximeter.pricing.hours import around_us
from taximeter.pricing.rates import Rates, Step, UnitRate, in_proportion

VERSION: Final = f"genai-prices {genai_prices.__version__}"

_TOKEN_RATES: Final = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "input_image_mtok": "input_image",
    "input_video_mtok": "input_video",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
}
_UNITS: Final = {
    "audio_hours": "audio_seconds",
    "input_audio_hours": "input_audio_seconds",
    "output_audio_hours": "output_audio_seconds",
    "input_mchars": "characters",
    "input_text_messages_kcount": "messages",
    "input_gpixels": "pixels",
    "input_document_kpages": "pages",
    "input_annotated_document_kpages": "annotated_pages",
    "rerank_searches_kcount": "search_units",
    "web_searches_kcount": "web_searches",
    "social_searches_kcount": "x_searches",
    "storage_searches_kcount": "file_searches",
    "code_executions_kcount": "code_interpreter_calls",
    "requests_kcount": "requests",
}
_PER: Final = {str(unit.get("price_key", name)): int(unit["per"]) for name, unit in unit_data.items()}

_CONTEXTS: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "batch": ({"processing": "batch"},),
    "fast": ({"speed": "fast"}, {"service_tier": "fast"}),
}
"""How the library names our tiers; the others are its `service_tier`."""

CLOSED_MAKERS: Final = ("openai", "anthropic", "google", "x-ai")
"""Makers whose models nobody else prices: behind a host we do not know, their own list is the price.
What they publish openly (`gpt-oss`, `gemma`) is served by anyone at any price and stays unpriced."""

_OPEN_WEIGHTS: Final = ("gpt-oss", "gemma", "grok-1", "grok-2")


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of the snapshot and the provider under which it was found."""

    provider_id: str
    model: types.ModelInfo

    @property
    def name(self) -> str:
        return f"{self.provider_id}/{self.model.id}"

    def rates(self, at_us: int) -> Rates:
        """The standard rates at an instant."""
        return _rates(self.model.get_prices(to_datetime(at_us)))

    def tier_rates(self, tier: str, at_us: int, standard: Rates) -> Rates | None:
        """The rates of a service tier, laid over `standard`; None when the snapshot has no price for it.

        The library took up most tiers in October 2026, long after the providers did. A call before that is priced
        by the first known variant, in the proportion that it has to the standard price of its own first day.
        """
        variants = [v for v in self.model.price_variants or () if any(_selects(v, c) for c in _contexts(tier))]
        active = [v for v in variants if v.constraint is None or v.constraint.active(to_datetime(at_us))]
        if active:
            for variant in reversed(active):  # the library lets the first one win, rate by rate
                standard = standard.adjusted(_rates(variant.prices))
            return standard
        if not variants:
            return None
        first = min(variants, key=_starts_us)
        return _rates_in_proportion(_rates(first.prices), self.rates(_starts_us(first)), standard)

    def changes_us(self, at_us: int) -> Iterable[int]:
        """Instants around `at_us` at which some price of this model may change."""
        constraints = [price.constraint for price in self.model.prices] if isinstance(self.model.prices, list) else []
        constraints += [variant.constraint for variant in self.model.price_variants or ()]
        for constraint in constraints:
            if isinstance(constraint, types.StartDateConstraint):
                yield _midnight_us(constraint)
            elif isinstance(constraint, types.TimeOfDateConstraint):
                yield from around_us(at_us, (_minute(constraint.start_time), _minute(constraint.end_time)))


def find(provider_id: str, model: str) -> Listed | None:
    """The model of a provider, or of the maker whose models it resells. `provider_id` is the library's own."""
    snapshot = data_snapshot.get_snapshot()
    provider = next((p for p in snapshot.providers if p.id == provider_id), None)
    found = provider.find_model(model.lower(), all_providers=snapshot.providers) if provider else None
    return Listed(provider_id, found) if found else None


def find_by_maker(model: str) -> Listed | None:
    """A model that is its maker's alone, whoever passed it on; `openai/gpt-4o` and `gpt-4o` are both understood."""
    name = model.lower()
    if any(mark in name for mark in _OPEN_WEIGHTS):
        return None
    maker, slash, rest = name.partition("/")
    if slash:
        return find(maker, rest) if maker in CLOSED_MAKERS else None
    for provider in data_snapshot.get_snapshot().providers:
        if provider.id in CLOSED_MAKERS and provider.model_match and provider.model_match.is_match(name):
            return find(provider.id, name)
    return None


def has_provider(provider_id: str) -> bool:
    return any(provider.id == provider_id for provider in data_snapshot.get_snapshot().providers)


def _contexts(tier: str) -> tuple[Mapping[str, str], ...]:
    return _CONTEXTS.get(tier) or ({"service_tier": tier},)


def _selects(variant: types.PriceVariant, context: Mapping[str, str]) -> bool:
    return all(context.get(key) == value for key, value in variant.when.items())


def _starts_us(variant: types.PriceVariant) -> int:
    return _midnight_us(variant.constraint) if isinstance(variant.constraint, types.StartDateConstraint) else 0


def _midnight_us(constraint: types.StartDateConstraint) -> int:
    return to_unix_us(datetime.combine(constraint.start_date, time(), UTC))


def _minute(moment: time) -> int:
    offset = moment.utcoffset() or timedelta()
    return (moment.hour * 60 + moment.minute - int(offset.total_seconds() // 60)) % 1440


def _rates_in_proportion(variant: Rates, then: Rates, standard: Rates) -> Rates:
    """`standard` changed as `variant` changes `then`."""
    tokens = {n: _moved(usd, then.tokens.get(n), standard.tokens.get(n)) for n, usd in variant.tokens.items()}
    thens = {step.over: step.tokens for step in then.steps}
    variants = {step.over: step.tokens for step in variant.steps}
    steps = tuple(
        Step(step.over, {**step.tokens, **_moved_step(step, variants.get(step.over, {}), thens.get(step.over, {}))})
        for step in standard.steps
    )
    return Rates({**standard.tokens, **tokens}, steps, standard.units)


def _moved_step(step: Step, variant: Mapping[str, Decimal], then: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {n: _moved(usd, then.get(n), step.tokens[n]) for n, usd in variant.items() if n in step.tokens}


def _moved(variant: Decimal, then: Decimal | None, standard: Decimal | None) -> Decimal:
    return in_proportion(variant, then, standard) if then and standard is not None else variant


def _rates(prices: types.ModelPrice) -> Rates:
    tokens: dict[str, Decimal] = {}
    steps: dict[int, dict[str, Decimal]] = {}
    units: dict[str, UnitRate] = {}
    for key, price in vars(prices).items():
        base = price.base if isinstance(price, types.TieredPrices) else price
        if base is None:
            continue
        if key in _TOKEN_RATES:
            tokens[_TOKEN_RATES[key]] = base
            if isinstance(price, types.TieredPrices):
                for tier in price.tiers:
                    steps.setdefault(tier.start, {})[_TOKEN_RATES[key]] = tier.price
        elif key in _UNITS:
            units[_UNITS[key]] = UnitRate(base, _PER[key])
    return Rates(tokens, tuple(Step(over, steps[over]) for over in sorted(steps)), units)
