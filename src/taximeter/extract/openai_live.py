"""OpenAI's voice (GPT-Live) over websockets, also at Azure: billed by time; what it delegates is beside."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, Self

from taximeter.core.usage import NOTHING_COUNTED, Usage
from taximeter.extract.flavour import Flavour, error_type, free, route
from taximeter.extract.openai import ResponsesStream, read_decisions_answer
from taximeter.extract.payload import Payload, mapping, text, usd
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.sessions import session
from taximeter.extract.several import plus

MOST_DELEGATIONS: Final = 100
"""Delegated responses under way at a time; the events of further ones are passed over."""

MOST_SESSIONS: Final = 4_096
"""Sessions whose seconds are remembered; the oldest are forgotten first."""

_SECONDS: Final = "audio_seconds"

_TELLING: Final = frozenset({"session.started", "session.updated", "session.usage.updated", "session.closed"})
_HEARD: Final = frozenset({"session.output_audio.delta", "session.output_transcript.delta"})


def read_request(body: Payload) -> RequestFacts:
    """The client's first message (`session.start`) names the model; the address says nothing."""
    body = mapping(body)
    model = text(mapping(body.get("session")).get("model")) or text(body.get("model"))
    return RequestFacts(operation="realtime", model=model, stream=True)


class LiveSession:
    """A session: its seconds so far, told again and again, and the calls of the models that it delegates to.

    It is one call from its start to its end, and counts with the seconds that were last told when it is cut off.
    """

    def __init__(self, request: RequestFacts | None = None) -> None:
        self._model = None if request is None else request.model
        self._id: str | None = None
        self._started = False
        self._error: str | None = None
        self._seconds: Decimal | None = None
        self._delegated = NOTHING_READ
        self._under_way: dict[str, ResponsesStream] = {}
        self.content_started = False
        self.finished = False

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin._under_way = {delegation: copy.copy(stream) for delegation, stream in self._under_way.items()}
        return twin

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        kind = event.get("type")
        if kind in _TELLING:
            self._take_session(mapping(event.get("session")), mapping(event.get("usage")))
            self.finished = kind == "session.closed"
        elif kind == "error" and not self._started:  # later ones do not end a session
            self._error = error_type(200, event) or "error"
            self.finished = True
        elif kind == "response.event":
            self._take_response(text(event.get("delegation_id")) or "", mapping(event.get("event")))
        elif kind == "decision.event":
            decision = mapping(event.get("event")).get("decision")
            if isinstance(decision, Mapping):
                self._delegated = plus(self._delegated, read_decisions_answer(200, decision))
        elif kind in _HEARD:
            self.content_started = True

    def _take_session(self, session: Payload, usage: Payload) -> None:
        self._started = True
        self._model = text(session.get("model")) or self._model
        self._id = text(session.get("id")) or self._id
        seconds = usd(usage.get("seconds"))
        if seconds is not None and seconds >= 0:
            self._seconds = max(seconds, self._seconds or seconds)

    def _take_response(self, delegation: str, event: Payload) -> None:
        """An event of a delegated response. Those that repeat the response leave what it wrote empty."""
        stream = self._under_way.get(delegation)
        if stream is None:
            if len(self._under_way) >= MOST_DELEGATIONS:
                return
            stream = self._under_way[delegation] = ResponsesStream()
        response = event.get("response")
        if isinstance(response, Mapping) and not response.get("output"):
            event = {**event, "response": {key: told for key, told in response.items() if key != "output"}}
        stream.take(event)
        if stream.finished:
            del self._under_way[delegation]
            told = stream.reading()
            if told.usage.known:
                self._delegated = plus(self._delegated, told)

    def reading(self) -> Reading:
        spoken = NOTHING_COUNTED if self._seconds is None else Usage(units={_SECONDS: self._seconds})
        told, delegated = Reading(usage=spoken, response_model=self._model), self._delegated
        if spoken.known and delegated.usage.known:
            told = plus(told, delegated)
        elif delegated.usage.known:
            told = delegated
            told = replace(told, by_model=told.by_model or ((told.response_model or "", told.usage),))
        return replace(
            told,
            response_model=self._model,
            not_billed=self._error is not None and not self._started,
            response_id=self._id,
            error_type=self._error,
            finished=self.finished,
        )


class CountedSeconds:
    """The seconds that sessions were counted with: a memory of one process.

    A server attaches to a session that is under way elsewhere, and again after a break; each connection is told all the
    seconds of the session so far. What one was counted with is not counted again for another.

    https://developers.openai.com/api/docs/guides/voice-server-controls
    """

    def __init__(self) -> None:
        self._seconds: OrderedDict[tuple[str, str], Decimal] = OrderedDict()

    def rest(self, provider: str, flavour: Flavour, told: Reading) -> Reading:
        """What a connection that has ended adds to those before it. `flavour` is that of its address."""
        seconds, session = told.usage.units.get(_SECONDS), flavour.usage_id or told.response_id
        if flavour.name != LIVE.name or session is None or seconds is None:
            return told
        before = self._seconds.get((provider, session), Decimal(0))
        self._seconds[provider, session] = max(before, Decimal(seconds))
        if len(self._seconds) > MOST_SESSIONS:
            self._seconds.popitem(last=False)
        return _without(told, min(before, Decimal(seconds))) if before else told


def _without(told: Reading, seconds: Decimal) -> Reading:
    usage = _shorter(told.usage, seconds)
    shares = tuple((model, left) for model, share in told.by_model if (left := _shorter(share, seconds)).known)
    return replace(told, usage=usage, by_model=shares, not_billed=told.not_billed or not usage.known)


def _shorter(usage: Usage, seconds: Decimal) -> Usage:
    if _SECONDS not in usage.units:
        return usage
    others = {unit: amount for unit, amount in usage.units.items() if unit != _SECONDS}
    left = usage.units[_SECONDS] - seconds
    return replace(usage, units={**others, _SECONDS: left} if left else others)


LIVE: Final = session("openai.live", read_request, LiveSession)

ROUTES: Final = (
    route("GET", "live/sessions(?:/(?P<usage_id>[^/]+)/attach|/[^/]+/fork)?", LIVE),
    route("POST", "live/sessions/[^/]+/(?:accept|hangup|refer|reject)", free("openai.live.calls")),
)
