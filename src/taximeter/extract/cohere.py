"""Cohere: chat (v1 and v2), embeddings, rerank. What is billed counts, not the larger number of real tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from taximeter.core.usage import Usage
from taximeter.extract import openai
from taximeter.extract.counts import believable, units_in
from taximeter.extract.flavour import EVENT_STREAM, JSON_LINES, Flavour, error_type, free, route
from taximeter.extract.lines import LineFraming
from taximeter.extract.payload import Payload, characters, count, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.stream import StreamState

_UNITS: Final = {"search_units": "search_units", "pages": "pages", "classifications": "classifications"}
_CHAT: Final = ("message", "messages", "chat_history", "preamble", "documents", "tools", "tool_results")


def read_chat_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    return RequestFacts(
        operation="chat",
        model=text(body.get("model")),
        stream=body.get("stream") is True,
        max_output_tokens=count(body.get("max_tokens")),
        input_characters=sum(characters(body.get(key)) for key in _CHAT),
    )


def read_generate_request(body: Payload) -> RequestFacts:
    facts = read_chat_request(body)
    size = characters(mapping(body).get("prompt"))
    return replace(facts, operation="text_completion", input_characters=size)


def read_summarize_request(body: Payload) -> RequestFacts:
    facts = read_chat_request(body)
    return replace(facts, operation="text_completion", input_characters=characters(mapping(body).get("text")))


def read_parse_request(body: Payload) -> RequestFacts:
    return RequestFacts(operation="ocr", model=text(mapping(body).get("model")))


def read_embed_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    size = characters(body.get("texts")) + characters(body.get("inputs"))
    return RequestFacts(operation="embeddings", model=text(body.get("model")), input_characters=size)


def read_rerank_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    size = characters(body.get("query")) + characters(body.get("documents"))
    return RequestFacts(operation="rerank", model=text(body.get("model")), input_characters=size)


def read_classify_request(body: Payload) -> RequestFacts:
    facts = read_embed_request(body)
    return replace(facts, operation="classification")


def usage_in(told: Payload) -> tuple[Usage, bool]:
    """Our usage of v2's `usage` or v1's `meta`. Cached tokens are a view of the real ones; they are billed in full."""
    billed, real = mapping(told.get("billed_units")), mapping(told.get("tokens"))
    used = billed or real
    written, reasoned = count(used.get("output_tokens")), count(real.get("reasoning_tokens"))
    if reasoned is not None:
        reasoned = None if written is None else min(reasoned, written)  # it too is a real count, not a billed one
    seen = count(used.get("image_tokens"))
    counts = {
        "input_tokens": sum_of(count(used.get("input_tokens")), seen),
        "input_image_tokens": seen,
        "output_tokens": written,
        "reasoning_tokens": reasoned,
    }
    return believable(counts, units_in(billed, _UNITS))


def sum_of(texts: int | None, images: int | None) -> int | None:
    """Both together: pictures are billed beside the text."""
    return texts if images is None else (texts or 0) + images


def _answer(status: int, payload: object, content: str) -> Reading:
    error = error_type(status, payload)
    if status >= 400:
        return Reading(error_type=error, not_billed=True, finished=isinstance(payload, Mapping))
    if not isinstance(payload, Mapping):
        return NOTHING_READ
    usage, conflict = usage_in(mapping(payload.get("usage") or payload.get("meta")))
    return Reading(
        usage=usage,
        usage_conflict=conflict,
        not_billed=error is not None and not usage.known,
        response_id=text(payload.get("id")) or text(payload.get("response_id")),
        error_type=error,
        finished=True,
        output_characters=0 if usage.known else characters(payload.get(content)),
    )


def read_chat_answer(status: int, payload: object) -> Reading:
    return _answer(status, payload, "message")


def read_v1_chat_answer(status: int, payload: object) -> Reading:
    return _answer(status, payload, "text")


def read_generate_answer(status: int, payload: object) -> Reading:
    return _answer(status, payload, "generations")


def read_summarize_answer(status: int, payload: object) -> Reading:
    return _answer(status, payload, "summary")


def read_parse_answer(status: int, payload: object) -> Reading:
    """Documents: pages, not tokens."""
    return _answer(status, payload, "")


def read_embed_answer(status: int, payload: object) -> Reading:
    """An embedding writes nothing."""
    reading = _answer(status, payload, "")
    if reading.usage.input_tokens is None:
        return reading
    return replace(reading, usage=replace(reading.usage, output_tokens=0, reasoning_tokens=None))


def read_rerank_answer(status: int, payload: object) -> Reading:
    """Searches and classifications at Cohere; tokens at Voyage, Jina and others that offer the same paths."""
    if mapping(payload).get("usage") is not None:
        return openai.read_embeddings_answer(status, payload)
    return _answer(status, payload, "")


class ChatStream:
    """Events of v2 and lines of v1: the last one has the usage."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._told = NOTHING_READ
        self._id: str | None = None
        self._error: str | None = None
        self._characters = 0
        self.content_started = False
        self.finished = False

    def skim(self, data: bytes, /) -> bool:
        return data == b"[DONE]"

    def take(self, event: Payload, /) -> None:
        kind = event.get("type", event.get("event_type"))
        delta = mapping(event.get("delta"))
        self._id = text(event.get("id")) or text(event.get("generation_id")) or self._id
        self._error = error_type(200, event) or error_type(200, delta) or self._error
        if kind == "message-end":
            self._end(mapping(delta.get("usage")))
        elif kind == "stream-end":
            response = mapping(event.get("response"))
            self._id = text(response.get("response_id")) or self._id
            self._end(mapping(response.get("meta")))
        else:
            self._write(characters(delta.get("message")) + characters(event.get("text")))

    def _end(self, told: Payload) -> None:
        usage, conflict = usage_in(told)
        self._told = Reading(usage=usage, usage_conflict=conflict)
        self.finished = True

    def _write(self, written: int) -> None:
        self._characters += written
        self.content_started = self.content_started or written > 0

    def reading(self) -> Reading:
        known = self._told.usage.known
        return replace(
            self._told,
            not_billed=self._error is not None and not known and not self.content_started,
            response_id=self._id,
            error_type=self._error,
            finished=self.finished,
            output_characters=self._characters,
        )


def _stream(request: RequestFacts | None) -> StreamState:
    return ChatStream(request)


CHAT: Final = Flavour(
    name="cohere.v2.chat",
    operation="chat",
    read_request=read_chat_request,
    read_body=read_chat_answer,
    open_stream=_stream,
)
V1_CHAT: Final = Flavour(
    name="cohere.v1.chat",
    operation="chat",
    read_request=read_chat_request,
    read_body=read_v1_chat_answer,
    open_stream=_stream,
    open_framing=LineFraming,
    streamed_as=(*JSON_LINES, EVENT_STREAM),
)
GENERATE: Final = replace(
    V1_CHAT,
    name="cohere.v1.generate",
    operation="text_completion",
    read_request=read_generate_request,
    read_body=read_generate_answer,
)
SUMMARIZE: Final = Flavour(
    name="cohere.v1.summarize",
    operation="text_completion",
    read_request=read_summarize_request,
    read_body=read_summarize_answer,
)
PARSE: Final = Flavour(
    name="cohere.parse", operation="ocr", read_request=read_parse_request, read_body=read_parse_answer
)
EMBED: Final = Flavour(
    name="cohere.embed", operation="embeddings", read_request=read_embed_request, read_body=read_embed_answer
)
RERANK: Final = Flavour(
    name="cohere.rerank", operation="rerank", read_request=read_rerank_request, read_body=read_rerank_answer
)
CLASSIFY: Final = replace(
    RERANK, name="cohere.classify", operation="classification", read_request=read_classify_request
)

ROUTES: Final = (
    route("POST", "v2/chat", CHAT),
    route("POST", "v1/chat", V1_CHAT),
    route("POST", "v1/generate", GENERATE),
    route("POST", "v1/summarize", SUMMARIZE),
    route("POST", "v2/parse", PARSE),
    route("POST", "embed", EMBED),
    route("POST", "rerank", RERANK),
    route("POST", "v1/classify", CLASSIFY),
    route("POST", "v1/(?:de)?tokenize", free("cohere.tokenize")),
)
