"""Money: US dollars as `Decimal`, exact from end to end. Rounding happens on display only.

Amounts are kept to `SCALE` digits after the point: a millionth of a dollar per million tokens, priced for a
single token, is 1e-12 dollars.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import reduce
from typing import Final

SCALE = 12
"""Digits after the point that the stores keep: DECIMAL(18, 12)."""

LARGEST_USD = Decimal("999999.999999999999")
"""The largest amount of one event, USD."""

ZERO = Decimal(0)
_QUANTUM = Decimal(1).scaleb(-SCALE)
_CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def exact(amount: Decimal) -> Decimal:
    """`amount` at the stores' scale. Real prices and whole tokens never need rounding here."""
    return amount.quantize(_QUANTUM, context=_CONTEXT)


def multiply(quantity: Decimal | int, rate: Decimal) -> Decimal:
    """quantity x rate without losing a digit (60 digits of precision)."""
    return _CONTEXT.multiply(Decimal(quantity), rate)


plus: Final = _CONTEXT.add
"""The sum of two amounts without losing a digit (60 digits of precision)."""


def add(*amounts: Decimal) -> Decimal:
    """The sum without losing a digit (60 digits of precision); 0 of nothing."""
    return reduce(plus, amounts, ZERO)


def parse_usd(text: str | int | Decimal) -> Decimal:
    """An amount from outside. Floats are refused: they have already lost digits.

    Raises ValueError for anything that is not a finite decimal number.
    """
    if isinstance(text, float):
        raise ValueError("money must be a decimal string, not a float")
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"not an amount: {text!r}") from error
    if not amount.is_finite():
        raise ValueError(f"not an amount: {text!r}")
    return amount


def format_usd(amount: Decimal) -> str:
    """The canonical text: no exponent, no trailing zeros, no minus zero. `0.0125`, `12`, `0`."""
    text = str(amount)
    if "E" in text:  # seldom, and `str` takes half the time of a format
        text = f"{amount:f}"
    if text.endswith("0") and "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
