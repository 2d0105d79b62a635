"""How many tokens a provider may have written beyond what was read of its stream.

What lies waiting whenever a stream is looked at was written while nobody looked: the faster the provider and the later
we are, the more. So the most that any stream of a provider had waiting lately, twice over, is what every stream of it
holds for that. On a machine that keeps up it is less than the least, which is held always.
"""

from __future__ import annotations

from typing import Final

LEAST_TOKENS: Final = 256
"""Held for a provider that nothing is known of: more than a second at the pace at which most write."""

LATELY_US: Final = 60_000_000
"""What a provider was ahead counts for one to two minutes."""


class Ahead:
    """Output tokens by provider. A token has a character at least, nearly always several; so characters bound them."""

    __slots__ = ("_before", "_most", "_since_us")

    def __init__(self) -> None:
        self._most: dict[str | None, int] = {}
        self._before: dict[str | None, int] = {}
        self._since_us = 0

    def saw(self, provider: str | None, characters: int, now_us: int) -> None:
        """So much of a stream's answer had come when it was looked at again."""
        self._turn(now_us)
        if characters > self._most.get(provider, 0):
            self._most[provider] = characters

    def tokens(self, provider: str | None, now_us: int) -> int:
        """What is to be held for a stream beyond what was seen of it."""
        self._turn(now_us)
        return max(LEAST_TOKENS, 2 * max(self._most.get(provider, 0), self._before.get(provider, 0)))

    def _turn(self, now_us: int) -> None:
        if now_us - self._since_us >= LATELY_US:
            self._before = self._most if now_us - self._since_us < 2 * LATELY_US else {}
            self._most = {}
            self._since_us = now_us
