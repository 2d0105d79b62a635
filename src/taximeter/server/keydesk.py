"""Keys and sessions of the metadata store, in the shapes that the server and the command line use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from taximeter.clock import rfc3339
from taximeter.errors import StoreError
from taximeter.server.access import Caller
from taximeter.server.shapes import KeyInfo, NewKey
from taximeter.store.metadata import Key, Metadata

FIRST_KEYS: Final = (("default gateway key", "gateway"), ("default SDK key", "ingest"))
"""Name and scope of what the first start makes."""

NOTE_USES_SECONDS: Final = 30.0
REFRESH_SECONDS: Final = 0.5

_log: Final = logging.getLogger(__name__)


class KeyDesk:
    """`Credentials` for `Access`, `Keys` for the routes, and the key check of the gateway."""

    def __init__(self, metadata: Metadata, *, session_seconds: int) -> None:
        self.session_seconds = session_seconds
        self._keys = metadata.keys
        self._sessions = metadata.sessions
        self.calculator_uses = metadata.calculator_uses
        self.alerting = metadata.alerting
        self.findings = metadata.findings
        self.exports = metadata.exports
        self.limits = metadata.limits
        self.links = metadata.links
        self.rules = metadata.rules
        self.lease = metadata.lease

    def gateway_key(self, secret: str) -> Key | None:
        return self._keys.find(secret)

    def key(self, secret: str) -> Caller | None:
        found = self._keys.find(secret)
        if found is None:
            return None
        return Caller("key", found.scope, found.name, found.id, found.attributes, found.attributes_win)

    def session(self, token: str) -> Caller | None:
        found = self._sessions.find(token)
        return Caller("session", found.scope, "signed in by link") if found else None

    def open_session(self) -> str:
        return self._sessions.open(self.session_seconds)

    def end_session(self, token: str) -> None:
        self._sessions.end(token)

    def create(self, name: str, scope: str, attributes: Mapping[str, str], *, attributes_win: bool = True) -> NewKey:
        """Raises UsageError for a name or scope that is not allowed."""
        made, secret = self._keys.create(name, scope, attributes, attributes_win=attributes_win)
        return NewKey(id=made.id, name=made.name, scope=made.scope, key=secret)

    def list(self) -> list[KeyInfo]:
        """All keys; those used until now say so."""
        self.note_uses()
        return [_info(key) for key in self._keys.list()]

    def revoke(self, key_id: str) -> KeyInfo:
        """Raises NotFoundError."""
        return _info(self._keys.revoke(key_id))

    def first_keys(self) -> Sequence[NewKey]:
        """The keys of the first start; none when there are, or were, any."""
        made = self._keys.create_first(FIRST_KEYS)
        return [NewKey(id=key.id, name=key.name, scope=key.scope, key=secret) for key, secret in made]

    @property
    def problem(self) -> str | None:
        """Why the store does not answer; None while it does."""
        return self._keys.problem

    async def keep_knowing_keys(self) -> None:
        """Take up what was changed elsewhere until cancelled, so that no request waits for the store."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await asyncio.to_thread(self._keys.refresh)

    async def keep_noting_uses(self) -> None:
        """Write down which keys were used, every `NOTE_USES_SECONDS` until cancelled."""
        while True:
            await asyncio.sleep(NOTE_USES_SECONDS)
            await asyncio.to_thread(self.note_uses)

    def note_uses(self) -> None:
        """Write down which keys were used since the last time. Blocks; when the store cannot take it, it is lost."""
        try:
            self._keys.note_uses()
        except StoreError as error:
            _log.warning("keys: their use is not noted: %s", error)


def _info(key: Key) -> KeyInfo:
    return KeyInfo(
        id=key.id,
        name=key.name,
        scope=key.scope,
        prefix=key.prefix,
        attributes=dict(key.attributes),
        attributes_win=key.attributes_win,
        created_at=rfc3339(key.created_at_us),
        revoked_at=_moment(key.revoked_at_us),
        last_used_at=_moment(key.last_used_at_us),
    )


def _moment(unix_us: int | None) -> str | None:
    return None if unix_us is None else rfc3339(unix_us)
