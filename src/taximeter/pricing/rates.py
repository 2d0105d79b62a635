"""Rates and the arithmetic of a call: usage x rates → components, exactly.

`Rates` is what a price list says (USD per million tokens, USD per unit). `Meter` is the same made ready for
arithmetic: per token, gaps filled by the rules below, one card for each context size.

A part of the usage without a rate of its own is charged as the whole it belongs to: cache reads and writes, audio,
images and video as input; reasoning, audio and images as output. Three exceptions: a cached read of audio costs what
audio costs when that is known; an hour's cache write has no price where only the default lifetime has one; and a
unit (searches, pages, seconds) without a price leaves the call unpriced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import SCALE, ZERO, exact
from taximeter.core.usage import Usage

TOKEN_RATES: Final = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "input_audio",
    "cache_read_audio",
    "input_image",
    "input_video",
    "output",
    "reasoning",
    "output_audio",
    "output_image",
)
"""What a price list may name, in USD per million tokens."""

UNITS: Final = (
    "requests",
    "web_searches",
    "x_searches",
    "file_searches",
    "code_interpreter_calls",
    "container_sessions",
    "web_fetches",
    "search_units",
    "pages",
    "annotated_pages",
    "audio_seconds",
    "input_audio_seconds",
    "output_audio_seconds",
    "characters",
    "messages",
    "pixels",
    "images",
    "video_seconds",
    "guardrail_units",
    "low_context_requests",
    "medium_context_requests",
    "high_context_requests",
)
"""What a price list may name, in USD per unit. `requests` is charged once a call, also when it is not counted."""

UNIT_SYNONYMS: Final = {
    "web_search_requests": "web_searches",
    "social_searches": "x_searches",
    "storage_searches": "file_searches",
    "web_fetch_requests": "web_fetches",
    "code_executions": "code_interpreter_calls",
    "code_interpreter_sessions": "container_sessions",
    "containers": "container_sessions",
    "rerank_searches": "search_units",
    "document_pages": "pages",
    "annotated_document_pages": "annotated_pages",
    "input_characters": "characters",
}
"""Other words for the same unit in events."""

CONTEXT_SIZED_REQUESTS: Final = ("low_context_requests", "medium_context_requests", "high_context_requests")
"""Requests whose fee depends on the search context; they stand in the place of `requests`."""

_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_times: Final = _EXACT.multiply
_plus: Final = _EXACT.add
_MILLIONTH: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class UnitRate:
    """USD for `per` units; kept apart so that 0.36 an hour stays exact by the second."""

    usd: Decimal
    per: int = 1
    at_least: Decimal = ZERO
    """Fewer are charged as this many."""
    at_most: Decimal | None = None
    """More in one call are charged as this many."""

    def charge(self, quantity: Decimal | int) -> Decimal:
        billed = max(Decimal(quantity), self.at_least) if quantity else ZERO
        if self.at_most is not None:
            billed = min(billed, self.at_most)
        return _EXACT.divide(_times(billed, self.usd), Decimal(self.per))


@dataclass(frozen=True, slots=True)
class Step:
    """Rates of a whole request whose total input is more than `over` tokens."""

    over: int
    tokens: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Rates:
    """One price list entry: USD per million tokens by `TOKEN_RATES`, and USD per unit by `UNITS`.

    `steps` are in rising order and name only what differs from `tokens`.
    """

    tokens: Mapping[str, Decimal] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    units: Mapping[str, UnitRate] = field(default_factory=dict)

    def over(self, lower: Rates | None) -> Rates:
        """These rates; units they do not name (fees) stay as they were in `lower`."""
        return self if lower is None else Rates(self.tokens, self.steps, {**lower.units, **self.units})

    def adjusted(self, change: Rates) -> Rates:
        """These rates with the ones that `change` names replaced, at every context size."""
        kept = {step.over: {n: r for n, r in step.tokens.items() if n not in change.tokens} for step in self.steps}
        for step in change.steps:
            kept[step.over] = {**kept.get(step.over, {}), **step.tokens}
        steps = tuple(Step(over, kept[over]) for over in sorted(kept))
        return Rates({**self.tokens, **change.tokens}, steps, {**self.units, **change.units})

    def scaled(self, factor: Decimal) -> Rates:
        """Every token rate x factor. Fees per unit do not follow discounts and surcharges on tokens."""
        steps = tuple(Step(step.over, _scaled(step.tokens, factor)) for step in self.steps)
        return Rates(_scaled(self.tokens, factor), steps, self.units)


def in_proportion(price: Decimal, then: Decimal, now: Decimal) -> Decimal:
    """What a price that stood beside `then` is worth beside `now`."""
    return price if then == now else _EXACT.divide(_times(price, now), then)


def _scaled(tokens: Mapping[str, Decimal], factor: Decimal) -> dict[str, Decimal]:
    return {name: _times(rate, factor) for name, rate in tokens.items()}


class MissingRateError(Exception):
    """Something was used that the price list has no price for."""


class ContradictionError(Exception):
    """Parts of the usage exceed their whole."""


class _Card:
    """Rates per token at one context size. None: there is no price for this."""

    __slots__ = ("modal_input", "modal_output", "rounds", *TOKEN_RATES)

    def __init__(self, tokens: Mapping[str, Decimal]) -> None:
        rate = {name: _times(usd, _MILLIONTH) for name, usd in tokens.items()}
        self.input = rate.get("input")
        self.cache_read = rate.get("cache_read", self.input)
        self.cache_write_5m = rate.get("cache_write_5m", self.input)
        self.cache_write_1h = rate.get("cache_write_1h", None if "cache_write_5m" in rate else self.input)
        self.input_audio = rate.get("input_audio", self.input)
        self.cache_read_audio = rate.get("cache_read_audio", rate.get("input_audio", self.cache_read))
        self.input_image = rate.get("input_image", self.input)
        self.input_video = rate.get("input_video", self.input)
        self.output = rate.get("output")
        self.reasoning = rate.get("reasoning", self.output)
        self.output_audio = rate.get("output_audio", self.output)
        self.output_image = rate.get("output_image", self.output)
        self.modal_input = tuple(name for name in ("input_audio", "input_image", "input_video") if name in rate)
        self.modal_output = tuple(name for name in ("reasoning", "output_audio", "output_image") if name in rate)
        self.rounds = any(_digits_after_point(usd) > SCALE for usd in rate.values())

    def input_charge(self, usage: Usage, plain: int) -> Decimal:
        """`plain` input tokens, those with a price of their own apart. Cached audio is not among them."""
        if not self.modal_input:
            return _charge(plain, self.input)
        charge = ZERO
        for name in self.modal_input:
            count: int = getattr(usage, name + "_tokens") or 0
            if name == "input_audio":
                count -= usage.cache_read_audio_tokens or 0
            count = min(count, plain)  # the rest of an image or a video was read from the cache
            charge = _plus(charge, _charge(count, getattr(self, name)))
            plain -= count
        return _plus(charge, _charge(plain, self.input))

    def cache_read_charge(self, usage: Usage, count: int) -> Decimal:
        audio = usage.cache_read_audio_tokens
        if not audio:
            return _charge(count, self.cache_read)
        return _plus(_charge(audio, self.cache_read_audio), _charge(count - audio, self.cache_read))

    def output_charge(self, usage: Usage, count: int) -> Decimal:
        charge = ZERO
        for name in self.modal_output:
            part: int = min(getattr(usage, name + "_tokens") or 0, count)
            charge = _plus(charge, _charge(part, getattr(self, name)))
            count -= part
        return _plus(charge, _charge(count, self.output)) if charge else _charge(count, self.output)


def _digits_after_point(amount: Decimal) -> int:
    exponent = amount.normalize(_EXACT).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _charge(count: int, rate: Decimal | None) -> Decimal:
    if not count:
        return ZERO
    if rate is None:
        raise MissingRateError
    if count < 0:
        raise ContradictionError
    return _times(rate, count)


class Meter:
    """Rates ready for arithmetic, with the name of the rule they came from. Immutable by convention."""

    __slots__ = ("_base", "_fee", "_rule", "_steps", "_units", "_version")

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
        self._rule = price_rule

    def cost(self, usage: Usage) -> Cost | Unpriced:
        """What a usage costs, or `no_price_for_unit` or `usage_contradicts`."""
        try:
            return self._cost(usage)
        except MissingRateError:
            return Unpriced("no_price_for_unit", self._version)
        except ContradictionError:
            return Unpriced("usage_contradicts", self._version)

    def _cost(self, usage: Usage) -> Cost:
        whole = usage.input_tokens or 0
        card = self._card(whole) if self._steps else self._base
        read = usage.cache_read_tokens or 0
        write_5m = usage.cache_write_5m_tokens or 0
        write_1h = usage.cache_write_1h_tokens or 0
        plain = whole - read - write_5m - write_1h
        if plain < 0:
            raise ContradictionError
        paid_in = card.input_charge(usage, plain)
        paid_read = card.cache_read_charge(usage, read) if read else ZERO
        paid_write = ZERO
        if write_5m or write_1h:
            paid_write = _plus(_charge(write_5m, card.cache_write_5m), _charge(write_1h, card.cache_write_1h))
        paid_out = card.output_charge(usage, usage.output_tokens or 0)
        other = self._fees(usage) if usage.units or self._fee else ZERO
        if card.rounds:
            paid_in, paid_read, paid_write, paid_out = map(exact, (paid_in, paid_read, paid_write, paid_out))
        return Cost(paid_in, paid_read, paid_write, paid_out, other, self._version, self._rule)

    def _card(self, input_tokens: int) -> _Card:
        for over, card in self._steps:
            if input_tokens > over:
                return card
        return self._base

    def _fees(self, usage: Usage) -> Decimal:
        """Requests, searches, pages, seconds. Raises MissingRateError for a unit without a price."""
        units = usage.units
        charge = ZERO
        if self._fee and not any(name in units for name in ("requests", *CONTEXT_SIZED_REQUESTS)):
            charge = self._fee.charge(1)
        for name, quantity in units.items():
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
