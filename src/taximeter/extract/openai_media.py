"""OpenAI's endpoints for pictures and sound, and what compatible hosts offer beside them (OCR)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from taximeter.extract import openai
from taximeter.extract.flavour import Flavour, ReadAnswer, error_type, route
from taximeter.extract.payload import Payload, characters, count, mapping, text, usd
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.stream import OpenStream, StreamState

_ENDS: Final = (
    *("transcript.text.done", "transcription.done", "speech.audio.done"),  # the second is Mistral's
    *("image_generation.completed", "image_edit.completed"),
)
_TEXTS: Final = ("transcript.text.delta", "transcript.text.segment", "transcription.text.delta")
_PIECES: Final = ("speech.audio.delta", "image_generation.partial_image", "image_edit.partial_image")


def _request(body: Payload, operation: str) -> RequestFacts:
    """Facts of a JSON body, or of the fields of a form with a file in it."""
    body = mapping(body)
    return RequestFacts(
        operation=operation,
        model=text(body.get("model")),
        stream=body.get("stream") in (True, "true"),
        input_characters=characters(body.get("prompt")) + characters(body.get("input")),
    )


def read_image_request(body: Payload) -> RequestFacts:
    return _request(body, "image_generation")


def read_speech_request(body: Payload) -> RequestFacts:
    return _request(body, "text_to_speech")


def read_transcription_request(body: Payload) -> RequestFacts:
    return _request(body, "transcription")


def read_ocr_request(body: Payload) -> RequestFacts:
    return _request(body, "ocr")


def read_image_answer(status: int, payload: object) -> Reading:
    """Pictures: all output is picture unless the answer says otherwise."""
    reading = openai.read_chat_answer(status, payload)
    usage = reading.usage
    if usage.output_tokens and usage.output_image_tokens is None:
        return replace(reading, usage=replace(usage, output_image_tokens=usage.output_tokens))
    return reading


def read_transcription(status: int, payload: object) -> Reading:
    """A transcript, billed by tokens or by seconds of sound. Where no usage is told, its length may be (Groq)."""
    reading = openai.read_chat_answer(status, payload)
    transcript = mapping(payload)
    usage = mapping(transcript.get("usage"))
    seconds = usd(usage.get("seconds") if usage else transcript.get("duration"))
    if not seconds or usage.get("type") == "tokens" or reading.not_billed:
        return reading
    return _with_unit(reading, "audio_seconds", seconds)


def read_ocr_answer(status: int, payload: object) -> Reading:
    reading = openai.read_chat_answer(status, payload)
    pages = count(mapping(mapping(payload).get("usage_info")).get("pages_processed"))
    return reading if not pages or pages < 0 or reading.not_billed else _with_unit(reading, "pages", Decimal(pages))


def _with_unit(reading: Reading, unit: str, amount: Decimal) -> Reading:
    return replace(reading, usage=replace(reading.usage, units={**reading.usage.units, unit: amount}))


def read_speech_answer(status: int, payload: object) -> Reading:
    """Spoken text is sound, not JSON: only an error has something to read."""
    error = error_type(status, payload)
    if status >= 400:
        return Reading(error_type=error, not_billed=True, finished=isinstance(payload, Mapping))
    return NOTHING_READ


class MediaStream:
    """Pieces of a transcript, of a picture, of speech; the last event has the usage."""

    def __init__(self, read_end: ReadAnswer) -> None:
        self._read_end = read_end
        self._reading = NOTHING_READ
        self._error: str | None = None
        self._characters = 0
        self.content_started = False
        self.finished = False

    def skim(self, data: bytes, /) -> bool:
        return data == b"[DONE]"

    def take(self, event: Payload, /) -> None:
        event = mapping(event.get("data")) or event  # as Mistral's client library shows it
        kind = event.get("type")
        self._error = error_type(200, event) or self._error
        if kind in _ENDS:
            self._reading = self._read_end(200, event)
            self.finished = True
        elif kind in _TEXTS:
            written = event.get("delta", event.get("text"))
            self._characters += len(written) if isinstance(written, str) else 0
            self.content_started = self.content_started or self._characters > 0
        elif kind in _PIECES:
            self.content_started = True

    def reading(self) -> Reading:
        return replace(
            self._reading,
            error_type=self._error or self._reading.error_type,
            not_billed=self._error is not None and not self.content_started and not self._reading.usage.known,
            finished=self.finished,
            output_characters=self._characters,
        )


def _stream(read_end: ReadAnswer) -> OpenStream:
    def open_stream(_: RequestFacts | None) -> StreamState:
        return MediaStream(read_end)

    return open_stream


IMAGES: Final = Flavour(
    name="openai.images",
    operation="image_generation",
    read_request=read_image_request,
    read_body=read_image_answer,
    open_stream=_stream(read_image_answer),
)
TRANSCRIPTIONS: Final = Flavour(
    name="openai.audio.transcriptions",
    operation="transcription",
    read_request=read_transcription_request,
    read_body=read_transcription,
    open_stream=_stream(read_transcription),
)
SPEECH: Final = Flavour(
    name="openai.audio.speech",
    operation="text_to_speech",
    read_request=read_speech_request,
    read_body=read_speech_answer,
    open_stream=_stream(openai.read_chat_answer),
)
OCR: Final = Flavour(
    name="mistral.ocr",
    operation="ocr",
    read_request=read_ocr_request,
    read_body=read_ocr_answer,
)

_MEDIA: Final = (
    ("images(?:/(?:generations|edits|variations))?", IMAGES),
    ("audio/(?:transcriptions|translations)", TRANSCRIPTIONS),
    ("audio/speech", SPEECH),
)

ROUTES: Final = (
    # Azure names a deployment in the path.
    *(route("POST", f"deployments/(?P<model>[^/]+)/{path}", flavour) for path, flavour in _MEDIA),
    *(route("POST", path, flavour) for path, flavour in _MEDIA),
    route("POST", "ocr", OCR),
)
