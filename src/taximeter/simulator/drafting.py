"""Deciding what an answer says and what it costs, before it is put into a provider's words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from taximeter.core.usage import Usage
from taximeter.simulator.asking import Ask
from taximeter.simulator.prompt_cache import CacheUse
from taximeter.simulator.settings import Settings, Wish

_SENTENCES = (
    "Thank you for the details. The order left our warehouse this morning and arrives within two days. "
    "If the parcel is late, reply here and we will send another one at no charge. "
    "The three open questions are the delivery date, the invoice address and the size of the second item. "
    "Revenue grew in the north and fell in the south, mostly because two large customers moved their renewals. "
    "The function reads the file once, keeps the index in memory and returns the rows that match. "
    "A test for the empty file is missing; it should return no rows and raise nothing. "
    "Please restart the device, wait until the light is green, and try to sign in again. "
    "The contract ends in March unless one side objects in writing four weeks before. "
)
_WORDS = tuple(_SENTENCES.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A generated answer to the request body `asked`.

    One word is one output token; `thoughts` are the hidden ones before them.
    """

    asked: Mapping[str, Any]
    number: str
    model: str
    created_s: int
    words: tuple[str, ...]
    thoughts: tuple[str, ...]
    usage: Usage
    reached_limit: bool
    service_tier: str | None

    def usage_after(self, output_tokens: int) -> Usage:
        """The usage of this answer when it stops after so many tokens, thoughts first."""
        done = min(output_tokens, self.usage.output_tokens or 0)
        reasoning = self.usage.reasoning_tokens
        return replace(
            self.usage,
            output_tokens=done,
            reasoning_tokens=None if reasoning is None else min(reasoning, done),
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """What names one answer: a number unique among all answers, the model that gave it, and when."""

    number: str
    model: str
    created_s: int


def draft(ask: Ask, cache: CacheUse, identity: Identity, wish: Wish, settings: Settings, chance: Random) -> Draft:
    """The answer to `ask`: lengths as wished for, otherwise drawn; never longer than allowed."""
    bound = settings.output_tokens_max if ask.max_output_tokens is None else ask.max_output_tokens
    thoughts = min(_thinking(ask, wish, settings, chance), bound)
    wanted = _length(wish.output_tokens, settings, chance)
    visible = min(wanted, bound - thoughts)
    usage = Usage(
        input_tokens=ask.prompt_tokens,
        cache_read_tokens=cache.read,
        cache_write_5m_tokens=cache.written_5m,
        cache_write_1h_tokens=cache.written_1h,
        output_tokens=thoughts + visible * ask.choices,
        reasoning_tokens=thoughts if ask.reasons else 0,
    )
    return Draft(
        asked=ask.body,
        number=identity.number,
        model=identity.model,
        created_s=identity.created_s,
        words=_words(visible, chance),
        thoughts=_words(thoughts, chance),
        usage=usage,
        reached_limit=wanted > visible,
        service_tier=ask.service_tier,
    )


def _thinking(ask: Ask, wish: Wish, settings: Settings, chance: Random) -> int:
    if not ask.reasons:
        return 0
    if wish.reasoning_tokens is not None:
        return wish.reasoning_tokens
    return _drawn(settings.reasoning_tokens_median, settings.output_tokens_spread, chance)


def _length(wished: int | None, settings: Settings, chance: Random) -> int:
    if wished is not None:
        return wished
    return _drawn(settings.output_tokens_median, settings.output_tokens_spread, chance)


def _drawn(median: int, spread: float, chance: Random) -> int:
    return max(1, round(median * math.exp(chance.gauss(0, spread))))


def _words(count: int, chance: Random) -> tuple[str, ...]:
    start = chance.randrange(len(_WORDS))
    turns = (start + count) // len(_WORDS) + 1
    return (_WORDS * turns)[start : start + count]
