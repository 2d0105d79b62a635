"""Gemini beside content generation: interactions, Live sessions, batches, stored caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from taximeter.core.usage import Usage
from taximeter.extract import gemini
from taximeter.extract.counts import believable
from taximeter.extract.flavour import JSON_LINES, Flavour, error_type, free, route
from taximeter.extract.lines import LineFraming
from taximeter.extract.payload import Payload, characters, count, items, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.sessions import session
from taximeter.extract.several import MOST_ITEMS, SeveralCalls, result_lines, together
from taximeter.extract.stream import StreamState

_INPUT: Final = {"audio": "input_audio_tokens", "image": "input_image_tokens", "video": "input_video_tokens"}
_MODALITIES: Final = {
    "input_tokens_by_modality": _INPUT,
    "tool_use_tokens_by_modality": _INPUT,
    "cached_tokens_by_modality": {"audio": "cache_read_audio_tokens"},
    "output_tokens_by_modality": {
        "audio": "output_audio_tokens",
        "image": "output_image_tokens",
        "video": "output_image_tokens",
    },
}


def _fetch(_: Payload) -> RequestFacts:
    return RequestFacts(operation="generate_content")


# ── interactions ─────────────────────────────────────────────────────────────────────────────────────────────

_RUNNING: Final = ("in_progress", "queued")


def read_interaction_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    return RequestFacts(
        operation="generate_content",
        model=text(body.get("model")) or text(body.get("agent")),
        stream=body.get("stream") is True,
        max_output_tokens=count(mapping(body.get("generation_config")).get("max_output_tokens")),
        input_characters=sum(characters(body.get(key)) for key in ("input", "system_instruction", "tools")),
        background=body.get("background") is True,
    )


def interaction_usage(usage: Payload) -> tuple[Usage, bool]:
    """Thoughts and the results of tools come on top, as in content generation."""
    read, tools = count(usage.get("total_input_tokens")), count(usage.get("total_tool_use_tokens"))
    thoughts = count(usage.get("total_thought_tokens"))
    counts = gemini.counts_by_modality(usage, _MODALITIES, "tokens")
    counts |= {
        "input_tokens": gemini.sum_of(read, tools),
        "cache_read_tokens": count(usage.get("total_cached_tokens")),
        "output_tokens": gemini.sum_of(count(usage.get("total_output_tokens")), thoughts),
        "reasoning_tokens": thoughts,
    }
    units: dict[str, int] = {}
    for each in map(mapping, items(usage.get("grounding_tool_count"))):
        unit, times = _TOOLS.get(text(each.get("type")) or ""), count(each.get("count")) or 0
        if unit is not None and times > 0:
            units[unit] = units.get(unit, 0) + times
    return believable(counts, units)


_TOOLS: Final = {"google_search": gemini.WEB, "google_maps": gemini.MAPS}


def _queries_in(steps: object) -> gemini.Asked:
    """What Google was searched for, where the usage does not count it."""
    found = (_queries_of(mapping(step)) for step in items(steps)[: gemini.MOST_DETAILS])
    return frozenset[tuple[str, str]]().union(*found)


def _queries_of(step: Payload) -> gemini.Asked:
    unit = _CALLS.get(text(step.get("type")) or "")
    return frozenset() if unit is None else gemini.asked(unit, mapping(step.get("arguments")).get("queries"))


_CALLS: Final = {f"{tool}_call": unit for tool, unit in _TOOLS.items()}


def read_interaction(status: int, payload: object) -> Reading:
    error = error_type(status, payload)
    if status >= 400:
        return Reading(error_type=error, not_billed=True, finished=isinstance(payload, Mapping))
    if not isinstance(payload, Mapping):
        return NOTHING_READ
    usage, conflict = interaction_usage(mapping(payload.get("usage")))
    usage = gemini.searched(usage, _queries_in(payload.get("steps", payload.get("outputs"))))
    return Reading(
        response_model=text(payload.get("model")),
        usage=usage,
        usage_conflict=conflict,
        not_billed=error is not None and not usage.known,
        service_tier=text(payload.get("service_tier")),
        response_id=text(payload.get("id")),
        error_type=error,
        finished=payload.get("status") not in _RUNNING,
        output_characters=0 if usage.known else characters(payload.get("steps", payload.get("outputs"))),
    )


class InteractionStream:
    """Events of an interaction; those that begin and end it repeat it."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._told = NOTHING_READ
        self._error: str | None = None
        self._characters = 0
        self._queries: gemini.Asked = frozenset()
        self.content_started = False
        self.finished = False

    def skim(self, data: bytes, /) -> bool:
        return data == b"[DONE]"

    def take(self, event: Payload, /) -> None:
        self._error = error_type(200, event) or self._error
        kind = event.get("event_type")
        interaction = event.get("interaction")
        if isinstance(interaction, Mapping):
            told = read_interaction(200, interaction)
            self._told = replace(told, response_model=told.response_model or self._told.response_model)
        if isinstance(kind, str) and kind.startswith("interaction.complete"):
            self.finished = True
        for step in (event.get("step"), event.get("delta")):
            if len(self._queries) < gemini.MOST_DETAILS:
                self._queries |= _queries_of(mapping(step))
        self._characters += characters(event.get("delta"))
        self.content_started = self.content_started or self._characters > 0

    def reading(self) -> Reading:
        error = self._error or self._told.error_type
        return replace(
            self._told,
            usage=gemini.searched(self._told.usage, self._queries),
            error_type=error,
            not_billed=error is not None and not self._told.usage.known and not self.content_started,
            finished=self.finished,
            output_characters=self._characters,
        )


def _interaction_stream(request: RequestFacts | None) -> StreamState:
    return InteractionStream(request)


# ── Live ─────────────────────────────────────────────────────────────────────────────────────────────────────


def read_live_request(body: Payload) -> RequestFacts:
    """The first message of the client sets the session up and names the model."""
    body = mapping(body)
    model = text(mapping(body.get("setup")).get("model")) or text(body.get("model"))
    return RequestFacts(operation="realtime", model=gemini.model_name(model), stream=True)


class LiveSession(SeveralCalls):
    """A Live session: each message with `usageMetadata` tells what a turn came to; they add up."""

    finished = False

    def __init__(self, request: RequestFacts | None = None) -> None:
        super().__init__()
        self._model = None if request is None else request.model
        self._queries: gemini.Asked = frozenset()

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        if event.get("serverContent") or event.get("toolCall"):
            self.content_started = True
        if len(self._queries) < gemini.MOST_DETAILS:
            self._queries |= gemini.queries_in(mapping(event.get("serverContent")).get("groundingMetadata"))
        usage = mapping(event.get("usageMetadata"))
        if usage:
            reading = gemini.read_answer(200, event)
            counted = gemini.searched(reading.usage, self._queries)
            self._queries = frozenset()
            self.add(replace(reading, usage=counted, response_model=reading.response_model or self._model))

    def reading(self) -> Reading:
        """A session has no end of its own, so it is finished wherever it ends."""
        return replace(super().reading(), finished=True)


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────


_LONGEST_COUNT: Final = 20
"""Digits of a count that is written as text."""
_INLINED: Final = ("inlinedResponses", "inlinedEmbedContentResponses")


def read_batch(status: int, payload: object) -> Reading:
    """A batch; a finished one holds its answers, twice."""
    if status >= 400:
        return gemini.read_answer(status, payload)
    batch = mapping(payload)
    told = mapping(mapping(batch.get("metadata")).get("output")) or mapping(batch.get("output"))
    for holder in (mapping(batch.get("response")), told):
        for place in _INLINED:
            results = items(mapping(holder.get(place)).get("inlinedResponses"))[:MOST_ITEMS]
            if results:
                return together(_result(mapping(result)) for result in results)
    return Reading(finished=batch.get("done") is True)


def _result(result: Payload) -> Reading:
    """One call of a batch. It says "standard" of itself, and is charged as a batch."""
    response = mapping(result.get("response"))
    reading = _embedded(response) if "embedding" in response else gemini.read_answer(200, response)
    error = error_type(200, result) or reading.error_type
    unbilled = error is not None and not reading.usage.known
    return replace(reading, service_tier="batch", error_type=error, not_billed=unbilled)


def _embedded(response: Payload) -> Reading:
    """An embedding of a batch, which counts its tokens beside it."""
    reading, told = gemini.read_embed_answer(200, response), response.get("tokenCount")
    read = int(told) if isinstance(told, str) and told.isdecimal() and len(told) < _LONGEST_COUNT else count(told)
    if read is None or reading.usage.known:
        return reading
    usage, conflict = believable({"input_tokens": read, "output_tokens": 0}, {})
    return replace(reading, usage=usage, usage_conflict=conflict)


def read_result(line: Payload) -> Reading | None:
    """A line of a file of results."""
    return _result(line) if "response" in line or ("error" in line and "key" in line) else None


# ── flavours ─────────────────────────────────────────────────────────────────────────────────────────────────

INTERACTION: Final = Flavour(
    name="gemini.interactions",
    operation="generate_content",
    read_request=read_interaction_request,
    read_body=read_interaction,
    open_stream=_interaction_stream,
)
LIVE: Final = session("gemini.live", read_live_request, LiveSession, several=True)
BATCH: Final = Flavour(
    name="gemini.batch",
    operation="generate_content",
    read_request=_fetch,
    read_body=read_batch,
    polled=True,
    several=True,
)
BATCH_OUTPUT: Final = Flavour(
    name="gemini.batch.output",
    operation="generate_content",
    read_request=_fetch,
    read_body=gemini.read_answer,
    open_stream=result_lines(read_result),
    open_framing=LineFraming,
    streamed_as=(*JSON_LINES, "application/octet-stream", "text/plain"),
    polled=True,
    several=True,
)
_CACHES: Final = replace(free("gemini.cached_contents"), read_request=gemini.read_request)

ROUTES: Final = (
    route("POST", "interactions", INTERACTION),
    route("GET", "interactions/[^/]+", replace(INTERACTION, read_request=_fetch, polled=True)),
    route("POST", "interactions/[^/]+/cancel", free("gemini.interactions.cancel")),
    route("GET", r"ws/google\.[^/]*BidiGenerateContent(?:Constrained)?", LIVE),
    route("GET", r"ws/google\.[^/]*/BidiGenerateContent", LIVE),
    route("GET", "batches/[^/]+", BATCH),
    route("GET", "(?:files/[^/]+:download)", BATCH_OUTPUT),
    route(
        "POST",
        "models/[^/:]+:(?:batchGenerateContent|asyncBatchEmbedContent)",
        free("gemini.batches", charged_later=True),
    ),
    route("POST", "cachedContents", _CACHES),
)
