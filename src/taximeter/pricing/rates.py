"""What a price list says: USD per million tokens, USD per unit, and where each of these numbers is from.

`Rates` is immutable. Layers change it step by step (`over`, `adjusted`, `derived`, `scaled`), and every rate keeps the
trail of what made it, so that any amount can be explained. `meter` makes rates ready for arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from taximeter.core.money import ZERO

TOKEN_RATES: Final = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "input_audio",
    "cache_read_audio",
    "input_image",
    "input_video",
    "output",
    "reasoning",
    "output_audio",
    "output_image",
)
"""What a price list may name, in USD per million tokens."""

MODALITIES: Final = (
    "input_audio",
    "cache_read_audio",
    "input_image",
    "input_video",
    "output_audio",
    "output_image",
)
"""Those of `TOKEN_RATES` that are of tokens other than text."""

UNITS: Final = (
    "requests",
    "web_searches",
    "x_searches",
    "maps_searches",
    "news_searches",
    "file_searches",
    "attachment_searches",
    "code_interpreter_calls",
    "container_sessions",
    "web_fetches",
    "search_units",
    "pages",
    "annotated_pages",
    "audio_seconds",
    "input_audio_seconds",
    "output_audio_seconds",
    "characters",
    "messages",
    "pixels",
    "classifications",
    "images",
    "video_seconds",
    "video_seconds_1024p",
    "video_seconds_1080p",
    "video_seconds_2160p",
    "video_seconds_with_audio",
    "video_seconds_1080p_with_audio",
    "video_seconds_2160p_with_audio",
    "guardrail_units",
    "guardrail_content_units",
    "guardrail_content_image_units",
    "guardrail_topic_units",
    "guardrail_word_units",
    "guardrail_sensitive_units",
    "guardrail_sensitive_free_units",
    "guardrail_grounding_units",
    "guardrail_reasoning_units",
    "low_context_requests",
    "medium_context_requests",
    "high_context_requests",
)
"""What a price list may name, in USD per unit. `requests` is charged once a call, also when it is not counted."""

UNIT_SYNONYMS: Final = {
    "web_search_requests": "web_searches",
    "social_searches": "x_searches",
    "storage_searches": "file_searches",
    "web_fetch_requests": "web_fetches",
    "code_executions": "code_interpreter_calls",
    "code_interpreter_sessions": "container_sessions",
    "containers": "container_sessions",
    "rerank_searches": "search_units",
    "document_pages": "pages",
    "annotated_document_pages": "annotated_pages",
    "input_characters": "characters",
}
"""Other words for the same unit in events."""

TOKENS_PER_RATE: Final = 1_000_000
"""Tokens that a rate of `TOKEN_RATES` is the price of."""

EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""The arithmetic of prices, whatever the caller's decimal context."""

_times: Final = EXACT.multiply


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a rate, or changed it: an entry of a layer. Instants are microseconds; None: without end.

    `factor` is set where it multiplied what was there before. `checked` is the day on which somebody last compared it
    with its source, None when nobody did.
    """

    layer: str
    rule: str
    source: str | None = None
    checked: date | None = None
    from_us: int | None = None
    to_us: int | None = None
    factor: Decimal | None = None


Trail = tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class UnitRate:
    """USD for `per` units; kept apart so that 0.36 an hour stays exact by the second."""

    usd: Decimal
    per: int = 1
    at_least: Decimal = ZERO
    """Fewer are charged as this many."""
    at_most: Decimal | None = None
    """More in one call are charged as this many."""

    def billed(self, quantity: Decimal | int) -> Decimal:
        """How many units are charged for."""
        charged = max(Decimal(quantity), self.at_least) if quantity else ZERO
        return charged if self.at_most is None else min(charged, self.at_most)

    def charge(self, quantity: Decimal | int) -> Decimal:
        return EXACT.divide(_times(self.billed(quantity), self.usd), Decimal(self.per))

    def scaled(self, factor: Decimal) -> UnitRate:
        return UnitRate(_times(self.usd, factor), self.per, self.at_least, self.at_most)


@dataclass(frozen=True, slots=True)
class Step:
    """Rates of a whole request whose total input is more than `over` tokens."""

    over: int
    tokens: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Rates:
    """One price list entry: USD per million tokens by `TOKEN_RATES`, and USD per unit by `UNITS`.

    `steps` are in rising order and name only what differs from `tokens`. `trails` are by name of the rate, and by
    name and size of the step for those in steps.
    """

    tokens: Mapping[str, Decimal] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    units: Mapping[str, UnitRate] = field(default_factory=dict)
    trails: Mapping[object, Trail] = field(default_factory=dict, compare=False)

    @property
    def empty(self) -> bool:
        return not (self.tokens or self.steps or self.units)

    def marked(self, origin: Origin) -> Rates:
        """These rates, all of them made by `origin`."""
        return Rates(self.tokens, self.steps, self.units, dict.fromkeys(self._names(), (origin,)))

    def over(self, lower: Rates | None) -> Rates:
        """These rates; units they do not name (fees) stay as they were in `lower`."""
        if lower is None:
            return self
        return Rates(self.tokens, self.steps, {**lower.units, **self.units}, {**lower.trails, **self.trails})

    def adjusted(self, change: Rates) -> Rates:
        """These rates with the ones that `change` names replaced, at every context size."""
        kept = {step.over: {n: r for n, r in step.tokens.items() if n not in change.tokens} for step in self.steps}
        for step in change.steps:
            kept[step.over] = {**kept.get(step.over, {}), **step.tokens}
        steps = tuple(Step(over, kept[over]) for over in sorted(kept))
        trails = {**self.trails, **change.trails}
        return Rates({**self.tokens, **change.tokens}, steps, {**self.units, **change.units}, trails)

    def without(self, names: Collection[str]) -> Rates:
        """These rates but those of some tokens, at every context size."""
        tokens = {name: usd for name, usd in self.tokens.items() if name not in names}
        steps = (Step(step.over, {n: usd for n, usd in step.tokens.items() if n not in names}) for step in self.steps)
        return Rates(tokens, tuple(steps), self.units, self.trails)

    def derived(self, from_others: Mapping[str, tuple[str, Decimal]], origin: Origin) -> Rates:
        """These rates, and those missing that are another one x a factor: `{"cache_write_1h": ("input", 2)}`."""
        missing = {name: of for name, of in from_others.items() if name not in self.tokens and of[0] in self.tokens}
        tokens = {name: _times(self.tokens[base], factor) for name, (base, factor) in missing.items()}
        steps = tuple(
            Step(step.over, {n: _times(step.tokens[b], f) for n, (b, f) in missing.items() if b in step.tokens})
            for step in self.steps
        )
        return self.adjusted(Rates(tokens, steps).marked(origin)) if missing else self

    def scaled(self, factor: Decimal, origin: Origin, *, fees: bool = False) -> Rates:
        """Every token rate x factor. Fees per unit do not follow unless told: discounts are mostly on tokens."""
        units = {name: rate.scaled(factor) for name, rate in self.units.items()} if fees else self.units
        steps = tuple(Step(step.over, _scaled(step.tokens, factor)) for step in self.steps)
        touched = {name for name in self._names() if fees or name not in self.units}
        trails = {name: (*self.trails.get(name, ()), origin) for name in touched}
        return Rates(_scaled(self.tokens, factor), steps, units, {**self.trails, **trails})

    def at_size(self, over: int | None) -> Mapping[str, tuple[Decimal, Trail]]:
        """The token rates in force beyond a step (None: up to the first one), with their trails."""
        found = {name: (usd, self.trails.get(name, ())) for name, usd in self.tokens.items()}
        for step in self.steps:
            if over is not None and step.over <= over:
                found |= {n: (usd, self.trails.get((n, step.over), ())) for n, usd in step.tokens.items()}
        return found

    def _names(self) -> Iterator[object]:
        yield from self.tokens
        yield from self.units
        yield from ((name, step.over) for step in self.steps for name in step.tokens)


def in_proportion(price: Decimal, then: Decimal, now: Decimal) -> Decimal:
    """What a price that stood beside `then` is worth beside `now`."""
    return price if then == now else EXACT.divide(_times(price, now), then)


def origins(trails: Iterable[Trail]) -> Trail:
    """All origins in some trails, each once, in order."""
    return tuple(dict.fromkeys(origin for trail in trails for origin in trail))


def _scaled(tokens: Mapping[str, Decimal], factor: Decimal) -> dict[str, Decimal]:
    return {name: _times(rate, factor) for name, rate in tokens.items()}
