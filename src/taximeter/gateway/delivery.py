"""An answer on its way to the client: the very bytes, read along."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from taximeter.core.cost import Cost
from taximeter.core.money import format_usd
from taximeter.extract import Reading
from taximeter.gateway.call import NOTHING_READ
from taximeter.gateway.client import Client
from taximeter.gateway.heads import OURS
from taximeter.gateway.passage import Passage
from taximeter.gateway.polled import Poll, PollReader
from taximeter.gateway.providers import Mount
from taximeter.gateway.record import EMPTY, UNREADABLE, Record
from taximeter.gateway.refusals import Refusal
from taximeter.gateway.sniffing import BegunAnswer, begins_as_json, is_untold
from taximeter.gateway.tap import StreamTap, read_json
from taximeter.gateway.tools import Tools
from taximeter.gateway.upstream import STATUSES_WITHOUT_BODY, Answer, Headers, Origin, UpstreamFailure

TURNS_OF_LAST_LOOK: Final = 3
"""Turns of the event loop in which it takes from a connection what lies there unread."""

COST_HEADER: Final = OURS + b"cost-usd"

_WITH_COST: Final = frozenset({200, 201, 202})


def _grows(record: Record, status: int, told: Mapping[bytes, bytes]) -> bool:
    """Whether a stream was asked for and comes as JSON, piece by piece: Gemini's array of chunks, without `alt=sse`."""
    flavour = record.call.flavour
    if flavour is None or flavour.open_growing is None or not record.call.facts.stream:
        return False
    return status == 200 and b"content-length" not in told


class StreamCut(Exception):  # noqa: N818 - it is a decision
    """What was held for a stream is used up, and more is refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class DrainedEnough(Exception):  # noqa: N818 - it is a decision
    """What is drained for a client that has left has become too much."""


class Delivery:
    """Hands one answer on. `record` is None for an answer that is no call's; `poll` is what it may tell of others."""

    __slots__ = ("_client", "_drained_bytes", "_mount", "_poll", "_record", "_tap", "_told", "_tools")

    def __init__(self, tools: Tools, client: Client, mount: Mount, record: Record | None, poll: Poll | None) -> None:
        self._tools = tools
        self._client = client
        self._mount = mount
        self._record = record
        self._poll = None if poll is None else PollReader(tools, poll)
        self._tap: StreamTap | None = None
        self._told: Mapping[bytes, bytes] = {}
        self._drained_bytes = 0

    @property
    def origin(self) -> Origin:
        """Whose answer it is."""
        return self._mount.origin

    async def hand_on(self, answer: Answer, told: Mapping[bytes, bytes], headers: Headers) -> None:
        """All of it. `told` are its headers, `headers` those for the client without framing. Raises DrainedEnough."""
        self._told = told
        record = self._record
        if record is None:
            if self._poll is not None:
                self._poll.begin(answer)
            await self._pass_through(answer, headers)
            return
        media_type = self._told.get(b"content-type", b"").lower()
        flavour = record.call.flavour
        if flavour is not None and flavour.streams(media_type.decode("latin-1")):
            await self._stream(record, answer, headers)
        elif media_type.find(b"json") >= 0:  # `in` on bytes makes an exception first
            if _grows(record, answer.status, told):
                await self._stream(record, answer, headers, growing=True)
            else:
                await self._whole(record, answer, headers)
        elif flavour is not None and is_untold(media_type):
            await self._sniffed(record, answer, headers)
        else:
            await self._pass_through(answer, headers)

    async def _sniffed(self, record: Record, answer: Answer, headers: Headers) -> None:
        """An answer that may be anything: JSON, a stream that was asked for, or something that is not read."""
        try:
            beginning = b"" if answer.ended() else await answer.chunk()
        except UpstreamFailure as failure:
            record.end("interrupted", NOTHING_READ, error_type=failure.kind)
            await self._broken_off(answer, headers, b"")
            return
        begun = BegunAnswer(answer, beginning)
        packed = self._told.get(b"content-encoding") not in (None, b"identity")
        if record.call.facts.stream and (packed or not begins_as_json(beginning)):
            await self._stream(record, begun, headers)
        elif packed or begins_as_json(beginning):
            await self._whole(record, begun, headers)
        else:
            await self._pass_through(begun, headers)

    # ── answers that are not read ────────────────────────────────────────────────────────────────────────

    async def _pass_through(self, answer: Answer, headers: Headers, beginning: bytes = b"") -> None:
        record, poll = self._record, self._poll
        length = self._told.get(b"content-length")
        if length is not None and answer.status not in STATUSES_WITHOUT_BODY:
            headers.append((b"content-length", length))
        await self._client.start(answer.status, headers)
        chunk = beginning
        try:
            while not answer.ended():
                if chunk:
                    await self._client.part(chunk, more=True)
                chunk = await answer.chunk()
                if poll is not None:
                    poll.feed(chunk)
                    if poll.finished:  # whoever leaves now has it all
                        await poll.count()
        except UpstreamFailure as failure:
            if record is not None:
                record.end("interrupted", NOTHING_READ, error_type=failure.kind)
            return
        if record is not None:
            record.end_as_answered(self._read_status(record, answer))
        if poll is not None:
            await poll.count()
        await self._client.part(chunk, more=False)

    def _read_status(self, record: Record, answer: Answer) -> Reading:
        """What the status alone says of an answer that is not read."""
        flavour = record.call.flavour
        if flavour is None or answer.status < 400:
            return NOTHING_READ
        return self._tools.guard("answer_unread", flavour.read_answer, answer.status, None) or NOTHING_READ

    # ── whole answers ────────────────────────────────────────────────────────────────────────────────────

    async def _whole(self, record: Record, answer: Answer, headers: Headers) -> None:
        parts: list[bytes] = []
        size_bytes = 0
        try:
            while not answer.ended():
                chunk = await answer.chunk()
                parts.append(chunk)
                size_bytes += len(chunk)
                if size_bytes > self._tools.settings.tap_limit_bytes:
                    self._tools.guard.count("answer_too_large")
                    await self._pass_through(answer, headers, b"".join(parts))
                    return
        except UpstreamFailure as failure:
            record.end("interrupted", NOTHING_READ, error_type=failure.kind)
            await self._broken_off(answer, headers, b"".join(parts))
            return
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        reading = self._tools.guard("answer_unread", self._read_whole, record, answer, body)
        event = record.end_as_answered(reading or NOTHING_READ)
        if event is not None and self._tools.price is not None:
            cost = self._tools.guard("cost_header", self._tools.price, event)
            if isinstance(cost, Cost):
                headers.append((COST_HEADER, format_usd(cost.total).encode()))
        if answer.status not in STATUSES_WITHOUT_BODY:
            headers.append((b"content-length", b"%d" % len(body)))
        await self._client.answer(answer.status, headers, body)

    def _read_whole(self, record: Record, answer: Answer, body: bytes) -> Reading:
        flavour = record.call.flavour
        if flavour is None:
            return NOTHING_READ
        payload = read_json(body, self._told.get(b"content-encoding"), self._tools.settings.tap_limit_bytes)
        if payload is None and flavour.billed and answer.status in _WITH_COST:
            if not body:
                return EMPTY
            if b"json" in self._told.get(b"content-type", b"").lower():
                return UNREADABLE
        if flavour.read_headers is None:
            return flavour.read_answer(answer.status, payload)
        as_text = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        return flavour.read_answer(answer.status, payload, as_text)

    async def _broken_off(self, answer: Answer, headers: Headers, beginning: bytes) -> None:
        """Hand on the part that came, and break off as the provider did."""
        length = self._told.get(b"content-length")
        if length is not None:
            headers.append((b"content-length", length))
        await self._client.start(answer.status, headers)
        await self._client.part(beginning, more=True)

    # ── streams ──────────────────────────────────────────────────────────────────────────────────────────

    async def _stream(self, record: Record, answer: Answer, headers: Headers, *, growing: bool = False) -> None:
        """`growing`: it is JSON, which nobody can end but its provider."""
        call, guard = record.call, self._tools.guard
        encoding = self._told.get(b"content-encoding")
        if call.flavour is not None:
            limit = self._tools.settings.tap_limit_bytes
            self._tap = guard("stream_unread", StreamTap, call.flavour, call.facts, encoding, limit, growing)
        plain = encoding in (None, b"identity") and not growing
        passage = Passage(guard, record) if plain and (call.asked_for_usage or record.hold) else None
        length = self._told.get(b"content-length")
        if length is not None and passage is None and record.hold is None:
            headers.append((b"content-length", length))
        await self._client.start(answer.status, headers)
        try:
            await self._chunks(record, answer, passage)
        except UpstreamFailure as failure:
            record.break_off("interrupted", self.read_so_far(), error_type=failure.kind)
            if passage is not None:
                await self._client.part(passage.broken_off(), more=True)
        except StreamCut as cut:
            await self._last_look(answer)
            record.end("interrupted", self.read_so_far(), error_type=cut.refusal.code, estimate=True)
            answer.close()
            words = b"" if passage is None else passage.last_words(cut.refusal, record) or self._error(cut.refusal)
            await self._client.part(words, more=passage is None)

    async def _last_look(self, answer: Answer) -> None:
        """Count what the provider had written, and bills, when its stream was cut. The client does not get it."""
        for _ in range(TURNS_OF_LAST_LOOK):
            await asyncio.sleep(0)
        with suppress(TimeoutError, UpstreamFailure):
            async with asyncio.timeout(0):  # waits for nothing: what is there is there
                while self._tap is not None and not answer.ended():
                    self._tools.guard("stream_unread", self._tap.feed, await answer.chunk())

    def _error(self, refusal: Refusal) -> bytes:
        return self._mount.kind.stream_error(refusal.status, refusal.code, refusal.message)

    async def _chunks(self, record: Record, answer: Answer, passage: Passage | None) -> None:
        tools, client = self._tools, self._client
        clock, progress_seconds = tools.clock, tools.settings.progress_seconds
        progress_due = clock.monotonic() + progress_seconds
        while not answer.ended():
            chunk = await answer.chunk()
            now = clock.monotonic()
            if chunk:
                self._read_along(record, chunk, now)
                await self._extend(record, chunk)
            if answer.ended():
                self._end_of_stream(record, answer)
            if self._drained(chunk):
                continue
            if passage is not None:
                chunk = passage.feed(chunk, last=answer.ended())
            if chunk or answer.ended():
                await client.part(chunk, more=not answer.ended())
            if now >= progress_due and not record.ended:
                progress_due = now + progress_seconds
                tools.guard("progress", record.progress, self.read_so_far())

    def _drained(self, chunk: bytes) -> bool:
        """Whether nobody needs this any more. It is read all the same, for what it costs, within a bound.

        Raises DrainedEnough.
        """
        if not self._client.gone:
            return False
        self._drained_bytes += len(chunk)
        if self._drained_bytes > self._tools.settings.drain_limit_bytes:
            raise DrainedEnough
        return not self._client.keeps

    async def _extend(self, record: Record, chunk: bytes) -> None:
        """Hold more for a stream that flows. Raises StreamCut."""
        hold = record.hold
        if hold is None or record.ended or not hold.leased:
            return
        held, reading = hold.held, self.read_so_far()
        refusal = await self._tools.guard.awaited("not_extended", hold.flows(chunk, reading))
        if refusal is not None:
            raise StreamCut(refusal)
        if hold.held != held:
            self._tools.guard("progress", record.progress, reading)

    def _read_along(self, record: Record, chunk: bytes, now: float) -> None:
        tap, call = self._tap, record.call
        if tap is None or record.ended:
            return
        if self._tools.guard("stream_unread", tap.feed, chunk) is None:
            self._tap = None
            return
        if call.first_token_at is None and tap.content_started:
            call.first_token_at = now
        if tap.finished:
            record.end_as_answered(self.read_so_far())

    def _end_of_stream(self, record: Record, answer: Answer) -> None:
        """The stream has ended by itself. If only the connection says so, and the dialect does not, it was cut.

        One that we failed to read is taken at its framing's word.
        """
        reading = self.read_so_far()
        told = reading.finished or reading.error_type is not None
        if told or answer.status >= 400 or (answer.framed and self._tap is None):
            record.end_as_answered(reading)
        else:
            record.break_off("interrupted", reading, error_type="closed_early")

    def read_so_far(self) -> Reading:
        if self._tap is None:
            return NOTHING_READ
        return self._tools.guard("stream_unread", self._tap.reading) or NOTHING_READ
