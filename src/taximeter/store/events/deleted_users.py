"""Users whose data was deleted, and the events of theirs that come again.

Copies that come later (a spool read again after a crash, a client that repeats itself) are kept out by a hash of the
user: the hash, and not the name, because the name is what has to go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from taximeter.store.events.lines import Lines

Deleted = Mapping[str, int]
"""When (microseconds since the epoch) the data of a user was deleted, by the hash of the user."""


class _User(msgspec.Struct):
    user_id: str | None = None


_USER: Final = msgspec.json.Decoder(_User)


def user_hash(user_id: str) -> str:
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()


def without_deleted(lines: Lines, deleted: Deleted) -> Lines:
    """The lines without those of events that began before their user's data was deleted."""
    return {event_id: line for event_id, line in lines.items() if not _is_deleted(*line, deleted)} if deleted else lines


def _is_deleted(line: bytes, start_us: int, deleted: Deleted) -> bool:
    try:
        user_id = _USER.decode(line).user_id
    except msgspec.MsgspecError:  # no text for a user: nobody's
        return False
    return user_id is not None and start_us <= deleted.get(user_hash(user_id), -1)
