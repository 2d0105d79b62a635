"""One request on its way to the provider and its answer on the way back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from taximeter.core.event import Status
from taximeter.gateway.call import NOTHING_READ
from taximeter.gateway.client import Client
from taximeter.gateway.delivery import Delivery
from taximeter.gateway.departure import Attempt
from taximeter.gateway.heads import OURS, answer_headers
from taximeter.gateway.polled import Poll
from taximeter.gateway.refusals import upstream_failed
from taximeter.gateway.tools import Tools
from taximeter.gateway.upstream import Answer, UpstreamFailure, read_to_end

EVENT_ID_HEADER: Final = OURS + b"event-id"

_NEVER_LEFT: Final = frozenset({"connect_failed", "connect_timeout", "tls_failed", "no_free_connection"})
"""Failures after which the provider has nothing to charge for."""

_REFUSED_FIELD: Final = frozenset({400, 422})
_QUESTION: Final = b"stream_options"


class Exchange:
    """Forwards one request. `poll` is what a request that is no call may tell of an earlier one."""

    __slots__ = ("_answer", "_attempt", "_client", "_delivery", "_record", "_stopping", "_task", "_timer", "_tools")

    def __init__(self, tools: Tools, client: Client, attempt: Attempt, poll: Poll | None = None) -> None:
        self._tools = tools
        self._client = client
        self._attempt: Attempt | None = attempt
        self._record = attempt.record
        self._delivery = Delivery(tools, client, attempt.mount, attempt.record, poll, self._stop)
        self._answer: Answer | None = None
        self._stopping = False
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Forward the request and its answer. Raises Refusal when the provider did not answer."""
        self._task = asyncio.current_task()
        self._client.watch(self._hung_up)
        try:
            await self._forward()
        except asyncio.CancelledError:
            if not self._stopping or self._task is None:
                self._interrupted("interrupted", "gateway_stopped")
                raise
            self._task.uncancel()
            self._interrupted("cancelled")
        finally:
            self._client.close()
            if self._answer is not None:
                self._answer.close()
            if self._timer is not None:
                self._timer.cancel()

    # ── the caller hangs up ──────────────────────────────────────────────────────────────────────────────

    def _hung_up(self) -> None:
        settings = self._tools.settings
        if self._record is None or self._record.ended or settings.on_hangup == "cancel":
            self._stop()
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(settings.drain_timeout_seconds, self._stop)

    def _stop(self) -> None:
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    def _interrupted(self, status: Status, error_type: str | None = None) -> None:
        if self._record is not None:
            self._record.end(status, self._delivery.read_so_far(), error_type=error_type, estimate=True)

    # ── there and back ───────────────────────────────────────────────────────────────────────────────────

    async def _forward(self) -> None:
        record = self._record
        try:
            self._answer = answer = await self._sent()
        except UpstreamFailure as failure:
            if record is not None:
                record.end("error", NOTHING_READ, error_type=failure.kind, not_billed=failure.kind in _NEVER_LEFT)
            raise upstream_failed(failure.http_status, failure.kind, failure.message) from failure
        headers = answer_headers(answer.headers)
        if record is not None:
            record.http_status = answer.status
            record.call.is_answered(answer.headers)
            headers.append((EVENT_ID_HEADER, record.call.event_id.encode()))
        await self._delivery.hand_on(answer, headers)

    async def _sent(self) -> Answer:
        """The provider's answer. Afterwards the request is forgotten: a stream may run for minutes.

        A provider that refuses the question for usage is asked again without it, and never with it any more.
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
        mount.asks_for_usage = False
        attempt.record.call.asks_for_usage(False)
        return await upstream.send(mount.origin, outgoing)
