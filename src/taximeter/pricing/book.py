"""The price book: prices are resolved once for a kind of call and a period, then only multiplied."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from taximeter.core.cost import Cost, Unpriced, free
from taximeter.core.money import ZERO, add, exact
from taximeter.core.usage import Usage
from taximeter.pricing.bound import Ceiling
from taximeter.pricing.entries import Alias, Party, PriceFile, matches, tier_name
from taximeter.pricing.explain import Explanation, Line, PriceListing, lines_of, reported_line
from taximeter.pricing.hours import DAY_US, HOUR_US
from taximeter.pricing.meter import Meter
from taximeter.pricing.priceable import Priceable
from taximeter.pricing.resolve import (
    ALWAYS_US,
    NEVER_US,
    Question,
    Resolution,
    Resolver,
    layers_of,
    merged_names,
    narrowed,
)
from taximeter.pricing.snapshot import Snapshots, bundled
from taximeter.pricing.spelling import place_named, routed, spellings

MOST_RESOLUTIONS: Final = 4096
"""Kinds of calls kept resolved; beyond it the book starts afresh."""

MOST_HOURS: Final = 32_768
"""Kinds of calls in an hour kept resolved, for calls that do not come in the order of time."""

NO_USAGE_NO_CHARGE: Final = frozenset({"error", "refused"})
"""Statuses that cost nothing when the provider reports no usage."""

WITHOUT_MODEL: Final = frozenset({"guardrail"})
"""Operations that no model serves: they have a price under their own name."""

_log = logging.getLogger(__name__)


class PriceBook:
    """Prices calls. Immutable but for what it remembers; safe to share between threads."""

    def __init__(
        self, files: Sequence[PriceFile], snapshots: Snapshots | None = None, prefer_reported: Iterable[str] = ()
    ) -> None:
        """`files` from the lowest layer to the highest; `snapshots` (those of genai-prices) lie below them all.

        `prefer_reported` names the providers whose own amount counts more than what is computed here.
        """
        self.layers: Final = tuple(files)
        self.snapshots: Final = snapshots or Snapshots([bundled()])
        self._layers = layers_of(files)
        self._synonyms, self._listed_as, self._pass_on = merged_names(files)
        self._aliases = [alias for file in reversed(self.layers) for alias in file.aliases]
        self._parties = {name for file in files for entry in file.entries for name in (entry.teams | entry.tenants)}
        texts = "\0".join(f"{file.layer}\0{file.text}" for file in files)
        self.prefer_reported: Final = frozenset(self.name_of(name) for name in prefer_reported)
        if self.prefer_reported:
            texts += "\0reported\0" + "\0".join(sorted(self.prefer_reported))
        self.version: Final = f"{self.snapshots.version}+{hashlib.sha256(texts.encode()).hexdigest()[:12]}"
        self._resolutions: dict[tuple[str | None, ...], Resolution] = {}
        self._by_hour: dict[tuple[tuple[str | None, ...], int], Resolution] = {}
        self._ceilings: dict[tuple[str, int], Ceiling] = {}

    # ── the cost of a call ─────────────────────────────────────────────────────────────────────────────────────

    def price(self, call: Priceable) -> Cost | Unpriced:
        """The cost of a call at its own time, or why it is not known. Never raises."""
        cost = self.computed(call)
        if not call.reported_usd or self.name_of(call.provider) not in self.prefer_reported:
            return cost  # a reported 0 says that somebody else charges: OpenRouter, with a key of one's own
        if call.not_billed or call.status == "cached":
            return cost
        return as_reported(cost, call.reported_usd, self.name_of(call.provider), self.version)

    def computed(self, call: Priceable) -> Cost | Unpriced:
        """As `price`, by prices alone, whatever amount the provider named. Never raises."""
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
        answer = self._resolution(call, call.model).answer
        return answer if isinstance(answer, Unpriced) else answer.cost(usage)

    def _without_price(self, call: Priceable) -> Cost | Unpriced | None:
        """The rules that need no price; None when none of them settles the matter."""
        if call.not_billed:
            return free(self.version, "rule:not_billed")
        if call.status == "cached":
            return self._saved(call)
        if call.usage.known or call.by_model:
            return None
        if call.status in NO_USAGE_NO_CHARGE:
            return free(self.version, f"rule:{call.status}_without_usage")
        return Unpriced("usage_unknown", self.version)

    def _saved(self, call: Priceable) -> Cost:
        """A call that was answered from a cache of answers: it cost nothing, and saved what it would have cost."""
        nothing = free(self.version, "rule:cached")
        would = self._price(replace(call, status="ok"))
        return nothing if isinstance(would, Unpriced) else replace(nothing, cache_read_saving=would.total)

    def _shares(self, call: Priceable) -> Cost | Unpriced:
        """A call of several models: each share at its model's price."""
        costs = []
        for model, usage in _parts(call):
            answer = self._resolution(call, model).answer
            cost = answer if isinstance(answer, Unpriced) else answer.cost(usage)
            if isinstance(cost, Unpriced):
                return cost
            costs.append(cost)
        return _together(costs)

    # ── what an amount rests on ────────────────────────────────────────────────────────────────────────────────

    def explain(self, call: Priceable) -> Explanation:
        """The cost of a call with every rate applied, which layer and rule gave it, and until when it holds."""
        cost = self.price(call)
        if (call.status != "ok" or call.not_billed or not call.usage.known) and self._without_price(call) is not None:
            return Explanation(cost, model=call.model)
        lines: list[Line] = []
        periods: list[Resolution] = []
        for model, usage in _parts(call):
            found = self._resolution(call, model)
            periods.append(found)
            if isinstance(found.answer, Meter):
                lines += lines_of(found.answer, usage, model)
        if isinstance(cost, Cost) and cost.price_rule.startswith(REPORTED):
            lines.append(reported_line(cost.total - sum((line.amount_usd or ZERO for line in lines), ZERO)))
        return Explanation(
            cost,
            tuple(lines),
            periods[0].model or call.model,
            _bounded(max(found.from_us for found in periods)),
            _bounded(min(found.until_us for found in periods)),
        )

    def listing(self, call: Priceable) -> PriceListing:
        """All rates that such a call would have, whatever it used: what `prices show` prints."""
        found = self._resolution(call, call.model)
        until_us, from_us = _bounded(found.until_us), _bounded(found.from_us)
        return PriceListing(found.answer, self.version, found.model or call.model, from_us, until_us)

    def cache_saving(self, call: Priceable) -> Decimal | None:
        """What caching saved this call, USD: cached tokens x (input rate - read rate) - the surcharge on writes.

        Negative when writing cost more than reading saved. None when a price for it is not known; 0 for calls that
        cost nothing anyway, but for one that was given again from a cache of answers: all that it would have cost.
        """
        cost = self.price(call)
        return cost.cache_saving if isinstance(cost, Cost) else None

    def highest_price(self, call: Priceable) -> Decimal | None:
        """A bound on what a call without a price may cost, USD; None when not even a bound is known.

        Its tokens at the highest rates of any model that its provider sells at that time, of any model at all when
        the provider is not known: cache writes and long contexts, the dearest tier and every surcharge included; its
        units at their highest fee. For a call with a price it is an upper bound, too, but a loose one.
        """
        if not call.usage.known:
            return None
        party = self._party(call, call.model)
        listed_as = self._listed_name(party)
        day = call.at_us // DAY_US
        key = (listed_as or "", day)
        ceiling = self._ceilings.get(key)
        if ceiling is None:
            if len(self._ceilings) >= MOST_RESOLUTIONS:
                self._ceilings.clear()
            ceiling = Ceiling.of(self.snapshots, self.layers, party.providers, listed_as, call.at_us)
            self._ceilings[key] = ceiling
        return ceiling.bound(call.usage)

    # ── resolving ──────────────────────────────────────────────────────────────────────────────────────────────

    def _resolution(self, call: Priceable, model: str | None) -> Resolution:
        if not model and call.operation in WITHOUT_MODEL:
            model = call.operation
        key: tuple[str | None, ...] = (call.provider, model, call.service_tier, call.region, call.request_model)
        if self._parties:
            key += tuple(name if name in self._parties else None for name in (call.team, call.tenant))
        found = self._resolutions.get(key)
        if found is None or not found.from_us <= call.at_us < found.until_us:
            found = self._of_that_hour(key, call, model)
            if len(self._resolutions) >= MOST_RESOLUTIONS:
                self._resolutions.clear()
            self._resolutions[key] = found
        return found

    def _of_that_hour(self, key: tuple[str | None, ...], call: Priceable, model: str | None) -> Resolution:
        """The resolution in another period than the last one asked for: calls may come in any order."""
        hour = call.at_us // HOUR_US
        found = self._by_hour.get((key, hour))
        if found is None or not found.from_us <= call.at_us < found.until_us:
            found = self._resolve(call, model)
            if len(self._by_hour) >= MOST_HOURS:
                self._by_hour.clear()
            self._by_hour[key, hour] = found
        return found

    def _resolve(self, call: Priceable, model: str | None) -> Resolution:
        """What the layers say about a kind of call; the first of its names that they know decides."""
        called, aliases = self._meant(call, model)
        party = self._party(called, called.model)
        question = Question(
            party=party,
            listed_as=self._listed_name(party),
            tier=tier_name(called.service_tier),
            at_us=call.at_us,
            passed_on=not self._pass_on.isdisjoint(party.providers),
        )
        names = _candidates(called.model, called.request_model)
        found = self._first_known(question, [each for name in names for each in self._spellings(question, name)])
        changes = (instant for alias in aliases for instant in (alias.from_us, alias.to_us) if instant is not None)
        return narrowed(found, call.at_us, changes)

    def _meant(self, call: Priceable, model: str | None) -> tuple[Priceable, list[Alias]]:
        """The call with the user's own names replaced by what they stand for, and the aliases that might apply.

        Every alias is followed at most once, so that they cannot lead in a circle.
        """
        called = replace(call, model=model)
        waiting, met = list(self._aliases), []
        while alias := next((a for a in waiting if self._speaks_of(a, called)), None):
            waiting.remove(alias)
            met.append(alias)
            if alias.in_force(call.at_us):
                called = _standing_for(alias, called)
        return called, met

    def _speaks_of(self, alias: Alias, call: Priceable) -> bool:
        names = [name.lower() for name in (call.model, call.request_model) if name]
        return alias.fits(self._party(call, None).providers, names)

    def name_of(self, provider: str | None) -> str:
        """Our name of a provider."""
        name = (provider or "").lower()
        return self._synonyms.get(name, name)

    def _our_name(self, party: Party) -> str:
        return next((self.name_of(name) for name in party.providers), "")

    def _party(self, call: Priceable, model: str | None) -> Party:
        provider = (call.provider or "").lower()
        name = self.name_of(provider)
        model = (model or "").lower()
        region = place_named(model, name) or (call.region.lower() if call.region else None)
        return Party(frozenset({provider, name}), model, region, call.team, call.tenant)

    def _listed_name(self, party: Party) -> str | None:
        names = (self._listed_as.get(name, name) for name in sorted(party.providers))
        return next((name for name in names if self.snapshots.has_provider(name)), None)

    def _spellings(self, question: Question, name: str) -> list[str]:
        """A name with and without what stands before it (`models/`, an ARN, the provider's own name) or behind it,
        the one that price lists use first: a list may match the longer one too, but then what we correct of it would
        be missed."""
        first, _, rest = name.partition("/")
        ours = rest and (first == question.listed_as or self.name_of(first) in question.party.providers)
        without_provider = rest if ours else name
        others = dict.fromkeys((*spellings(without_provider, self._our_name(question.party)), without_provider))
        others.pop(name, None)
        if question.passed_on:
            others |= dict.fromkeys(self._passed_on(name, first, rest))
        if not others or self._is_listed_so(question, name):
            return [name, *others]
        return [*others, name]

    def _passed_on(self, name: str, maker: str, model: str) -> Iterator[str]:
        """What one who sells others' models may call one: its maker by another name (`xai/grok-4.3`), a wish for the
        host behind it (`openai/gpt-4o:nitro`)."""
        if model and self.name_of(maker) != maker:
            yield f"{self.name_of(maker)}/{model}"
        plain = routed(name, one_price=self.snapshots.find_by_maker(name.partition(":")[0]) is not None)
        if plain is not None:
            yield plain

    def _is_listed_so(self, question: Question, name: str) -> bool:
        """Whether a price list has a model under a name with a place before it."""
        named = replace(question.party, model=name)
        entries = (e for layer in self._layers for e in layer.about(named) if e.action in ("set", "as"))
        if any("/" in pattern and matches(pattern, name) for entry in entries for pattern in entry.match):
            return True
        listed = self.snapshots.find(question.listed_as, name) if question.listed_as else None
        return listed is not None and "/" in listed.newest.id

    def _first_known(self, question: Question, models: Sequence[str]) -> Resolution:
        unknown = Unpriced("unknown_model" if question.listed_as else "unknown_provider", self.version)
        first: Resolution | None = None
        for model in models:
            asked = replace(question, party=replace(question.party, model=model))
            found = Resolver(self.snapshots, self._layers, asked, self.version).resolution()
            if not isinstance(found.answer, Unpriced) or found.answer.reason != "unknown_model":
                return found
            first = first or found
        return Resolution(unknown, first.from_us, first.until_us) if first else Resolution(unknown)


REPORTED: Final = "reported:"
"""How the rules of costs begin that rest on the provider's own amount."""


def as_reported(ours: Cost | Unpriced, usd: Decimal, provider: str, version: str) -> Cost:
    """A cost of the amount that the provider named. Our components stay, and what they differ by is in `other`."""
    if isinstance(ours, Unpriced):
        return Cost(ZERO, ZERO, ZERO, ZERO, exact(usd), version, f"{REPORTED}{provider}", None, None)
    other = exact(usd - (ours.total - ours.other))
    return replace(ours, other=other, price_rule=f"{REPORTED}{provider} + {ours.price_rule}")


def _standing_for(alias: Alias, call: Priceable) -> Priceable:
    """The call as an alias says. A model that the provider itself named in its answer is more exact than an alias."""
    answered = call.model is not None and call.request_model not in (None, call.model)
    return replace(
        call,
        provider=alias.provider or call.provider,
        model=call.model if answered else alias.model or call.model,
        request_model=alias.model or call.request_model,
        service_tier=alias.tier if alias.tier and tier_name(call.service_tier) is None else call.service_tier,
        region=alias.region or call.region,
    )


def _parts(call: Priceable) -> list[tuple[str | None, Usage]]:
    """The usage by model; units that no share names belong to the main one."""
    if not call.by_model:
        return [(call.model, call.usage)]
    parts: list[tuple[str | None, Usage]] = list(call.by_model)
    if call.usage.units and not any(usage.units for _, usage in parts):
        parts.append((call.model or parts[0][0], Usage(units=call.usage.units)))
    return parts


def _candidates(model: str | None, asked: str | None) -> list[str]:
    """The names to look up: the model that answered, then the one asked for where it is the same by another name."""
    if not model:
        return []
    name = model.lower()
    wanted = (asked or "").lower()
    same = wanted != name and wanted and (name.startswith(wanted) or wanted.endswith(f"/{name}"))
    return [name, wanted] if same else [name]


def _bounded(at_us: int) -> int | None:
    return None if at_us in (ALWAYS_US, NEVER_US) else at_us


def _together(costs: Sequence[Cost]) -> Cost:
    return Cost(
        sum((c.input for c in costs), ZERO),
        sum((c.cache_read for c in costs), ZERO),
        sum((c.cache_write for c in costs), ZERO),
        sum((c.output for c in costs), ZERO),
        sum((c.other for c in costs), ZERO),
        costs[0].price_version,
        " & ".join(dict.fromkeys(c.price_rule for c in costs)),
        _sum_of_known([c.cache_read_saving for c in costs]),
        _sum_of_known([c.cache_write_surcharge for c in costs]),
    )


def _sum_of_known(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """The sum; None when one of them is not known."""
    return None if None in amounts else add(*(amount for amount in amounts if amount is not None))
