"""`POST /v1/events`: native ingest. It answers 202 only after the accepted events are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from taximeter.errors import TaximeterError
from taximeter.server.access import Access
from taximeter.server.answers import Receive, Scope, Send, answer_error, answer_json, header
from taximeter.server.bodies import read_body


class Acknowledgement(Protocol):
    def as_dict(self) -> Mapping[str, object]:
        """`{"accepted", "duplicates", "rejected"}`."""
        ...


class EventsIn(Protocol):
    """Takes a body of events and returns once they are on disk."""

    def receive(
        self, body: bytes, content_type: str | None, *, attributes: Mapping[str, str], api_key_id: str | None
    ) -> Acknowledgement: ...


class IngestFace:
    """The ASGI side of it."""

    def __init__(self, access: Access, receiver: EventsIn, limit_bytes: int) -> None:
        self._access = access
        self._receiver = receiver
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._take(scope, receive, send)
        except TaximeterError as error:
            await answer_error(send, error)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._access.allowed(scope, "ingest")
        if scope["method"] != "POST":
            await answer_json(send, 405, {"error": {"code": "usage", "message": "send POST"}}, [(b"allow", b"POST")])
            return
        body = await read_body(scope, receive, self._limit_bytes)
        content_type = header(scope, b"content-type")
        acknowledged = await asyncio.to_thread(
            self._receiver.receive, body, content_type, attributes=caller.attributes, api_key_id=caller.key_id
        )
        await answer_json(send, 202, acknowledged.as_dict())
