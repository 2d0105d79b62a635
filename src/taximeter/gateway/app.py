"""The gateway as a raw ASGI application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taximeter.clock import Clock
from taximeter.extract import Flavour, flavour_for
from taximeter.extract.payload import mapping
from taximeter.gateway.admission import Admission
from taximeter.gateway.answer_cache import AnswerCache, KeepingClient, Kept, cached_event
from taximeter.gateway.asked import Asked, read_head
from taximeter.gateway.attempts import Tries
from taximeter.gateway.call import Call
from taximeter.gateway.client import Client, ClientGone, Receive, Scope, Send
from taximeter.gateway.delivery import COST_HEADER
from taximeter.gateway.departure import attempt, new_call
from taximeter.gateway.draining import Draining
from taximeter.gateway.exchange import EVENT_ID_HEADER, Exchange
from taximeter.gateway.garbage import SmallSteps
from taximeter.gateway.guard import Guard
from taximeter.gateway.heads import OURS
from taximeter.gateway.http1 import Http1
from taximeter.gateway.identities import Identities, KnownIds, request_id_of
from taximeter.gateway.keys import KeyCheck, attributed
from taximeter.gateway.kinds import OPENAI
from taximeter.gateway.polled import Counted, KnownAnswers, Poll, may_tell
from taximeter.gateway.providers import Mount, Mounts, Provider
from taximeter.gateway.recorder import Recorder
from taximeter.gateway.refusals import Refusal
from taximeter.gateway.session import Session, refuse_socket
from taximeter.gateway.settings import GatewaySettings
from taximeter.gateway.sockets import Sockets, WebSockets
from taximeter.gateway.tap import read_json
from taximeter.gateway.tools import Price, Tools
from taximeter.gateway.upstream import Headers, Upstream, UpstreamSettings

CACHE_HEADER: Final = OURS + b"cache"
"""On answers that were given again."""

_FETCHING: Final = frozenset({"GET", "POST"})


class Gateway:
    """A reverse proxy in front of the providers: admits, forwards, and records every call that may cost.

    `keys` None admits everybody. `price` None leaves out the cost header. Requests other than POST, and a POST that
    fetches, are passed on and not recorded, but for what the answer tells of an earlier call
    (`taximeter.gateway.polled`).
    `known_ids` and `known_answers` find in the store what was used and told before this process started. `admission`
    None lets every call leave.
    Counters for the product: `refused` by code, `failures` by reason, `open_calls`, and the recorder's `written` and
    `lost`.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        keys: KeyCheck | None,
        recorder: Recorder,
        price: Price | None,
        clock: Clock,
        settings: GatewaySettings | None = None,
        upstream: Upstream | None = None,
        known_ids: KnownIds | None = None,
        admission: Admission | None = None,
        sockets: Sockets | None = None,
        known_answers: KnownAnswers | None = None,
    ) -> None:
        settings = settings or GatewaySettings()
        self.recorder = recorder
        self.refused: dict[str, int] = {}
        self.open_calls = 0
        self._guard = Guard()
        self._garbage = SmallSteps()
        self._answers = AnswerCache(settings.response_cache, clock, settings.body_limit_bytes)
        self._mounts = Mounts(providers)
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._upstream = upstream or _way(self._mounts.speak_http2, settings.upstream())
        self._sockets = sockets or WebSockets(settings.upstream())
        self._tools = Tools(
            self._upstream,
            recorder,
            price,
            clock,
            settings,
            self._guard,
            Identities(recorder.new_event_id, clock.now_us(), known_ids),
            Counted(known_answers),
            Draining(settings.drain_timeout_seconds, settings.connections_max),
            admission,
        )

    @property
    def failures(self) -> Mapping[str, int]:
        """How often our own reading or recording failed, by reason; the calls went on."""
        return self._guard.failures

    async def aclose(self) -> None:
        """Close the connections to the providers."""
        await self._upstream.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._serve_lifespan(receive, send)
            return
        client = Client(scope, receive, send)
        mount, rest = self._mounts.find(scope["raw_path"])
        call: Call | None = None
        try:
            asked = self._read_head(scope, scope["method"], mount, rest)
            fetched = self._guard("poll_unread", self._fetched, asked)
            call = await new_call(self._tools, asked) if asked.method == "POST" and fetched is None else None
            body = await client.body(self._settings.body_limit_bytes)
            if call is not None and self._settings.response_cache.is_on:
                await self._run_cached(self._answers.client(scope, receive, send), asked, call, body)
            else:
                poll = None if fetched is None else self._guard("poll_unread", self._poll, asked, fetched, body)
                await self._run(await self._exchange(client, asked, call, body, poll))
        except Refusal as refusal:
            await self._refuse(client, mount, call, refusal)
        except ClientGone:
            self._guard.count("client_left_early")

    async def _run(self, exchange: Exchange) -> None:
        self.open_calls += 1
        begun = self._garbage.begun()
        try:
            await exchange.run()
        finally:
            self.open_calls -= 1
            self._garbage.ended(begun)

    async def _run_cached(self, client: KeepingClient, asked: Asked, call: Call, body: bytes) -> None:
        """Answer from the response cache, or keep the answer for it. Raises Refusal."""
        answers, guard = self._answers, self._guard
        fingerprint = guard("cache_unread", answers.fingerprint, asked, call, body)
        kept = None if fingerprint is None else answers.find(fingerprint)
        if kept is not None:
            await self._give_again(client, call, kept)
            return
        exchange = await self._exchange(client, asked, call, body)
        await self._run(exchange)
        if fingerprint is not None:
            guard("answer_unkept", answers.keep, fingerprint, client, exchange.event)

    async def _give_again(self, client: Client, call: Call, kept: Kept) -> None:
        event = cached_event(call, kept, self._clock.monotonic())
        if not self._guard("event_unrecorded", self.recorder.end, event):
            self._guard.count("event_lost")
        self._answers.given += 1
        mine = [(EVENT_ID_HEADER, call.event_id.encode()), (CACHE_HEADER, b"hit"), (COST_HEADER, b"0")]
        await client.start(200, [*kept.headers, *mine])
        for chunk in kept.chunks[:-1]:
            await client.part(chunk, more=True)
        await client.part(kept.chunks[-1], more=False)

    async def _exchange(
        self, client: Client, asked: Asked, call: Call | None, body: bytes, poll: Poll | None = None
    ) -> Exchange:
        """The exchange, its first attempt begun. Raises Refusal."""
        tools, policy = self._tools, asked.mount.policy
        tries = None
        if call is not None and policy is not None:
            tries = Tries(tools, self._mounts, client, asked, call, body, policy)
        return Exchange(tools, client, await attempt(tools, client, asked, call, body), poll, tries)

    def _read_head(self, scope: Scope, method: str, mount: Mount | None, rest: bytes) -> Asked:
        limit = self._settings.body_limit_bytes
        return read_head(scope, method, mount, rest, mounts=self._mounts, keys=self._keys, body_limit_bytes=limit)

    def _fetched(self, asked: Asked) -> Flavour | None:
        """What a request fetches that may tell of an earlier call."""
        if asked.method not in _FETCHING:
            return None
        flavour = flavour_for(asked.mount.kind.family, asked.method, asked.path.decode("latin-1"), polled=True)
        return flavour if flavour is not None and may_tell(flavour) else None

    def _poll(self, asked: Asked, flavour: Flavour, body: bytes) -> Poll:
        path, key, provider = asked.path.decode("latin-1"), asked.key, asked.mount.provider.name
        known = {
            "provider": provider,
            "started_at_us": self._clock.now_us(),
            "attribution": attributed(key, asked.head),
            "api_key_id": asked.key_id,
            "request_id": request_id_of(asked.head),
        }
        target = path + "?" + asked.query.decode("latin-1") if asked.query else path
        limit = self._settings.tap_limit_bytes
        if flavour.read_job is not None:
            payload = read_json(body, asked.head.notes.get(b"content-encoding"), limit) if body else None
            job = flavour.usage_id or flavour.read_request(mapping(payload)).usage_id or target
            wanted = self._tools.jobs.asked(provider, job)
            flavour = flavour.fetching(job, wanted)
            known["request_model"] = None if wanted is None else wanted.model
        return Poll(flavour, target, known, limit)

    async def _refuse(self, client: Client, mount: Mount | None, call: Call | None, refusal: Refusal) -> None:
        headers, body = self._refused(mount, None if call is None else call.event_id, refusal)
        await client.start(refusal.status, headers)
        await client.part(body, more=False)

    def _refused(self, mount: Mount | None, event_id: str | None, refusal: Refusal) -> tuple[Headers, bytes]:
        """The answer that a refusal is; it is counted."""
        self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1
        headers, body = refusal.answer(OPENAI if mount is None else mount.kind)
        if event_id is not None:
            headers.append((EVENT_ID_HEADER, event_id.encode()))
        return headers, body

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        mount, rest = self._mounts.find(scope["raw_path"])
        session: Session | None = None
        try:
            asked = self._read_head(scope, "GET", mount, rest)
            session = Session(self._tools, self._sockets, asked, receive, send)
            self.open_calls += 1
            try:
                await session.run(scope)
            finally:
                self.open_calls -= 1
        except Refusal as refusal:
            headers, body = self._refused(mount, None if session is None else session.event_id, refusal)
            await refuse_socket(send, refusal.status, headers, body)

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        """Answered, so that the gateway can run by itself."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})


def _way(http2: bool, settings: UpstreamSettings) -> Upstream:
    """How providers are reached. HTTP/2 is imported where one of them is asked in it."""
    if not http2:
        return Http1(settings)
    from taximeter.gateway.http2 import Http2

    return Http2(settings)
