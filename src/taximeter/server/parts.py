"""What the API needs from the rest of the process, as `compose` hands it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from taximeter.clock import Clock
from taximeter.server.access import Access
from taximeter.server.live import Live
from taximeter.server.shapes import KeyInfo, NewKey, Status
from taximeter.store.events import EventStore


class KeyDesk(Protocol):
    """Making, listing and revoking keys. All block."""

    def create(self, name: str, scope: str, attributes: Mapping[str, str]) -> NewKey: ...

    def list(self) -> list[KeyInfo]: ...

    def revoke(self, key_id: str) -> KeyInfo:
        """Raises NotFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """`status` and `sign_in_url` may block."""

    store: EventStore
    keys: KeyDesk
    access: Access
    live: Live
    clock: Clock
    status: Callable[[], Status]
    sign_in_url: Callable[[], str]
