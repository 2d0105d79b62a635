"""An amount in words: what was counted, at which rate, and which layer and rule said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.core.cost import COMPONENTS, Cost, Unpriced
from taximeter.core.money import format_usd
from taximeter.core.usage import Usage
from taximeter.pricing.meter import Meter
from taximeter.pricing.rates import EXACT, TOKENS_PER_RATE, Origin, Rates, Trail, UnitRate

TOKENS: Final = "tokens"


@dataclass(frozen=True, slots=True)
class Line:
    """One rate applied: `amount_usd` = `billed` x `usd` / `per`, exactly. None: there is no price for it.

    `quantity` is what was counted and `billed` what is charged for, which differ where a price has a least or most.
    `name` is the kind of tokens or the unit, `rate` the rate that was charged (cache reads without a price of their
    own are charged as `input`). `over_tokens` is the context size beyond which the rate holds.
    """

    component: str
    name: str
    quantity: Decimal
    billed: Decimal
    unit: str
    rate: str | None
    usd: Decimal | None
    per: int
    amount_usd: Decimal | None
    over_tokens: int | None = None
    model: str | None = None
    trail: Trail = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The cost of a call with its lines, and the period in which these rates hold for such calls (microseconds).

    The amounts of the lines add up to the components of the cost; where a rate x its surcharges has more digits than
    are stored, the components are rounded at the twelfth, the lines are not.
    """

    cost: Cost | Unpriced
    lines: tuple[Line, ...] = ()
    model: str | None = None
    from_us: int | None = None
    until_us: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape. Money is a decimal string."""
        cost = self.cost
        priced = isinstance(cost, Cost)
        return {
            "cost_usd": format_usd(cost.total) if isinstance(cost, Cost) else None,
            "cost": {name: format_usd(getattr(cost, name)) for name in COMPONENTS} if priced else None,
            "unpriced_reason": None if isinstance(cost, Cost) else cost.reason,
            "price_version": cost.price_version,
            "price_rule": cost.price_rule if isinstance(cost, Cost) else None,
            "model": self.model,
            "from": instant(self.from_us),
            "until": instant(self.until_us),
            "lines": [_line_as_dict(line) for line in self.lines],
        }


@dataclass(frozen=True, slots=True)
class PriceListing:
    """All rates for a kind of call at an instant, without any usage. `answer` has no rates when it is unpriced."""

    answer: Meter | Unpriced
    price_version: str
    model: str | None
    from_us: int | None
    until_us: int | None

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape. Money is a decimal string."""
        priced = isinstance(self.answer, Meter)
        return {
            "unpriced_reason": self.answer.reason if isinstance(self.answer, Unpriced) else None,
            "price_version": self.price_version,
            "price_rule": self.answer.price_rule if isinstance(self.answer, Meter) else None,
            "model": self.model,
            "from": instant(self.from_us),
            "until": instant(self.until_us),
            "rates": rows(self.answer.rates) if isinstance(self.answer, Meter) and priced else [],
        }


def lines_of(meter: Meter, usage: Usage, model: str | None = None) -> tuple[Line, ...]:
    """The lines of one usage at one meter's rates."""
    over = meter.step_of(usage)
    rates = meter.rates.at_size(over)
    found = []
    for part in meter.token_parts(usage):
        usd, trail = rates[part.rate_name] if part.rate_name is not None else (None, ())
        billed = Decimal(part.quantity)
        amount = None if usd is None else _amount(billed, usd, TOKENS_PER_RATE)
        found.append(
            Line(
                part.component,
                part.name,
                billed,
                billed,
                TOKENS,
                part.rate_name,
                usd,
                TOKENS_PER_RATE,
                amount,
                _size(meter.rates, part.rate_name, over),
                model,
                trail,
            )
        )
    return (*found, *_fee_lines(meter, usage, model))


def reported_line(usd: Decimal) -> Line:
    """What the provider's own amount differs by from the lines above it."""
    one = Decimal(1)
    return Line("other", "as the provider reported", one, one, "calls", None, usd, 1, usd)


def _fee_lines(meter: Meter, usage: Usage, model: str | None) -> Sequence[Line]:
    found = []
    for part in meter.unit_parts(usage):
        rate, quantity = part.rate, Decimal(part.quantity)
        name = next((n for n, known in meter.rates.units.items() if known is rate), None)
        billed = rate.billed(quantity) if rate is not None else quantity
        found.append(
            Line(
                "other",
                part.name,
                quantity,
                billed,
                part.name,
                name,
                rate.usd if rate is not None else None,
                rate.per if rate is not None else 1,
                rate.charge(quantity) if rate is not None else None,
                None,
                model,
                meter.rates.trails.get(name, ()),
            )
        )
    return found


def _size(rates: Rates, name: str | None, over: int | None) -> int | None:
    """The largest step up to `over` that names the rate."""
    named = [step.over for step in rates.steps if over is not None and step.over <= over and name in step.tokens]
    return max(named, default=None)


def _amount(quantity: Decimal, usd: Decimal, per: int) -> Decimal:
    return EXACT.divide(EXACT.multiply(quantity, usd), Decimal(per))


def rows(rates: Rates) -> list[dict[str, Any]]:
    """All rates as flat rows: `rate`, `over_tokens`, `usd`, `per`, `unit`, and the trail that made each."""
    found = [_token_row(name, None, usd, trail) for name, (usd, trail) in rates.at_size(None).items()]
    for step in rates.steps:
        found += [_token_row(n, step.over, usd, rates.trails.get((n, step.over), ())) for n, usd in step.tokens.items()]
    return found + [_unit_row(name, rate, rates.trails.get(name, ())) for name, rate in rates.units.items()]


def _token_row(name: str, over: int | None, usd: Decimal, trail: Trail) -> dict[str, Any]:
    row = {"rate": name, "over_tokens": over, "usd": format_usd(usd), "per": TOKENS_PER_RATE, "unit": TOKENS}
    return {**row, "trail": [_origin_as_dict(origin) for origin in trail]}


def _unit_row(name: str, rate: UnitRate, trail: Trail) -> dict[str, Any]:
    row = {"rate": name, "over_tokens": None, "usd": format_usd(rate.usd), "per": rate.per, "unit": name}
    bounds = {"at_least": rate.at_least or None, "at_most": rate.at_most}
    row |= {bound: format_usd(value) for bound, value in bounds.items() if value is not None}
    return {**row, "trail": [_origin_as_dict(origin) for origin in trail]}


def _line_as_dict(line: Line) -> dict[str, Any]:
    return {
        "component": line.component,
        "name": line.name,
        "quantity": format_usd(line.quantity),
        "billed": format_usd(line.billed),
        "unit": line.unit,
        "rate": line.rate,
        "usd": None if line.usd is None else format_usd(line.usd),
        "per": line.per,
        "amount_usd": None if line.amount_usd is None else format_usd(line.amount_usd),
        "over_tokens": line.over_tokens,
        "model": line.model,
        "trail": [_origin_as_dict(origin) for origin in line.trail],
    }


def _origin_as_dict(origin: Origin) -> dict[str, Any]:
    return {
        "layer": origin.layer,
        "rule": origin.rule,
        "source": origin.source,
        "checked": origin.checked.isoformat() if origin.checked else None,
        "from": instant(origin.from_us),
        "to": instant(origin.to_us),
        "factor": None if origin.factor is None else format_usd(origin.factor),
    }


def instant(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)
