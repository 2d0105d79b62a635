"""Packed request bodies: all that is in them is read, and never more than is allowed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
import zstandard

from taximeter.errors import TooLargeError, UsageError
from taximeter.server.bodies import unpacked, unpacked_zstd

Pack = Callable[[bytes], bytes]
Unpack = Callable[[bytes, int], bytes]
FORMS = [(gzip.compress, unpacked), (zlib.compress, unpacked), (zstandard.compress, unpacked_zstd)]
SKIPPED = b"\x50\x2a\x4d\x18\x04\x00\x00\x00note"
"""A frame that a reader of zstd passes over."""


@pytest.mark.parametrize(("pack", "unpack"), FORMS)
def test_a_body_packed_in_several_members_is_read_to_its_end(pack: Pack, unpack: Unpack) -> None:
    large = bytes(range(256)) * 100
    assert unpack(pack(b'{"a":1}\n') + pack(large) + pack(b"") + pack(b'{"b":2}\n'), 100_000) == (
        b'{"a":1}\n' + large + b'{"b":2}\n'
    )


def test_a_frame_that_is_to_be_skipped_hides_nothing_behind_it() -> None:
    assert unpacked_zstd(SKIPPED + zstandard.compress(b"events"), 100) == b"events"


@pytest.mark.parametrize(("pack", "unpack"), FORMS)
def test_members_count_together_against_the_limit(pack: Pack, unpack: Unpack) -> None:
    two = pack(b"x" * 60) + pack(b"x" * 60)
    assert len(unpack(two, 120)) == 120
    with pytest.raises(TooLargeError):
        unpack(two, 119)


@pytest.mark.parametrize(("pack", "unpack"), FORMS)
@pytest.mark.parametrize("rest", [b"more", b"\x1f"])
def test_what_is_no_member_behind_the_first_is_refused_rather_than_dropped(
    pack: Pack, unpack: Unpack, rest: bytes
) -> None:
    with pytest.raises(UsageError):
        unpack(pack(b"events") + rest, 100)


@pytest.mark.parametrize(("pack", "unpack"), FORMS)
def test_an_empty_or_torn_body_is_refused(pack: Pack, unpack: Unpack) -> None:
    for torn in (b"", pack(b"events" * 100)[:-5]):
        with pytest.raises(UsageError):
            unpack(torn, 10_000)
