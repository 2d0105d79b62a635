"""What of a stream goes on to its client: all of it, but for what the client did not ask for, and in whole events where
we may have to end it ourselves."""

from __future__ import annotations

from taximeter.core.usage import NOTHING_COUNTED
from taximeter.gateway.guard import Guard
from taximeter.gateway.record import Record
from taximeter.gateway.refusals import Refusal, Shortened
from taximeter.gateway.shortening import shortenable
from taximeter.gateway.stream_usage import UsageWithholder


class Passage:
    """One stream. `record` is its call's, begun."""

    __slots__ = ("_guard", "_shortenable", "_withholder")

    def __init__(self, guard: Guard, record: Record) -> None:
        call, hold = record.call, record.hold
        self._guard = guard
        self._withholder = UsageWithholder() if call.asked_for_usage else None
        told = call.facts.asks_for_stream_usage and not call.asked_for_usage
        leased = call.flavour is not None and hold is not None and hold.leased
        self._shortenable = shortenable(call.flavour.name, told) if leased and call.flavour is not None else None

    def feed(self, chunk: bytes, *, last: bool) -> bytes:
        """What goes on of a chunk. `last`: nothing comes after it."""
        if self._withholder is not None:
            chunk = self._withholder.feed(chunk) + (self._withholder.end() if last else b"")
        stream = self._shortenable
        if stream is None:
            return chunk
        chunk = stream.feed(chunk)
        if not stream.lost:
            stream.lost = not self._guard("stream_unfollowed", stream.follow, chunk)
        return chunk + stream.end() if last else chunk

    def broken_off(self) -> bytes:
        """What was held back of a stream that its provider broke off."""
        held = b"" if self._withholder is None else self._withholder.end()
        return held if self._shortenable is None else self._shortenable.feed(held) + self._shortenable.end()

    def last_words(self, refusal: Refusal, record: Record) -> bytes:
        """What ends a stream that is shortened; empty where its protocol has no such end."""
        if self._shortenable is None or not isinstance(refusal, Shortened):
            return b""
        usage = NOTHING_COUNTED if record.event is None else record.event.usage
        return self._guard("stream_unshortened", self._shortenable.shortened, usage) or b""
