"""Limits before every call of the gateway: what `taximeter.limits.guard` decides, done to requests and streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec

from taximeter.clock import Clock
from taximeter.core.cost import Cost
from taximeter.core.event import UsageEvent
from taximeter.extract import Reading
from taximeter.gateway.admission import Asking, Hold
from taximeter.gateway.refusals import Refusal, event_id_in_use, limit_exceeded, limits_unavailable, stream_limited
from taximeter.gateway.tools import Price
from taximeter.limits.ahead import Ahead
from taximeter.limits.amounts import Amounts, broke_off, nano_usd
from taximeter.limits.bounds import bound_of, charged_later, hears, models_beside, tier_asked
from taximeter.limits.guard import LimitGuard
from taximeter.limits.prompts import prompt_of
from taximeter.limits.reservation import HOLD_US
from taximeter.limits.rules import subject_of
from taximeter.limits.verdict import Admitted, Ask, CallKind, Refused, Verdict, Wait

FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.25
"""Between two tries of a call that waits; each pause is half as long again as the one before."""

WORST_BYTES_OF_A_CHARACTER: Final = 4
"""A character may be so many tokens, where it is not ASCII."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LimitedCalls:
    """`Admission` by limits. `background` runs what blocks (counters in Redis); None: nothing does.

    `fail_closed`: a mistake of our own refuses calls while there are hard limits, otherwise it lets them through.
    """

    def __init__(
        self,
        guard: Callable[[], LimitGuard],
        price: Price,
        clock: Clock,
        *,
        wait_seconds: float,
        fail_closed: bool = True,
        background: Executor | None = None,
    ) -> None:
        self._guard = guard
        self._price = price
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._fail_closed = fail_closed
        self._background = background
        self.ahead: Final = Ahead()

    async def admit(self, asking: Asking) -> Hold | None:
        guard = self._guard()
        flavour = asking.call.flavour
        if not guard.rules.limits or (flavour is not None and not (flavour.billed or flavour.charged_later)):
            return None
        try:
            return await self._admitted(guard, asking)
        except Refusal:
            raise
        except Exception as error:
            if self._fail_closed and any(limit.caps for limit in guard.rules.limits):
                _log.exception("a call was refused, because its limits could not be looked at")
                raise limits_unavailable("its limits could not be looked at") from error
            raise

    async def _admitted(self, guard: LimitGuard, asking: Asking) -> Hold | None:
        verdict = await self._verdict(guard, ask_of(asking, guard, self.ahead))
        if isinstance(verdict, Wait):
            raise limit_exceeded(verdict.refused)
        if isinstance(verdict, Refused):
            raise limits_unavailable(verdict.message) if verdict.limit is None else limit_exceeded(verdict)
        if not verdict.ruled:
            return None
        if verdict.repeated:
            raise event_id_in_use()
        if verdict.model is not None and "model" not in asking.payload:
            guard.void(verdict)
            raise limits_unavailable("its model is not in its body, and cannot be replaced")
        verdict.expires_us = self._clock.now_us() + HOLD_US
        hold = _Held(self, guard, verdict, _body_of(verdict, asking))
        if verdict.delay_seconds:
            try:
                await asyncio.sleep(verdict.delay_seconds)
            except asyncio.CancelledError:
                self._do(guard.void, verdict)
                raise
        return hold

    async def _verdict(self, guard: LimitGuard, ask: Ask) -> Verdict:
        """What is decided, after waiting as long as that may help."""
        patience_ends = self._clock.monotonic() + self._wait_seconds
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            verdict = await self._decided(guard, ask)
            if not isinstance(verdict, Wait) or self._clock.monotonic() + pause_seconds > patience_ends:
                return verdict
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 1.5, LONGEST_PAUSE_SECONDS)

    async def _decided(self, guard: LimitGuard, ask: Ask) -> Verdict:
        """What is admitted after its call was given up is let go again."""
        if self._background is None:
            return guard.decide(ask, self._clock.now_us())
        deciding = self._background.submit(guard.decide, ask, self._clock.now_us())
        try:
            return await asyncio.shield(asyncio.wrap_future(deciding))
        except asyncio.CancelledError:
            deciding.add_done_callback(lambda done: _let_go(guard, done))
            raise

    async def blocking(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result of what may block."""
        if self._background is None:
            return function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._background, function, *arguments)

    def ended(self, guard: LimitGuard, admitted: Admitted, event: UsageEvent) -> None:
        """Settle a call by its event. Does not wait."""
        now_us = self._clock.now_us()
        if event.status == "refused":
            self._do(guard.void, admitted)
            return
        came_to = came_to_of(event, self._price)
        guard.learnt.served_in(event.provider, event.service_tier, held=admitted.ask.kind.tier)
        seen = not event.usage_estimated and not _broke_off(event)
        if came_to is not None and seen:
            guard.learn(admitted, event.usage.input_tokens, event.usage.output_tokens)
        self._do(lambda: guard.settle(admitted, came_to, now_us, seen=seen))

    def _do(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._background is None:
            function(*arguments)
        else:
            self._background.submit(function, *arguments)

    def now_us(self) -> int:
        return self._clock.now_us()


def _let_go(guard: LimitGuard, decided: Future[Verdict]) -> None:
    """In the thread that decided."""
    verdict = None if decided.cancelled() or decided.exception() is not None else decided.result()
    if isinstance(verdict, Admitted):
        guard.void(verdict)


class _Held:
    """`Hold` of one call."""

    __slots__ = ("_admitted", "_bytes", "_calls", "_characters", "_guard", "_weight", "body")

    def __init__(self, calls: LimitedCalls, guard: LimitGuard, admitted: Admitted, body: bytes | None) -> None:
        self.body = body
        self._calls = calls
        self._guard = guard
        self._admitted = admitted
        self._characters = self._bytes = 0
        self._weight = 1

    @property
    def held(self) -> Mapping[str, int]:
        return self._admitted.as_record()

    @property
    def leased(self) -> bool:
        return self._admitted.leased is not None

    async def flows(self, chunk: bytes, reading: Reading) -> Refusal | None:
        """More of a stream was seen. Its tokens are at most as many as its bytes."""
        if self._weight == 1 and not (chunk.isascii() and b"\\u" not in chunk):
            self._weight = WORST_BYTES_OF_A_CHARACTER
        came = reading.output_characters - self._characters
        self._bytes += came * self._weight
        self._characters = reading.output_characters
        seen = max(self._bytes, reading.usage.output_tokens or 0)
        now_us, provider = self._calls.now_us(), self._admitted.ask.kind.provider
        self._calls.ahead.saw(provider, came, now_us)
        ahead = self._calls.ahead.tokens(provider, now_us)
        if self._admitted.covers(seen + ahead):
            return None
        if await self._calls.blocking(self._guard.extend, self._admitted, seen, now_us, ahead):
            return None
        stopped_by = self._admitted.stopped_by
        if stopped_by is None:
            return stream_limited(None, cleanly=False)
        return stream_limited(stopped_by.limit.name, cleanly=stopped_by.limit.action.kind == "cut")

    def settle(self, event: UsageEvent) -> None:
        self._calls.ended(self._guard, self._admitted, event)


def ask_of(asking: Asking, guard: LimitGuard, ahead: Ahead) -> Ask:
    """What the guard is asked about a request of the gateway."""
    call, payload = asking.call, asking.payload
    begun = call.begun()
    size_bytes, readable = len(asking.body), asking.body.lstrip()[:1] == b"{"
    if payload and not readable:  # it came packed
        size_bytes = len(msgspec.json.encode(payload))
    prompt = prompt_of(payload, size_bytes, begun.provider, call.facts.model)
    flavour = None if call.flavour is None else call.flavour.name
    bound = bound_of(flavour, call.facts, payload, size_bytes, guard.prompts.beginning(prompt))
    if call.flavour is not None and call.flavour.charged_later:
        bound = charged_later(bound)
    elif not asking.body:
        why = "it goes over a websocket, where its input is not seen before it leaves"
        bound = replace(bound, unbounded=why, allowance_key=None, leased=False)
    elif not readable:
        bound = replace(bound, allowance_key=None)
    who = begun.attribution
    kind = CallKind(
        begun.provider,
        call.facts.model,
        guard.learnt.tier(begun.provider, tier_asked(payload)),
        who.team,
        who.tenant,
        hears(payload),
        bound.caches_for_an_hour,
        models_beside(payload),
        call.region,
    )
    subject = subject_of(who, provider=begun.provider, model=call.facts.model, key_id=begun.api_key_id)
    ahead_tokens = ahead.tokens(begun.provider, begun.started_at_us)
    return Ask(begun.event_id, begun.started_at_us, subject, kind, bound, size_bytes, prompt, ahead_tokens)


def came_to_of(event: UsageEvent, price: Price) -> Amounts | None:
    """What a call came to; None when nobody knows, and the provider may have charged for it."""
    usage = event.usage
    if event.not_billed or event.status == "cached":
        return Amounts()
    if event.status == "error" and not usage.known and not _broke_off(event):
        return Amounts()
    cost = price(event)
    if not isinstance(cost, Cost) or not usage.known:
        return None
    return Amounts(nano_usd(cost.total), usage.input_tokens or 0, usage.output_tokens or 0)


def _broke_off(event: UsageEvent) -> bool:
    return broke_off(event.status, event.http_status, event.not_billed)


def _body_of(admitted: Admitted, asking: Asking) -> bytes | None:
    """The request's body with a smaller allowance or another model; None when it stays as it is."""
    changed = admitted.rewritten(asking.payload)
    return None if changed is asking.payload else msgspec.json.encode(changed)
