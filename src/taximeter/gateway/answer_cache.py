"""The response cache: whole answers that are given again to identical requests.

Only for the features and keys that asked for it. Two requests are identical when they go to the same endpoint of the
same provider, for the same tenant, with the same key and credentials, and their bodies are the same JSON. What was
given again is an event of its own, with the status `cached`: it cost nothing, and is no call to any limit.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from taximeter.clock import Clock
from taximeter.core.event import UsageEvent
from taximeter.extract import Reading, flavour_for
from taximeter.gateway.asked import Asked
from taximeter.gateway.call import Call
from taximeter.gateway.client import Client, Receive, Scope, Send
from taximeter.gateway.heads import OURS
from taximeter.gateway.keys import attributed
from taximeter.gateway.settings import ResponseCache
from taximeter.gateway.tap import read_json
from taximeter.gateway.upstream import Headers

_OPERATIONS: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
_REMEMBERED: Final = ("previous_response_id", "conversation", "background")
"""Fields of requests whose answer depends on more than the request, or is not there yet."""

_TELLING: Final = (b"accept", b"anthropic-version", b"anthropic-beta", b"openai-beta", b"openai-organization")
"""Headers that an answer may depend on."""
_OF_THE_MOMENT: Final = (b"x-ratelimit-", b"anthropic-ratelimit-", b"date", b"age", b"retry-after", OURS)
"""Headers of an answer that are true once."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as the client got it, in its chunks, and the event of the call that it is from."""

    headers: Headers
    chunks: tuple[bytes, ...]
    event: UsageEvent
    until: float

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.chunks))


class AnswerCache:
    """Answers by the fingerprint of their request; beyond its size the one that was used least lately goes.

    Counters for the product: `given` (answers given again), `kept`.
    """

    def __init__(self, wanted: ResponseCache, clock: Clock, body_limit_bytes: int) -> None:
        self._wanted = wanted
        self._clock = clock
        self._body_limit_bytes = body_limit_bytes
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._size_bytes = 0
        self.given = 0

    def fingerprint(self, asked: Asked, call: Call, body: bytes) -> bytes | None:
        """What an identical request has as well; None for one whose answer is not kept. Reads the request."""
        who = attributed(asked.key, asked.head)
        if who.feature not in self._wanted.features and asked.key_id not in self._wanted.keys:
            return None
        flavour = flavour_for(asked.mount.kind.family, asked.method, asked.path.decode("latin-1"))
        payload = read_json(body, asked.head.notes.get(b"content-encoding"), self._body_limit_bytes)
        if flavour is None or not isinstance(payload, dict) or _unwanted(asked.head.forward):
            return None
        call.asks(flavour, facts := flavour.read_request(payload))
        if facts.operation not in _OPERATIONS or any(payload.get(name) for name in _REMEMBERED):
            return None
        return _hashed(asked, who.tenant, payload)

    def find(self, fingerprint: bytes) -> Kept | None:
        """The answer to a request, as long as it may be given."""
        kept = self._kept.get(fingerprint)
        if kept is None:
            return None
        if self._clock.monotonic() >= kept.until:
            self._forget(fingerprint)
            return None
        self._kept.move_to_end(fingerprint)
        return kept

    def keep(self, fingerprint: bytes, client: KeepingClient, event: UsageEvent | None) -> None:
        """Keep the answer that a client got, if it is a whole one that went well."""
        if event is None or event.status != "ok" or event.usage_estimated or not client.whole:
            return
        headers = [one for one in client.headers if not one[0].startswith(_OF_THE_MOMENT)]
        until = self._clock.monotonic() + self._wanted.ttl_seconds
        self._forget(fingerprint)
        self._kept[fingerprint] = kept = Kept(headers, tuple(client.chunks), event, until)
        self._size_bytes += kept.size_bytes
        while self._size_bytes > self._wanted.size_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, fingerprint: bytes) -> None:
        kept = self._kept.pop(fingerprint, None)
        self._size_bytes -= 0 if kept is None else kept.size_bytes

    def client(self, scope: Scope, receive: Receive, send: Send) -> KeepingClient:
        """A client whose answer can be kept."""
        return KeepingClient(scope, receive, send, self._wanted.answer_bytes)


class KeepingClient(Client):
    """A client, and what it is sent, up to a size."""

    __slots__ = ("_limit_bytes", "_status", "chunks", "headers", "whole")

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit_bytes: int) -> None:
        super().__init__(scope, receive, send)
        self._limit_bytes = limit_bytes
        self._status = 0
        self.headers: Headers = []
        self.chunks: list[bytes] = []
        self.whole = False
        """Whether an answer with the status 200 came to its end, and all of it is here."""

    @property
    def keeps(self) -> bool:  # type: ignore[override]
        return self._limit_bytes >= 0

    async def start(self, status: int, headers: Headers) -> None:
        self._status, self.headers = status, headers
        await super().start(status, headers)

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        await self.start(status, headers)
        await self.part(body, more=False)

    async def part(self, data: bytes, *, more: bool) -> None:
        self._limit_bytes -= len(data)
        if self._limit_bytes >= 0:
            self.chunks.append(data)
            self.whole = not more and self._status == 200
        await super().part(data, more=more)


def cached_event(call: Call, kept: Kept, now: float) -> UsageEvent:
    """The event of a call that was answered from here. `now` is the monotonic counter."""
    was = kept.event
    said = Reading(
        response_model=was.response_model,
        usage=was.usage,
        by_model=was.by_model,
        service_tier=was.service_tier,
        region=was.region,
        finished=True,
    )
    return call.ended("cached", said, now=now, http_status=200)


def _unwanted(headers: Headers) -> bool:
    """Whether the caller wants an answer of its own (`Cache-Control: no-cache` or `no-store`)."""
    return any(name == b"cache-control" and (b"no-cache" in value or b"no-store" in value) for name, value in headers)


def _hashed(asked: Asked, tenant: str | None, payload: Mapping[str, Any]) -> bytes:
    head = asked.head
    told = sorted(header for header in head.forward if header[0] in _TELLING)
    where = (asked.mount.provider.name, asked.path, asked.query, tenant, asked.key_id, head.accept_encoding)
    everything = repr((where, told, sorted(asked.credentials)))
    said = msgspec.json.encode(payload, order="deterministic")
    return hashlib.blake2b(everything.encode() + b"\n" + said, digest_size=32).digest()
