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

    def by_measure(self) -> tuple[int, ...]:
        """So much of every measure, in the order of `MEASURES`."""
        cost, read, written, requests = self
        return (cost, read, written, read + written, requests, requests)


NOTHING: Final = Amounts(0, 0, 0, 0)

MEASURES: Final[tuple[Measure, ...]] = (
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "requests",
    "concurrent",
)

_PLACES: Final = {"cost_usd": 0, "input_tokens": 1, "output_tokens": 2, "requests": 3, "concurrent": 3}


def broke_off(status: str | None, http_status: int | None, not_billed: bool) -> bool:
    """Whether a call broke off, failed in an answer that had begun well, or after it had left without any: it may be
    billed all the same, and what its usage says is not all. Its bound stands."""
    if status == "error":
        return not not_billed if http_status is None else http_status < 400
    return status == "interrupted"


def nano_usd(amount: Decimal) -> int:
    """Dollars as whole nano-USD, rounded up."""
    return int(amount.scaleb(9).to_integral_value(ROUND_CEILING))
