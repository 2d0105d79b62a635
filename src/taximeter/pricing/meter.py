"""The arithmetic of a call: usage x rates → components, exactly.

A `Meter` is `Rates` made ready: per token, gaps filled by the rules below, one card for each context size.

A part of the usage without a rate of its own is charged as the whole it belongs to: cache reads and writes, audio,
images and video as input; reasoning, audio and images as output. Three exceptions: a cached read of audio costs what
audio costs when that is known; an hour's cache write has no price where only the default lifetime has one; and a
unit (searches, pages, seconds) without a price leaves the call unpriced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import SCALE, ZERO, exact
from taximeter.core.usage import Usage
from taximeter.pricing.rates import EXACT, TOKEN_RATES, UNIT_SYNONYMS, Rates, UnitRate

CONTEXT_SIZED_REQUESTS: Final = ("low_context_requests", "medium_context_requests", "high_context_requests")
"""Requests whose fee depends on the search context; they stand in the place of `requests`."""

_times: Final = EXACT.multiply
_plus: Final = EXACT.add
_minus: Final = EXACT.subtract
_MILLIONTH: Final = Decimal("0.000001")

_CHARGED_AS: Final = {
    "cache_read": ("input",),
    "cache_write_5m": ("input",),
    "cache_write_1h": ("input",),
    "input_audio": ("input",),
    "cache_read_audio": ("input_audio", "cache_read", "input"),
    "input_image": ("input",),
    "input_video": ("input",),
    "reasoning": ("output",),
    "output_audio": ("output",),
    "output_image": ("output",),
}
"""The rates that stand in for a missing one, the first that there is."""

_MODAL_INPUT: Final = ("input_audio", "input_image", "input_video")
_MODAL_OUTPUT: Final = ("reasoning", "output_audio", "output_image")


class MissingRateError(Exception):
    """Something was used that the price list has no price for."""


class ContradictionError(Exception):
    """Parts of the usage exceed their whole."""


@dataclass(frozen=True, slots=True)
class TokenPart:
    """Tokens of one kind in a call: the component they count to, and the rate charged (None: there is none)."""

    component: str
    name: str
    rate_name: str | None
    quantity: int


@dataclass(frozen=True, slots=True)
class UnitPart:
    """Units in a call and their rate (None: there is none)."""

    name: str
    quantity: Decimal | int
    rate: UnitRate | None


class _Card:
    """Rates per token at one context size. None: there is no price for this."""

    __slots__ = ("charged_as", "modal_input", "modal_output", "rounds", *TOKEN_RATES)

    def __init__(self, tokens: Mapping[str, Decimal]) -> None:
        self.charged_as = {name: _charged_as(name, tokens) for name in TOKEN_RATES}
        rate = {name: _times(usd, _MILLIONTH) for name, usd in tokens.items()}
        for name, known_as in self.charged_as.items():
            setattr(self, name, rate[known_as] if known_as is not None else None)
        self.modal_input = tuple(name for name in _MODAL_INPUT if name in rate)
        self.modal_output = tuple(name for name in _MODAL_OUTPUT if name in rate)
        self.rounds = any(_digits_after_point(usd) > SCALE for usd in rate.values())

    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None
    cache_read_audio: Decimal | None
    cache_write_5m: Decimal | None
    cache_write_1h: Decimal | None
    input_audio: Decimal | None

    def input_charge(self, usage: Usage, plain: int) -> Decimal:
        """`plain` input tokens, those with a price of their own apart. Cached audio is not among them."""
        if not self.modal_input:
            return _charge(plain, self.input)
        charge = ZERO
        for name, count in self._modal_input(usage, plain):
            charge = _plus(charge, _charge(count, getattr(self, name)))
            plain -= count
        return _plus(charge, _charge(plain, self.input))

    def _modal_input(self, usage: Usage, plain: int) -> Iterator[tuple[str, int]]:
        for name in self.modal_input:
            count: int = getattr(usage, name + "_tokens") or 0
            if name == "input_audio":
                count -= usage.cache_read_audio_tokens or 0
            count = min(count, plain)  # the rest of an image or a video was read from the cache
            plain -= count
            yield name, count

    def cache_read_charge(self, usage: Usage, count: int) -> Decimal:
        audio = usage.cache_read_audio_tokens
        if not audio:
            return _charge(count, self.cache_read)
        return _plus(_charge(audio, self.cache_read_audio), _charge(count - audio, self.cache_read))

    def output_charge(self, usage: Usage, count: int) -> Decimal:
        charge = ZERO
        for name, part in self._modal_output(usage, count):
            charge = _plus(charge, _charge(part, getattr(self, name)))
            count -= part
        return _plus(charge, _charge(count, self.output)) if charge else _charge(count, self.output)

    def _modal_output(self, usage: Usage, count: int) -> Iterator[tuple[str, int]]:
        for name in self.modal_output:
            part: int = min(getattr(usage, name + "_tokens") or 0, count)
            count -= part
            yield name, part

    def parts(self, usage: Usage, plain: int) -> Iterator[TokenPart]:
        """The tokens of a call, each kind once, as they are charged."""
        uncached = list(self._modal_input(usage, plain))
        written = usage.output_tokens or 0
        spoken = list(self._modal_output(usage, written))
        audio = usage.cache_read_audio_tokens or 0
        counts = [
            ("input", "input", plain - sum(count for _, count in uncached)),
            *(("input", name, count) for name, count in uncached),
            ("cache_read", "cache_read", (usage.cache_read_tokens or 0) - audio),
            ("cache_read", "cache_read_audio", audio),
            ("cache_write", "cache_write_5m", usage.cache_write_5m_tokens or 0),
            ("cache_write", "cache_write_1h", usage.cache_write_1h_tokens or 0),
            ("output", "output", written - sum(count for _, count in spoken)),
            *(("output", name, count) for name, count in spoken),
        ]
        for component, name, count in counts:
            if count:
                yield TokenPart(component, name, self.charged_as[name], count)

    def read_saving(self, usage: Usage, count: int, paid: Decimal) -> Decimal | None:
        """What `count` tokens read from a cache for `paid` would have cost more as plain input."""
        audio = usage.cache_read_audio_tokens or 0
        if self.input is None:
            return None
        plain = _times(self.input, count - audio)
        return _minus(_plus(plain, _times(self.input_audio, audio)) if audio and self.input_audio else plain, paid)

    def write_surcharge(self, count: int, paid: Decimal) -> Decimal | None:
        """What `count` tokens written to a cache for `paid` cost more than plain input."""
        return None if self.input is None else _minus(paid, _times(self.input, count))


def _charged_as(name: str, tokens: Mapping[str, Decimal]) -> str | None:
    if name in tokens:
        return name
    if name == "cache_write_1h" and "cache_write_5m" in tokens:
        return None
    return next((other for other in _CHARGED_AS.get(name, ()) if other in tokens), None)


def _digits_after_point(amount: Decimal) -> int:
    exponent = amount.normalize(EXACT).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _charge(count: int, rate: Decimal | None) -> Decimal:
    if not count:
        return ZERO
    if rate is None:
        raise MissingRateError
    if count < 0:
        raise ContradictionError
    return _times(rate, count)


def _size(usage: Usage) -> int | Decimal:
    """The input that decides about rates of long contexts: of a row that stands for many requests, their mean."""
    whole, requests = usage.input_tokens or 0, usage.units.get("requests")
    return EXACT.divide(Decimal(whole), Decimal(requests)) if requests and requests > 1 else whole


class Meter:
    """Rates ready for arithmetic, with the name of the rule they came from. Immutable by convention."""

    __slots__ = ("_base", "_fee", "_steps", "_units", "_version", "price_rule", "rates")

    def __init__(self, rates: Rates, price_rule: str, price_version: str) -> None:
        self._base = _Card(rates.tokens)
        merged: dict[str, Decimal] = dict(rates.tokens)
        self._steps: list[tuple[int, _Card]] = []
        for step in rates.steps:
            merged.update(step.tokens)
            self._steps.insert(0, (step.over, _Card(merged)))
        self._units = {**rates.units, **{s: rates.units[n] for s, n in UNIT_SYNONYMS.items() if n in rates.units}}
        self._fee = rates.units.get("requests")
        self._version = price_version
        self.price_rule = price_rule
        self.rates = rates

    def cost(self, usage: Usage) -> Cost | Unpriced:
        """What a usage costs, or `no_price_for_unit` or `usage_contradicts`."""
        try:
            return self._cost(usage)
        except MissingRateError:
            return Unpriced("no_price_for_unit", self._version)
        except ContradictionError:
            return Unpriced("usage_contradicts", self._version)

    def step_of(self, usage: Usage) -> int | None:
        """The context size beyond which the rates of this call hold; None below the first one."""
        size = _size(usage)
        return next((over for over, _ in self._steps if size > over), None)

    def token_parts(self, usage: Usage) -> list[TokenPart]:
        """The tokens of a usage as they are charged."""
        plain = usage.uncached_input_tokens
        return list(self._card(_size(usage)).parts(usage, plain)) if plain >= 0 else []

    def unit_parts(self, usage: Usage) -> list[UnitPart]:
        """The units of a usage as they are charged."""
        parts = []
        if self._pays_fee(usage):
            parts.append(UnitPart("requests", 1, self._fee))
        for name, quantity in usage.units.items():
            rate = self._units.get(name)
            if quantity and (rate is not None or not self._said_otherwise(name, usage)):
                parts.append(UnitPart(name, quantity, rate))
        return parts

    def _cost(self, usage: Usage) -> Cost:
        whole = usage.input_tokens or 0
        card = self._card(_size(usage)) if self._steps else self._base
        read = usage.cache_read_tokens or 0
        write_5m = usage.cache_write_5m_tokens or 0
        write_1h = usage.cache_write_1h_tokens or 0
        plain = whole - read - write_5m - write_1h
        if plain < 0:
            raise ContradictionError
        paid_in = card.input_charge(usage, plain)
        paid_read = paid_write = ZERO
        saved: Decimal | None = ZERO
        surcharge: Decimal | None = ZERO
        if read:
            paid_read = card.cache_read_charge(usage, read)
            saved = card.read_saving(usage, read, paid_read)
        if write_5m or write_1h:
            paid_write = _plus(_charge(write_5m, card.cache_write_5m), _charge(write_1h, card.cache_write_1h))
            surcharge = card.write_surcharge(write_5m + write_1h, paid_write)
        paid_out = card.output_charge(usage, usage.output_tokens or 0)
        other = self._fees(usage) if usage.units or self._fee else ZERO
        if card.rounds:
            paid_in, paid_read, paid_write, paid_out = map(exact, (paid_in, paid_read, paid_write, paid_out))
            saved, surcharge = saved and exact(saved), surcharge and exact(surcharge)
        rule = self.price_rule
        return Cost(paid_in, paid_read, paid_write, paid_out, other, self._version, rule, saved, surcharge)

    def _card(self, input_tokens: int | Decimal) -> _Card:
        for over, card in self._steps:
            if input_tokens > over:
                return card
        return self._base

    def _pays_fee(self, usage: Usage) -> bool:
        return self._fee is not None and not any(n in usage.units for n in ("requests", *CONTEXT_SIZED_REQUESTS))

    def _fees(self, usage: Usage) -> Decimal:
        """Requests, searches, pages, seconds. Raises MissingRateError for a unit without a price."""
        charge = ZERO
        if self._fee is not None and self._pays_fee(usage):
            charge = self._fee.charge(1)
        for name, quantity in usage.units.items():
            rate = self._units.get(name)
            if rate is not None:
                charge = _plus(charge, rate.charge(quantity))
            elif quantity and not self._said_otherwise(name, usage):
                raise MissingRateError
        return exact(charge)

    def _said_otherwise(self, unit: str, usage: Usage) -> bool:
        """Whether a unit without a price is another view of something counted and priced already."""
        if unit == "requests":
            return True
        return unit.endswith("audio_seconds") and bool(usage.input_tokens) and self._base.input is not None
