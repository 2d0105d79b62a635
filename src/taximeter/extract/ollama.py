"""Ollama's own protocol: lines of JSON, the last of which has the counts. It streams unless told not to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from taximeter.extract.counts import CountTable, believable, counts_in
from taximeter.extract.flavour import JSON_LINES, Flavour, error_type, free, route
from taximeter.extract.lines import LineFraming
from taximeter.extract.payload import Payload, characters, count, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.stream import StreamState

_COUNTS: Final[CountTable] = {"": {"prompt_eval_count": "input_tokens", "eval_count": "output_tokens"}}


def read_chat_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    return RequestFacts(
        operation="chat",
        model=text(body.get("model")),
        stream=body.get("stream") is not False,
        max_output_tokens=count(mapping(body.get("options")).get("num_predict")),
        input_characters=sum(characters(body.get(key)) for key in ("messages", "tools", "system", "prompt", "suffix")),
    )


def read_generate_request(body: Payload) -> RequestFacts:
    return replace(read_chat_request(body), operation="text_completion")


def read_embed_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    size = characters(body.get("input")) + characters(body.get("prompt"))
    return RequestFacts(operation="embeddings", model=text(body.get("model")), input_characters=size)


def read_answer(status: int, payload: object) -> Reading:
    error = error_type(status, payload)
    if status >= 400:
        return Reading(error_type=error, not_billed=True, finished=isinstance(payload, Mapping))
    if not isinstance(payload, Mapping):
        return NOTHING_READ
    usage, conflict = believable(counts_in(payload, _COUNTS), {})
    return Reading(
        response_model=text(payload.get("model")),
        usage=usage,
        usage_conflict=conflict,
        not_billed=error is not None and not usage.known,
        error_type=error,
        finished=payload.get("done") is not False,
        output_characters=0 if usage.known else _written(payload),
    )


def read_embed_answer(status: int, payload: object) -> Reading:
    """An embedding writes nothing."""
    reading = read_answer(status, payload)
    if reading.usage.input_tokens is None:
        return reading
    return replace(reading, usage=replace(reading.usage, output_tokens=0, reasoning_tokens=None))


def _written(line: Payload) -> int:
    message = mapping(line.get("message"))
    texts = (
        line.get("response"),
        line.get("thinking"),
        *(message.get(k) for k in ("content", "thinking", "tool_calls")),
    )
    return sum(characters(each) for each in texts)


class Lines:
    """Lines of an answer; each is one, with what is known so far."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._told = NOTHING_READ
        self._characters = 0
        self.content_started = False
        self.finished = False

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        told = read_answer(200, event)
        model = told.response_model or self._told.response_model
        self._told = replace(told, response_model=model, error_type=told.error_type or self._told.error_type)
        self.finished = self.finished or event.get("done") is True
        self._characters += _written(event)
        self.content_started = self.content_started or self._characters > 0

    def reading(self) -> Reading:
        told = self._told
        not_billed = told.error_type is not None and not told.usage.known and not self.content_started
        return replace(told, not_billed=not_billed, finished=self.finished, output_characters=self._characters)


def _stream(request: RequestFacts | None) -> StreamState:
    return Lines(request)


CHAT: Final = Flavour(
    name="ollama.chat",
    operation="chat",
    read_request=read_chat_request,
    read_body=read_answer,
    open_stream=_stream,
    open_framing=LineFraming,
    streamed_as=JSON_LINES,
)
GENERATE: Final = replace(CHAT, name="ollama.generate", operation="text_completion", read_request=read_generate_request)
EMBED: Final = Flavour(
    name="ollama.embed", operation="embeddings", read_request=read_embed_request, read_body=read_embed_answer
)

ROUTES: Final = (
    route("POST", "api/chat", CHAT),
    route("POST", "api/generate", GENERATE),
    route("POST", "api/embed(?:dings)?", EMBED),
    route("POST", "api/(?:show|pull|push|create|copy)", free("ollama.models")),
    route("GET", "api/(?:tags|ps|version)", free("ollama.models")),
)
