"""Limits before a call of this process: `LimitExceeded` is raised before anything leaves.

Two ways to be told. By limits given to `init(limits=[...])`, which are counted in this process. Or by the server
(`init(admission="deny" | "allow" | "cached")`), which knows what everybody spends; the word says what holds while it
does not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from taximeter.clock import SystemClock
from taximeter.core.attribution import Attribution
from taximeter.errors import LimitExceeded
from taximeter.extract.reading import Reading
from taximeter.sdk.guard import GUARD

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted, Ask, Refused, Verdict
    from taximeter.sdk.call import Call

WAIT_SECONDS: Final = 5.0
"""How long a call waits while only what other calls hold stands in its way."""

FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.25

_CLOCK: Final = SystemClock()


class Limiter(Protocol):
    """Decides about the calls of this process."""

    blocks: bool
    """Whether deciding asks somebody else, and must not be done on an event loop."""

    def decide(self, ask: Ask) -> Verdict: ...

    def settle(self, admitted: Admitted, reading: Reading, estimated: bool, http_status: int | None) -> None: ...

    def void(self, admitted: Admitted) -> None: ...


def ask_of(call: Call, payload: Mapping[str, Any], base: Attribution) -> Ask:
    """What is asked about a call. Its streams are not cut, so all that they may write is held."""
    import json

    from taximeter.limits.bounds import bound_of, charged_later, hears, models_beside, tier_asked
    from taximeter.limits.rules import subject_of
    from taximeter.limits.verdict import Ask, CallKind

    size_bytes = len(json.dumps(payload, ensure_ascii=False, default=str).encode("utf-8", "replace"))
    bound = replace(bound_of(call.flavour_name, call.facts, payload, size_bytes), leased=False)
    if call.flavour.charged_later:
        bound = charged_later(bound)
    who = call.attribution.over(base)
    kind = CallKind(
        call.host.provider,
        call.facts.model,
        tier_asked(payload),
        who.team,
        who.tenant,
        hears(payload),
        bound.caches_for_an_hour,
        models_beside(payload),
        call.flavour.region or call.host.region,
    )
    subject = subject_of(who, provider=call.host.provider, model=call.facts.model)
    return Ask(call.event_id, call.started_at_us, subject, kind, bound, size_bytes)


class Limited(NamedTuple):
    """A call that has to be admitted before it leaves."""

    limiter: Limiter
    ask: Ask

    def admit(self, refused: Callable[[], object]) -> Admitted | None:
        """What is held; None when our own part failed. Raises LimitExceeded, after `refused` was told."""
        try:
            return admit(self.limiter, self.ask)
        except LimitExceeded:
            GUARD.run("refusal", refused)
            raise

    async def admit_async(self, refused: Callable[[], object]) -> Admitted | None:
        """The same without blocking the event loop."""
        try:
            return await admit_async(self.limiter, self.ask)
        except (LimitExceeded, asyncio.CancelledError):  # given up, it does not leave either
            GUARD.run("refusal", refused)
            raise

    def hold(self, admitted: Admitted | None) -> Hold | None:
        """What has to be settled at the end of the call."""
        return None if admitted is None or not admitted.ruled else Hold(self.limiter, admitted)


class Hold:
    """What a call holds, until its end is known."""

    __slots__ = ("_admitted", "_limiter")

    def __init__(self, limiter: Limiter, admitted: Admitted) -> None:
        self._limiter = limiter
        self._admitted = admitted

    def settle(self, reading: Reading, estimated: bool, http_status: int | None) -> None:
        self._limiter.settle(self._admitted, reading, estimated, http_status)


def exceeded(refused: Refused) -> LimitExceeded:
    """The error that the caller gets."""
    facts = refused.facts()
    return LimitExceeded(refused.message, hint=None, reset=facts.pop("resets_at", None), **facts)


class Patience:
    """How long to wait, and when to ask again."""

    def __init__(self) -> None:
        self._ends = _CLOCK.monotonic() + WAIT_SECONDS
        self._pause = FIRST_PAUSE_SECONDS

    def pause(self) -> float | None:
        """Seconds until the next try; None when it is over."""
        pause = self._pause
        self._pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        return pause if _CLOCK.monotonic() + pause <= self._ends else None


def admit(limiter: Limiter, ask: Ask) -> Admitted | None:
    """What is held; None when our own part failed, which stops no call. Raises LimitExceeded."""
    patience = Patience()
    while True:
        admitted, pause = _decided(GUARD.run("limits", limiter.decide, ask), patience)
        if pause is None:
            return admitted
        time.sleep(pause)


async def admit_async(limiter: Limiter, ask: Ask) -> Admitted | None:
    """The same without blocking the event loop."""
    patience = Patience()
    decide: Callable[[], Any] = lambda: GUARD.run("limits", limiter.decide, ask)  # noqa: E731 - the same for both ways
    while True:
        verdict = await _beside(limiter, decide) if limiter.blocks else decide()
        admitted, pause = _decided(verdict, patience)
        if pause is None:
            return admitted
        await asyncio.sleep(pause)


async def _beside(limiter: Limiter, decide: Callable[[], Any]) -> Any:
    """Decide in a thread. What is admitted there after its call was given up is let go again."""
    deciding = asyncio.ensure_future(asyncio.to_thread(decide))
    try:
        return await asyncio.shield(deciding)
    except asyncio.CancelledError:
        deciding.add_done_callback(lambda done: _let_go(limiter, done))
        raise


def _let_go(limiter: Limiter, decided: asyncio.Future[Any]) -> None:
    from taximeter.limits.verdict import Admitted

    verdict = None if decided.cancelled() else decided.result()
    if isinstance(verdict, Admitted) and verdict.ruled:
        decided.get_loop().run_in_executor(None, GUARD.run, "limits", limiter.void, verdict)


def _decided(verdict: Verdict | None, patience: Patience) -> tuple[Admitted | None, float | None]:
    """What was admitted, or how long to wait. Raises LimitExceeded."""
    from taximeter.limits.verdict import Refused, Wait

    if isinstance(verdict, Wait):
        pause = patience.pause()
        if pause is None:
            raise exceeded(verdict.refused)
        return None, pause
    if isinstance(verdict, Refused):
        raise exceeded(verdict)
    return verdict, None
