"""Where imported events go: into the store of a data directory, or to the server that owns it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from taximeter.clock import Clock, rfc3339
from taximeter.errors import SpoolError, UnavailableError
from taximeter.ingest.collector import CostSplicer, PricedRecord, Prices, Store
from taximeter.ingest.imports.engine import Lines

MOST_TRIES: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.5
"""How often, and how soon, a server that cannot take events now is asked again; each pause is twice the last."""

_decode: Final = msgspec.json.Decoder(PricedRecord).decode


class DirectoryEvents:
    """Into the store itself, priced: the directory is owned by this command. A batch is in it, or not at all."""

    def __init__(self, store: Store, prices: Prices, clock: Clock) -> None:
        self._store = store
        self._splicer = CostSplicer(prices)
        self._clock = clock

    def take(self, lines: Lines) -> int:
        """Raises StoreError."""
        ingested_at = rfc3339(self._clock.now_us())
        priced = [self._splicer.spliced(line, _decode(line), ingested_at) for _, line in lines]
        return self._store.append(priced, {}).inserted


class EventsIn(Protocol):
    """A server's `POST /v1/events`; `sdk.remote.Remote` is one."""

    def send(self, path: str, body: bytes, content_type: str) -> Any: ...


class ServerEvents:
    """To a running server, as any other sender's events: its answer comes when they are on disk."""

    def __init__(self, server: EventsIn, pause: Callable[[float], None] = time.sleep) -> None:
        self._server = server
        self._pause = pause

    def take(self, lines: Lines) -> int:
        """Raises UnavailableError when the server does not come back, or refuses the key."""
        body = b"\n".join(line for _, line in lines)
        answer = self._answer(body)
        if answer["rejected"]:
            raise SpoolError(f"the server rejected events: {answer['rejected'][0]['message']}")
        return int(answer["accepted"])

    def _answer(self, body: bytes) -> Any:
        for attempt in range(MOST_TRIES - 1):
            try:
                return self._server.send("/v1/events", body, "application/x-ndjson")
            except UnavailableError:
                self._pause(FIRST_PAUSE_SECONDS * 2**attempt)
        return self._server.send("/v1/events", body, "application/x-ndjson")
