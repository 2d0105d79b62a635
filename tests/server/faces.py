"""A server without its store: the real application, known credentials, an ingest that remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from taximeter.errors import TaximeterError
from taximeter.server.access import Access, Caller
from taximeter.server.answers import Receive, Scope, Send, answer
from taximeter.server.app import Faces, build_app
from taximeter.server.events_in import IngestFace
from taximeter.server.health import Counts
from taximeter.server.page import Page
from taximeter.server.signin import SignIn, SignInLinks

LOCAL_TOKEN = "local-token"
COOKIE = "taximeter-8787"
INGEST_LIMIT_BYTES = 1000


@dataclass
class KnownCredentials:
    """One key of each scope, named like its scope; the sessions that were opened."""

    sessions: set[str] = field(default_factory=set)
    session_seconds: int = 3600

    def key(self, secret: str) -> Caller | None:
        scope = secret.removeprefix("key-")
        if scope not in ("gateway", "ingest", "read", "admin"):
            return None
        return Caller("key", scope, f"the {scope} key", f"id-{scope}", {"team": "core"}, attributes_win=False)

    def session(self, token: str) -> Caller | None:
        return Caller("session", "admin", "browser") if token in self.sessions else None

    def open_session(self) -> str:
        token = f"session-{len(self.sessions)}"
        self.sessions.add(token)
        return token

    def end_session(self, token: str) -> None:
        self.sessions.discard(token)


@dataclass
class RememberingReceiver:
    """Keeps what it was given; raises `trouble` when it has some."""

    bodies: list[tuple[bytes, str, Mapping[str, object] | None, bool, str | None]] = field(default_factory=list)
    trouble: TaximeterError | None = None

    async def receive(
        self,
        body: bytes,
        content_type: str,
        *,
        attributes: Mapping[str, object] | None,
        attributes_win: bool,
        api_key_id: str | None,
    ) -> Mapping[str, Any]:
        if self.trouble:
            raise self.trouble
        self.bodies.append((body, content_type, attributes, attributes_win, api_key_id))
        return {"accepted": 1, "duplicates": 0, "rejected": []}


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_us(self) -> int:
        return int(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds


async def echo_gateway(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, 200, f"gateway {scope['path']}".encode())


@dataclass
class House:
    """The application and the things behind it."""

    page_directory: Path
    open_to_all: bool = False
    credentials: KnownCredentials = field(default_factory=KnownCredentials)
    receiver: RememberingReceiver = field(default_factory=RememberingReceiver)
    clock: ManualClock = field(default_factory=ManualClock)
    problems: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        access = Access(self.credentials, local_token=LOCAL_TOKEN, cookie=COOKIE, open_to_all=self.open_to_all)
        self.links = SignInLinks(self.clock)
        sign_in = SignIn(access, self.credentials, self.links)
        self.app = build_app(
            Faces(
                access=access,
                counts=lambda: self.counts,
                problems=lambda: self.problems,
                gateway=echo_gateway,
                providers=("openai", "local"),
                ingest=IngestFace(access, self.receiver, INGEST_LIMIT_BYTES),
                sign_in=sign_in,
                page=Page(access, self.page_directory),
            )
        )

    def client(self, key: str | None = None, **headers: str) -> httpx.AsyncClient:
        if key:
            headers["authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787", headers=headers)
