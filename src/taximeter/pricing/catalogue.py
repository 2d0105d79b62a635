"""Which models the price book knows, and what is known of them beside their price.

    find(book, "gpt-4o")            -> (KnownModel("openai", "gpt-4o", ...),)
    find(book, "azure/gpt-4o")      -> the same model at another provider
    similar(book, "gtp-4o")         -> ["gpt-4o", ...]

Models come from the price files of the book and from the snapshot of genai-prices below them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Final

from genai_prices import types

from taximeter.pricing.book import PriceBook
from taximeter.pricing.entries import Entry
from taximeter.pricing.snapshot import CLOSED_MAKERS, Listed

SIMILAR: Final = 5
"""Names offered in place of one that is not known."""

NAMES_OF_THEIR_OWN: Final = frozenset({"aws"})
"""Hosts that serve other makers' models by names that nobody else has."""

ANY_PROVIDER: Final = "*"
_LIKENESS: Final = 0.6
_CHECKED_ON: Final = re.compile(r"(?:checked|verified)\b[^.;]*?(\d{4}-\d{2}-\d{2})", re.IGNORECASE)
_RULE_OF_ENTRY: Final = re.compile(r" [+x] | & ")
"""What joins the names of rules in the rule of a cost."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model at a provider. `name` is as it was asked for, without the provider."""

    provider: str
    name: str
    context_window_tokens: int | None = None
    listed_checked_on: date | None = None
    """When somebody last compared the listed price with the provider's, where the list says so."""

    @property
    def full_name(self) -> str:
        return f"{self.provider}/{self.name}"


def find(book: PriceBook, name: str) -> tuple[KnownModel, ...]:
    """The models that a name may mean; none, one, or as many as there are hosts between which it does not decide.

    `provider/model` is that provider's. A bare name is the one in a price file, else its maker's, else any host's. What
    a price file says of a host for certain regions alone, or where nothing else is known, does not decide.
    """
    wanted = name.strip().lower()
    maker, slash, rest = wanted.partition("/")
    if slash and rest and _provider_known(book, maker):
        return (_known(maker, rest, book),) if _has_price(book, maker, rest) else ()
    providers = _in_files(book, wanted) or _makers_of(book, wanted) or _hosts_of(book, wanted)
    return tuple(_known(provider, wanted, book) for provider in providers)


def similar(book: PriceBook, name: str) -> list[str]:
    """Names of known models that look like `name`, the likest first; with the provider where the name has one."""
    wanted = name.strip().lower()
    maker, slash, rest = wanted.partition("/")
    if not slash or not _provider_known(book, maker):
        return _like(wanted, {model for _, model in _all_names(book)})
    ours = _our_name(book, maker)
    return [f"{maker}/{model}" for model in _like(rest, {model for p, model in _all_names(book) if p == ours})]


def _like(wanted: str, names: set[str]) -> list[str]:
    return get_close_matches(wanted, sorted(names), n=SIMILAR, cutoff=_LIKENESS)


def checked_on(book: PriceBook, model: KnownModel, price_rule: str) -> date | None:
    """When the price that `price_rule` names was last checked; None when nobody wrote that down."""
    base = _RULE_OF_ENTRY.split(price_rule)[0]
    if base.startswith("genai-prices:"):
        return model.listed_checked_on
    dates = (entry.checked for layer in book.layers for entry in layer.entries if entry.rule == base)
    return max((day for day in dates if day), default=None)


def _known(provider: str, name: str, book: PriceBook) -> KnownModel:
    listed = _listed(book, *_stands_for(book, provider, name))
    if listed is None:
        return KnownModel(provider, name)
    dates = _CHECKED_ON.findall(listed.newest.price_comments or "")
    checked = max((date.fromisoformat(day) for day in dates), default=None)
    return KnownModel(provider, name, listed.newest.context_window, checked)


def _listed(book: PriceBook, provider: str, name: str) -> Listed | None:
    listed_as = {ours: theirs for layer in book.layers for ours, theirs in layer.listed_as.items()}
    ours = _our_name(book, provider)
    theirs = listed_as.get(ours, ours)
    known = book.snapshots
    return known.find(theirs, name) if known.has_provider(theirs) else known.find_by_maker(name)


def _stands_for(book: PriceBook, provider: str, name: str) -> tuple[str, str]:
    """The provider and model that an alias puts in the place of these; themselves where there is none."""
    for layer in reversed(book.layers):
        for alias in layer.aliases:
            if alias.models and alias.fits({provider, _our_name(book, provider)}, (name,)):
                return alias.provider or provider, alias.model or name
    return provider, name


def _our_name(book: PriceBook, provider: str) -> str:
    synonyms = {other: ours for layer in book.layers for other, ours in layer.synonyms.items()}
    return synonyms.get(provider, provider)


def _provider_known(book: PriceBook, provider: str) -> bool:
    if book.snapshots.has_provider(provider) or _our_name(book, provider) != provider:
        return True
    return any(
        any(provider in entry.providers for entry in layer.entries)
        or any(provider in alias.providers for alias in layer.aliases)
        for layer in book.layers
    )


def _has_price(book: PriceBook, provider: str, name: str) -> bool:
    provider, name = _stands_for(book, provider, name)
    asked = frozenset({provider, _our_name(book, provider)})
    entries = (entry for layer in book.layers for entry in layer.entries if entry.action in ("set", "as"))
    return any(entry.names(asked, name) for entry in entries) or _listed(book, provider, name) is not None


def _in_files(book: PriceBook, name: str) -> list[str]:
    """The providers under which a price file knows the model; the highest layer that does decides."""
    for layer in reversed(book.layers):
        aliased = sorted({p for alias in layer.aliases if name in alias.models for p in alias.providers})
        if aliased and not any("*" in provider for provider in aliased):
            return aliased
        named = _named_in(filter(_decides, layer.entries), name)
        if named and ANY_PROVIDER not in named:
            return _fewest(named)
    return []


def _decides(entry: Entry) -> bool:
    """Whether a bare name that it prices is its provider's. Not when it speaks for certain regions alone; nor when it
    fills a gap at a host that serves a maker's models by their own names."""
    if entry.regions:
        return False
    return not entry.fill or entry.providers <= NAMES_OF_THEIR_OWN or any("*" in pattern for pattern in entry.match)


def _named_in(entries: Iterable[Entry], name: str) -> list[str]:
    """The providers at which one of these sets the price of the model by its name."""
    by_name = [entry for entry in entries if _prices_by_name(entry)]
    return sorted({p for entry in by_name for p in entry.providers if entry.names(frozenset({p}), name)})


def _prices_by_name(entry: Entry) -> bool:
    """Whether it sets the price of certain models, not of whatever a provider serves."""
    return entry.action in ("set", "as") and entry.tier is None and "*" not in entry.match


def _makers_of(book: PriceBook, name: str) -> list[str]:
    return [p.id for p in _providers(book) if p.model_match and p.model_match.is_match(name) and p.find_model(name)]


def _hosts_of(book: PriceBook, name: str) -> list[str]:
    named = _named_in((entry for layer in book.layers for entry in layer.entries), name)
    found = [p.id for p in _providers(book) if p.find_model(name)]
    return _fewest(found + [provider for provider in named if provider not in {*found, ANY_PROVIDER}])


def _fewest(providers: list[str]) -> list[str]:
    """Where a maker that keeps its models to itself is among the providers, it is meant."""
    makers = [provider for provider in providers if provider in CLOSED_MAKERS]
    return makers[:1] or providers


def _providers(book: PriceBook) -> Iterable[types.Provider]:
    return book.snapshots.editions[-1].providers


def _all_names(book: PriceBook) -> Iterator[tuple[str, str]]:
    for provider in _providers(book):
        yield from ((provider.id, model.id) for model in provider.models)
    for layer in book.layers:
        for alias in layer.aliases:
            yield from ((provider, name) for provider in alias.providers for name in alias.models)
        for entry in layer.entries:
            for name in entry.match:
                if "*" not in name:
                    yield from ((provider, name) for provider in entry.providers)
