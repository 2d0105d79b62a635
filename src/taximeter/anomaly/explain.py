"""Why did spend change? The change between two periods, split into causes that sum to it exactly.

The cost of a period is a sum over cells (a feature on a model, say) and token classes of

    first attempts x share of the cell x attempts per first attempt x tokens per call x share of the class x rate

and the change of such a sum is split by the additive logarithmic-mean Divisia index (LMDI-I; B. W. Ang, "LMDI
decomposition approach: A guide for implementation", Energy Policy 86, 2015): a factor x of a term that went from C0
to C1 contributes L(C1, C0) ln(x1 / x0), with L(a, b) = (a - b) / ln(a / b) and L(a, a) = a. Over the factors of a
term these add up to C1 - C0, so nothing is left over.

A term that is zero on one side has no logarithm. The limit of the formula gives the whole of it to the factors that
are zero there; of several, the outermost takes it: a feature that is new is a change of the feature mix, a class of
tokens that is new in its cell is a change of caching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from taximeter.core.money import ZERO, add, exact

_EXACT: Final = Context(prec=50, rounding=ROUND_HALF_EVEN)
ONE: Final = Decimal(1)

VOLUME: Final = "volume"
RETRIES: Final = "retries"
INPUT: Final = "input_tokens"
OUTPUT: Final = "output_tokens"
CACHE: Final = "cache"
PRICE: Final = "price"
FEES: Final = "fees"


def mix_of(dimension: str) -> str:
    """The name of the factor that a shift between the values of a dimension is."""
    return f"{dimension}_mix"


@dataclass(frozen=True, slots=True)
class Cell:
    """Usage and cost of one group of priced calls in one period. All are sums; `calls` are all attempts, `retries`
    those after the first. Costs are USD; `input_usd` is that of the input that came from no cache."""

    calls: Decimal = ZERO
    retries: Decimal = ZERO
    input_tokens: Decimal = ZERO
    cache_read_tokens: Decimal = ZERO
    cache_write_tokens: Decimal = ZERO
    output_tokens: Decimal = ZERO
    input_usd: Decimal = ZERO
    cache_read_usd: Decimal = ZERO
    cache_write_usd: Decimal = ZERO
    output_usd: Decimal = ZERO
    other_usd: Decimal = ZERO

    @property
    def cost_usd(self) -> Decimal:
        return add(self.input_usd, self.cache_read_usd, self.cache_write_usd, self.output_usd, self.other_usd)

    @property
    def first_attempts(self) -> Decimal:
        """Those of a group that has retries only are its calls: the first ones were made before the period."""
        firsts = self.calls - self.retries
        return firsts if firsts > 0 else self.calls

    def scaled(self, by: Decimal) -> Cell:
        """The same usage over a period `by` times as long. Costs keep to the stores' scale."""
        return Cell(**{name: _scaled(name, getattr(self, name), by) for name in _FIELDS})

    def __add__(self, other: Cell) -> Cell:
        return Cell(*(_EXACT.add(getattr(self, name), getattr(other, name)) for name in _FIELDS))


_FIELDS: Final = tuple(field.name for field in fields(Cell))
Key = tuple[str | None, ...]
"""The values of the mix dimensions that a cell stands for, the outermost first."""


def _scaled(name: str, value: Decimal, by: Decimal) -> Decimal:
    scaled = _EXACT.multiply(value, by)
    return exact(scaled) if name.endswith("_usd") else scaled


@dataclass(frozen=True, slots=True)
class _Side:
    """One period of one term: its cost, and its factors from the outermost to the innermost."""

    cost: Decimal
    factors: Mapping[str, Decimal]


def decompose(before: Mapping[Key, Cell], after: Mapping[Key, Cell], mix: Sequence[str]) -> dict[str, Decimal]:
    """Factor → its part of `cost(after) - cost(before)`, USD. The parts sum to the change to the last digit.

    Keys have one value for each dimension of `mix`; the result has a factor `<dimension>_mix` for each of them.
    """
    parts = dict.fromkeys((VOLUME, *map(mix_of, mix), RETRIES, INPUT, OUTPUT, CACHE, PRICE, FEES), ZERO)
    totals = (_firsts_by_prefix(before, len(mix)), _firsts_by_prefix(after, len(mix)))
    for key in sorted({*before, *after}, key=_sortable):
        cells = before.get(key, Cell()), after.get(key, Cell())
        outer = tuple(_outer_factors(key, cell, firsts, mix) for cell, firsts in zip(cells, totals, strict=True))
        for old, new in zip(_terms(cells[0], outer[0]), _terms(cells[1], outer[1]), strict=True):
            for factor, part in _split(old, new):
                parts[factor] = _EXACT.add(parts[factor], part)
    return _rounded(parts, add(*(c.cost_usd for c in after.values()), *(-c.cost_usd for c in before.values())))


def _sortable(key: Key) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, value or "") for value in key)


def _firsts_by_prefix(cells: Mapping[Key, Cell], depth: int) -> dict[Key, Decimal]:
    """First attempts of every beginning of a key: of () all of them."""
    firsts: dict[Key, Decimal] = {(): ZERO}
    for key, cell in cells.items():
        for length in range(depth + 1):
            firsts[key[:length]] = firsts.get(key[:length], ZERO) + cell.first_attempts
    return firsts


def _outer_factors(key: Key, cell: Cell, firsts: Mapping[Key, Decimal], mix: Sequence[str]) -> dict[str, Decimal]:
    factors = {VOLUME: firsts[()]}
    for depth, dimension in enumerate(mix, start=1):
        factors[mix_of(dimension)] = _ratio(firsts.get(key[:depth], ZERO), firsts.get(key[: depth - 1], ZERO))
    factors[RETRIES] = _ratio(cell.calls, cell.first_attempts)
    return factors


def _terms(cell: Cell, outer: Mapping[str, Decimal]) -> Iterator[_Side]:
    """The cell's cost by token class. What cost without tokens of its class (a search, an image) is a fee."""
    read, write = cell.cache_read_tokens, cell.cache_write_tokens
    uncached = _EXACT.subtract(cell.input_tokens, _EXACT.add(read, write))
    fees = cell.other_usd
    per_call = _ratio(cell.input_tokens, cell.calls)
    classes = (
        (uncached, cell.input_usd),
        (read, cell.cache_read_usd),
        (write, cell.cache_write_usd),
    )
    for tokens, cost in classes:
        fees += ZERO if tokens > 0 else cost
        share = _ratio(tokens, cell.input_tokens)
        factors = {**outer, INPUT: per_call, CACHE: share, PRICE: _ratio(cost, tokens)}
        yield _Side(cost if tokens > 0 else ZERO, factors)
    tokens, cost = cell.output_tokens, cell.output_usd
    fees += ZERO if tokens > 0 else cost
    factors = {**outer, OUTPUT: _ratio(tokens, cell.calls), PRICE: _ratio(cost, tokens)}
    yield _Side(cost if tokens > 0 else ZERO, factors)
    yield _Side(fees, {**outer, FEES: _ratio(fees, cell.calls)})


def _split(old: _Side, new: _Side) -> Iterator[tuple[str, Decimal]]:
    """The change of one term by its factors."""
    change = new.cost - old.cost
    if change == 0 and old.cost == 0:
        return
    if old.cost <= 0 or new.cost <= 0:
        empty = old if old.cost <= new.cost else new
        yield next((name for name, value in empty.factors.items() if value == 0), PRICE), change
        return
    logs = {name: _log_ratio(new.factors[name], old.factors[name]) for name in old.factors}
    weight = _logarithmic_mean(new.cost, old.cost)
    for name, log in logs.items():
        yield name, _EXACT.multiply(weight, log)


def _logarithmic_mean(a: Decimal, b: Decimal) -> Decimal:
    return a if a == b else _EXACT.divide(a - b, _log_ratio(a, b))


def _log_ratio(a: Decimal, b: Decimal) -> Decimal:
    return ZERO if a == b else _EXACT.ln(_EXACT.divide(a, b))


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    return _EXACT.divide(part, whole) if whole else ZERO


def _rounded(parts: Mapping[str, Decimal], change: Decimal) -> dict[str, Decimal]:
    """At the stores' scale. What rounding leaves over goes to the largest part, whose last digit it changes."""
    rounded = {name: exact(part) for name, part in parts.items()}
    largest = max(rounded, key=lambda name: abs(rounded[name]))
    rounded[largest] += change - add(*rounded.values())
    return rounded
