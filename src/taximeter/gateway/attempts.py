"""Tries of the gateway's own: again at the same provider, then at others. Only while nothing went to the client.

Every attempt is a call of its own, with an event of its own, under the request id of the first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import isfinite
from urllib.parse import quote

from taximeter.gateway.asked import Asked
from taximeter.gateway.call import Call
from taximeter.gateway.client import Client
from taximeter.gateway.departure import Attempt, attempt
from taximeter.gateway.heads import first
from taximeter.gateway.keys import none_for
from taximeter.gateway.policy import LONGEST_WAIT_SECONDS, Policy
from taximeter.gateway.providers import Mount, Mounts
from taximeter.gateway.refusals import unfit_path
from taximeter.gateway.stream_usage import value_span
from taximeter.gateway.tools import Tools
from taximeter.gateway.upstream import FailureKind, Headers


@dataclass(frozen=True, slots=True)
class Step:
    """Where to next: after how long, to which provider, asking for which model (None: the same)."""

    wait_seconds: float
    mount: Mount
    model: str | None = None


class Tries:
    """A request that may be tried again: what it was, and what is left of its provider's policy."""

    def __init__(
        self, tools: Tools, mounts: Mounts, client: Client, asked: Asked, call: Call, body: bytes, policy: Policy
    ) -> None:
        self._tools = tools
        self._client = client
        self._asked = asked
        self._call = call
        self._body = body
        self._policy = policy
        self._made = 1
        self._others = [step for name, model in policy.fallback if (step := self._step_to(mounts, name, model))]

    def _step_to(self, mounts: Mounts, name: str, model: str | None) -> Step | None:
        """None where the request cannot go: a provider with another protocol, a body that cannot be changed."""
        mount = mounts.named(name)
        if mount is None or mount.kind.protocol != self._asked.mount.kind.protocol:
            return None
        if model is not None and b"content-encoding" in self._asked.head.notes:
            return None
        return Step(0.0, mount, model)

    def next(self, status: int | None, failure: FailureKind | None, headers: Headers) -> Step | None:
        """What to do after an outcome; None: that is the answer."""
        policy = self._policy
        if self._client.gone or not policy.applies_to(status, failure):
            return None
        if self._made < policy.attempts:
            wait = policy.backoff_seconds * 2 ** (self._made - 1)
            asked_for = retry_after(headers)
            if asked_for is None or asked_for <= LONGEST_WAIT_SECONDS:
                self._made += 1
                return Step(max(min(wait, LONGEST_WAIT_SECONDS), asked_for or 0.0), self._asked.mount)
        self._made = policy.attempts
        return self._others.pop(0) if self._others else None

    async def attempt(self, step: Step) -> Attempt:
        """The next attempt, its begin record written. Raises Refusal."""
        asked, body = self._asked, self._body
        if step.mount is not asked.mount or step.model is not None:
            asked, body = _readdressed(asked, body, step)
        event_id, number = self._tools.identities.again(asked.head, asked.key_id, self._call.attempt)
        self._call = call = self._call.tried_again(event_id, number, step.mount)
        call.starts_now(self._tools.clock.now_us(), self._tools.clock.monotonic())
        return await attempt(self._tools, self._client, asked, call, body)


def retry_after(headers: Headers) -> float | None:
    """The pause that a provider asks for, in seconds; None when it says none, or a date."""
    milliseconds = first(headers, b"retry-after-ms")
    said = first(headers, b"retry-after") if milliseconds is None else milliseconds
    try:
        seconds = float(said or b"nan") / (1 if milliseconds is None else 1000)
    except ValueError:
        return None
    return max(seconds, 0.0) if isfinite(seconds) else None


def _readdressed(asked: Asked, body: bytes, step: Step) -> tuple[Asked, bytes]:
    """The request for another provider: its path, its key, its model. Raises Refusal when it cannot go there."""
    mount, rest = step.mount, asked.rest
    if step.model is not None:
        rest, body = _with_model(mount, rest, body, step.model)
    path = mount.target(rest)
    if path is None:
        raise unfit_path()
    return replace(asked, mount=mount, rest=rest, path=path, credentials=mount.credential([]) or none_for(mount)), body


def _with_model(mount: Mount, rest: bytes, body: bytes, model: str) -> tuple[bytes, bytes]:
    """Path and body that ask for another model, which is in one of them."""
    pattern = mount.kind.model_in_path
    found = None if pattern is None else pattern.search(rest)
    if found is not None:
        return rest[: found.start(1)] + quote(model, safe="").encode() + rest[found.end(1) :], body
    span = value_span(body, b'"model"')
    return rest, body if span is None else body[: span[0]] + json.dumps(model).encode() + body[span[1] :]
