"""litellm's model price list → entries of a price file.

That list is one JSON object: a key for every spelling of a model, with costs for one token, one second, one page. It
has no dates, so its entries only fill what the layers below do not know, unless a day is given from which they win.
Nothing of it is shipped; this reads a file that the user has.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from taximeter.core.cost import Unpriced
from taximeter.core.money import format_usd
from taximeter.errors import ConfigurationError, Mistake
from taximeter.pricing.book import PriceBook
from taximeter.pricing.price_file import MOST_USD_PER_MILLION, MOST_USD_PER_UNIT
from taximeter.pricing.priceable import Priceable
from taximeter.pricing.rates import EXACT

NAME: Final = "litellm"

OUR_PROVIDERS: Final = {
    "azure_ai": "azure",
    "azure_text": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "codestral": "mistral",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "gemini": "google",
    "github_copilot": "github-copilot",
    "moonshot": "moonshotai",
    "text-completion-codestral": "mistral",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "voyage": "voyageai",
    "xai": "x-ai",
}
"""The list's words for providers where ours differ. Vertex has one for every maker: `vertex_ai-anthropic_models`."""

_TOKEN_COSTS: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "output_cost_per_reasoning_token": "reasoning",
}
_UNIT_COSTS: Final = {
    "input_cost_per_second": "audio_seconds",
    "output_cost_per_second": "output_audio_seconds",
    "input_cost_per_character": "characters",
    "input_cost_per_query": "search_units",
    "input_cost_per_pixel": "pixels",
    "output_cost_per_image": "images",
    "ocr_cost_per_page": "pages",
    "annotation_cost_per_page": "annotated_pages",
    "code_interpreter_cost_per_session": "container_sessions",
    "output_cost_per_video_per_second": "video_seconds",
}
_TIERS: Final = {"_batches": "batch", "_flex": "flex", "_priority": "priority", "_ultrafast": "ultrafast"}
_SEARCH_SIZES: Final = ("search_context_size_medium", "search_context_size_low", "search_context_size_high")

_ABOVE: Final = re.compile(r"(?P<cost>.+)_above_(?P<thousands>\d+)k_tokens")
_AZURE_ZONES: Final = re.compile(r"azure/(?:us|eu)/")
_AZURE_WORLDWIDE: Final = ("global", "global-standard")
_AZURE_PLACES: Final = ("apac", "us-gov")
"""Other places than those zones, which have prices of their own."""
_AWS_REGION: Final = re.compile(r"[a-z]{2}(?:-gov)?-[a-z]+-\d")
_PICTURE_SIZE: Final = re.compile(r"(?:^|/)(?:\d+|max)-x-(?:\d+|max)/")
_MILLION: Final = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class ImportedList:
    """The entries of a list, in the form of price files, and how many of its keys were left out, by reason."""

    entries: tuple[dict[str, Any], ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


def read(text: str, *, source: str, wins_from: str | None = None) -> ImportedList:
    """The entries of a list. With `wins_from` (a day) they stand over what is known from then on, else they fill gaps.

    Raises ConfigurationError when it is not such a list.
    """
    try:
        listed = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(source, [Mistake("file", f"not JSON: {error}")]) from None
    if not isinstance(listed, dict) or not any(_looks_right(about) for about in listed.values()):
        wanted = "should be an object of models with 'litellm_provider' and costs, as litellm publishes it"
        raise ConfigurationError(source, [Mistake("file", wanted)])
    left_out: Counter[str] = Counter()
    force = {"from": wins_from} if wins_from else {"fill": True}
    entries = [
        {**entry, **force, "source": f"{NAME} price list", "checked": "never"}
        for key, about in listed.items()
        for entry in _entries(key, about, left_out)
    ]
    return ImportedList(tuple(_once(entries, left_out)), dict(left_out))


def gaps_only(imported: ImportedList, book: PriceBook, at_us: int) -> ImportedList:
    """Only the entries for which a price book has no price at an instant."""
    missing = [entry for entry in imported.entries if _is_missing(entry, book, at_us)]
    known = len(imported.entries) - len(missing)
    return ImportedList(tuple(missing), {**imported.left_out, "has a price already": known})


def _is_missing(entry: Mapping[str, Any], book: PriceBook, at_us: int) -> bool:
    call = Priceable(entry["provider"], entry["match"].rstrip("*"), at_us, region=entry.get("region"))
    if "tier" in entry:
        call = replace(call, service_tier=entry["tier"])
    return isinstance(book.listing(call).answer, Unpriced)


def price_file(imported: ImportedList) -> str:
    """The text of a price file with these entries."""
    return json.dumps({"schema": 1, "prices": imported.entries}, indent=1)


def _looks_right(about: Any) -> bool:
    return isinstance(about, dict) and "litellm_provider" in about


def _entries(key: str, about: Any, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """The entries of one key: the standard price, and one for every tier."""
    reason = _not_for_us(key, about)
    if reason is None and not (standard := _prices(about, "")):
        reason = "no price that we can use"
    if reason is not None:
        left_out[reason] += 1
        return
    subject = _subject(key.lower(), str(about["litellm_provider"]).lower())
    yield {**subject, "rates": {}, **standard}
    for suffix, tier in _TIERS.items():
        prices = _prices(about, suffix)
        if "rates" in prices:
            yield {**subject, "tier": tier, **prices}


def _not_for_us(key: str, about: Any) -> str | None:
    if key == "sample_spec" or not _looks_right(about):
        return "not a model"
    if "*" in key or "commitment" in key:
        return "a pattern or a commitment"
    if _AZURE_ZONES.match(key):
        return "a zone of Azure, which our surcharge makes out of the worldwide price"
    if _PICTURE_SIZE.search(key):
        return "priced by the size of pictures"
    return None


def _subject(key: str, provider: str) -> dict[str, Any]:
    """Provider, model and region in our words: `azure/global/gpt-4o`, `bedrock/us-west-2/anthropic.claude-v2`."""
    ours = "google-vertex" if provider.startswith("vertex_ai") else OUR_PROVIDERS.get(provider, provider)
    first, slash, rest = key.partition("/")
    if slash and (first == provider or OUR_PROVIDERS.get(first, first) == ours or first in ("vertex_ai", "bedrock")):
        key = rest
    place, slash, rest = key.partition("/")
    region = None
    if slash and ours == "azure" and place in _AZURE_WORLDWIDE:
        key = rest
    elif slash and ((ours == "azure" and place in _AZURE_PLACES) or (ours == "aws" and _AWS_REGION.fullmatch(place))):
        region, key = place, rest
    match = f"{key}*" if key.startswith("ft:") else key
    return {"provider": ours, "match": match} | ({"region": region} if region else {})


def _prices(about: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    """Rates, steps and units of one tier; `suffix` is how its costs are called. Zeros are left out: the list does not
    tell what is free from what nobody entered."""
    rates, above = {}, dict[str, dict[str, str]]()
    for cost, value in about.items():
        if suffix and not cost.endswith(suffix):
            continue
        name = cost.removesuffix(suffix) if suffix else cost
        step = _ABOVE.fullmatch(name)
        rate = _TOKEN_COSTS.get(step["cost"] if step else name)
        usd = _usd(value, _MILLION, MOST_USD_PER_MILLION)
        if rate is None or usd is None:
            continue
        if step:
            above.setdefault(str(int(step["thousands"]) * 1000), {})[rate] = usd
        else:
            rates[rate] = usd
    units = _units(about) if not suffix else {}
    found: dict[str, Any] = {"rates": rates} if rates else {}
    if rates and above:
        found["above"] = above
    return found | ({"units": units} if units else {})


def _units(about: Mapping[str, Any]) -> dict[str, str]:
    units = {unit: _usd(about.get(cost), Decimal(1), MOST_USD_PER_UNIT) for cost, unit in _UNIT_COSTS.items()}
    by_size = about.get("search_context_cost_per_query")
    if isinstance(by_size, dict):
        costs = (_usd(by_size.get(size), Decimal(1), MOST_USD_PER_UNIT) for size in _SEARCH_SIZES)
        units["web_searches"] = next((usd for usd in costs if usd is not None), None)
    return {unit: usd for unit, usd in units.items() if usd is not None}


def _usd(value: Any, times: Decimal, most: Decimal) -> str | None:
    """The amount for so many; None for what is no positive, believable number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = EXACT.multiply(Decimal(value), times)
    return format_usd(amount) if 0 < amount <= most else None


def _once(entries: list[dict[str, Any]], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Each subject once: the list spells many models in several ways, the first one stands."""
    seen = set()
    for entry in entries:
        subject = tuple(str(entry.get(key)) for key in ("provider", "match", "tier", "region"))
        if subject in seen:
            left_out["spelt in another way too"] += 1
        else:
            seen.add(subject)
            yield entry
