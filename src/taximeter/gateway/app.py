"""The gateway as a raw ASGI application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from taximeter.clock import Clock
from taximeter.extract import RequestFacts, flavour_for
from taximeter.gateway.call import NOTHING_ASKED, Call
from taximeter.gateway.client import Client, ClientGone, Receive, Scope, Send
from taximeter.gateway.exchange import EVENT_ID_HEADER, Exchange, Price, Tools
from taximeter.gateway.guard import Guard
from taximeter.gateway.heads import RequestHead, readable_encodings
from taximeter.gateway.identities import Identities, KnownIds, request_id_of
from taximeter.gateway.keys import Key, KeyCheck, admit, attributed, identified
from taximeter.gateway.polled import Counted, Poll, may_tell
from taximeter.gateway.providers import Mount, Mounts, Provider
from taximeter.gateway.recorder import Recorder
from taximeter.gateway.refusals import Refusal, body_too_large, unfit_path, unknown_provider, unrecordable
from taximeter.gateway.settings import GatewaySettings
from taximeter.gateway.stream_usage import ask, can_ask
from taximeter.gateway.tap import read_json
from taximeter.gateway.upstream import Headers, Http1, Outgoing, Upstream

_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A request that may go on: where to, by whom, and with which credential."""

    mount: Mount
    method: str
    path: bytes
    query: bytes
    head: RequestHead
    key: Key | None
    credentials: Headers


class Gateway:
    """A reverse proxy in front of the providers: admits, forwards, and records every call that may cost.

    `keys` None admits everybody. `price` None leaves out the cost header. Requests other than POST are passed on
    and not recorded, but for what the answer to a GET tells of an earlier call (`taximeter.gateway.polled`).
    `known_ids` finds in the store what was used before this process started. Counters for the product: `refused` by
    code, `failures` by reason, `open_calls`, and the recorder's `written` and `lost`.
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
    ) -> None:
        settings = settings or GatewaySettings()
        self.recorder = recorder
        self.refused: dict[str, int] = {}
        self.open_calls = 0
        self._guard = Guard()
        self._mounts = Mounts(providers)
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._identities = Identities(recorder.new_event_id, clock.now_us(), known_ids)
        self._upstream = upstream or Http1(settings.upstream())
        self._tools = Tools(self._upstream, recorder, price, clock, settings, self._guard, self._identities, Counted())

    @property
    def failures(self) -> Mapping[str, int]:
        """How often our own reading or recording failed, by reason; the calls went on."""
        return self._guard.failures

    async def aclose(self) -> None:
        """Close the connections to the providers."""
        await self._upstream.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        client = Client(receive, send)
        mount, rest = self._mounts.find(scope["raw_path"])
        call: Call | None = None
        try:
            request = self._admit(scope, mount, rest)
            call = await self._call(request) if request.method == "POST" else None
            exchange = self._exchange(request, call, client, await client.body(self._settings.body_limit_bytes))
            self.open_calls += 1
            try:
                await exchange.run(request.mount)
            finally:
                self.open_calls -= 1
        except Refusal as refusal:
            await self._refuse(client, mount, call, refusal)
        except ClientGone:
            self._guard.count("client_left_early")

    def _admit(self, scope: Scope, mount: Mount | None, rest: bytes) -> _Admitted:
        """Everything that can be decided from the head. Raises Refusal."""
        head = RequestHead(scope["headers"])
        if mount is None:
            if self._keys is not None:
                identified(head, self._keys)
            raise unknown_provider(self._mounts.names)
        key, credentials = admit(head, mount.provider, self._keys)
        path = mount.target(rest)
        if path is None:
            raise unfit_path()
        if (head.content_length or 0) > self._settings.body_limit_bytes:
            raise body_too_large(self._settings.body_limit_bytes)
        return _Admitted(mount, scope["method"], path, scope["query_string"], head, key, credentials)

    async def _call(self, request: _Admitted) -> Call:
        """The call that this request is."""
        head, clock = request.head, self._clock
        key_id = None if request.key is None else request.key.id
        if b"event-id" in head.ours:
            await self._identities.look_up(head, key_id)
        event_id, attempt, request_id = self._identities.of(head, key_id)
        call = Call(event_id, clock.now_us(), clock.monotonic(), request.mount.provider.name)
        call.is_attempt(attempt, request_id)
        self._guard("attribution_unread", self._attribute, call, head, request.key)
        return call

    def _attribute(self, call: Call, head: RequestHead, key: Key | None) -> None:
        call.belongs_to(attributed(key, head.attribution()), None if key is None else key.id)
        call.is_traced(head)

    def _exchange(self, request: _Admitted, call: Call | None, client: Client, body: bytes) -> Exchange:
        """The exchange, its begin record written. Raises Refusal when that is not possible and was asked for."""
        asking = None
        if call is not None:
            asking = self._guard("request_unread", self._read_request, request, call, body)
            self._record_begin(call)
        head = request.head
        headers = head.forward + request.credentials
        if asking is not None:
            headers.append((b"accept-encoding", b"identity"))  # the extra event is found in plain text only
        elif head.accept_encoding is not None:
            headers.append((b"accept-encoding", readable_encodings(head.accept_encoding)))
        repeatable = request.method in _REPEATABLE or b"idempotency-key" in head.notes
        target = request.path + b"?" + request.query if request.query else request.path
        outgoing = Outgoing(request.method.encode(), target, headers, body, repeatable)
        poll = self._guard("poll_unread", self._poll, request) if request.method == "GET" else None
        return Exchange(self._tools, client, call, outgoing, asking, poll)

    def _poll(self, request: _Admitted) -> Poll | None:
        """What a GET may tell of an earlier call."""
        path, key = request.path.decode("latin-1"), request.key
        flavour = flavour_for(request.mount.provider.kind, "GET", path, polled=True)
        if flavour is None or not may_tell(flavour):
            return None
        known = {
            "provider": request.mount.provider.name,
            "started_at_us": self._clock.now_us(),
            "attribution": attributed(key, request.head.attribution()),
            "api_key_id": None if key is None else key.id,
            "request_id": request_id_of(request.head),
        }
        target = path + "?" + request.query.decode("latin-1") if request.query else path
        return Poll(flavour, target, known, self._settings.tap_limit_bytes)

    def _record_begin(self, call: Call) -> None:
        """Write that the call leaves. Raises Refusal when that is not on disk and calls are to be refused then.

        While records wait in memory nothing is added to them for a call that is refused.
        """
        refuses = self._settings.when_unrecordable == "refuse"
        if refuses and not self.recorder.on_disk:
            raise unrecordable()
        if not self._guard("begin_unrecorded", self._begin, call):
            self._guard.count("begin_lost")
            if refuses:
                raise unrecordable()
        elif refuses and not self.recorder.on_disk:
            self._guard("event_unrecorded", self.recorder.end, call.refused(self._clock.monotonic()))
            raise unrecordable()

    def _begin(self, call: Call) -> bool:
        return self.recorder.begin(call.begun(), call.facts.max_output_tokens)

    def _read_request(self, request: _Admitted, call: Call, body: bytes) -> bytes | None:
        """Take from the body what it says about the call; the body to send instead, if a stream has to be asked."""
        provider = request.mount.provider
        flavour = flavour_for(provider.kind, request.method, request.path.decode("latin-1"))
        encoding = request.head.notes.get(b"content-encoding")
        payload = read_json(body, encoding, self._settings.body_limit_bytes)
        if not isinstance(payload, dict):
            payload = {}
        if flavour is None:
            call.asks(None, _facts_of_unknown(payload))
            return None
        facts = flavour.read_request(payload)
        call.asks(flavour, facts)
        if not request.mount.asks_for_usage or encoding is not None or not can_ask(flavour, facts):
            return None
        asking = ask(body, payload)
        call.asks_for_usage(asking is not None)
        return asking

    async def _refuse(self, client: Client, mount: Mount | None, call: Call | None, refusal: Refusal) -> None:
        self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1
        body = refusal.body("openai" if mount is None else mount.provider.kind)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if call is not None:
            headers.append((EVENT_ID_HEADER, call.event_id.encode()))
        await client.start(refusal.status, headers)
        await client.part(body, more=False)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Websockets are refused; the lifespan is answered, so that the gateway can run by itself."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1003})
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})


def _facts_of_unknown(payload: Mapping[str, Any]) -> RequestFacts:
    """Of a request whose dialect is not known, the model at most."""
    model = payload.get("model")
    return replace(NOTHING_ASKED, model=model[:512]) if isinstance(model, str) else NOTHING_ASKED
