"""Google's Gemini dialect, at the Gemini API and at Vertex AI.

The prompt contains what was read from the cache, and tool results come on top of it; thoughts come on top of the
candidates. A count that is zero may be missing. A stream repeats its usage, growing: the last of each field counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from taximeter.core.usage import Usage, clamped
from taximeter.extract import gemini_compatible
from taximeter.extract.arrays import ArrayFraming
from taximeter.extract.counts import believable
from taximeter.extract.flavour import Flavour, error_type, free, route
from taximeter.extract.gemini_options import options_named
from taximeter.extract.payload import Payload, characters, count, items, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.stream import StreamState

_MODALITIES: Final = {2: "IMAGE", 3: "VIDEO", 4: "AUDIO"}
"""Some clients write enums as numbers."""

_INPUT: Final = {
    "AUDIO": "input_audio_tokens",
    "IMAGE": "input_image_tokens",
    "VIDEO": "input_video_tokens",
}
_OUTPUT: Final = {
    "AUDIO": "output_audio_tokens",
    "IMAGE": "output_image_tokens",
    "VIDEO": "output_image_tokens",  # of a film, which has a price of its own too; no model makes both
}
_DETAILS: Final = {
    "promptTokensDetails": _INPUT,
    "toolUsePromptTokensDetails": _INPUT,
    "cacheTokensDetails": {"AUDIO": "cache_read_audio_tokens"},
    "candidatesTokensDetails": _OUTPUT,
    "responseTokensDetails": _OUTPUT,
}
"""List of counts by modality → modality → our token class."""

_TIERS: Final[dict[object, str]] = {
    1: "on_demand",
    2: "provisioned_throughput",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
}

_EMBEDDING_DETAILS: Final = "promptTokenDetails"
"""What an embedding calls its `promptTokensDetails`."""

MOST_CANDIDATES: Final = 128
"""Candidates of one stream that are followed."""

MOST_DETAILS: Final = 100
"""Entries of one list of modalities, or embeddings of one answer, that are read."""


def model_name(name: str | None) -> str | None:
    """A model without the collection it is in (`models/`, `publishers/google/models/`)."""
    return name.rpartition("models/")[2] or None if name else None


def read_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    allowances = (count(value) for value in options_named(body, "maxOutputTokens"))
    keys = ("contents", "content", "systemInstruction", "system_instruction", "tools", "requests", "instances")
    return RequestFacts(
        operation="generate_content",
        model=model_name(text(body.get("model"))),
        max_output_tokens=next((allowed for allowed in allowances if allowed), None),
        input_characters=sum(characters(body[key]) for key in keys if key in body),
    )


def read_streaming_request(body: Payload) -> RequestFacts:
    facts = read_request(body)
    return RequestFacts(
        operation=facts.operation,
        model=facts.model,
        stream=True,
        max_output_tokens=facts.max_output_tokens,
        input_characters=facts.input_characters,
    )


def read_embed_request(body: Payload) -> RequestFacts:
    facts = read_request(body)
    return RequestFacts(operation="embeddings", model=facts.model, input_characters=facts.input_characters)


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────


def usage_in(usage: Payload) -> tuple[Usage, bool]:
    """Our usage of a `usageMetadata` object, and whether it contradicted itself."""
    prompt, tools = count(usage.get("promptTokenCount")), count(usage.get("toolUsePromptTokenCount"))
    thoughts = count(usage.get("thoughtsTokenCount"))
    written = count(usage.get("candidatesTokenCount", usage.get("responseTokenCount")))
    counts = counts_by_modality(usage, _DETAILS, "tokenCount")
    counts |= {
        "input_tokens": sum_of(prompt, tools),
        "cache_read_tokens": count(usage.get("cachedContentTokenCount")),
        "output_tokens": sum_of(written, thoughts),
        "reasoning_tokens": thoughts,
    }
    total = count(usage.get("totalTokenCount"))
    if counts["output_tokens"] is None and prompt is not None and total is not None:
        counts["output_tokens"] = total - (counts["input_tokens"] or 0)
    return believable(counts, {})


def sum_of(first: int | None, second: int | None) -> int | None:
    """Both together; unknown when the first is, unless the second is known."""
    return first if second is None else (first or 0) + second


def counts_by_modality(usage: Payload, places: Mapping[str, Mapping[str, str]], number: str) -> dict[str, int | None]:
    """Counts of lists of modalities. `places`: key of a list → modality → our token class; `number`: a count's key."""
    counts: dict[str, int | None] = {}
    for place, names in places.items():
        for entry in items(usage.get(place))[:MOST_DETAILS]:
            modality = mapping(entry).get("modality")
            name = _MODALITIES.get(modality, "") if isinstance(modality, int) else modality
            ours = names.get(name) if isinstance(name, str) else None
            if ours is not None:
                counts[ours] = (counts.get(ours) or 0) + (count(mapping(entry).get(number)) or 0)
    return counts


WEB: Final = "web_searches"
MAPS: Final = "maps_searches"

Asked: TypeAlias = frozenset[tuple[str, str]]
"""What was searched for: our unit, and the query ("" where none is told)."""


def searched(usage: Usage, asked: Asked) -> Usage:
    """A usage with the searches of Google that were made for it, as far as it does not count them itself. Asking the
    same again, or nothing, is not charged."""
    if not asked or not usage.known:
        return usage
    shown = {unit: sum(unit == each for each, query in asked if query) or 1 for unit, _ in asked}
    return replace(usage, units={**shown, **usage.units})


def queries_in(grounding: object) -> Asked:
    """What was searched for, of a `groundingMetadata` object. That Google Maps was asked is told by the places that it
    found. For what is told in a list of its own (Vertex AI), in that of the web (the Gemini API; nothing of the web is
    found then), or not at all.

    https://ai.google.dev/gemini-api/docs/maps-grounding, https://github.com/BerriAI/litellm/pull/38418
    """
    told = mapping(grounding)
    found = [mapping(chunk) for chunk in items(told.get("groundingChunks"))[:MOST_DETAILS]]
    if not any(chunk.get("maps") for chunk in found):
        return asked(WEB, told.get("webSearchQueries"))
    searched_web = any(chunk.get("web") for chunk in found)
    queries = asked(WEB if searched_web else MAPS, told.get("webSearchQueries"))
    return queries | asked(MAPS, told.get("retrievalQueries")) | {(MAPS, "")}


def asked(unit: str, queries: object) -> Asked:
    found = items(queries)[:MOST_DETAILS]
    return frozenset((unit, query) for query in found if isinstance(query, str) and query.strip())


def _queries_of(answer: Payload) -> Asked:
    candidates = items(answer.get("candidates"))[:MOST_CANDIDATES]
    return frozenset[tuple[str, str]]().union(
        *(queries_in(mapping(one).get("groundingMetadata")) for one in candidates)
    )


def _tier(usage: Payload) -> str | None:
    said = usage.get("serviceTier", usage.get("trafficType"))
    known = _TIERS.get(said) if isinstance(said, int | str) else None
    named = known or text(said)
    return named.lower() if named else None


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────


def read_answer(status: int, payload: object) -> Reading:
    error = error_type(status, payload)
    if status >= 400:
        return Reading(error_type=error, not_billed=True, finished=isinstance(payload, Mapping))
    if not isinstance(payload, Mapping):
        return NOTHING_READ
    reading = _reading(payload, mapping(payload.get("usageMetadata")), error, finished=True, written=0)
    queries = _queries_of(payload)
    return replace(reading, usage=searched(reading.usage, queries)) if queries else reading


def _reading(answer: Payload, reported: Payload, error: str | None, *, finished: bool, written: int) -> Reading:
    usage, conflict = usage_in(reported)
    return Reading(
        response_model=text(answer.get("modelVersion")),
        usage=usage,
        usage_conflict=conflict,
        not_billed=error is not None and not usage.known,
        service_tier=_tier(reported),
        response_id=text(answer.get("responseId")),
        error_type=error,
        finished=finished,
        output_characters=written or (0 if usage.known else _candidate_characters(answer)),
    )


def _candidate_characters(answer: Payload) -> int:
    return sum(characters(mapping(candidate).get("content")) for candidate in items(answer.get("candidates")))


def read_embed_answer(status: int, payload: object) -> Reading:
    """An embedding writes nothing. Vertex counts tokens with each embedding instead."""
    reading = read_answer(status, _with_details(payload))
    if not reading.finished or reading.not_billed or reading.usage.output_tokens is not None:
        return reading
    answer = mapping(payload)
    each = [mapping(one) for one in (answer.get("embedding"), *items(answer.get("embeddings"))[:MOST_DETAILS])]
    read = [number for one in each if (number := count(mapping(one.get("statistics")).get("tokenCount"))) is not None]
    told = reading.usage.input_tokens if reading.usage.input_tokens is not None or not read else sum(read)
    if told is None:
        return reading
    usage, odd = clamped(replace(reading.usage, input_tokens=told, output_tokens=0))
    return replace(reading, usage=usage, usage_conflict=reading.usage_conflict or odd)


def _with_details(payload: object) -> object:
    """The answer of an embedding, with its modalities where all others have them."""
    usage = mapping(mapping(payload).get("usageMetadata"))
    if _EMBEDDING_DETAILS not in usage:
        return payload
    return {**mapping(payload), "usageMetadata": {"promptTokensDetails": usage[_EMBEDDING_DETAILS], **usage}}


def read_prediction(status: int, payload: object) -> Reading:
    """An embedding by Vertex: each prediction counts its own tokens."""
    reading = read_answer(status, payload)
    if not reading.finished or reading.not_billed:
        return reading
    predictions = items(mapping(payload).get("predictions"))[:MOST_DETAILS]
    statistics = [mapping(mapping(mapping(each).get("embeddings")).get("statistics")) for each in predictions]
    read = [number for each in statistics if (number := count(each.get("token_count"))) is not None]
    usage, conflict = believable({"input_tokens": sum(read), "output_tokens": 0} if read else {}, {})
    return Reading(usage=usage, usage_conflict=conflict, finished=True)


def read_picture_request(body: Payload) -> RequestFacts:
    return replace(read_request(body), operation="image_generation")


def read_pictures(status: int, payload: object) -> Reading:
    """Pictures by Imagen, paid by the piece. One that a filter held back is not charged."""
    reading = read_answer(status, payload)
    if not reading.finished or reading.not_billed:
        return reading
    predictions = items(mapping(payload).get("predictions"))[:MOST_DETAILS]
    made = sum(1 for each in map(mapping, predictions) if any(each.get(place) for place in _PICTURE_PLACES))
    return Reading(usage=Usage(units={"images": made} if made else {}), finished=True, not_billed=not made)


_PICTURE_PLACES: Final = ("bytesBase64Encoded", "gcsUri")


class ContentStream:
    """Chunks of generated content: each is an answer of its own with the usage so far."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._answer: Payload = {}
        self._usage: dict[str, object] = {}
        self._error: str | None = None
        self._characters = 0
        self._open: frozenset[int] = frozenset()
        self._queries: Asked = frozenset()
        self._stopped = False
        self.content_started = False

    @property
    def finished(self) -> bool:
        """Never certain: there is no terminal event, and usage may follow the last candidate's end."""
        return False

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        named = {key: event[key] for key in ("modelVersion", "responseId") if event.get(key)}
        self._answer = {**self._answer, **named}
        self._usage = {**self._usage, **mapping(event.get("usageMetadata"))}
        self._error = error_type(200, event) or self._error
        written = _candidate_characters(event)
        self._characters += written
        self.content_started = self.content_started or written > 0
        for candidate in items(event.get("candidates"))[:MOST_CANDIDATES]:
            self._take_candidate(mapping(candidate))

    def _take_candidate(self, candidate: Payload) -> None:
        if "groundingMetadata" in candidate and len(self._queries) < MOST_DETAILS:
            self._queries |= queries_in(candidate["groundingMetadata"])
        index = count(candidate.get("index")) or 0
        if candidate.get("finishReason"):
            self._open -= {index}
            self._stopped = True
        elif 0 <= index < MOST_CANDIDATES:
            self._open |= {index}

    def reading(self) -> Reading:
        finished = self._stopped and not self._open
        reading = _reading(self._answer, self._usage, self._error, finished=finished, written=self._characters)
        return replace(reading, usage=searched(reading.usage, self._queries))


def _stream(request: RequestFacts | None) -> StreamState:
    return ContentStream(request)


def read_streamed_answer(status: int, payload: object) -> Reading:
    """A stream that was not asked for as server-sent events is an array of its chunks."""
    if status >= 400 or not isinstance(payload, list):
        return read_answer(status, payload)
    stream = ContentStream()
    for chunk in payload:
        stream.take(mapping(chunk))
    return stream.reading()


# ── flavours ─────────────────────────────────────────────────────────────────────────────────────────────────

GENERATE: Final = Flavour(
    name="gemini.generate_content",
    operation="generate_content",
    read_request=read_request,
    read_body=read_answer,
    open_stream=_stream,
)
STREAM_GENERATE: Final = Flavour(
    name="gemini.stream_generate_content",
    operation="generate_content",
    read_request=read_streaming_request,
    read_body=read_streamed_answer,
    open_stream=_stream,
    open_growing=ArrayFraming,
)
EMBED: Final = Flavour(
    name="gemini.embed_content", operation="embeddings", read_request=read_embed_request, read_body=read_embed_answer
)
PREDICT: Final = Flavour(
    name="vertex.predict", operation="embeddings", read_request=read_embed_request, read_body=read_prediction
)
PICTURES: Final = Flavour(
    name="vertex.imagen", operation="image_generation", read_request=read_picture_request, read_body=read_pictures
)
_MODEL: Final = "(?P<model>[^/:]+)"
_KEPT: Final = "(?:models|tunedModels|endpoints)"
"""Collections of models: Google's, one's own at the Gemini API and at Vertex AI."""

ROUTES: Final = (
    route("POST", f"{_KEPT}/{_MODEL}:generateContent", GENERATE),
    route("POST", f"{_KEPT}/{_MODEL}:streamGenerateContent", STREAM_GENERATE),
    route("POST", f"models/{_MODEL}:(?:batchEmbedContents|embedContent)", EMBED),
    route("POST", "models/(?P<model>image[^/:]+):predict", PICTURES),  # imagen-4.0-..., imagegeneration@006
    route("POST", f"models/{_MODEL}:predict", PREDICT),
    route("POST", f"models/{_MODEL}:(?:count|compute)Tokens", free("gemini.count_tokens")),
    route("POST", "chat/completions", gemini_compatible.COMPATIBLE),
    route("GET", "models(?:/[^:]*)?", free("gemini.models")),
)
