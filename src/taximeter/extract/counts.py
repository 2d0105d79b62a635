"""From a provider's usage object to our token classes: tables of names, and what contradictions do."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from taximeter.core.usage import Usage, added, clamped
from taximeter.extract.payload import Payload, count, mapping

CountTable: TypeAlias = Mapping[str, Mapping[str, str]]
"""Where counts are: name of an enclosing object ("" for the usage itself) → provider's key → our token class.

The first place that has a number for a class wins.
"""

Units: TypeAlias = Mapping[str, int | Decimal]

UNITS: Final = {
    "web_searches": "searches of the web that the provider ran for the model",
    "maps_searches": "searches of Google Maps that the provider ran for the model",
    "news_searches": "searches of the web and of news agencies (Mistral's premium search)",
    "web_fetches": "pages that the provider fetched for the model (Anthropic does not charge for them)",
    "x_searches": "searches of X posts (xAI)",
    "file_searches": "searches of the provider's own file stores",
    "attachment_searches": "searches of the files attached to a message (xAI)",
    "code_interpreter_calls": "runs of the provider's code interpreter (OpenAI charges its containers apart)",
    "medium_context_requests": "requests that searched the web for a context of medium size (Perplexity)",
    "high_context_requests": "the same for a large one",
    "audio_seconds": "seconds of audio transcribed",
    "video_seconds": "seconds of video that were made, its shorter side up to 720 pixels",
    "video_seconds_1024p": "the same with a shorter side of 1024 pixels; other sizes are named alike",
    "video_seconds_1080p": "the same with one of 1080 pixels",
    "video_seconds_2160p": "the same with one of 2160 pixels (4k)",
    "video_seconds_with_audio": "the same as `video_seconds`, of a maker that charges for sound (Veo)",
    "video_seconds_1080p_with_audio": "the same with a shorter side of 1080 pixels",
    "video_seconds_2160p_with_audio": "the same with one of 2160 pixels (4k)",
    "images": "pictures made that are paid by the piece (Imagen, Bedrock, Mistral's agents)",
    "pixels": "pixels of pictures and videos that were embedded (Voyage)",
    "classifications": "texts that were classified (Cohere)",
    "pages": "pages read by OCR",
    "search_units": "rerank searches (Cohere, Bedrock)",
    "guardrail_content_units": "units of text that a guardrail's content filters read (Bedrock)",
    "guardrail_content_image_units": "pictures that a guardrail's content filters read",
    "guardrail_topic_units": "units of text that a guardrail's denied topics read",
    "guardrail_word_units": "units of text that a guardrail's word filters read (not charged)",
    "guardrail_sensitive_units": "units of text that a guardrail searched for sensitive information",
    "guardrail_sensitive_free_units": "the same by regular expressions (not charged)",
    "guardrail_grounding_units": "units of text that a guardrail's contextual grounding read",
    "guardrail_reasoning_units": "units of text that a guardrail's automated reasoning read",
}
"""Billable units besides tokens, as they are called in `Usage.units`. One that is not named was not used."""


def counts_in(usage: Payload, table: CountTable) -> dict[str, int | None]:
    """The counts of a provider's usage object under our names."""
    found: dict[str, int | None] = {}
    for place, names in table.items():
        holder = mapping(usage.get(place)) if place else usage
        if not holder:
            continue
        for theirs, ours in names.items():
            if theirs in holder and ours not in found and (number := count(holder[theirs])) is not None:
                found[ours] = number
    return found


def cache_apart(
    plain: int | None, read: int | None, written: int | None, written_1h: int | None, output: int | None
) -> tuple[dict[str, int | None], bool]:
    """Counts of a provider whose `plain` input leaves out what was read from or written to the cache; and whether
    they contradicted themselves. What was not written for an hour was written for five minutes."""
    odd = written_1h is not None and written_1h > (written or 0)
    hour = None if written_1h is None else min(written_1h, written or 0)
    counts = {
        "input_tokens": None if plain is None else plain + (read or 0) + (written or 0),
        "cache_read_tokens": read,
        "cache_write_5m_tokens": None if written is None else written - (hour or 0),
        "cache_write_1h_tokens": hour,
        "output_tokens": output,
    }
    return counts, odd


def believable(counts: Mapping[str, int | None], units: Units) -> tuple[Usage, bool]:
    """The usage of these counts, parts inside their wholes, and whether something had to be cut for it."""
    return clamped(Usage(units=units, **counts))


def summed(first: Usage, second: Usage) -> tuple[Usage, bool]:
    """Two usages together, believable again, and whether something had to be cut for it."""
    return clamped(added(first, second))


def units_in(holder: object, names: Mapping[str, str]) -> dict[str, int | Decimal]:
    """The units of a provider's object under our names; none that are zero."""
    named = mapping(holder)
    return {ours: number for theirs, ours in names.items() if (number := count(named.get(theirs)) or 0) > 0}
