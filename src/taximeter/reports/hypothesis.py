"""A hypothesis about recorded calls, and a call as it would be under it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.core.money import format_usd, multiply
from taximeter.core.usage import CACHE_PARTS, TOKEN_CLASSES, Usage
from taximeter.pricing import Priceable
from taximeter.pricing.catalogue import KnownModel

SAME_TOKENS: Final = Decimal(1)
_WHOLES: Final = ("input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """What would have been different; None is what stays as it was.

    `token_ratio`: tokens of `model` for each recorded token, where its tokenizer counts differently. `cached_share` of
    every call's input would have been read from a cache, and nothing written. `at_us`: all calls at the prices of
    that instant instead of each at its own.
    """

    model: KnownModel | None = None
    service_tier: str | None = None
    cached_share: Decimal | None = None
    token_ratio: Decimal = SAME_TOKENS
    at_us: int | None = None
    own_prices: bool = False
    """Whether the price book of the request takes the place of the usual one."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model and self.model.name,
            "provider": self.model and self.model.provider,
            "service_tier": self.service_tier,
            "cached_share": None if self.cached_share is None else format_usd(self.cached_share),
            "token_ratio": format_usd(self.token_ratio),
            "at": None if self.at_us is None else rfc3339(self.at_us),
            "own_prices": self.own_prices,
        }

    def assumptions(self) -> Iterator[str]:
        """What the answer rests on, in sentences."""
        if self.model is not None:
            counted = "as recorded" if self.token_ratio == SAME_TOKENS else f"as recorded x {self.token_ratio}"
            yield f"{self.model.full_name} would have counted the tokens {counted}, and answered at the same length"
        if self.cached_share is None:
            yield "as many tokens would have been read from caches and written to them"
        else:
            share = format_usd(self.cached_share)
            yield f"{share} of every call's input would have been read from a cache, and writing it is not counted"
        if self.service_tier is None:
            yield "every call would have been served in the tier in which it was"
        yield (
            "every call is priced at its own time"
            if self.at_us is None
            else f"prices are those of {rfc3339(self.at_us)}"
        )


def as_if(call: Priceable, hypothesis: Hypothesis) -> Priceable:
    """The call under the hypothesis. What cost nothing (refused, cached, not billed) still costs nothing."""
    changes: dict[str, Any] = {}
    model = hypothesis.model
    if model is not None:
        changes.update(provider=model.provider, model=model.name, request_model=model.name, by_model=())
        if model.provider != call.provider:
            changes["region"] = None
    elif call.by_model:
        changes["by_model"] = tuple((name, _usage(usage, hypothesis)) for name, usage in call.by_model)
    if hypothesis.service_tier is not None:
        changes["service_tier"] = hypothesis.service_tier
    if hypothesis.at_us is not None:
        changes["at_us"] = hypothesis.at_us
    return replace(call, usage=_usage(call.usage, hypothesis), **changes)


def _usage(usage: Usage, hypothesis: Hypothesis) -> Usage:
    if hypothesis.token_ratio != SAME_TOKENS:
        usage = scaled(usage, hypothesis.token_ratio)
    return usage if hypothesis.cached_share is None else recached(usage, hypothesis.cached_share)


def scaled(usage: Usage, ratio: Decimal) -> Usage:
    """Every count x ratio, in whole tokens: wholes are rounded, parts rounded down so that they still fit."""
    counts: dict[str, Any] = {}
    for name in TOKEN_CLASSES:
        count = getattr(usage, name)
        if count is not None:
            exactly = multiply(count, ratio)
            counts[name] = round(exactly) if name in _WHOLES else int(exactly)
    return replace(usage, **counts)


def recached(usage: Usage, share: Decimal) -> Usage:
    """A share of the input read from a cache, in whole tokens, and nothing written."""
    if not usage.input_tokens:
        return usage
    read = int(multiply(usage.input_tokens, share).to_integral_value(ROUND_HALF_EVEN))
    written: dict[str, Any] = {name: None for name in CACHE_PARTS if name != "cache_read_tokens"}
    return replace(usage, cache_read_tokens=read, cache_read_audio_tokens=None, **written)
