"""What calls of a kind usually come to: quantiles of their output, and tokens for each byte of input."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

EDGES: Final = tuple(sorted({round(2 ** (step / 2)) for step in range(2, 42)}))
"""Output tokens at which bins end: two for each doubling, up to a million."""

FORGET_AT: Final = 512
"""Answers after which all counts are halved: newer answers weigh more."""

LEAST_ANSWERS: Final = 10
"""Answers before a quantile is believed."""

UNKNOWN_OUTPUT: Final = 1_024
"""Usual output of a kind that was seen too seldom."""

UNKNOWN_TOKENS_PER_BYTE: Final = 0.35
NEWEST_SHARE: Final = 0.1

MOST_KINDS: Final = 10_000

LEFT_TO_PROVIDER: Final = (None, "auto")
"""Asked so, a call is served as its project is set up (OpenAI), which may be in a dearer tier."""
USUAL_TIERS: Final = frozenset({"default", "standard", "auto", "batch", "flex", "on_demand"})
"""None of them costs more than the listed price."""


class Usual:
    """One kind of call. `longest` is the longest answer seen."""

    __slots__ = ("_counts", "_tokens_per_byte", "_total", "longest")

    def __init__(self) -> None:
        self._counts = [0.0] * (len(EDGES) + 1)
        self._total = 0.0
        self._tokens_per_byte = UNKNOWN_TOKENS_PER_BYTE
        self.longest = 0

    def learn(self, output_tokens: int, input_tokens: int, size_bytes: int) -> None:
        """Take in what a call really came to."""
        self._counts[bisect_left(EDGES, output_tokens)] += 1
        self._total += 1
        self.longest = max(self.longest, output_tokens)
        if self._total >= FORGET_AT:
            self._counts = [count / 2 for count in self._counts]
            self._total = sum(self._counts)
        if size_bytes:
            self._tokens_per_byte += NEWEST_SHARE * (input_tokens / size_bytes - self._tokens_per_byte)

    def output(self, share: float) -> int:
        """Output tokens that no more than so many answers exceed (1 - share of them)."""
        if self._total < LEAST_ANSWERS:
            return UNKNOWN_OUTPUT
        wanted, seen = share * self._total, 0.0
        for edge, count in zip((*EDGES, EDGES[-1] * 2), self._counts, strict=True):
            seen += count
            if seen >= wanted:
                return min(edge, max(self.longest, 1))
        return self.longest

    def input(self, size_bytes: int) -> int:
        """Input tokens of a request of this size."""
        return int(size_bytes * self._tokens_per_byte) + 1


class Learnt:
    """Kinds of calls: provider, model and feature; and the tier in which providers serve who leaves it to them."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str | None, ...], Usual] = {}
        self._tiers: dict[str | None, str] = {}

    def tier(self, provider: str | None, asked: str | None) -> str | None:
        """The tier whose price has to be held: the one asked for, else the last that was not the usual one."""
        return self._tiers.get(provider, asked) if asked in LEFT_TO_PROVIDER else asked

    def served_in(self, provider: str | None, tier: str | None, *, held: str | None) -> None:
        """An answer has named its tier; `held` is the one whose price was held for it. What a call asked for by itself
        says nothing of others."""
        if tier is not None and tier not in USUAL_TIERS and held in (*LEFT_TO_PROVIDER, self._tiers.get(provider)):
            self._tiers[provider] = tier

    def of(self, *kind: str | None) -> Usual:
        """What is known of a kind; it goes on learning."""
        found = self._kinds.get(kind)
        if found is None:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.pop(next(iter(self._kinds)))
            found = self._kinds[kind] = Usual()
        return found
