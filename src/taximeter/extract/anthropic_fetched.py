"""Anthropic beside messages: results of batches, and the completions of old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from taximeter.extract import anthropic
from taximeter.extract.flavour import JSON_LINES, Flavour, error_type, free, route
from taximeter.extract.lines import LineFraming
from taximeter.extract.payload import Payload, characters, count, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.several import result_lines
from taximeter.extract.stream import StreamState


def read_fetch(_: Payload) -> RequestFacts:
    return RequestFacts(operation="chat")


def read_result(line: Payload) -> Reading | None:
    """A line of the results of a batch. What failed, was cancelled or expired is not charged for."""
    result = mapping(line.get("result"))
    if "custom_id" not in line or not result:
        return None
    if result.get("type") == "succeeded":
        reading = anthropic.read_answer(200, result.get("message"))
        return replace(reading, service_tier=reading.service_tier or "batch")
    error = error_type(200, mapping(result.get("error"))) or error_type(200, result) or text(result.get("type"))
    return Reading(service_tier="batch", error_type=error or "error", not_billed=True, finished=True)


# ── completions of old ───────────────────────────────────────────────────────────────────────────────────────


def read_completion_request(body: Payload) -> RequestFacts:
    body = mapping(body)
    return RequestFacts(
        operation="text_completion",
        model=text(body.get("model")),
        stream=body.get("stream") is True,
        max_output_tokens=count(body.get("max_tokens_to_sample")),
        input_characters=characters(body.get("prompt")),
    )


def read_completion(status: int, payload: object) -> Reading:
    """An answer without counts: only its text can be measured."""
    error = error_type(status, payload)
    if status >= 400 or not isinstance(payload, Mapping):
        return anthropic.read_answer(status, payload)
    return Reading(
        response_model=text(payload.get("model")),
        not_billed=error is not None,
        response_id=text(payload.get("id")),
        error_type=error,
        finished=True,
        output_characters=characters(payload.get("completion")),
    )


class CompletionStream:
    """Pieces of a completion; each repeats what is known."""

    def __init__(self, _: RequestFacts | None = None) -> None:
        self._told = NOTHING_READ
        self._characters = 0
        self.content_started = False
        self.finished = False

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        if event.get("type") == "ping":
            return
        told = read_completion(200, event)
        self._characters += told.output_characters
        self.content_started = self._characters > 0
        self.finished = self.finished or event.get("stop_reason") is not None
        self._told = replace(told, error_type=told.error_type or self._told.error_type)

    def reading(self) -> Reading:
        not_billed = self._told.error_type is not None and not self.content_started
        return replace(self._told, not_billed=not_billed, finished=self.finished, output_characters=self._characters)


def _completion_stream(request: RequestFacts | None) -> StreamState:
    return CompletionStream(request)


BATCH_RESULTS: Final = Flavour(
    name="anthropic.batch.results",
    operation="chat",
    read_request=read_fetch,
    read_body=anthropic.read_answer,
    open_stream=result_lines(read_result),
    open_framing=LineFraming,
    streamed_as=(*JSON_LINES, "application/binary", "application/octet-stream"),
    polled=True,
    several=True,
)
COMPLETE: Final = Flavour(
    name="anthropic.complete",
    operation="text_completion",
    read_request=read_completion_request,
    read_body=read_completion,
    open_stream=_completion_stream,
)

ROUTES: Final = (
    route("GET", "messages/batches/[^/]+/results", BATCH_RESULTS),
    route("GET", "messages/batches(?:/[^/]+)?", free("anthropic.batches")),
    route("POST", "messages/batches/[^/]+/cancel", free("anthropic.batches")),
    route("POST", "complete", COMPLETE),
)
