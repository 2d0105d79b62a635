"""How long answers usually are: what is expected of a call until its own answer says it."""

from __future__ import annotations

from typing import Final

UNKNOWN_OUTPUT_TOKENS: Final = 300
"""Expected of a feature and model that were never seen."""

NEWEST_SHARE: Final = 0.1
"""Weight of the newest answer in the learnt mean."""

MOST_EXPECTATIONS: Final = 10_000
"""Triples of provider, model and feature whose mean is remembered."""


class Expectation:
    """The mean output of one kind of call; newer answers weigh more."""

    __slots__ = ("_mean",)

    def __init__(self) -> None:
        self._mean: float | None = None

    @property
    def tokens(self) -> int:
        """That mean, whole: few ask for it, so that learning need not make it."""
        mean = self._mean
        return UNKNOWN_OUTPUT_TOKENS if mean is None else int(mean + 0.5)  # the mean is never negative

    def learn(self, output_tokens: int) -> None:
        """Take in what an answer really came to."""
        mean = self._mean
        self._mean = output_tokens if mean is None else mean + NEWEST_SHARE * (output_tokens - mean)

    def within(self, max_output_tokens: int | None) -> int:
        """What is expected of a call that may write so much."""
        tokens = self.tokens
        return tokens if max_output_tokens is None or tokens < max_output_tokens else max_output_tokens


class ExpectedOutput:
    """What is expected by provider, model asked for and feature. Safe to use from many threads."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None, str | None], Expectation] = {}

    def of(self, provider: str, model: str | None, feature: str | None) -> Expectation:
        """The expectation of such calls, which goes on learning."""
        key = (provider, model, feature)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_EXPECTATIONS:
                self._known.pop(next(iter(self._known)), None)
            found = self._known[key] = Expectation()
        return found
