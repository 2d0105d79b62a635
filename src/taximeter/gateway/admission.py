"""The step between "the request is read" and "the begin record is written": may this call leave, and how?

Every attempt of every call comes by here, also those that a retry or a fallback makes; there is no way around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from taximeter.core.event import UsageEvent
from taximeter.extract import Reading
from taximeter.gateway.call import Call
from taximeter.gateway.kinds import Kind
from taximeter.gateway.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Asking:
    """A call that wants to leave.

    `call.begun()` is its event as far as it is known (the input an estimate), `call.facts` what its body says.
    `payload` is that body as JSON, empty when it is none; `body` is as it came.
    """

    call: Call
    kind: Kind
    payload: Mapping[str, Any]
    body: bytes


class Hold(Protocol):
    """What was admitted."""

    @property
    def body(self) -> bytes | None:
        """The body to send instead (an output allowance clamped, a model swapped); None for the one that came."""
        ...

    @property
    def held(self) -> Mapping[str, int]:
        """What is held, for the begin record: what it was is known then, whatever becomes of this process."""
        ...

    @property
    def leased(self) -> bool:
        """Whether more has to be held for a stream while it flows."""
        ...

    async def flows(self, chunk: bytes, reading: Reading) -> Refusal | None:
        """A leased stream has come so far. A refusal cuts it, and is told at its end. The next chunk waits for it."""
        ...

    def settle(self, event: UsageEvent) -> None:
        """The event of the call: always, once, also when it failed or was given up. It must not wait for anything.

        Before the event is written: whoever reads it there finds its call settled.
        """
        ...


class Admission(Protocol):
    """Decides. An error of its own is its own affair: here everything but a Refusal counts as a bug and admits."""

    async def admit(self, asking: Asking) -> Hold | None:
        """What is held for the call; None when nothing is. Raises Refusal."""
        ...
