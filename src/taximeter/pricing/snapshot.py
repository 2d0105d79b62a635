"""The bottom layer: genai-prices, asked only when a price is resolved. The one door to that library.

Its data speak of providers, models, prices with a start date or a daily window, and variants of a price for batch,
flex, priority and fast processing. It answers silently with the standard price where it has no variant; here such an
answer is None, and the layers above decide.

There may be several editions of the data: the one a data directory began with, and newer ones taken over since
(`refresh`, or a newer release of the library). History does not move when an edition is added:

* a price that the older edition knew stays what it was, until the newer one was taken over;
* only a change that names its day, a day after the newest one that the older edition speaks of, counts from that day;
* a model that the older edition did not know costs what the newer one says, at any time;
* a model that the newer edition dropped keeps its last price.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Final

import genai_prices
from genai_prices import data_snapshot, types
from genai_prices.data_units import unit_data

from taximeter.clock import to_datetime, to_unix_us
from taximeter.pricing.hours import around_us
from taximeter.pricing.rates import Origin, Rates, Step, UnitRate, in_proportion

LAYER: Final = "genai-prices"
VERSION: Final = f"genai-prices {genai_prices.__version__}"

TOKEN_RATE_KEYS: Final = {
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
    "output_video_mtok": "output_image",
}
UNIT_KEYS: Final = {
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
"""The library's price keys that have a meaning here, and ours."""

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


@dataclass(frozen=True)
class Edition:
    """One state of the library's data. `adopted_us`: when it was taken over; None for what was there first."""

    version: str
    providers: Sequence[types.Provider]
    adopted_us: int | None = None

    @cached_property
    def by_id(self) -> Mapping[str, types.Provider]:
        return {provider.id: provider for provider in self.providers}

    @cached_property
    def start_days_us(self) -> Sequence[int]:
        """The days on which prices in it start, in order."""
        models = (model for provider in self.providers for model in provider.models)
        return sorted({day for model in models for day in _start_days_us(model)})

    def find(self, provider_id: str, model: str) -> types.ModelInfo | None:
        """The model of a provider, or of the maker whose models it resells. `provider_id` is the library's own."""
        provider = self.by_id.get(provider_id)
        return provider.find_model(model.lower(), all_providers=list(self.providers)) if provider else None

    def makers_behind(self, provider_id: str) -> Sequence[str]:
        """The providers whose models another one resells."""
        provider = self.by_id.get(provider_id)
        return (provider.fallback_model_providers if provider else None) or ()

    def maker_of(self, model: str) -> str | None:
        """The maker that alone sells a model of this name."""
        for provider in self.providers:
            if provider.id in CLOSED_MAKERS and provider.model_match and provider.model_match.is_match(model):
                return provider.id
        return None


def bundled() -> Edition:
    """The data that the installed library brings along."""
    return Edition(VERSION, data_snapshot._bundled_snapshot().providers)


class Snapshots:
    """All editions, from the oldest to the newest."""

    def __init__(self, editions: Sequence[Edition]) -> None:
        self.editions: Final = tuple(editions)
        self._known_until = [_known_until_us(*pair) for pair in zip(self.editions, self.editions[1:], strict=False)]

    @property
    def version(self) -> str:
        """Names all editions; the newest in words."""
        older = "\0".join(f"{edition.version}\0{edition.adopted_us}" for edition in self.editions)
        more = f" of {len(self.editions)} ({_digest(older)})" if len(self.editions) > 1 else ""
        return self.editions[-1].version + more

    def has_provider(self, provider_id: str) -> bool:
        return any(provider_id in edition.by_id for edition in self.editions)

    def find(self, provider_id: str, model: str) -> Listed | None:
        """The model of a provider, or of the maker whose models it resells, in all editions that know it."""
        found = [(i, one) for i, edition in enumerate(self.editions) if (one := edition.find(provider_id, model))]
        return Listed(self, provider_id, tuple(found)) if found else None

    def find_by_maker(self, model: str) -> Listed | None:
        """A model that is its maker's alone, whoever passed it on; `openai/gpt-4o` and `gpt-4o` are both understood."""
        name = model.lower()
        if any(mark in name for mark in _OPEN_WEIGHTS):
            return None
        maker, slash, rest = name.partition("/")
        if slash:
            return self.find(maker, rest) if maker in CLOSED_MAKERS else None
        makers = (edition.maker_of(name) for edition in reversed(self.editions))
        known = next((one for one in makers if one), None)
        return self.find(known, name) if known else None

    def supersedes(self, older: int, newer: int, model: types.ModelInfo, at_us: int) -> bool:
        """Whether at an instant a newer edition's word on a model counts and no more that of an older one."""
        adopted_us = self.editions[newer].adopted_us
        if adopted_us is None or at_us >= adopted_us:
            return True
        known_until_us = self._known_until[older]
        return any(known_until_us < day_us <= at_us for day_us in _price_days_us(model))


def _known_until_us(older: Edition, newer: Edition) -> int:
    """The newest day that an edition speaks of, of those before the next one came."""
    days = older.start_days_us
    before = len(days) if newer.adopted_us is None else bisect_right(days, newer.adopted_us)
    return days[before - 1] if before else 0


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in the editions that know it, and the provider under which it was found."""

    snapshots: Snapshots
    provider_id: str
    found: tuple[tuple[int, types.ModelInfo], ...]

    @property
    def newest(self) -> types.ModelInfo:
        """The model as the newest edition that knows it describes it."""
        return self.found[-1][1]

    def _at(self, at_us: int) -> tuple[Edition, types.ModelInfo]:
        number, model = self.found[0]
        for later, candidate in self.found[1:]:
            if self.snapshots.supersedes(number, later, candidate, at_us):
                number, model = later, candidate
        return self.snapshots.editions[number], model

    def rule(self, at_us: int) -> str:
        return f"{LAYER}:{self.provider_id}/{self._at(at_us)[1].id}"

    def origin(self, at_us: int, tier: str = "") -> Origin:
        """Where the rates of an instant are from."""
        edition, model = self._at(at_us)
        provider = edition.by_id[self.provider_id]
        days = [] if tier else _price_days_us(model)
        return Origin(
            layer=LAYER,
            rule=f"{LAYER}:{self.provider_id}/{model.id}{tier and ' ' + tier}",
            source=", ".join([edition.version, *(provider.pricing_urls or ())[:1]]),
            from_us=max((day for day in days if day <= at_us), default=None),
            to_us=min((day for day in days if day > at_us), default=None),
        )

    def rates(self, at_us: int) -> Rates:
        """The standard rates at an instant."""
        _, model = self._at(at_us)
        return _rates(model.get_prices(to_datetime(at_us))).marked(self.origin(at_us))

    def all_rates(self, at_us: int) -> Iterator[Rates]:
        """The standard rates at an instant, and those of every variant, whenever that began."""
        yield self.rates(at_us)
        _, model = self._at(at_us)
        yield from (_rates(variant.prices) for variant in model.price_variants or ())

    def tier_rates(self, tier: str, at_us: int, standard: Rates) -> Rates | None:
        """The rates of a service tier, laid over `standard`; None when the snapshot has no price for it.

        The library took up most tiers in October 2026, long after the providers did. A call before that is priced
        by the first known variant, in the proportion that it has to the standard price of its own first day.
        """
        _, model = self._at(at_us)
        variants = [v for v in model.price_variants or () if any(_selects(v, c) for c in _contexts(tier))]
        active = [v for v in variants if v.constraint is None or v.constraint.active(to_datetime(at_us))]
        origin = self.origin(at_us, tier)
        if active:
            for variant in reversed(active):  # the library lets the first one win, rate by rate
                standard = standard.adjusted(_rates(variant.prices).marked(origin))
            return standard
        if not variants:
            return None
        first = min(variants, key=_starts_us)
        then = _rates(model.get_prices(to_datetime(_starts_us(first))))
        return _rates_in_proportion(_rates(first.prices), then, standard, origin)

    def changes_us(self, at_us: int) -> Iterable[int]:
        """Instants around `at_us` at which some price of this model may change."""
        for number, model in self.found:
            adopted_us = self.snapshots.editions[number].adopted_us
            if adopted_us is not None:
                yield adopted_us
            for constraint in _constraints(model):
                if isinstance(constraint, types.StartDateConstraint):
                    yield _midnight_us(constraint)
                elif isinstance(constraint, types.TimeOfDateConstraint):
                    yield from around_us(at_us, (_minute(constraint.start_time), _minute(constraint.end_time)))


def _constraints(model: types.ModelInfo) -> Iterator[object]:
    if isinstance(model.prices, list):
        yield from (price.constraint for price in model.prices)
    yield from (variant.constraint for variant in model.price_variants or ())


def _start_days_us(model: types.ModelInfo) -> Iterator[int]:
    for constraint in _constraints(model):
        if isinstance(constraint, types.StartDateConstraint):
            yield _midnight_us(constraint)


def _price_days_us(model: types.ModelInfo) -> list[int]:
    """The days on which standard prices start."""
    starts = [_starts_us(price) for price in model.prices] if isinstance(model.prices, list) else []
    return [day for day in starts if day]


def _contexts(tier: str) -> tuple[Mapping[str, str], ...]:
    return _CONTEXTS.get(tier) or ({"service_tier": tier},)


def _selects(variant: types.PriceVariant, context: Mapping[str, str]) -> bool:
    return all(context.get(key) == value for key, value in variant.when.items())


def _starts_us(price: types.PriceVariant | types.ConditionalPrice) -> int:
    return _midnight_us(price.constraint) if isinstance(price.constraint, types.StartDateConstraint) else 0


def _midnight_us(constraint: types.StartDateConstraint) -> int:
    return to_unix_us(datetime.combine(constraint.start_date, time(), UTC))


def _minute(moment: time) -> int:
    offset = moment.utcoffset() or timedelta()
    return (moment.hour * 60 + moment.minute - offset // timedelta(minutes=1)) % 1440


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _rates_in_proportion(variant: Rates, then: Rates, standard: Rates, origin: Origin) -> Rates:
    """`standard` changed as `variant` changes `then`."""
    tokens = {n: _moved(usd, then.tokens.get(n), standard.tokens.get(n)) for n, usd in variant.tokens.items()}
    thens = {step.over: step.tokens for step in then.steps}
    variants = {step.over: step.tokens for step in variant.steps}
    steps = []
    for step in standard.steps:
        said, was = variants.get(step.over, {}), thens.get(step.over, {})
        moved = {n: _moved(usd, was.get(n), step.tokens[n]) for n, usd in said.items() if n in step.tokens}
        the_same_at_any_size = was.keys() & variant.tokens.keys() - moved.keys()
        others = {n: usd for n, usd in step.tokens.items() if n not in the_same_at_any_size}
        steps.append(Step(step.over, {**_alike_scaled(others, standard.tokens, tokens), **moved}))
    units = {n: _moved_unit(fee, then.units.get(n), standard.units.get(n)) for n, fee in variant.units.items()}
    kept = {name: trail for name, trail in standard.trails.items() if not isinstance(name, tuple)}
    trails = {**kept, **Rates(tokens, tuple(steps), units).marked(origin).trails}
    return Rates({**standard.tokens, **tokens}, tuple(steps), {**standard.units, **units}, trails)


def _alike_scaled(
    step: Mapping[str, Decimal], standard: Mapping[str, Decimal], tier: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """Rates of a context size that was gone before the library took up the tier: they change as those below it do."""
    return {
        n: in_proportion(usd, standard[n], tier[n]) if n in tier and n in standard else usd for n, usd in step.items()
    }


def _moved(variant: Decimal, then: Decimal | None, standard: Decimal | None) -> Decimal:
    return in_proportion(variant, then, standard) if then and standard is not None else variant


def _moved_unit(variant: UnitRate, then: UnitRate | None, standard: UnitRate | None) -> UnitRate:
    if then is None or standard is None or not then.usd:
        return variant
    return replace(variant, usd=in_proportion(variant.usd, then.usd, standard.usd))


def _rates(prices: types.ModelPrice) -> Rates:
    tokens: dict[str, Decimal] = {}
    steps: dict[int, dict[str, Decimal]] = {}
    units: dict[str, UnitRate] = {}
    for key, price in vars(prices).items():
        base = price.base if isinstance(price, types.TieredPrices) else price
        if base is None:
            continue
        if key in TOKEN_RATE_KEYS:
            tokens[TOKEN_RATE_KEYS[key]] = base
            if isinstance(price, types.TieredPrices):
                for tier in price.tiers:
                    steps.setdefault(tier.start, {})[TOKEN_RATE_KEYS[key]] = tier.price
        elif key in UNIT_KEYS:
            units[UNIT_KEYS[key]] = UnitRate(base, _PER[key])
    return Rates(tokens, tuple(Step(over, steps[over]) for over in sorted(steps)), units)
