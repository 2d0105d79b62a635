"""OpenAI's translation of speech over websockets, also at Azure: billed by the minute of sound."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from taximeter.core.usage import NOTHING_COUNTED, Usage
from taximeter.extract.flavour import error_type, route
from taximeter.extract.openai_realtime import read_request
from taximeter.extract.payload import Payload, count, mapping, text
from taximeter.extract.reading import Reading, RequestFacts
from taximeter.extract.sessions import session

_MILLISECOND: Final = Decimal("0.001")

_TRANSLATED: Final = frozenset({"session.output_audio.delta", "session.output_transcript.delta"})


class Translation:
    """A session: one call from its start to its end. Nothing in it tells its usage.

    Each piece of a translation says where in the sound it belongs (`elapsed_ms`, in steps of 200): the last place is
    how much was listened to at least, silence included, which goes on being translated.

    https://developers.openai.com/api/reference/resources/realtime/translation-server-events
    """

    def __init__(self, request: RequestFacts | None = None) -> None:
        self._model = None if request is None else request.model
        self._id: str | None = None
        self._error: str | None = None
        self._heard_ms = 0
        self.content_started = False
        self.finished = False

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        kind = event.get("type")
        if kind in ("session.created", "session.updated"):
            session = mapping(event.get("session"))
            self._model = text(session.get("model")) or self._model
            self._id = text(session.get("id")) or self._id
        elif kind == "session.closed":
            self.finished = True
        elif kind == "error":
            self._error = error_type(200, event) or "error"
        self._heard_ms = max(count(event.get("elapsed_ms")) or 0, self._heard_ms)
        self.content_started = self.content_started or kind in _TRANSLATED

    def reading(self) -> Reading:
        heard = Usage(units={"audio_seconds": self._heard_ms * _MILLISECOND}) if self._heard_ms else NOTHING_COUNTED
        began = self._id is not None or self.content_started  # later errors do not end a session
        return Reading(
            response_model=self._model,
            usage=heard,
            usage_estimated=heard.known,
            not_billed=self._error is not None and not began,
            response_id=self._id,
            error_type=None if began else self._error,
            finished=self.finished,
        )


TRANSLATION: Final = session("openai.realtime.translations", read_request, Translation)

ROUTES: Final = (route("GET", "realtime/translations", TRANSLATION),)
