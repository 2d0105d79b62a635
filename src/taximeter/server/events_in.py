"""`POST /v1/events`: native ingest. It answers 202 only after the accepted events are durable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from taximeter.errors import TaximeterError
from taximeter.server.access import Access
from taximeter.server.answers import Receive, Scope, Send, answer_error, answer_json, header
from taximeter.server.bodies import read_body


class EventsIn(Protocol):
    """Takes a body of events and returns once they are on disk: `{"accepted", "duplicates", "rejected"}`."""

    async def receive(
        self,
        body: bytes,
        content_type: str,
        *,
        attributes: Mapping[str, object] | None,
        attributes_win: bool,
        api_key_id: str | None,
    ) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class TakenIn:
    """Events that came in since the start."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass(slots=True)
class IngestFace:
    """The ASGI side of it."""

    access: Access
    receiver: EventsIn
    limit_bytes: int
    taken_in: TakenIn = field(default_factory=TakenIn)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._take(scope, receive, send)
        except TaximeterError as error:
            await answer_error(send, error)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self.access.allowed(scope, "ingest")
        if scope["method"] != "POST":
            await answer_json(send, 405, {"error": {"code": "usage", "message": "send POST"}}, [(b"allow", b"POST")])
            return
        body = await read_body(scope, receive, self.limit_bytes)
        received = await self.receiver.receive(
            body,
            header(scope, b"content-type") or "",
            attributes=caller.attributes,
            attributes_win=caller.attributes_win,
            api_key_id=caller.key_id,
        )
        self._count(received)
        await answer_json(send, 202, received)

    def _count(self, received: Mapping[str, Any]) -> None:
        self.taken_in.accepted += received["accepted"]
        self.taken_in.duplicates += received["duplicates"]
        self.taken_in.rejected += len(received["rejected"])
