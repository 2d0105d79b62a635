"""One websocket through the gateway: message by message, unchanged, in both directions."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs

from taximeter.core.event import Status
from taximeter.extract import Flavour, Reading, flavour_for
from taximeter.gateway.admission import Asking
from taximeter.gateway.asked import KEY_SUBPROTOCOL, Asked
from taximeter.gateway.call import NOTHING_READ, Call
from taximeter.gateway.client import Client, Receive, Scope, Send
from taximeter.gateway.departure import NO_PAYLOAD, new_call, outgoing
from taximeter.gateway.heads import OURS, answer_headers
from taximeter.gateway.providers import Mount
from taximeter.gateway.record import Record
from taximeter.gateway.refusals import Refusal, upstream_failed
from taximeter.gateway.sockets import ABNORMAL, Peer, Sockets
from taximeter.gateway.tools import Tools
from taximeter.gateway.turns import Turns
from taximeter.gateway.upstream import AnswerInHand, UpstreamFailure

EVENT_ID_HEADER: Final = OURS + b"event-id"

NOT_ASCII: Final = b"\xff"
"""Stands for messages whose bytes are not looked at: each character may be several tokens."""

_REFUSED: Final = 1008
_GATEWAY_STOPS: Final = 1001
_SERVER_STOPS: Final = 1012
"""What our own server says has ended a websocket, in the client's place, when it stops."""
_LONGEST_REASON_BYTES: Final = 123
_UNSPEAKABLE: Final = frozenset({1005, ABNORMAL, 1015})
"""Codes that say how a connection ended and that nobody may send."""


def session_flavour(mount: Mount, path: bytes) -> Flavour | None:
    """What is spoken on a websocket; endpoints that also stream over HTTP speak the same there."""
    text, family = path.decode("latin-1"), mount.kind.family
    found = flavour_for(family, "GET", text)
    return found if found is not None and found.billed else flavour_for(family, "POST", text)


async def refuse_socket(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Answer the handshake with an answer of HTTP."""
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


class Session:
    """Forwards one websocket, and records the calls in it.

    The event of a call is written before the message that ends it goes to the client. A websocket whose dialect is
    not known is one call from its beginning to its end.
    """

    def __init__(self, tools: Tools, sockets: Sockets, asked: Asked, receive: Receive, send: Send) -> None:
        self._tools = tools
        self._sockets = sockets
        self._asked = asked
        self._receive = receive
        self._send = send
        self._client = Client({}, receive, send)  # for its `gone`: a session has no answer to hand on
        flavour = session_flavour(asked.mount, asked.path)
        models = parse_qs(asked.query.decode("latin-1")).get("model", [None])
        self._flavour = flavour
        self._turns = None if flavour is None else Turns(flavour, models[0])
        self._record: Record | None = None
        self._waiting: Record | None = None  # what was admitted when the session opened, for its first call
        self._last: Call | None = None
        self._progress_due = 0.0
        self.event_id: str | None = None

    async def run(self, scope: Scope) -> None:
        """Open it, and forward until one side ends it. Raises Refusal before it is open."""
        call = self._last = await new_call(self._tools, self._asked)
        self.event_id = call.event_id
        record = self._waiting = await self._admitted(call)
        try:
            answer = await self._open(scope)
        except UpstreamFailure as failure:
            record.end("error", NOTHING_READ, error_type=failure.kind, not_billed=True)
            raise upstream_failed(failure.http_status, failure.kind, failure.message) from failure
        if isinstance(answer, AnswerInHand):
            record.http_status = answer.status
            record.end("error", Reading(error_type=f"http_{answer.status}"), not_billed=True)
            headers = [*answer_headers(answer.headers), (EVENT_ID_HEADER, call.event_id.encode())]
            await refuse_socket(self._send, answer.status, headers, answer.body)
            return
        if self._turns is None:
            self._record = await self._next()
        await self._accept(answer)
        await self._forward(answer)

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────

    async def _open(self, scope: Scope) -> Peer | AnswerInHand:
        request = outgoing(self._asked, b"")
        spoken = [name for name in scope.get("subprotocols", ()) if not name.startswith(KEY_SUBPROTOCOL)]
        return await self._sockets.connect(self._asked.mount.origin, request.target, request.headers, spoken)

    async def _accept(self, peer: Peer) -> None:
        assert self.event_id is not None
        headers = [(EVENT_ID_HEADER, self.event_id.encode())]
        await self._send({"type": "websocket.accept", "subprotocol": peer.subprotocol, "headers": headers})

    # ── there and back ───────────────────────────────────────────────────────────────────────────────────

    async def _forward(self, peer: Peer) -> None:
        up = asyncio.ensure_future(self._up(peer))
        down = asyncio.ensure_future(self._down(peer))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if not self._client.gone:
                await down  # what the provider said last, and how it closed
        except asyncio.CancelledError:
            self._end_open("interrupted", "gateway_stopped")
            await self._close_client(_GATEWAY_STOPS, "")
            raise
        finally:
            up.cancel()
            down.cancel()
            ended = await asyncio.gather(up, down, return_exceptions=True)
            for _ in [error for error in ended if isinstance(error, Exception)]:
                self._tools.guard.count("session_broke")
            self._end_open("cancelled" if self._client.gone else "interrupted", "closed_early")
            if self._waiting is not None:
                self._waiting.void()
            await peer.close()

    async def _up(self, peer: Peer) -> None:
        """The client's messages, until it leaves."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code") or 1000
                if code == _SERVER_STOPS:
                    self._end_open("interrupted", "gateway_stopped")
                self._client.gone = True
                await peer.close(1000 if code in _UNSPEAKABLE else code, message.get("reason") or "")
                return
            said: str | bytes | None = message.get("text")
            if said is None:
                said = message["bytes"]
            if self._turns is not None:
                self._tools.guard("request_unread", self._turns.asked, said)
            try:
                await peer.send(said)
            except UpstreamFailure:
                return

    async def _down(self, peer: Peer) -> None:
        """The provider's messages, until it ends the session."""
        async for message in peer.messages():
            try:
                await self._read(message)
            except Refusal as refusal:
                self._end_open("interrupted", refusal.code)
                await self._close_client(_REFUSED, refusal.message)
                return
            await self._hand_on(message)
        self._end_open("interrupted", "closed_early")
        await self._close_client(peer.close_code, peer.close_reason)

    async def _hand_on(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self._tell({"type": "websocket.send", kind: message})

    async def _close_client(self, code: int, reason: str) -> None:
        code = 1011 if code in _UNSPEAKABLE else code
        await self._tell(
            {"type": "websocket.close", "code": code, "reason": reason.encode()[:123].decode(errors="ignore")}
        )

    async def _tell(self, message: dict[str, Any]) -> None:
        if self._client.gone:
            return
        try:
            await self._send(message)
        except (OSError, RuntimeError):  # how ASGI servers say that the caller has left
            self._client.gone = True

    # ── the calls in it ──────────────────────────────────────────────────────────────────────────────────

    async def _read(self, message: str | bytes) -> None:
        """Read a message along. Raises Refusal when a call in it may not go on."""
        turns = self._turns
        if turns is None:
            return
        guard, now = self._tools.guard, self._tools.clock.monotonic()
        items = guard("stream_unread", turns.told, message) or ()
        under_way = guard("stream_unread", turns.under_way)
        for item in items:
            record = None
            if under_way is None:  # otherwise it is beside the call that is under way: a transcript, another response
                record, self._record = self._record, None
            record = record or await self._next()
            record.end_as_answered(self._rest(record, item))
        if under_way is None:
            return
        if self._record is None:
            self._record = await self._next()
            self._progress_due = now + self._tools.settings.progress_seconds
        if self._record.call.first_token_at is None and turns.content_started:
            self._record.call.first_token_at = now
        if now >= self._progress_due:
            self._progress_due = now + self._tools.settings.progress_seconds
            await self._progress(self._record, under_way)

    async def _progress(self, record: Record, under_way: Reading) -> None:
        """Raises Refusal."""
        guard = self._tools.guard
        guard("progress", record.progress, under_way)
        if record.hold is not None and record.hold.leased:
            refusal = await guard.awaited("not_extended", record.hold.flows(NOT_ASCII, under_way))
            if refusal is not None:
                raise refusal

    async def _next(self) -> Record:
        """The record of a call that begins now. Raises Refusal."""
        record, self._waiting = self._waiting, None
        clock = self._tools.clock
        if record is None:
            assert self._last is not None
            self._last = self._last.another(self._tools.recorder.new_event_id())
            record = await self._admitted(self._last)
        record.call.starts_now(clock.now_us(), clock.monotonic())
        if self._turns is not None:
            record.call.asks(self._flavour, self._turns.facts)
        record.begin()
        return record

    async def _admitted(self, call: Call) -> Record:
        """Raises Refusal."""
        record, tools = Record(self._tools, self._client, call), self._tools
        record.http_status = 101
        if self._turns is not None:
            call.asks(self._flavour, self._turns.facts)
        if tools.admission is not None:
            asking = Asking(call, self._asked.mount.kind, NO_PAYLOAD, b"")
            try:
                record.hold = await tools.guard.awaited("not_admitted", tools.admission.admit(asking))
            except Refusal as refusal:
                record.refuse(refusal.code)
                raise
        return record

    def _end_open(self, status: Status, error_type: str) -> None:
        record, turns = self._record, self._turns
        if record is None:
            return
        self._record = None
        if turns is None:
            record.end("ok", NOTHING_READ)
            return
        reading = self._tools.guard("stream_unread", turns.under_way) or NOTHING_READ
        reading = self._rest(record, reading)
        record.end(status, reading, error_type=None if status == "cancelled" else error_type, estimate=True)

    def _rest(self, record: Record, told: Reading) -> Reading:
        """What other connections to the same session were not counted with."""
        flavour, counted = self._flavour, self._tools.counted_seconds
        if flavour is None:
            return told
        return self._tools.guard("stream_unread", counted.rest, record.call.provider, flavour, told) or told
