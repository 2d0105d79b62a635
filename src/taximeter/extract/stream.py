"""Reading a stream while it flows: framing, decoding, and a state that one provider's dialect keeps."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Protocol, Self, TypeAlias, runtime_checkable

from taximeter.extract.payload import Payload
from taximeter.extract.reading import Reading, RequestFacts
from taximeter.extract.sse import Frame, SseFraming

Decode: TypeAlias = Callable[[bytes], object]
"""A JSON decoder. It raises ValueError for what is not JSON; the standard library's and msgspec's both do."""


class StreamState(Protocol):
    """What one dialect gathers from the events of one stream. Its attributes are replaced, never mutated, so
    that a shallow copy stands for itself."""

    content_started: bool
    """Whether the first real content was seen."""

    @property
    def finished(self) -> bool:
        """Whether the terminal event was seen."""
        ...

    def skim(self, data: bytes, /) -> bool:
        """True when this raw event is dealt with: what it holds that matters was found without decoding it."""
        ...

    def take(self, event: Payload, /) -> None:
        """Take in one decoded event. Whatever is in it, nothing is raised."""
        ...

    def reading(self) -> Reading:
        """What is known so far."""
        ...


OpenStream: TypeAlias = Callable[[RequestFacts | None], StreamState]


@runtime_checkable
class Itemised(Protocol):
    """A state that gathers several calls."""

    def take_items(self) -> tuple[Reading, ...]: ...


class Framing(Protocol):
    """Cuts bytes into frames and holds at most one unfinished frame."""

    @property
    def pending(self) -> bool: ...

    def feed(self, chunk: bytes) -> list[Frame]: ...

    def unfinished(self) -> Frame | None: ...


class EndedFraming:
    """The framing of a stream that is over."""

    pending = False

    def feed(self, _: bytes, /) -> list[Frame]:
        return []

    def unfinished(self) -> Frame | None:
        return None


class StreamReader:
    """Reads one stream: `feed` bytes from the wire, or `feed_event` what a client library has parsed already.

    Nothing is raised whatever comes, and at most one event is held (`LONGEST_EVENT_BYTES`). `reading()` may be
    asked at any time; a stream that breaks off has then said what it could.
    """

    __slots__ = ("_decode", "_framing", "_state")

    def __init__(self, state: StreamState, *, framing: Framing | None = None, decode: Decode = json.loads) -> None:
        self._state = state
        self._framing: Framing = SseFraming() if framing is None else framing
        self._decode = decode

    @property
    def content_started(self) -> bool:
        """Whether the first real content was seen: for the time to the first token. Of several calls, of the one that
        is under way."""
        return self._state.content_started

    @property
    def finished(self) -> bool:
        """Whether the terminal event was seen (`[DONE]`, `message_stop`, `response.completed`, ...).

        Cheap, for asking after every chunk: once it is True, nothing follows that counts. When the stream is over,
        ask `reading().finished`: it also counts a last event without its closing blank line, and an OpenAI stream
        whose choices have all stopped without `[DONE]`.
        """
        return self._state.finished

    def feed(self, chunk: bytes) -> None:
        """Bytes as they came, cut anywhere."""
        for _, data in self._framing.feed(chunk):
            self._take_raw(data)

    def feed_event(self, event: Payload) -> None:
        """One event as an object."""
        self._state.take(event)

    def take_items(self) -> tuple[Reading, ...]:
        """The calls read since this was last asked, when the answer holds several (`Flavour.several`).

        Ask after every chunk, and once more after `end()`: what was taken is not held any longer.
        """
        return self._state.take_items() if isinstance(self._state, Itemised) else ()

    def end(self) -> None:
        """The stream is over: a last event without its closing line counts now."""
        if self._framing.pending:
            self._state = self._ended_here()
            self._framing = EndedFraming()

    def reading(self) -> Reading:
        """What is known so far. A last event without its closing blank line counts when it is whole."""
        state = self._ended_here() if self._framing.pending else self._state
        return state.reading()

    def _ended_here(self) -> StreamState:
        """The state as if the stream ended here."""
        twin = self._twin()
        frame = self._framing.unfinished()
        if frame is not None:
            twin._take_raw(frame[1])
        return twin._state

    def _twin(self) -> Self:
        return type(self)(copy.copy(self._state), framing=self._framing, decode=self._decode)

    def _take_raw(self, data: bytes) -> None:
        if self._state.skim(data):
            return
        try:
            event = self._decode(data)
        except (ValueError, RecursionError):
            return  # not JSON, cut off, or nested beyond reason: there is nothing in it for us
        if isinstance(event, dict):
            self._state.take(event)
