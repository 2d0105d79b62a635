"""One request on its way to the provider and its answer on the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from taximeter.clock import Clock
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.event import Status, UsageEvent
from taximeter.core.money import format_usd
from taximeter.extract import Reading, estimated_tokens
from taximeter.gateway.call import NOTHING_READ, Call, is_told_again
from taximeter.gateway.client import Client
from taximeter.gateway.guard import Guard
from taximeter.gateway.heads import OURS, answer_headers, first
from taximeter.gateway.identities import Identities
from taximeter.gateway.polled import FETCHED_AGAIN, Counted, Poll
from taximeter.gateway.providers import Mount
from taximeter.gateway.recorder import Recorder
from taximeter.gateway.refusals import upstream_failed
from taximeter.gateway.settings import GatewaySettings
from taximeter.gateway.sniffing import BegunAnswer, begins_as_json, is_untold
from taximeter.gateway.stream_usage import UsageWithholder
from taximeter.gateway.tap import StreamTap, read_json
from taximeter.gateway.upstream import Answer, Headers, Outgoing, Upstream, UpstreamFailure, read_to_end

Price = Callable[[UsageEvent], Cost | Unpriced]

EVENT_ID_HEADER: Final = OURS + b"event-id"
COST_HEADER: Final = OURS + b"cost-usd"

_NEVER_LEFT: Final = frozenset({"connect_failed", "connect_timeout", "tls_failed", "no_free_connection"})
"""Failures after which the provider has nothing to charge for."""

_REFUSED_FIELD: Final = frozenset({400, 422})
_QUESTION: Final = b"stream_options"

_WITHOUT_BODY: Final = frozenset({204, 304})
_WITHOUT_COST: Final = frozenset({204, *range(300, 400)})
"""Answers in which nothing was made: no content, and the way to somewhere else."""
_WITH_COST: Final = frozenset({200, 201, 202})

EMPTY: Final = Reading(error_type="empty_answer")
UNREADABLE: Final = Reading(error_type="unreadable_answer")
"""Answers that should have said what they cost. They may have cost it all the same."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every exchange works with."""

    upstream: Upstream
    recorder: Recorder
    price: Price | None
    clock: Clock
    settings: GatewaySettings
    guard: Guard
    identities: Identities
    counted: Counted


class Exchange:
    """Forwards one request. `call` is None for requests that are passed on without being recorded.

    The event is written before the last bytes of the answer go to the client: a gateway killed at any moment has
    either recorded an answered call, or left its begin record.
    """

    __slots__ = (
        "_answer",
        "_asking",
        "_call",
        "_client",
        "_ended",
        "_http_status",
        "_outgoing",
        "_poll",
        "_stopping",
        "_tap",
        "_task",
        "_timer",
        "_tools",
    )

    def __init__(
        self,
        tools: Tools,
        client: Client,
        call: Call | None,
        outgoing: Outgoing,
        asking: bytes | None = None,
        poll: Poll | None = None,
    ) -> None:
        """`asking` is the body of `outgoing` with the question for its usage in it, when that is to be asked.

        `poll` is what a request that is no call may tell of an earlier one.
        """
        self._poll = poll
        self._tools = tools
        self._client = client
        self._call = call
        self._outgoing: Outgoing | None = outgoing
        self._asking = asking
        self._answer: Answer | None = None
        self._tap: StreamTap | None = None
        self._http_status: int | None = None
        self._ended = call is None
        self._stopping = False
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, mount: Mount) -> None:
        """Forward the request and its answer. Raises Refusal when the provider did not answer."""
        self._task = asyncio.current_task()
        self._client.watch(self._hung_up)
        try:
            await self._forward(mount)
        except asyncio.CancelledError:
            if not self._stopping or self._task is None:
                self._end("interrupted", self._read_so_far(), error_type="gateway_stopped", estimate=True)
                raise
            self._task.uncancel()
            self._end("cancelled", self._read_so_far(), estimate=True)
        finally:
            self._client.close()
            if self._answer is not None:
                self._answer.close()
            if self._timer is not None:
                self._timer.cancel()

    # ── the caller hangs up ──────────────────────────────────────────────────────────────────────────────

    def _hung_up(self) -> None:
        settings = self._tools.settings
        if self._ended or settings.on_hangup == "cancel":
            self._stop()
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(settings.drain_timeout_seconds, self._stop)

    def _stop(self) -> None:
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    # ── there and back ───────────────────────────────────────────────────────────────────────────────────

    async def _forward(self, mount: Mount) -> None:
        try:
            self._answer = answer = await self._sent(mount)
        except UpstreamFailure as failure:
            self._end("error", NOTHING_READ, error_type=failure.kind, not_billed=failure.kind in _NEVER_LEFT)
            raise upstream_failed(failure.http_status, failure.kind, failure.message) from failure
        self._http_status = answer.status
        headers = answer_headers(answer.headers)
        if self._call is not None:
            headers.append((EVENT_ID_HEADER, self._call.event_id.encode()))
        if self._call is None:
            self._begin_poll(answer)
            await self._pass_through(answer, headers)
        else:
            self._call.is_answered(answer.headers)
            await self._hand_on(self._call, answer, headers)

    async def _hand_on(self, call: Call, answer: Answer, headers: Headers) -> None:
        media_type = (first(answer.headers, b"content-type") or b"").lower()
        flavour = call.flavour
        if flavour is not None and flavour.streams(media_type.decode("latin-1")):
            await self._stream(call, answer, headers)
        elif b"json" in media_type:
            await self._whole(call, answer, headers)
        elif flavour is not None and is_untold(media_type):
            await self._sniffed(call, answer, headers)
        else:
            await self._pass_through(answer, headers)

    async def _sniffed(self, call: Call, answer: Answer, headers: Headers) -> None:
        """An answer that may be anything: JSON, a stream that was asked for, or something that is not read."""
        try:
            beginning = b"" if answer.ended() else await answer.chunk()
        except UpstreamFailure as failure:
            self._end("interrupted", NOTHING_READ, error_type=failure.kind)
            await self._broken_off(answer, headers, b"")
            return
        begun = BegunAnswer(answer, beginning)
        packed = first(answer.headers, b"content-encoding") not in (None, b"identity")
        if call.facts.stream and (packed or not begins_as_json(beginning)):
            await self._stream(call, begun, headers)
        elif packed or begins_as_json(beginning):
            await self._whole(call, begun, headers)
        else:
            await self._pass_through(begun, headers)

    async def _sent(self, mount: Mount) -> Answer:
        """The provider's answer. Afterwards the request is forgotten: a stream may run for minutes.

        A provider that refuses the question for usage is asked again without it, and never with it any more.
        """
        outgoing, asking = self._outgoing, self._asking
        self._outgoing = self._asking = None
        assert outgoing is not None
        upstream, call = self._tools.upstream, self._call
        if asking is None or call is None:
            return await upstream.send(mount.origin, outgoing)
        answer = await upstream.send(mount.origin, replace(outgoing, body=asking))
        if answer.status not in _REFUSED_FIELD:
            return answer
        refusal = await read_to_end(answer)
        if _QUESTION not in refusal.body:
            return refusal
        mount.asks_for_usage = False
        call.asks_for_usage(False)
        return await upstream.send(mount.origin, outgoing)

    async def _pass_through(self, answer: Answer, headers: Headers, beginning: bytes = b"") -> None:
        """Hand on an answer that is not read."""
        length = first(answer.headers, b"content-length")
        if length is not None and answer.status not in _WITHOUT_BODY:
            headers.append((b"content-length", length))
        await self._client.start(answer.status, headers)
        chunk = beginning
        try:
            while not answer.ended():
                if chunk:
                    await self._client.part(chunk, more=True)
                chunk = await answer.chunk()
                self._poll_along(chunk)
        except UpstreamFailure as failure:
            self._end("interrupted", NOTHING_READ, error_type=failure.kind)
            return
        self._end_as_answered(self._read_status(answer))
        if self._poll is not None:
            await self._count(self._poll)
        await self._client.part(chunk, more=False)

    # ── what is told of earlier calls ────────────────────────────────────────────────────────────────────

    def _begin_poll(self, answer: Answer) -> None:
        poll = self._poll
        if poll is None:
            return
        content_type = (first(answer.headers, b"content-type") or b"").decode("latin-1")
        encoding = first(answer.headers, b"content-encoding")
        whole = answer.status == 200  # of a part (206) the lines cannot be counted
        if not whole or not self._tools.guard("poll_unread", poll.begin, content_type, encoding):
            self._poll = None

    def _poll_along(self, chunk: bytes) -> None:
        poll = self._poll
        if poll is not None and chunk and not self._tools.guard("poll_unread", poll.feed, chunk):
            self._poll = None

    async def _count(self, poll: Poll) -> None:
        """Write the events of what a poll told, unless they were written before."""
        guard, counted = self._tools.guard, self._tools.counted
        told = guard("poll_unread", poll.reading)
        if told is None:
            return
        usage_id = poll.usage_id(told)
        if counted.has(poll.provider, usage_id):
            return
        stored = bool(await self._tools.identities.stored(poll.event_ids(usage_id)))
        if stored or guard("event_unrecorded", self._write_polled, poll, told):
            counted.add(poll.provider, usage_id)

    def _write_polled(self, poll: Poll, told: Reading) -> bool:
        """Whether all of it was written; what was not is written when it is fetched again."""
        written = [self._tools.recorder.end(event) for event in poll.events(told)]
        for _ in range(written.count(False)):
            self._tools.guard.count("event_lost")
        return all(written)

    def _read_status(self, answer: Answer) -> Reading:
        """What the status alone says of an answer that is not read."""
        flavour = None if self._call is None else self._call.flavour
        if flavour is None or answer.status < 400:
            return NOTHING_READ
        return self._tools.guard("answer_unread", flavour.read_answer, answer.status, None) or NOTHING_READ

    # ── whole answers ────────────────────────────────────────────────────────────────────────────────────

    async def _whole(self, call: Call, answer: Answer, headers: Headers) -> None:
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
            self._end("interrupted", NOTHING_READ, error_type=failure.kind)
            await self._broken_off(answer, headers, b"".join(parts))
            return
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        reading = self._tools.guard("answer_unread", self._read_whole, call, answer, body)
        event = self._end_as_answered(reading or NOTHING_READ)
        if event is not None and self._tools.price is not None:
            cost = self._tools.guard("cost_header", self._tools.price, event)
            if isinstance(cost, Cost):
                headers.append((COST_HEADER, format_usd(cost.total).encode()))
        if answer.status not in _WITHOUT_BODY:
            headers.append((b"content-length", b"%d" % len(body)))
        await self._client.start(answer.status, headers)
        await self._client.part(body, more=False)

    def _read_whole(self, call: Call, answer: Answer, body: bytes) -> Reading:
        if call.flavour is None:
            return NOTHING_READ
        payload = read_json(body, first(answer.headers, b"content-encoding"), self._tools.settings.tap_limit_bytes)
        if payload is None and call.flavour.billed and answer.status in _WITH_COST:
            if not body:
                return EMPTY
            if b"json" in (first(answer.headers, b"content-type") or b"").lower():
                return UNREADABLE
        return call.flavour.read_answer(answer.status, payload)

    async def _broken_off(self, answer: Answer, headers: Headers, beginning: bytes) -> None:
        """Hand on the part that came, and break off as the provider did."""
        length = first(answer.headers, b"content-length")
        if length is not None:
            headers.append((b"content-length", length))
        await self._client.start(answer.status, headers)
        await self._client.part(beginning, more=True)

    # ── streams ──────────────────────────────────────────────────────────────────────────────────────────

    async def _stream(self, call: Call, answer: Answer, headers: Headers) -> None:
        encoding = first(answer.headers, b"content-encoding")
        limit = self._tools.settings.tap_limit_bytes
        flavour = call.flavour
        if flavour is not None:
            self._tap = self._tools.guard("stream_unread", StreamTap, flavour, call.facts, encoding, limit)
        withholder = UsageWithholder() if call.asked_for_usage and encoding in (None, b"identity") else None
        length = first(answer.headers, b"content-length")
        if length is not None and withholder is None:
            headers.append((b"content-length", length))
        await self._client.start(answer.status, headers)
        try:
            await self._chunks(call, answer, withholder)
        except UpstreamFailure as failure:
            self._end("interrupted", self._read_so_far(), error_type=failure.kind, estimate=True)
            if withholder is not None:
                await self._client.part(withholder.end(), more=True)

    async def _chunks(self, call: Call, answer: Answer, withholder: UsageWithholder | None) -> None:
        clock, client, drained_bytes = self._tools.clock, self._client, 0
        progress_due = clock.monotonic() + self._tools.settings.progress_seconds
        while not answer.ended():
            chunk = await answer.chunk()
            now = clock.monotonic()
            if chunk:
                self._read_along(call, chunk, now)
            if answer.ended():
                self._end_of_stream(answer)
            if client.gone:
                drained_bytes += len(chunk)
                if drained_bytes > self._tools.settings.drain_limit_bytes:
                    self._stop()
                continue
            if withholder is not None:
                chunk = withholder.feed(chunk) + (withholder.end() if answer.ended() else b"")
            if chunk or answer.ended():
                await client.part(chunk, more=not answer.ended())
            if now >= progress_due and not self._ended:
                progress_due = now + self._tools.settings.progress_seconds
                self._tools.guard("progress", self._progress, call)

    def _read_along(self, call: Call, chunk: bytes, now: float) -> None:
        tap = self._tap
        if tap is None or self._ended:
            return
        if self._tools.guard("stream_unread", tap.feed, chunk) is None:
            self._tap = None
            return
        if call.first_token_at is None and tap.content_started:
            call.first_token_at = now
        if tap.finished:
            self._end_as_answered(self._read_so_far())

    def _end_of_stream(self, answer: Answer) -> None:
        """The stream has ended by itself. If only the connection says so, and the dialect does not, it was cut.

        One that we failed to read is taken at its framing's word.
        """
        reading = self._read_so_far()
        told = reading.finished or reading.usage.known or reading.error_type is not None
        if told or answer.status >= 400 or (answer.framed and self._tap is None):
            self._end_as_answered(reading)
        else:
            self._end("interrupted", reading, error_type="closed_early", estimate=True)

    def _progress(self, call: Call) -> None:
        reading = self._read_so_far()
        reported, seen = reading.usage.output_tokens, estimated_tokens(reading.output_characters)
        self._tools.recorder.progress(call.event_id, max(reported or 0, seen))

    def _read_so_far(self) -> Reading:
        if self._tap is None:
            return NOTHING_READ
        return self._tools.guard("stream_unread", self._tap.reading) or NOTHING_READ

    # ── the record ───────────────────────────────────────────────────────────────────────────────────────

    def _end_as_answered(self, reading: Reading) -> UsageEvent | None:
        http_status = self._http_status or 0
        if reading is EMPTY or reading is UNREADABLE:
            return self._end("interrupted", reading)
        failed = reading.error_type is not None or http_status >= 400
        status: Status = "error" if failed else "cancelled" if self._client.gone else "ok"
        return self._end(status, reading, not_billed=http_status in _WITHOUT_COST or is_told_again(reading))

    def _end(
        self,
        status: Status,
        reading: Reading,
        *,
        error_type: str | None = None,
        not_billed: bool = False,
        estimate: bool = False,
    ) -> UsageEvent | None:
        """Write the event, once."""
        if self._ended or self._call is None:
            return None
        self._ended = True
        if status == "interrupted" and self._client.gone:
            status = "cancelled"  # whatever broke afterwards, nobody was listening any more
        return self._tools.guard(
            "event_unrecorded", self._write, self._call, status, reading, error_type, not_billed, estimate
        )

    def _write(
        self, call: Call, status: Status, reading: Reading, error_type: str | None, not_billed: bool, estimate: bool
    ) -> UsageEvent:
        event = call.ended(
            status,
            reading,
            now=self._tools.clock.monotonic(),
            http_status=self._http_status,
            error_type=error_type,
            not_billed=not_billed,
            estimate=estimate,
        )
        if not self._tools.recorder.end(event):
            self._tools.guard.count("event_lost")
        if event.response_id is not None and event.usage.known and call.flavour and call.flavour.name in FETCHED_AGAIN:
            self._tools.counted.add(event.provider, event.response_id)
        return event
