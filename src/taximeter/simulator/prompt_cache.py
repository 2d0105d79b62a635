"""Prompt caches as the providers keep them: a repeated long prefix is read instead of computed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from taximeter.simulator.asking import Block

MOST_PREFIXES = 20_000
FIVE_MINUTES_S = 300
ONE_HOUR_S = 3600
LOOK_BACK_BLOCKS = 20
STEP_TOKENS = 128


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tokens of one prompt that were read from the cache, and written to it by lifetime."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0


NOT_CACHED = CacheUse()


class PromptCache:
    """Live prefixes by scope and content. `now` is a monotonic time in seconds; reading renews a prefix."""

    def __init__(self, min_tokens: int) -> None:
        self._min_tokens = min_tokens
        self._expiry: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def marked(self, scope: str, blocks: Sequence[Block], now: float) -> CacheUse:
        """Anthropic's rule: blocks up to a `cache_control` mark are written, and read by whoever repeats them."""
        marks = [i for i, block in enumerate(blocks) if block.cache_seconds]
        if not marks:
            return NOT_CACHED
        ends = _prefix_ends(scope, blocks)
        read_to = self._longest_live(ends, marks, now)
        read = ends[read_to][1] if read_to >= 0 else 0
        written = {FIVE_MINUTES_S: 0, ONE_HOUR_S: 0}
        done = read
        for i in marks:
            key, tokens = ends[i]
            if i > read_to and tokens >= self._min_tokens:
                lifetime = blocks[i].cache_seconds
                self._keep(key, now, lifetime)
                written[lifetime] += tokens - done
                done = tokens
        return CacheUse(read, written[FIVE_MINUTES_S], written[ONE_HOUR_S])

    def _longest_live(self, ends: list[tuple[tuple[object, ...], int]], marks: list[int], now: float) -> int:
        first = max(0, marks[-1] - LOOK_BACK_BLOCKS - len(marks))
        for i in range(marks[-1], first - 1, -1):
            if self._alive(ends[i][0], now):
                return i
        return -1

    def automatic(self, scope: str, words: Sequence[str], now: float) -> CacheUse:
        """OpenAI's rule: prompts from `min_tokens` on are cached by themselves, in steps of 128 tokens."""
        whole_steps = len(words) // STEP_TOKENS
        if len(words) < self._min_tokens:
            return NOT_CACHED
        read, chain = 0, hash(scope)
        for step in range(1, whole_steps + 1):
            chain = hash((chain, *words[(step - 1) * STEP_TOKENS : step * STEP_TOKENS]))
            tokens = step * STEP_TOKENS
            if tokens < self._min_tokens:
                continue
            key = (scope, chain)
            if self._alive(key, now):
                read = tokens
            else:
                self._keep(key, now, FIVE_MINUTES_S)
        return CacheUse(read=read, written_5m=whole_steps * STEP_TOKENS - read)

    def _alive(self, key: tuple[object, ...], now: float) -> bool:
        kept = self._expiry.get(key)
        if kept is None or kept[0] <= now:
            return False
        self._keep(key, now, kept[1])
        return True

    def _keep(self, key: tuple[object, ...], now: float, lifetime_s: int) -> None:
        self._expiry[key] = (now + lifetime_s, lifetime_s)
        self._expiry.move_to_end(key)
        if len(self._expiry) > MOST_PREFIXES:
            self._expiry.popitem(last=False)


def _prefix_ends(scope: str, blocks: Sequence[Block]) -> list[tuple[tuple[object, ...], int]]:
    ends: list[tuple[tuple[object, ...], int]] = []
    chain, tokens = hash(scope), 0
    for block in blocks:
        chain = hash((chain, block.text))
        tokens += block.tokens
        ends.append(((scope, chain), tokens))
    return ends
