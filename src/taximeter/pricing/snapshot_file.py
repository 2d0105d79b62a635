"""Editions of genai-prices' data as JSON, in the library's own published form: read with verification, and written.

Written are only the parts that prices depend on. Numbers are read as decimals, never as floats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any, Final

from genai_prices import types
from pydantic import ConfigDict, TypeAdapter, ValidationError

from taximeter.core.money import format_usd
from taximeter.errors import ConfigurationError, Mistake
from taximeter.pricing.price_file import MOST_USD_PER_MILLION
from taximeter.pricing.snapshot import TOKEN_RATE_KEYS, UNIT_KEYS

MOST_MISTAKES: Final = 20
"""Mistakes of a data file that are listed; a damaged one has thousands."""

_PROVIDERS: Final = TypeAdapter(list[types.Provider], config=ConfigDict(arbitrary_types_allowed=True, defer_build=True))
_MODEL_PRICE: Final = TypeAdapter(dict[str, Decimal | types.TieredPrices | None])

_CLAUSES: Final = {
    types.ClauseStartsWith: "starts_with",
    types.ClauseEndsWith: "ends_with",
    types.ClauseContains: "contains",
    types.ClauseRegex: "regex",
    types.ClauseEquals: "equals",
    types.ClauseOr: "or",
    types.ClauseAnd: "and",
}


@dataclass(frozen=True, slots=True)
class PriceData:
    """The providers in a data file, and the price keys in it that mean nothing to this release."""

    providers: list[types.Provider]
    unknown_keys: frozenset[str]


def parse(text: str, source: str) -> PriceData:
    """The providers in a JSON text. Raises ConfigurationError with what is wrong with it; nothing is used then."""
    try:
        raw = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(source, [Mistake("file", f"not JSON: {error}")]) from None
    return from_raw(raw, source)


def from_raw(raw: Any, source: str) -> PriceData:
    """As `parse`, from values. Raises ConfigurationError."""
    if not isinstance(raw, list) or not raw:
        raise ConfigurationError(source, [Mistake("file", "should be a list of providers, as genai-prices publishes")])
    try:
        providers = _PROVIDERS.validate_python(_with_prices(raw))
    except ValidationError as error:
        mistakes = [Mistake(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()[:MOST_MISTAKES]]
        raise ConfigurationError(source, mistakes) from None
    wrong = [mistake for provider in providers for model in provider.models for mistake in _absurd(provider.id, model)]
    if wrong:
        raise ConfigurationError(source, wrong[:MOST_MISTAKES])
    used = {key for provider in providers for model in provider.models for key, _ in _amounts(model)}
    return PriceData(providers, frozenset(used - TOKEN_RATE_KEYS.keys() - UNIT_KEYS.keys()))


def _with_prices(value: Any) -> Any:
    """The raw values with every price mapping made a `ModelPrice`, which the library's schema expects."""
    if isinstance(value, list):
        return [_with_prices(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    return {key: _prices(one) if key == "prices" else _with_prices(one) for key, one in value.items()}


def _prices(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_prices(one) for one in value]
    return types.ModelPrice(**_MODEL_PRICE.validate_python(value))


def _absurd(provider: str, model: types.ModelInfo) -> Iterator[Mistake]:
    for key, amount in _amounts(model):
        if not amount.is_finite() or amount < 0 or (key in TOKEN_RATE_KEYS and amount > MOST_USD_PER_MILLION):
            yield Mistake(f"{provider}/{model.id}.{key}", f"is no possible price: {amount}")


def _amounts(model: types.ModelInfo) -> Iterator[tuple[str, Decimal]]:
    """All amounts of a model, at any time, in any variant."""
    standard = [p.prices for p in model.prices] if isinstance(model.prices, list) else [model.prices]
    for prices in (*standard, *(variant.prices for variant in model.price_variants or ())):
        for key, price in vars(prices).items():
            if isinstance(price, types.TieredPrices):
                yield from ((key, amount) for amount in (price.base, *(tier.price for tier in price.tiers)))
            elif price is not None:
                yield key, price


# ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────


def dump(providers: Sequence[types.Provider]) -> list[dict[str, Any]]:
    """The raw values of providers, as `from_raw` reads them. Amounts are decimal strings."""
    return [_known(_provider(provider)) for provider in providers]


def _provider(provider: types.Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "api_pattern": provider.api_pattern,
        "pricing_urls": provider.pricing_urls,
        "model_match": _clause(provider.model_match),
        "provider_match": _clause(provider.provider_match),
        "fallback_model_providers": provider.fallback_model_providers,
        "models": [_known(_model(model)) for model in provider.models],
    }


def _model(model: types.ModelInfo) -> dict[str, Any]:
    prices = model.prices
    listed = [_known(_conditional(one)) for one in prices] if isinstance(prices, list) else _model_price(prices)
    variants = [
        _known({"when": v.when, "constraint": _constraint(v.constraint), "prices": _model_price(v.prices)})
        for v in model.price_variants or ()
    ]
    return {
        "id": model.id,
        "match": _clause(model.match),
        "context_window": model.context_window,
        "price_comments": model.price_comments,
        "prices": listed,
        "price_variants": variants or None,
    }


def _conditional(price: types.ConditionalPrice) -> dict[str, Any]:
    return {"constraint": _constraint(price.constraint), "prices": _model_price(price.prices)}


def _constraint(constraint: Any) -> dict[str, str] | None:
    if constraint is None:
        return None
    return {name: _written(value) for name, value in vars(constraint).items() if isinstance(value, date | time)}


def _written(moment: date | time) -> str:
    return moment.isoformat()


def _model_price(prices: types.ModelPrice) -> dict[str, Any]:
    return {key: _price(price) for key, price in vars(prices).items() if price is not None}


def _price(price: Decimal | types.TieredPrices) -> Any:
    if isinstance(price, types.TieredPrices):
        tiers = [{"start": tier.start, "price": format_usd(tier.price)} for tier in price.tiers]
        return {"base": format_usd(price.base), "tiers": tiers}
    return format_usd(price)


def _clause(clause: Any) -> dict[str, Any] | None:
    if clause is None:
        return None
    key = _CLAUSES[type(clause)]
    inner = getattr(clause, key + "_" if key in ("or", "and") else key)
    return {key: [_clause(one) for one in inner] if isinstance(inner, list) else inner}


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
