"""Mistral beside OpenAI's protocol: conversations with agents, whose connectors read tokens of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from taximeter.extract import openai
from taximeter.extract.counts import units_in
from taximeter.extract.flavour import Flavour, route
from taximeter.extract.payload import Payload, characters, count, items, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.stream import StreamState

_CONNECTORS: Final = {
    "web_search": "web_searches",
    "web_search_premium": "news_searches",
    "code_interpreter": "code_interpreter_calls",
    "image_generation": "images",
    "document_library": "file_searches",
}


def read_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    return RequestFacts(
        operation="invoke_agent",
        model=text(body.get("model")),
        stream=body.get("stream") is True,
        max_output_tokens=count(mapping(body.get("completion_args")).get("max_tokens")),
        input_characters=sum(characters(body.get(key)) for key in ("inputs", "instructions", "tools")),
    )


def read_answer(status: int, payload: object) -> Reading:
    """A conversation's answer. What connectors read comes on top of the prompt.

    Its model is named by what it wrote: a request that goes to an agent names none.
    """
    answer = mapping(payload)
    usage = mapping(answer.get("usage"))
    connected = count(usage.get("connector_tokens"))
    if connected:
        usage = {**usage, "prompt_tokens": (count(usage.get("prompt_tokens")) or 0) + connected}
        answer = {**answer, "usage": usage}
    reading = openai.read_chat_answer(status, answer or payload)
    if reading.not_billed or not answer:
        return reading
    units = {**reading.usage.units, **units_in(usage.get("connectors"), _CONNECTORS)}
    written = 0 if reading.usage.known else characters(answer.get("outputs"))
    conversation = text(answer.get("conversation_id"))
    return replace(
        reading,
        response_model=reading.response_model or _writer(answer.get("outputs")),
        usage=replace(reading.usage, units=units),
        response_id=reading.response_id or conversation,
        output_characters=written,
    )


def _writer(outputs: object) -> str | None:
    """The model that wrote last, when agents handed the conversation on."""
    models = (text(mapping(output).get("model")) for output in reversed(items(outputs)))
    return next((model for model in models if model is not None), None)


def read_answer_if_any(status: int, payload: object) -> Reading:
    """The answer of a host that may keep conversations only, which costs nothing (OpenAI)."""
    reading = read_answer(status, payload)
    return reading if reading.usage.known else replace(reading, not_billed=True, output_characters=0)


class ConversationStream:
    """Events of a conversation; the last one has the usage."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._told = NOTHING_READ
        self._model: str | None = None
        self._characters = 0
        self.content_started = False
        self.finished = False

    def skim(self, data: bytes, /) -> bool:
        return data == b"[DONE]"

    def take(self, event: Payload, /) -> None:
        event = mapping(event.get("data")) or event  # as the client library shows it
        kind = event.get("type")
        self._model = text(event.get("model")) or self._model
        if kind in ("conversation.response.done", "conversation.response.error"):
            error = None if kind.endswith("done") else text(event.get("code")) or "error"
            self._told = replace(read_answer(200, event), error_type=error, response_id=self._told.response_id)
            self.finished = error is None
        elif kind == "conversation.response.started":
            self._told = Reading(response_id=text(event.get("conversation_id")))
        elif isinstance(kind, str) and kind.endswith(".delta"):
            self._characters += characters(event.get("content")) + characters(event.get("arguments"))
            self.content_started = self.content_started or self._characters > 0

    def reading(self) -> Reading:
        known = self._told.usage.known
        return replace(
            self._told,
            response_model=self._model or self._told.response_model,
            not_billed=self._told.error_type is not None and not known and not self.content_started,
            finished=self.finished,
            output_characters=self._characters,
        )


def _stream(request: RequestFacts | None) -> StreamState:
    return ConversationStream(request)


CONVERSATION: Final = Flavour(
    name="mistral.conversations",
    operation="invoke_agent",
    read_request=read_request,
    read_body=read_answer,
    open_stream=_stream,
)
_PATH: Final = "conversations(?:/[^/]+(?:/restart)?)?"

ROUTES: Final = (route("POST", _PATH, CONVERSATION),)
