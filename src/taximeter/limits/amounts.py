"""What a call comes to, in the units of the measures: whole numbers only."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Final, NamedTuple

from taximeter.config.limits import Measure


class Amounts(NamedTuple):
    """A call, or a bound of one. `cost` is in nano-USD, rounded up; it is one request, and one call at once."""

    cost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 1

    def of(self, measure: Measure) -> int:
        """So much of a measure."""
        return self[_PLACES[measure]] if measure != "total_tokens" else self.input_tokens + self.output_tokens

    def by_measure(self) -> dict[Measure, int]:
        """So much of every measure."""
        cost, read, written, requests = self
        return {
            "cost_usd": cost,
            "input_tokens": read,
            "output_tokens": written,
            "total_tokens": read + written,
            "requests": requests,
            "concurrent": requests,
        }


NOTHING: Final = Amounts(0, 0, 0, 0)

_PLACES: Final = {"cost_usd": 0, "input_tokens": 1, "output_tokens": 2, "requests": 3, "concurrent": 3}


def nano_usd(amount: Decimal) -> int:
    """Dollars as whole nano-USD, rounded up."""
    return int(amount.scaleb(9).to_integral_value(ROUND_CEILING))
