"""xAI beside OpenAI's protocol: results of batches, deferred answers, videos, speech, and gRPC in its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from taximeter.core.usage import Usage
from taximeter.extract import openai, openai_media
from taximeter.extract.counts import CountTable, believable, counts_in
from taximeter.extract.flavour import JSON_LINES, Flavour, error_type, free, route
from taximeter.extract.lines import LineFraming
from taximeter.extract.payload import Payload, characters, items, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.several import MOST_ITEMS, together
from taximeter.extract.stream import StreamState

_GRPC_COUNTS: Final[CountTable] = {
    "": {
        "prompt_tokens": "input_tokens",
        "cached_prompt_text_tokens": "cache_read_tokens",
        "prompt_image_tokens": "input_image_tokens",
        "completion_tokens": "output_tokens",
        "reasoning_tokens": "reasoning_tokens",
    }
}
_GRPC_TOOLS: Final = {
    "SERVER_SIDE_TOOL_WEB_SEARCH": "web_searches",
    "SERVER_SIDE_TOOL_X_SEARCH": "x_searches",
    "SERVER_SIDE_TOOL_CODE_EXECUTION": "code_interpreter_calls",
    "SERVER_SIDE_TOOL_COLLECTIONS_SEARCH": "file_searches",
    "SERVER_SIDE_TOOL_ATTACHMENT_SEARCH": "attachment_searches",
}
MOST_TOOL_CALLS: Final = 1_000


def read_fetch(_: Payload) -> RequestFacts:
    return RequestFacts(operation="chat")


def read_batch_results(status: int, payload: object) -> Reading:
    """A page of results."""
    results = items(mapping(payload).get("results"))[:MOST_ITEMS]
    if status >= 400 or not results:
        return openai.read_chat_answer(status, payload) if status >= 400 else Reading(finished=payload is not None)
    return together(_result(mapping(mapping(result).get("batch_result"))) for result in results)


def _result(result: Payload) -> Reading:
    response = mapping(result.get("response"))
    answer = mapping(response.get("chat_get_completion")) or response
    reading = openai.read_chat_answer(200, answer)
    error = error_type(200, result) or reading.error_type
    unbilled = error is not None and not reading.usage.known
    return replace(reading, service_tier="batch", error_type=error, not_billed=unbilled)


def read_deferred(status: int, payload: object) -> Reading:
    """An answer that was deferred. Until it is there, nothing is said."""
    reading = openai.read_chat_answer(status, payload)
    return replace(reading, finished=False) if status == 202 else reading


def read_speech_request(body: Payload) -> RequestFacts:
    """Speech that is to be written down. There is one model, which need not be named."""
    facts = openai_media.read_transcription_request(body)
    return facts if facts.model else replace(facts, model=_LISTENER)


_LISTENER: Final = "grok-stt"


def read_grpc_request(body: Payload) -> RequestFacts:
    return openai.read_chat_request(body)


def read_grpc_answer(status: int, payload: object) -> Reading:
    """Large numbers are strings in this form, and reasoning lies outside the completion."""
    if status >= 400:
        return Reading(error_type=error_type(status, payload), not_billed=True, finished=isinstance(payload, Mapping))
    answer = mapping(payload)
    told = {key: _number(value) for key, value in mapping(answer.get("usage")).items()}
    usage, conflict = _grpc_usage(told)
    return (
        NOTHING_READ
        if not answer
        else Reading(
            response_model=text(answer.get("model")),
            usage=usage,
            usage_conflict=conflict,
            response_id=text(answer.get("id")),
            reported_cost_usd=openai.reported_cost(told),
            finished=True,
            output_characters=0 if usage.known else characters(answer.get("outputs")),
        )
    )


def _grpc_usage(told: Payload) -> tuple[Usage, bool]:
    counts = counts_in(told, _GRPC_COUNTS)
    written, reasoned = counts.get("output_tokens"), counts.get("reasoning_tokens")
    if reasoned is not None:
        counts["output_tokens"] = (written or 0) + reasoned
    units: dict[str, int] = {}
    for tool in items(told.get("server_side_tools_used"))[:MOST_TOOL_CALLS]:
        unit = _GRPC_TOOLS.get(tool) if isinstance(tool, str) else None
        if unit is not None:
            units[unit] = units.get(unit, 0) + 1
    return believable(counts, dict(units))


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 20 else value


class Chunks:
    """Chunks of gRPC in their JSON form; the usage in them grows."""

    finished = False

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._told = NOTHING_READ
        self._characters = 0
        self._stopped = False
        self.content_started = False

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        told = read_grpc_answer(200, event)
        if told.usage.known or not self._told.usage.known:
            self._told = told
        for output in map(mapping, items(event.get("outputs"))):
            self._characters += characters(output.get("delta"))
            self._stopped = self._stopped or output.get("finish_reason") not in _GOES_ON
        self.content_started = self._characters > 0

    def reading(self) -> Reading:
        return replace(self._told, finished=self._stopped, output_characters=self._characters)


_GOES_ON: Final = (None, "", "REASON_INVALID")


def _chunks(request: RequestFacts | None) -> StreamState:
    return Chunks(request)


BATCH_RESULTS: Final = Flavour(
    name="xai.batch.results",
    operation="chat",
    read_request=read_fetch,
    read_body=read_batch_results,
    polled=True,
    several=True,
)
DEFERRED: Final = Flavour(
    name="xai.deferred", operation="chat", read_request=read_fetch, read_body=read_deferred, polled=True
)
TRANSCRIPTIONS: Final = Flavour(
    name="xai.stt",
    operation="transcription",
    read_request=read_speech_request,
    read_body=openai_media.read_transcription,
)
GRPC: Final = Flavour(name="xai.grpc", operation="chat", read_request=read_grpc_request, read_body=read_grpc_answer)
GRPC_CHUNKS: Final = replace(
    GRPC, name="xai.grpc_stream", open_stream=_chunks, open_framing=LineFraming, streamed_as=JSON_LINES
)

ROUTES: Final = (
    route("GET", "batches/[^/]+/results", BATCH_RESULTS),
    route("GET", "chat/deferred-completion/[^/]+", DEFERRED),
    route("GET", "videos/(?P<usage_id>[^/]+)", replace(DEFERRED, name="xai.videos", operation="video_generation")),
    # The video that is fetched tells its price.
    route("POST", "videos/(?:generations|edits)", free("xai.videos", charged_later=True)),
    route("POST", "v1/stt", TRANSCRIPTIONS),
    route("POST", "xai_api\\.Chat/GetCompletion", GRPC),
    route("POST", "xai_api\\.Chat/GetCompletionChunk", GRPC_CHUNKS),
)
