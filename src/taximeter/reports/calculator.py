"""The calculator: what a workload costs on one model and on others beside it.

    calculate({"model": "gpt-4o", "compare": ["gpt-4o-mini"], "input_tokens": 1000, "output_tokens": 500,
               "calls_per_day": 100000, "cached_share": "0.6", "batch_share": "0.5"}, book, now_us)

Everything is exact. A share is not rounded to whole tokens or whole calls: the price of one request is linear in the
tokens read from a cache (its size stays the same), so a call of which six tenths are cached costs six tenths of one
that is all cached and four tenths of one that is not; likewise with calls of which half go by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.core.cost import COMPONENTS, Cost, Unpriced
from taximeter.core.money import add, format_usd, multiply
from taximeter.core.usage import Usage
from taximeter.errors import UsageError
from taximeter.pricing import Priceable, PriceBook, catalogue
from taximeter.pricing.catalogue import KnownModel
from taximeter.reports import asking
from taximeter.reports.models import TierClass, choose, tier_class

DAYS_PER_MONTH: Final = 30
DAYS_PER_YEAR: Final = 365
MOST_MODELS: Final = 20
"""Models of one comparison."""

MOST_TOKENS_PER_CALL: Final = 1_000_000_000
MOST_CALLS_PER_DAY: Final = 1_000_000_000_000
BATCH: Final = "batch"
PERCENT_DIGITS: Final = 4
"""Digits after the point of a percentage; the only thing here that is rounded."""

_KEYS: Final = (
    "model",
    "compare",
    "input_tokens",
    "output_tokens",
    "calls_per_day",
    "cached_share",
    "batch_share",
    "at",
    "prices",
)
_ONE: Final = Decimal(1)
_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)

Price = Callable[[Usage, str | None], Cost | Unpriced]
"""The price of one call with a usage, in a service tier; None is the standard one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Tokens of one call (input with what is cached), calls a day; shares are between 0 and 1.

    `cached_share` of the input is read from a cache, `batch_share` of the calls goes by batch.
    """

    input_tokens: int
    output_tokens: int
    calls_per_day: int
    cached_share: Decimal = Decimal(0)
    batch_share: Decimal = Decimal(0)

    def as_dict(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "calls_per_day": self.calls_per_day,
            "cached_share": format_usd(self.cached_share),
            "batch_share": format_usd(self.batch_share),
            "days_per_month": DAYS_PER_MONTH,
            "days_per_year": DAYS_PER_YEAR,
        }


@dataclass(frozen=True, slots=True)
class Amounts:
    """USD: of one call, and of all calls of a day, of 30 days and of 365 days."""

    per_call: Decimal
    per_day: Decimal
    per_month: Decimal
    per_year: Decimal

    @classmethod
    def of(cls, per_call: Decimal, calls_per_day: int) -> Amounts:
        per_day = multiply(calls_per_day, per_call)
        return cls(per_call, per_day, multiply(DAYS_PER_MONTH, per_day), multiply(DAYS_PER_YEAR, per_day))

    def as_dict(self) -> dict[str, str]:
        return {f"{name}_usd": format_usd(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model of a comparison. Without a price it has a reason instead of components and amounts.

    `difference` is this model's amounts less the chosen one's; `percent` is None where that costs nothing.
    """

    model: KnownModel
    tier_class: TierClass | None
    checked_on: str | None
    price_rule: str | None = None
    unpriced_reason: str | None = None
    exceeds_context_window: bool | None = None
    components: Mapping[str, Decimal] | None = None
    amounts: Amounts | None = None
    difference: Amounts | None = None
    percent: Decimal | None = None

    def as_dict(self) -> dict[str, Any]:
        difference = self.difference and {
            **self.difference.as_dict(),
            "percent": None if self.percent is None else format_usd(self.percent),
        }
        return {
            "model": self.model.name,
            "provider": self.model.provider,
            "tier_class": self.tier_class,
            "context_window_tokens": self.model.context_window_tokens,
            "exceeds_context_window": self.exceeds_context_window,
            "price_checked_on": self.checked_on,
            "price_rule": self.price_rule,
            "unpriced_reason": self.unpriced_reason,
            "cost": self.amounts and self.amounts.as_dict(),
            "components_per_call": self.components and {n: format_usd(usd) for n, usd in self.components.items()},
            "difference": difference,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer of the calculator: the chosen model first, then the others as they were named."""

    at_us: int
    price_version: str
    workload: Workload
    lines: tuple[Line, ...]

    @property
    def chosen(self) -> Line:
        return self.lines[0]

    def as_dict(self) -> dict[str, Any]:
        return {
            "at": rfc3339(self.at_us),
            "price_version": self.price_version,
            "workload": self.workload.as_dict(),
            "models": [line.as_dict() for line in self.lines],
        }


def calculate(request: Mapping[str, Any], book: PriceBook, now_us: int) -> Comparison:
    """The comparison that a request asks for, in the form of `POST /api/v1/calculator`.

    Raises UsageError naming the `field` that is wrong, UnknownModelError for a model without any price.
    """
    asking.only(request, _KEYS)
    book = asking.price_book(request, book)
    at_us = asking.instant(request, "at", now_us)
    models = [choose(book, name, field=field) for field, name in _names(request)]
    return compare(book, models, _workload(request), at_us)


def compare(book: PriceBook, models: list[KnownModel], workload: Workload, at_us: int) -> Comparison:
    """The workload on each model at the prices of an instant; differences are to the first one."""
    lines = [_line(book, model, workload, at_us) for model in models]
    chosen = lines[0].amounts
    return Comparison(at_us, book.version, workload, tuple(_beside(line, chosen, workload) for line in lines))


def cost_per_call(workload: Workload, price: Price) -> Cost | Unpriced:
    """What a call costs on average; without a price as soon as a part of the calls has none."""
    parts = []
    for share, usage, tier in _mixture(workload):
        cost = price(usage, tier)
        if isinstance(cost, Unpriced):
            return cost
        parts.append((share, cost))
    components = {name: add(*(multiply(share, getattr(cost, name)) for share, cost in parts)) for name in COMPONENTS}
    rules = dict.fromkeys(cost.price_rule for _, cost in parts)
    return Cost(**components, price_version=parts[0][1].price_version, price_rule=" & ".join(rules))


def _mixture(workload: Workload) -> Iterator[tuple[Decimal, Usage, str | None]]:
    """The kinds of calls that a workload consists of, and the share of each; shares of 0 are left out."""
    cached, batch = workload.cached_share, workload.batch_share
    for batch_share, tier in ((_ONE - batch, None), (batch, BATCH)):
        for cached_share, read in ((_ONE - cached, 0), (cached, workload.input_tokens)):
            share = multiply(batch_share, cached_share)
            if share:
                usage = Usage(
                    input_tokens=workload.input_tokens, cache_read_tokens=read, output_tokens=workload.output_tokens
                )
                yield share, usage, tier


def _line(book: PriceBook, model: KnownModel, workload: Workload, at_us: int) -> Line:
    def price(usage: Usage, tier: str | None) -> Cost | Unpriced:
        call = Priceable(model.provider, model.name, at_us, usage, request_model=model.name, service_tier=tier)
        return book.price(call)

    cost = cost_per_call(workload, price)
    window = model.context_window_tokens
    exceeds = None if window is None else workload.input_tokens > window
    if isinstance(cost, Unpriced):
        return Line(
            model=model,
            tier_class=tier_class(model.name),
            checked_on=None,
            unpriced_reason=cost.reason,
            exceeds_context_window=exceeds,
        )
    checked = catalogue.checked_on(book, model, cost.price_rule)
    components = {name: getattr(cost, name) for name in COMPONENTS}
    return Line(
        model=model,
        tier_class=tier_class(model.name),
        checked_on=checked.isoformat() if checked else None,
        price_rule=cost.price_rule,
        exceeds_context_window=exceeds,
        components=components,
        amounts=Amounts.of(add(*components.values()), workload.calls_per_day),
    )


def _beside(line: Line, chosen: Amounts | None, workload: Workload) -> Line:
    """The line with its difference to the chosen model, where both have a price."""
    if line.amounts is None or chosen is None:
        return line
    per_call = add(line.amounts.per_call, chosen.per_call.copy_negate())
    difference = Amounts.of(per_call, workload.calls_per_day)
    return replace(line, difference=difference, percent=percent(per_call, chosen.per_call))


def percent(part: Decimal, whole: Decimal) -> Decimal | None:
    """`part` in percent of `whole`, to `PERCENT_DIGITS` digits after the point; None of nothing."""
    if not whole:
        return None
    return divide(multiply(100, part), whole).quantize(_ONE.scaleb(-PERCENT_DIGITS), context=_WIDE)


def divide(amount: Decimal, by: Decimal | int) -> Decimal:
    """amount / by to 60 digits: for what is shown, never for what is added up."""
    return _WIDE.divide(amount, Decimal(by))


def _names(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The chosen model and the others, each once, with the field that names it."""
    chosen = asking.text(request, "model")
    if chosen is None:
        raise UsageError("which model? model is needed", field="model")
    others = [("compare", name) for name in asking.names(request, "compare") if name != chosen]
    if len(others) >= MOST_MODELS:
        raise UsageError(f"at most {MOST_MODELS} models can stand side by side", field="compare")
    return [("model", chosen), *dict.fromkeys(others)]


def _workload(request: Mapping[str, Any]) -> Workload:
    zero = Decimal(0)
    return Workload(
        input_tokens=asking.count(request, "input_tokens", MOST_TOKENS_PER_CALL),
        output_tokens=asking.count(request, "output_tokens", MOST_TOKENS_PER_CALL),
        calls_per_day=asking.count(request, "calls_per_day", MOST_CALLS_PER_DAY),
        cached_share=asking.share(request, "cached_share") or zero,
        batch_share=asking.share(request, "batch_share") or zero,
    )
