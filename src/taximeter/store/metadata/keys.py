"""Keys: made, shown once, kept as hashes, found by every request, revoked at once."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from taximeter.clock import Clock
from taximeter.core.attribution import DIMENSIONS, SHORT_NAMES, TAG_PREFIX
from taximeter.errors import NotFoundError, StoreError, UsageError
from taximeter.store.metadata.database import Database
from taximeter.store.metadata.tables import CHANGES, KEYS

Scope = Literal["gateway", "ingest", "read", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("gateway", "ingest", "read", "admin")

RECHECK_SECONDS: Final = 1.0
"""How long another process's revocation may go unnoticed. Our own counts at once, and so does a new key."""

TRUSTED_SECONDS: Final = 600.0
"""How long keys that were known hold while the database does not answer."""

USE_IS_COARSE_TO_US: Final = 60_000_000
"""`last_used_at_us` is the minute, not the moment."""

LONGEST_NAME: Final = 200
_MARK: Final = "tm_"
_SECRET_BYTES: Final = 20
_ID_BYTES: Final = 10
_SHOWN_CHARACTERS: Final = 6


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. `prefix` is its beginning, to recognise it by.

    `attributes` belong to every call made with it. With `attributes_win`, which is usual, nobody can charge another
    team by what they say; otherwise attributes fill in what the caller leaves out.
    """

    id: str
    name: str
    scope: Scope
    attributes: Mapping[str, str] = field(default_factory=dict)
    attributes_win: bool = True
    prefix: str = ""
    created_at_us: int = 0
    revoked_at_us: int | None = None
    last_used_at_us: int | None = None


class Keys:
    """The keys of a database. `draw` gives that many random bytes.

    `find` answers from memory; every other method blocks on the database, and all raise StoreError when it cannot
    do it now. Whoever must not be held up by `find` calls `refresh` twice a second from another thread.
    """

    def __init__(self, database: Database, clock: Clock, draw: Callable[[int], bytes]) -> None:
        self._database = database
        self._clock = clock
        self._draw = draw
        self._active: dict[bytes, Key] = {}
        self._change: int | None = None
        self._recheck_at = self._trusted_until = float("-inf")
        self._used: set[str] = set()
        self._asking = threading.Lock()
        self._problem: StoreError | None = None

    def create(
        self, name: str, scope: str, attributes: Mapping[str, str] | None = None, *, attributes_win: bool = True
    ) -> tuple[Key, str]:
        """A new key and its secret, which is not kept. Raises UsageError for a scope, a name or an attribute that is
        not allowed."""
        key, secret = self._made(name, scope, attributes, attributes_win=attributes_win)
        with self._database.writing() as connection:
            _add(connection, key, secret)
        return key, secret

    def create_first(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[Key, str]]:
        """Keys of these names and scopes with their secrets, unless there are or were any: of several processes that
        start at once, one makes them."""
        made = [self._made(name, scope) for name, scope in wanted]
        with self._database.writing() as connection:
            _count_change(connection)  # others wait here
            if connection.execute(sa.select(KEYS.c.id).limit(1)).first() is not None:
                return []
            for key, secret in made:
                _add(connection, key, secret)
        return made

    def _made(
        self, name: str, scope: str, attributes: Mapping[str, str] | None = None, *, attributes_win: bool = True
    ) -> tuple[Key, str]:
        checked = _scope(scope)
        if not 1 <= len(name.strip()) <= LONGEST_NAME:
            raise UsageError(f"a key needs a name of 1 to {LONGEST_NAME} characters", field="name")
        secret = f"{_MARK}{checked}_{self._draw(_SECRET_BYTES).hex()}"
        key = Key(
            id="key_" + base64.b32encode(self._draw(_ID_BYTES)).decode().lower(),
            name=name.strip(),
            scope=checked,
            attributes=dict(_bound(name, value) for name, value in (attributes or {}).items()),
            attributes_win=attributes_win,
            prefix=secret[: len(_MARK) + len(checked) + 1 + _SHOWN_CHARACTERS],
            created_at_us=self._clock.now_us(),
        )
        return key, secret

    def find(self, secret: str) -> Key | None:
        """The key of a secret; None when there is none or it was revoked. About a microsecond.

        While the database does not answer, what was known holds for `TRUSTED_SECONDS`; of what was not known nobody
        can tell: StoreError.
        """
        now = self._clock.monotonic()
        if now >= self._recheck_at:
            self.refresh()
        digest = _hash(secret)
        key = self._active.get(digest)
        if key is None:
            if not secret.startswith(_MARK):
                return None
            self._ask_again(now)
            key = self._active.get(digest)
        if self._problem is not None and now >= self._trusted_until:
            raise self._problem
        if key is not None:
            self._used.add(key.id)
        return key

    def refresh(self) -> None:
        """Take up what was changed, by whomever, unless somebody is at it. A database that does not answer is
        `problem`."""
        if self._asking.acquire(blocking=False):
            try:
                self._recheck(self._clock.monotonic())
            except StoreError as error:
                self._problem = error
            finally:
                self._recheck_at = self._clock.monotonic() + RECHECK_SECONDS
                self._asking.release()

    @property
    def problem(self) -> str | None:
        """Why it is not known now which keys there are."""
        return None if self._problem is None else str(self._problem)

    def revoke(self, key_id: str) -> Key:
        """Revoke a key, and answer it; revoked again it keeps its first date. Raises NotFoundError."""
        now_us = self._clock.now_us()
        with self._database.writing() as connection:
            revoked = sa.update(KEYS).where(KEYS.c.id == key_id, KEYS.c.revoked_at_us.is_(None))
            connection.execute(revoked.values(revoked_at_us=now_us))
            row = connection.execute(sa.select(KEYS).where(KEYS.c.id == key_id)).one_or_none()
            _count_change(connection)
        with self._asking:
            self._recheck(self._clock.monotonic())
        if row is None:
            raise NotFoundError(f"there is no key {key_id}", hint="see `taximeter keys list`")
        return _key(row)

    def list(self) -> list[Key]:
        """All keys, revoked ones too, oldest first."""
        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(sa.select(KEYS).order_by(KEYS.c.created_at_us, KEYS.c.id))]

    def note_uses(self) -> None:
        """Write down which keys were found since the last time. For a background job, about once a minute."""
        used, self._used = self._used, set()
        if not used:
            return
        minute_us = self._clock.now_us() // USE_IS_COARSE_TO_US * USE_IS_COARSE_TO_US
        with self._database.writing() as connection:
            connection.execute(sa.update(KEYS).where(KEYS.c.id.in_(used)).values(last_used_at_us=minute_us))

    def _ask_again(self, now: float) -> None:
        """A key may have been made just now. Raises StoreError at once where the database has just not answered."""
        if self._problem is not None:
            raise self._problem
        with self._asking:
            self._recheck(now)

    def _recheck(self, now: float) -> None:
        """Read the keys again when they were changed."""
        with self._database.reading() as connection:
            change = connection.execute(_LAST_CHANGE).scalar_one()
            if change != self._change:
                active = connection.execute(sa.select(KEYS).where(KEYS.c.revoked_at_us.is_(None)))
                self._active = {row.hash: _key(row) for row in active}
                self._change = change
        self._recheck_at = now + RECHECK_SECONDS
        self._trusted_until = now + TRUSTED_SECONDS
        self._problem = None


_LAST_CHANGE: Final = sa.select(CHANGES.c.number).where(CHANGES.c.name == "keys")


def _add(connection: Connection, key: Key, secret: str) -> None:
    connection.execute(sa.insert(KEYS).values(hash=_hash(secret), **_values(key)))
    _count_change(connection)


def _count_change(connection: Connection) -> None:
    connection.execute(sa.update(CHANGES).where(CHANGES.c.name == "keys").values(number=CHANGES.c.number + 1))


def _hash(secret: str) -> bytes:
    """A plain hash is enough: a secret has 160 bits of chance, nobody can try them all."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _scope(name: str) -> Scope:
    for scope in SCOPES:
        if name == scope:
            return scope
    raise UsageError(
        f"unknown scope {name!r}", hint="allowed: " + ", ".join(SCOPES), field="scope", allowed=list(SCOPES)
    )


def _bound(name: str, value: str) -> tuple[str, str]:
    full = _attribute(name)
    if not value:
        raise UsageError(f"the attribute {name!r} has no value, so nothing would be bound", field="attributes")
    return full, value


def _attribute(name: str) -> str:
    """The full name of an attribute; `tags.NAME` is the tag NAME."""
    full = SHORT_NAMES.get(name, name)
    if full in DIMENSIONS or (full.startswith(TAG_PREFIX) and len(full) > len(TAG_PREFIX)):
        return full
    short = {full: name for name, full in SHORT_NAMES.items()}
    allowed = [*(short.get(one, one) for one in DIMENSIONS), f"{TAG_PREFIX}NAME"]
    hint = f"for a tag of that name: {TAG_PREFIX}{name}; allowed: {', '.join(allowed)}"
    raise UsageError(f"there is no attribute {name!r}", hint=hint, field="attributes", allowed=allowed)


def _values(key: Key) -> dict[str, Any]:
    return {column: getattr(key, column) for column in _COLUMNS}


def _key(row: Row[Any]) -> Key:
    return Key(**{column: getattr(row, column) for column in _COLUMNS})


_COLUMNS: Final = tuple(column.name for column in KEYS.columns if column.name != "hash")
