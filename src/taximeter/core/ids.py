"""Event ids: UUIDv7 (RFC 9562, section 5.7), the key that makes a repeated event the same event.

The first 48 bits are Unix milliseconds, so ids sort by time, and a store finds a duplicate by looking only at
its own neighbourhood.

`uuid` and `hashlib` are imported where they are used: few programs come there, and together they take an eighth of
the time of `import taximeter`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

RANDOM_BYTES = 10
"""Bytes of chance a UUIDv7 takes (74 of the 80 bits are used)."""

PREPARED_IDS: Final = 64
"""Ids whose random part is made at once: chance costs a call of the system, however little of it is taken."""

LONGEST_CHANCE_ID: Final = 15
"""A provider's ids of answers up to this length are small random numbers on some hosts, and prove nothing."""

_TIME = (1 << 48) - 1
_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0x2 << 62
_LOW_62 = (1 << 62) - 1


def uuid7(unix_ms: int, chance: bytes) -> str:
    """The UUIDv7 of a millisecond and `RANDOM_BYTES` random bytes, in canonical lower-case text."""
    noise = int.from_bytes(chance, "big")
    whole = (unix_ms & _TIME | 1 << 48) << 80 | (noise >> 62 & 0xFFF) << 64 | noise & _LOW_62 | _VERSION_AND_VARIANT
    digits = hex(whole)  # the one in front keeps the zeros of the time; written at once, as OTLP makes many
    return f"{digits[3:11]}-{digits[11:15]}-{digits[15:19]}-{digits[19:23]}-{digits[23:]}"


def timed_id(unix_ms: int, random_part: str) -> str:
    """The UUIDv7 of a millisecond and what `EventIds` prepared. Raises TypeError when they are neither."""
    digits = hex(unix_ms & _TIME | 1 << 48)  # the one in front keeps its zeros; half the time of `{unix_ms:012x}`
    return "-".join((digits[3:11], digits[11:], random_part))


class EventIds:
    """Makes event ids. `chance` gives so many random bytes. Safe to use from many threads.

    A forked child must `forget` what its parent had prepared: both would give it out.
    """

    __slots__ = ("_chance", "prepared")

    def __init__(self, chance: Callable[[int], bytes]) -> None:
        self._chance = chance
        self.prepared: list[str] = []
        """Random parts of ids. Whoever pops one has it alone; where there is none, `prepare` gives one."""

    def new(self, unix_ms: int) -> str:
        """An id that nobody else has."""
        try:
            random_part = self.prepared.pop()
        except IndexError:
            random_part = self.prepare()
        return timed_id(unix_ms, random_part)

    def forget(self) -> None:
        """Drop what is prepared."""
        self.prepared.clear()

    def prepare(self) -> str:
        """A random part, and more of them for later. Piece by piece, all at a time: one by one they took a twentieth of
        what a call costs."""
        chance = self._chance(PREPARED_IDS * RANDOM_BYTES)
        versions, variants, rest = chance[:_PAIRS], chance[_PAIRS : 2 * _PAIRS], chance[2 * _PAIRS :]
        pieces = (
            _first_of_two(versions, _VERSION_7).hex("-", 2).split("-"),
            _first_of_two(variants, _VARIANT_1).hex("-", 2).split("-"),
            rest.hex("-", RANDOM_BYTES - 4).split("-"),
        )
        parts = [*map("-".join, zip(*pieces, strict=True))]
        last = parts.pop()
        self.prepared.extend(parts)
        return last


_PAIRS: Final = 2 * PREPARED_IDS
_VERSION_7: Final = bytes(0x70 | byte & 0x0F for byte in range(256))
_VARIANT_1: Final = bytes(0x80 | byte & 0x3F for byte in range(256))
"""What the byte that holds the version, or the variant, becomes: the rest of it is chance."""


def _first_of_two(pairs: bytes, becomes: bytes) -> bytes:
    """Pairs of bytes, the first of each translated."""
    changed = bytearray(pairs)
    changed[::2] = changed[::2].translate(becomes)
    return bytes(changed)


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
    from uuid import UUID

    original = UUID(event_id)
    return named_id(original.int >> 80, original.bytes + attempt.to_bytes(4, "big"))


def named_id(unix_ms: int, identity: bytes) -> str:
    """The id of the call that began in a millisecond and is known elsewhere by `identity`: whoever repeats the call
    repeats its id."""
    return uuid7(unix_ms, _hashlib().blake2b(identity, digest_size=RANDOM_BYTES).digest())


def derived_id(*parts: str) -> str:
    """The same UUID (version 5) for the same parts, wherever and whenever it is asked for."""
    from uuid import NAMESPACE_URL, uuid5

    return str(uuid5(NAMESPACE_URL, "taximeter:" + "\0".join(parts)))


def usage_event_id(provider: str, usage_id: str) -> str:
    """The id of the event of what a provider tells again whenever it is asked: whoever asks, it is the same event."""
    return derived_id("usage", provider, usage_id)


@cache
def _hashlib() -> Any:
    import hashlib

    return hashlib


def unix_ms_of(event_id: str) -> int | None:
    """The millisecond in a UUIDv7, or None for another kind of UUID."""
    from uuid import UUID

    value = UUID(event_id)
    return value.int >> 80 if value.version == 7 else None
