"""One request on its way to the provider and its answer on the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from taximeter.core.event import Status, UsageEvent
from taximeter.extract import Reading
from taximeter.gateway.attempts import Step, Tries
from taximeter.gateway.call import NOTHING_READ
from taximeter.gateway.client import Client
from taximeter.gateway.delivery import Delivery, DrainedEnough
from taximeter.gateway.departure import Attempt
from taximeter.gateway.heads import OURS, answer_headers, by_name, first
from taximeter.gateway.polled import Poll
from taximeter.gateway.record import Record
from taximeter.gateway.refusals import upstream_failed
from taximeter.gateway.tap import read_json
from taximeter.gateway.tools import Tools
from taximeter.gateway.upstream import Answer, AnswerInHand, FailureKind, Headers, UpstreamFailure, read_to_end

EVENT_ID_HEADER: Final = OURS + b"event-id"
PROVIDER_HEADER: Final = OURS + b"provider"
ATTEMPT_HEADER: Final = OURS + b"attempt"
"""Tell who answered, where a policy may have asked several."""

LARGEST_FAILURE_BYTES: Final = 1024 * 1024
"""Of a failure that is tried again no more is read."""

_NEVER_LEFT: Final = frozenset({"connect_failed", "connect_timeout", "tls_failed", "no_free_connection"})
"""Failures after which the provider has nothing to charge for."""

_FIRST_ERROR: Final = 400
_REFUSED_FIELD: Final = frozenset({400, 422})
_QUESTION: Final = b"stream_options"


class Exchange:
    """Forwards one request. `poll` is what a request that is no call may tell of an earlier one; `tries` are those
    that are left when this attempt fails."""

    __slots__ = (
        "_answer",
        "_attempt",
        "_client",
        "_delivery",
        "_drained",
        "_record",
        "_stopping",
        "_task",
        "_tools",
        "_tries",
    )

    def __init__(
        self,
        tools: Tools,
        client: Client,
        attempt: Attempt,
        poll: Poll | None = None,
        tries: Tries | None = None,
    ) -> None:
        self._tries = tries
        self._tools = tools
        self._client = client
        self._attempt: Attempt | None = attempt
        self._record = attempt.record
        self._delivery = Delivery(tools, client, attempt.mount, attempt.record, poll)
        self._answer: Answer | None = None
        self._stopping = False
        self._task: asyncio.Task[object] | None = None
        self._drained: Callable[[], None] | None = None

    @property
    def event(self) -> UsageEvent | None:
        """The event of the attempt that gave the answer, when it has ended."""
        return None if self._record is None else self._record.event

    async def run(self) -> None:
        """Forward the request and its answer. Raises Refusal when the provider did not answer."""
        self._task = asyncio.current_task()
        self._client.watch(self._hung_up)
        try:
            while not await self._handed_on():
                pass
        except DrainedEnough:
            self._interrupted("cancelled")
        except asyncio.CancelledError:
            if not self._stopping or self._task is None:
                self._interrupted("interrupted", "gateway_stopped")
                raise
            self._task.uncancel()
            self._interrupted("cancelled")
        finally:
            self._client.close()
            self._task = None
            if self._answer is not None:
                self._answer.close()
            if self._drained is not None:
                self._drained()

    # ── the caller hangs up ──────────────────────────────────────────────────────────────────────────────

    def _hung_up(self) -> None:
        settings, record = self._tools.settings, self._record
        if record is None or (record.ended and not self._client.keeps):
            self._stop()  # nobody needs what may still come
        elif not record.ended and settings.on_hangup == "cancel":
            self._stop()
        else:
            self._drained = self._tools.draining.begin(self._delivery.origin, self._stop)

    def _stop(self) -> None:
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    def _interrupted(self, status: Status, error_type: str | None = None) -> None:
        if self._record is not None:
            self._record.break_off(status, self._delivery.read_so_far(), error_type=error_type)

    # ── there and back ───────────────────────────────────────────────────────────────────────────────────

    async def _handed_on(self) -> bool:
        """Whether one attempt gave the answer, which went to the client. Raises Refusal."""
        record = self._record
        try:
            self._answer = answer = await self._sent()
        except UpstreamFailure as failure:
            step = self._step_after(None, failure.kind, [])
            if record is not None:
                record.end("error", NOTHING_READ, error_type=failure.kind, not_billed=failure.kind in _NEVER_LEFT)
            if step is None:
                raise upstream_failed(failure.http_status, failure.kind, failure.message) from failure
            await self._try(step)
            return False
        told = by_name(answer.headers)
        if record is not None:
            record.http_status = answer.status
            record.call.is_answered(told)
        step = self._step_after(answer.status, None, answer.headers)
        if step is not None and record is not None:
            await self._read_failure(record, answer)
            await self._try(step)
            return False
        await self._delivery.hand_on(answer, told, self._headers(answer))
        return True

    def _headers(self, answer: Answer) -> Headers:
        """Those for the client."""
        headers = answer_headers(answer.headers)
        if self._record is not None:
            call = self._record.call
            headers.append((EVENT_ID_HEADER, call.event_id.encode()))
            if self._tries is not None:
                headers += (PROVIDER_HEADER, call.provider.encode()), (ATTEMPT_HEADER, b"%d" % call.attempt)
        self._tries = None
        return headers

    # ── again, and elsewhere ─────────────────────────────────────────────────────────────────────────────

    def _step_after(self, status: int | None, failure: FailureKind | None, headers: Headers) -> Step | None:
        step = None if self._tries is None else self._tries.next(status, failure, headers)
        if step is not None and self._record is not None:
            self._record.call.keeps_request_id()
        return step

    async def _read_failure(self, record: Record, answer: Answer) -> None:
        """Write the event of an attempt whose answer nobody gets."""
        reading = NOTHING_READ
        try:
            whole = await read_to_end(answer, LARGEST_FAILURE_BYTES)
            reading = self._tools.guard("answer_unread", _failure_in, record, whole) or NOTHING_READ
        except UpstreamFailure:
            pass
        finally:
            answer.close()
        record.end_as_answered(reading)

    async def _try(self, step: Step) -> None:
        """Wait, and make the next attempt ready. Raises Refusal."""
        assert self._tries is not None
        await asyncio.sleep(step.wait_seconds)
        self._attempt = attempt = await self._tries.attempt(step)
        self._record = attempt.record
        self._delivery = Delivery(self._tools, self._client, attempt.mount, attempt.record, None)

    async def _sent(self) -> Answer:
        """The provider's answer. Afterwards the request is forgotten: a stream may run for minutes.

        A provider that refuses the question for usage is asked again without it, and never with it any more if it was
        that which it refused.
        """
        attempt, self._attempt = self._attempt, None
        assert attempt is not None
        upstream, mount, outgoing = self._tools.upstream, attempt.mount, attempt.outgoing
        if attempt.asking is None or attempt.record is None:
            return await upstream.send(mount.origin, outgoing)
        answer = await upstream.send(mount.origin, replace(outgoing, body=attempt.asking))
        if answer.status not in _REFUSED_FIELD:
            return answer
        refusal = await read_to_end(answer)
        if _QUESTION not in refusal.body:
            return refusal
        attempt.record.call.asks_for_usage(False)
        answer = await upstream.send(mount.origin, outgoing)
        if answer.status < _FIRST_ERROR:  # some hosts repeat all of a request that is wrong for other reasons
            mount.asks_for_usage = False
        return answer


def _failure_in(record: Record, answer: AnswerInHand) -> Reading:
    flavour = record.call.flavour
    payload = read_json(answer.body, first(answer.headers, b"content-encoding"), LARGEST_FAILURE_BYTES)
    return NOTHING_READ if flavour is None else flavour.read_answer(answer.status, payload)
