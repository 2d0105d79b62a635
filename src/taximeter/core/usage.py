"""Usage: the counts of one call, and the rules by which parts lie inside wholes.

`input_tokens` is everything the model read: plain text, cache reads, cache writes, audio, images.
`output_tokens` is everything it wrote, reasoning included. Every other token class is a part of one of the two.
`None` means "the provider did not say"; 0 means "it said none". The two are never confused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Final

from taximeter.core.facts import fact

INPUT_PARTS: Final = (
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "input_video_tokens",
)
OUTPUT_PARTS: Final = ("reasoning_tokens", "output_audio_tokens", "output_image_tokens")
CACHE_PARTS: Final = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
"""Parts of the input that exclude each other: their sum lies inside the input too."""

TOKEN_CLASSES: Final = (
    "input_tokens",
    *INPUT_PARTS,
    "cache_read_audio_tokens",
    "output_tokens",
    *OUTPUT_PARTS,
)

LARGEST_COUNT: Final = 1_000_000_000_000
"""The largest count of tokens of one call that is believed."""


@fact(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counts of one call, in tokens; `units` holds other billable units (`{"web_searches": 2}`).

    `cache_read_audio_tokens` is a part of both `cache_read_tokens` and `input_audio_tokens`.
    """

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    input_audio_tokens: int | None = None
    cache_read_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    input_video_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    units: Mapping[str, int | Decimal] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether anything at all was counted."""
        return self.tokens_known or bool(self.units)

    @property
    def tokens_known(self) -> bool:
        """Whether more was counted than units, such as searches."""
        return self.input_tokens is not None or self.output_tokens is not None

    @property
    def uncached_input_tokens(self) -> int:
        """Input that was neither read from nor written to a cache."""
        return (self.input_tokens or 0) - sum(getattr(self, name) or 0 for name in CACHE_PARTS)


NOTHING_COUNTED: Final = Usage()


@dataclass(frozen=True, slots=True)
class Violation:
    """A count that cannot be true: the field, and why."""

    field: str
    message: str


def violations(usage: Usage) -> list[Violation]:
    """Everything in `usage` that contradicts itself; empty when it adds up."""
    found = [
        Violation(name, f"{name} must be between 0 and {LARGEST_COUNT}")
        for name in TOKEN_CLASSES
        if (count := getattr(usage, name)) is not None and not 0 <= count <= LARGEST_COUNT
    ]
    found += [Violation(f"units.{name}", f"units.{name} is negative") for name, n in usage.units.items() if n < 0]
    if found:
        return found
    return _outside("input_tokens", INPUT_PARTS, usage) + _outside("output_tokens", OUTPUT_PARTS, usage)


def _outside(whole_name: str, part_names: tuple[str, ...], usage: Usage) -> list[Violation]:
    whole = getattr(usage, whole_name)
    given = [(name, count) for name in part_names if (count := getattr(usage, name))]
    if whole is None:
        return [Violation(name, f"{name} is given without {whole_name}") for name, _ in given]
    found = [
        Violation(name, f"{name} ({count}) exceeds {whole_name} ({whole})") for name, count in given if count > whole
    ]
    cached = sum(count for name, count in given if name in CACHE_PARTS)
    if not found and cached > whole:
        found.append(
            Violation(
                "cache_read_tokens", f"cache_read_tokens and cache writes ({cached}) exceed {whole_name} ({whole})"
            )
        )
    if whole_name == "input_tokens":
        cached_audio = usage.cache_read_audio_tokens or 0
        bound = min(usage.cache_read_tokens or 0, usage.input_audio_tokens or 0)
        if cached_audio > bound:
            message = f"cache_read_audio_tokens ({cached_audio}) exceeds cached or audio input ({bound})"
            found.append(Violation("cache_read_audio_tokens", message))
    return found


def clamped(usage: Usage) -> tuple[Usage, bool]:
    """`usage` with every part cut down to fit its whole, and whether anything had to be cut.

    For a provider's own answer that contradicts itself: the call is kept, the totals are believed, the parts
    give way, and the caller flags the event `usage_conflict`.
    """
    if _plainly_adds_up(usage) or not violations(usage):
        return usage, False
    counts = {name: _believable(getattr(usage, name)) for name in TOKEN_CLASSES}
    _fit(counts, "input_tokens", INPUT_PARTS)
    _fit(counts, "output_tokens", OUTPUT_PARTS)
    room = counts["input_tokens"] or 0
    for name in CACHE_PARTS:
        if counts[name] is not None:
            counts[name] = min(counts[name] or 0, room)
            room -= counts[name] or 0
    if counts["cache_read_audio_tokens"] is not None:
        counts["cache_read_audio_tokens"] = min(
            counts["cache_read_audio_tokens"],
            counts["cache_read_tokens"] or 0,
            counts["input_audio_tokens"] or 0,
        )
    units = {name: max(amount, 0) for name, amount in usage.units.items()}
    return replace(usage, units=units, **counts), True


def _plainly_adds_up(usage: Usage) -> bool:
    """Whether a usage with nothing unusual in it adds up: the case of nearly every call, decided quickly.

    False says nothing; `violations` decides then.
    """
    read, written = usage.input_tokens, usage.output_tokens
    if read is None or written is None or usage.units or usage.cache_read_audio_tokens:
        return False
    cached = usage.cache_read_tokens or 0
    short, long = usage.cache_write_5m_tokens or 0, usage.cache_write_1h_tokens or 0
    heard, seen, watched = usage.input_audio_tokens or 0, usage.input_image_tokens or 0, usage.input_video_tokens or 0
    thought = usage.reasoning_tokens or 0
    spoken, drawn = usage.output_audio_tokens or 0, usage.output_image_tokens or 0
    if min(cached, short, long, heard, seen, watched, thought, spoken, drawn) < 0:
        return False
    inside = max(cached + short + long, heard, seen, watched) <= read and max(thought, spoken, drawn) <= written
    return inside and read <= LARGEST_COUNT and written <= LARGEST_COUNT


def _believable(count: int | None) -> int | None:
    return None if count is None else min(max(count, 0), LARGEST_COUNT)


def _fit(counts: dict[str, int | None], whole: str, parts: tuple[str, ...]) -> None:
    bound = counts[whole]
    for name in parts:
        part = counts[name]
        if part is not None:
            counts[name] = None if bound is None else min(part, bound)


def added(first: Usage, second: Usage) -> Usage:
    """The counts of two calls together; unknown plus known is known."""
    units = dict(first.units)
    for name, amount in second.units.items():
        units[name] = units.get(name, 0) + amount
    return Usage(units=units, **{name: _plus(getattr(first, name), getattr(second, name)) for name in TOKEN_CLASSES})


def _plus(a: int | None, b: int | None) -> int | None:
    if a is None:
        return b
    return a if b is None else a + b


assert {f.name for f in fields(Usage)} == {*TOKEN_CLASSES, "units"}
