"""The price book: prices are resolved once for a kind of call and a period, then only multiplied."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from taximeter.core.cost import Cost, Unpriced, free
from taximeter.core.money import ZERO
from taximeter.core.usage import Usage
from taximeter.pricing import snapshot
from taximeter.pricing.entries import PriceFile, tier_name
from taximeter.pricing.price_file import read_file
from taximeter.pricing.priceable import Priceable
from taximeter.pricing.resolve import Question, Resolution, Resolver

CORRECTIONS: Final = Path(__file__).with_name("corrections.yaml")

MOST_RESOLUTIONS: Final = 4096
"""Kinds of calls kept resolved; beyond it the book starts afresh."""

NO_USAGE_NO_CHARGE: Final = frozenset({"error", "refused"})
"""Statuses that cost nothing when the provider reports no usage."""

_log = logging.getLogger(__name__)


class PriceBook:
    """Prices calls. Immutable but for what it remembers; safe to share between threads."""

    def __init__(self, layers: Sequence[PriceFile]) -> None:
        """`layers` from the lowest to the highest; the snapshot of genai-prices lies below them all."""
        self._layers = tuple(layers)
        self._synonyms = {other: name for layer in layers for other, name in layer.synonyms.items()}
        self._listed_as = {name: theirs for layer in layers for name, theirs in layer.listed_as.items()}
        self._pass_on = frozenset(name for layer in layers for name in layer.pass_on)
        texts = "\0".join(f"{layer.layer}\0{layer.text}" for layer in layers)
        self.version: Final = f"{snapshot.VERSION}+{hashlib.sha256(texts.encode()).hexdigest()[:12]}"
        self._resolutions: dict[tuple[str | None, ...], Resolution] = {}

    @property
    def layers(self) -> tuple[PriceFile, ...]:
        """The price files, from the lowest to the highest."""
        return self._layers

    def price(self, call: Priceable) -> Cost | Unpriced:
        """The cost of a call at its own time, or why it is not known. Never raises."""
        try:
            return self._price(call)
        except Exception:  # noqa: BLE001 - whatever is odd about one call, the next one must still be priced
            _log.exception("pricing failed for provider %r, model %r", call.provider, call.model)
            return Unpriced("pricing_failed", self.version)

    def _price(self, call: Priceable) -> Cost | Unpriced:
        usage = call.usage
        if call.status != "ok" or call.not_billed or not usage.known:
            settled = self._without_price(call)
            if settled is not None:
                return settled
        if call.by_model:
            return self._shares(call)
        return self._metered(call, call.model, usage)

    def _without_price(self, call: Priceable) -> Cost | Unpriced | None:
        """The rules that need no price; None when none of them settles the matter."""
        if call.not_billed:
            return free(self.version, "rule:not_billed")
        if call.status == "cached":
            return free(self.version, "rule:cached")
        if call.usage.known or call.by_model:
            return None
        if call.status in NO_USAGE_NO_CHARGE:
            return free(self.version, f"rule:{call.status}_without_usage")
        return Unpriced("usage_unknown", self.version)

    def _metered(self, call: Priceable, model: str | None, usage: Usage) -> Cost | Unpriced:
        key = (call.provider, model, call.service_tier, call.region, call.request_model)
        found = self._resolutions.get(key)
        if found is None or not found.from_us <= call.at_us < found.until_us:
            found = self._resolve(call, model)
            if len(self._resolutions) >= MOST_RESOLUTIONS:
                self._resolutions.clear()
            self._resolutions[key] = found
        answer = found.answer
        return answer if isinstance(answer, Unpriced) else answer.cost(usage)

    def _shares(self, call: Priceable) -> Cost | Unpriced:
        """A call of several models: each share at its model's price, units that no share names at the main one's."""
        parts = list(call.by_model)
        if call.usage.units and not any(usage.units for _, usage in parts):
            parts.append((call.model or parts[0][0], Usage(units=call.usage.units)))
        costs = []
        for model, usage in parts:
            cost = self._metered(call, model, usage)
            if isinstance(cost, Unpriced):
                return cost
            costs.append(cost)
        return _together(costs)

    def _resolve(self, call: Priceable, model: str | None) -> Resolution:
        """What the layers say about a kind of call; the first of its names that they know decides."""
        provider = (call.provider or "").lower()
        name = self._synonyms.get(provider, provider)
        listed_as = self._listed_as.get(name, name)
        question = Question(
            providers=frozenset({provider, name}),
            listed_as=listed_as if snapshot.has_provider(listed_as) else None,
            model="",
            tier=tier_name(call.service_tier),
            region=call.region.lower() if call.region else None,
            at_us=call.at_us,
            passed_on=name in self._pass_on,
        )
        return self._first_known(question, _candidates(model, call.request_model))

    def _first_known(self, question: Question, models: Sequence[str]) -> Resolution:
        unknown = Unpriced("unknown_model" if question.listed_as else "unknown_provider", self.version)
        resolution = Resolution(unknown)
        for model in models:
            resolution = Resolver(self._layers, replace(question, model=model), self.version).resolution()
            if not isinstance(resolution.answer, Unpriced) or resolution.answer.reason != "unknown_model":
                return resolution
        return Resolution(unknown, resolution.from_us, resolution.until_us)


def _candidates(model: str | None, asked: str | None) -> list[str]:
    """The names to look up: the model that answered, then the one asked for where it is the same by another name."""
    if not model:
        return []
    name = model.lower()
    wanted = (asked or "").lower()
    same = wanted != name and wanted and (name.startswith(wanted) or wanted.endswith(f"/{name}"))
    return [name, wanted] if same else [name]


def _together(costs: Sequence[Cost]) -> Cost:
    return Cost(
        sum((c.input for c in costs), ZERO),
        sum((c.cache_read for c in costs), ZERO),
        sum((c.cache_write for c in costs), ZERO),
        sum((c.output for c in costs), ZERO),
        sum((c.other for c in costs), ZERO),
        costs[0].price_version,
        " & ".join(dict.fromkeys(c.price_rule for c in costs)),
    )


def load_price_book(overrides: Path | None = None) -> PriceBook:
    """The price book of this release under the user's price file. Raises ConfigurationError for a wrong file."""
    layers = [read_file(CORRECTIONS, "corrections")]
    if overrides is not None:
        layers.append(read_file(overrides, "override"))
    return PriceBook(layers)
