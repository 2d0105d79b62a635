"""How long calls took, in bins that are at most 2 % wide: what percentiles are told from.

Bins of calls add up, percentiles do not: so the sums of days can say a percentile, and it is the same to the last digit
whether they do or the events. It is the nearest rank, told by the middle of its bin: of at least a millisecond at most
1 % away from the time that the call took.

A bin is the 32nd root of the milliseconds, times `BINS_A_UNIT`, without what stands behind the point. A logarithm would
make as few of them, but engines do not agree about its last digit; about that of a square root they have to (IEEE 754).
"""

from __future__ import annotations

from math import floor, sqrt
from typing import Final

from sqlglot import expressions as exp

from taximeter.store.events.durations import LONGEST_MS

BIN: Final = "bin"
"""The column of a level, and of a statement."""

BINS_A_UNIT: Final = 1600
_ROOTS: Final = 5
"""Square roots, one of the other."""

WIDEST_ERROR: Final = 0.01
"""Of what took a millisecond or longer, as a share of it; 0.013 of a microsecond."""

_DIGITS: Final = 6


def bin_of(took_ms: float) -> int:
    """What took no time, or less, is in bin 0; what took longer than `LONGEST_MS` in the bin of that."""
    root = min(took_ms, float(LONGEST_MS))
    if root <= 0:
        return 0
    for _ in range(_ROOTS):
        root = sqrt(root)
    return floor(BINS_A_UNIT * root)


LONGEST_BIN: Final = bin_of(LONGEST_MS)


def middle_ms(number: int) -> float:
    """The time that is equally far, as a share of it, from both ends of a bin."""
    if number <= 0:
        return 0.0
    least, most = (float((number + end) / BINS_A_UNIT) ** 2**_ROOTS for end in (0, 1))
    return round(2 * least * most / (least + most), _DIGITS)


def bin_number(took: exp.Expr) -> exp.Expr:
    """`bin_of` a column, null where that is."""
    nothing, longest = exp.Literal.number(0), exp.Literal.number(LONGEST_MS)
    root = took.copy()
    for _ in range(_ROOTS):
        root = exp.Sqrt(this=root)
    whole = exp.Floor(this=exp.Mul(this=exp.Literal.number(BINS_A_UNIT), expression=root))
    cases = [
        exp.If(this=took.copy() > longest, true=exp.Literal.number(LONGEST_BIN)),
        exp.If(this=took.copy() > nothing, true=exp.cast(whole, "SMALLINT")),
        exp.If(this=took.copy() <= nothing.copy(), true=nothing.copy()),
    ]
    return exp.cast(exp.Case(ifs=cases), "SMALLINT")  # what ranks millions of them holds them all
