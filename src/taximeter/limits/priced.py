"""The highest rates that a call can be charged, from the price book."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from taximeter.core.usage import Usage
from taximeter.limits.amounts import nano_usd
from taximeter.limits.verdict import CallKind, Rates
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.explain import PriceListing
from taximeter.pricing.meter import Meter
from taximeter.pricing.rates import TOKENS_PER_RATE
from taximeter.pricing.resolve import ALWAYS_US, NEVER_US

MOST_KINDS: Final = 4_096
HOUR_US: Final = 3_600_000_000

_READ: Final = ("input", "cache_read", "cache_write_5m", "input_image", "input_video")
_READ_FOR_AN_HOUR: Final = "cache_write_1h"
_WRITTEN: Final = ("output", "reasoning", "output_image")
_HEARD: Final = ("input_audio", "cache_read_audio", "output_audio")
_DEAREST_REGIONS: Final = {"anthropic": "us", "google-vertex": "us-east5"}
"""Who asks more in some regions, and one with the highest surcharge: an answer may name it, asked for or not, or the
address."""
_PICO: Final = Decimal(10**12)


class _Held(NamedTuple):
    """Rates, and the period in which they hold; the end is outside."""

    rates: Rates | None
    from_us: int
    until_us: int


class HighestRates:
    """Rates by kind of call, found once an hour and at every change of price. `book` gives the price book in force."""

    def __init__(self, book: Callable[[], PriceBook]) -> None:
        self._book = book
        self._known: dict[tuple[object, ...], _Held] = {}

    def __call__(self, kind: CallKind, input_tokens: int, at_us: int) -> Rates | None:
        """The highest rates of such a call; None when not even a bound is known."""
        book = self._book()
        key = (book.version, at_us // HOUR_US, kind, input_tokens.bit_length())
        held = self._known.get(key)
        if held is None or not held.from_us <= at_us < held.until_us:
            if len(self._known) >= MOST_KINDS:
                self._known.clear()
            self._known[key] = held = self._found(book, kind, 1 << input_tokens.bit_length(), at_us)
        return held.rates

    def _found(self, book: PriceBook, kind: CallKind, input_tokens: int, at_us: int) -> _Held:
        regions = {_DEAREST_REGIONS.get(book.name_of(kind.provider)), kind.region, None}
        found, listings = list[Rates](), list[PriceListing]()
        for model in dict.fromkeys((kind.model, *kind.others)):
            call = Priceable(kind.provider, model, at_us, request_model=model, team=kind.team, tenant=kind.tenant)
            calls = [
                replace(call, service_tier=tier, region=region) for tier in {kind.tier, None} for region in regions
            ]
            listed = [book.listing(one) for one in calls]
            listings += listed
            rated = [_rates(one.answer, kind, input_tokens) for one in listed if isinstance(one.answer, Meter)]
            dearest = None if rated else _of_the_dearest(book, call)
            if not rated and dearest is None:
                return _held(None, listings)
            found += rated if dearest is None else [dearest]
        return _held(Rates(*(max(rate) for rate in zip(*found, strict=True))), listings)


def _held(rates: Rates | None, listings: Sequence[PriceListing]) -> _Held:
    return _Held(
        rates,
        max((one.from_us for one in listings if one.from_us is not None), default=ALWAYS_US),
        min((one.until_us for one in listings if one.until_us is not None), default=NEVER_US),
    )


def _rates(meter: Meter, kind: CallKind, input_tokens: int) -> Rates:
    rates = meter.rates
    cards = [rates.tokens, *(step.tokens for step in rates.steps if step.over < input_tokens)]
    heard = _HEARD if kind.with_audio else ()
    read = (*_READ, *((_READ_FOR_AN_HOUR,) if kind.caches_for_an_hour else ()), *heard)
    fee, search = rates.units.get("requests"), rates.units.get("search_units")
    return Rates(
        _pico(max((card[name] for card in cards for name in read if name in card), default=Decimal(0))),
        _pico(max((card[name] for card in cards for name in (*_WRITTEN, *heard) if name in card), default=Decimal(0))),
        0 if fee is None else nano_usd(fee.charge(1)),
        0 if search is None else nano_usd(search.charge(1)),
    )


def _pico(usd_per_million: Decimal) -> int:
    """USD per million tokens as whole pico-USD per token, rounded up."""
    return _up(usd_per_million * _PICO / TOKENS_PER_RATE)


def _up(amount: Decimal) -> int:
    return -int(-amount // 1)


def _of_the_dearest(book: PriceBook, call: Priceable) -> Rates | None:
    """What the dearest model would cost, for a model without a price."""
    bounds = [book.highest_price(replace(call, usage=usage)) for usage in _ONE_MILLION]
    if any(bound is None for bound in bounds):
        return None
    fee, read, written = (bound for bound in bounds if bound is not None)
    return Rates(_up((read - fee) * _PICO / 10**6), _up((written - fee) * _PICO / 10**6), nano_usd(fee))


_ONE_MILLION: Final[Iterable[Usage]] = (
    Usage(input_tokens=0, output_tokens=0),
    Usage(input_tokens=10**6, output_tokens=0),
    Usage(input_tokens=0, output_tokens=10**6),
)
