"""The providers' ways of asking and answering, one file each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from taximeter.simulator.asking import Ask
from taximeter.simulator.drafting import Draft

Piece = tuple[bytes, int]
"""Bytes of a stream, and the output tokens that are out when they have been sent."""


class Dialect(Protocol):
    """One operation of one provider. The last piece of `streamed` holds everything after the last token."""

    provider: str
    operation: str
    api: str

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """What the request asks for. Raises `Refusal` when the provider would refuse it."""
        ...

    def response_id(self, number: str, /) -> str | None:
        """The id that the body of an answer carries, or None when the protocol has none."""
        ...

    def whole(self, draft: Draft, /) -> bytes:
        """The answer as one JSON body."""
        ...

    def streamed(self, draft: Draft, tokens_per_piece: int, /) -> Iterator[Piece]:
        """The answer as server-sent events."""
        ...


def grouped(words: tuple[str, ...], size: int) -> Iterator[tuple[str, int]]:
    """Text in portions of `size` words with the blank before each word but the first, and the words so far."""
    for start in range(0, len(words), size):
        portion = " ".join(words[start : start + size])
        yield (" " + portion if start else portion), min(start + size, len(words))
