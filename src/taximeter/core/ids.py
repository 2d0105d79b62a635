"""Event ids: UUIDv7 (RFC 9562, section 5.7), the key that makes a repeated event the same event.

The first 48 bits are Unix milliseconds, so ids sort by time, and a store finds a duplicate by looking only at
its own neighbourhood.

`uuid` and `hashlib` are imported where they are used: few programs come there, and together they take an eighth of
the time of `import taximeter`.
"""

from __future__ import annotations

RANDOM_BYTES = 10
"""Bytes of chance a UUIDv7 takes (74 of the 80 bits are used)."""

_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_LOW_62 = (1 << 62) - 1


def uuid7(unix_ms: int, chance: bytes) -> str:
    """The UUIDv7 of a millisecond and `RANDOM_BYTES` random bytes, in canonical lower-case text."""
    noise = int.from_bytes(chance, "big")
    value = (unix_ms & ((1 << 48) - 1)) << 80 | _VERSION_7 | ((noise >> 62) & 0xFFF) << 64
    text = f"{value | _VARIANT | (noise & _LOW_62):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_event_id(text: str) -> str:
    """The canonical text of an event id. Any UUID is accepted; v7 is what our own senders make.

    Raises ValueError when it is not a UUID.
    """
    from uuid import UUID

    return str(UUID(text))


def attempt_id(event_id: str, attempt: int) -> str:
    """The id of a further attempt of the call `event_id`; the first attempt (1) is the call itself.

    Deterministic, and keeps the time of the original, so that a repeated report of the same attempt is still
    the same event.
    """
    if attempt <= 1:
        return event_id
    import hashlib
    from uuid import UUID

    original = UUID(event_id)
    chance = hashlib.blake2b(original.bytes + attempt.to_bytes(4, "big"), digest_size=RANDOM_BYTES).digest()
    return uuid7(original.int >> 80, chance)


def unix_ms_of(event_id: str) -> int | None:
    """The millisecond in a UUIDv7, or None for another kind of UUID."""
    from uuid import UUID

    value = UUID(event_id)
    return value.int >> 80 if value.version == 7 else None
