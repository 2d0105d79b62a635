"""OpenAI's realtime protocol over websockets, also at Azure and xAI: a line is one event of the server."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from taximeter.extract import openai_media
from taximeter.extract.flavour import free, route
from taximeter.extract.openai import usage_in
from taximeter.extract.payload import Payload, mapping, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.sessions import session
from taximeter.extract.several import SeveralCalls, plus

_TRANSCRIPT: Final = "conversation.item.input_audio_transcription.completed"


def read_request(body: Payload) -> RequestFacts:
    """The handshake says nothing that is read here; a session's model comes with its first event."""
    return RequestFacts(operation="realtime", model=text(mapping(body).get("model")), stream=True)


class Session(SeveralCalls):
    """A session: each `response.done` is a call. What another model transcribed is an item outside their sum."""

    finished = False

    def __init__(self, request: RequestFacts | None = None) -> None:
        super().__init__()
        self._model = None if request is None else request.model
        self._transcriber: str | None = None
        self._transcripts = NOTHING_READ
        self._responds = False
        self._running = 0
        self._characters = 0

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        kind = event.get("type")
        if kind in ("session.created", "session.updated", "transcription_session.updated"):
            self._take_session(mapping(event.get("session")))
        elif kind == "response.created":
            self._responds = True
            self._running += 1
        elif kind == "response.done":
            self._take_response(event)
        elif kind == _TRANSCRIPT:
            self._take_transcript(event)
        elif isinstance(kind, str) and kind.startswith("response.") and kind.endswith(".delta"):
            self._take_delta(kind, event.get("delta"))

    def _take_session(self, session: Payload) -> None:
        self._model = text(session.get("model")) or self._model
        audio = mapping(mapping(session.get("audio")).get("input"))
        heard = mapping(audio.get("transcription") or session.get("input_audio_transcription"))
        self._transcriber = text(heard.get("model")) or self._transcriber

    def _take_delta(self, kind: str, delta: object) -> None:
        self.content_started = True
        if "audio.delta" not in kind and isinstance(delta, str):
            self._characters += len(delta)

    def _take_response(self, event: Payload) -> None:
        self._responds = True
        self._running = max(self._running - 1, 0)
        response = mapping(event.get("response"))
        # xAI leaves the usage in the response empty and puts it beside.
        usage, conflict = usage_in(mapping(response.get("usage")) or mapping(event.get("usage")), {})
        failure = mapping(mapping(response.get("status_details")).get("error"))
        error = text(failure.get("type")) or text(failure.get("code"))
        item = Reading(
            response_model=self._model,
            usage=usage,
            usage_conflict=conflict,
            not_billed=error is not None and not usage.known,
            response_id=text(response.get("id")),
            error_type=error,
            finished=True,
            output_characters=0 if usage.known else self._characters,
        )
        self._characters = 0
        self.add(item)

    def _take_transcript(self, event: Payload) -> None:
        told = openai_media.read_transcription(200, {"model": self._transcriber, "usage": event.get("usage")})
        if told.usage.known:
            self._transcripts = plus(self._transcripts, told)
            self.add(replace(told, usage_id=text(event.get("item_id"))), counts=False)

    def reading(self) -> Reading:
        """A session has no end of its own: it is `finished` when no response is under way. `output_characters` is
        the text of one that is."""
        told = super().reading()
        if not self._responds:
            told = replace(self._transcripts, items=told.items)  # a session that only transcribes
        return replace(
            told,
            response_model=told.response_model or self._model,
            finished=self._running == 0,
            output_characters=self._characters,
        )


REALTIME: Final = session("openai.realtime", read_request, Session, several=True)

ROUTES: Final = (
    route("GET", "realtime", REALTIME),
    route(
        "POST",
        "realtime/(?:(?:translations/)?client_secrets|sessions|transcription_sessions)",
        free("openai.realtime.sessions", charged_later=True),
    ),
)
