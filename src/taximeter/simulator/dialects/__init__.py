"""The providers' ways of asking and answering, one file each. A file has `ROUTES`: which paths its dialects answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from taximeter.core.usage import Usage
from taximeter.simulator.asking import Ask
from taximeter.simulator.drafting import Draft
from taximeter.simulator.jobs import Jobs
from taximeter.simulator.manners import Headers, Manners

Piece = tuple[bytes, int]
"""Bytes of a stream, and the output tokens that are out when they have been sent."""

Caching = Literal["automatic", "marked", "none"]
"""A provider caches long prompts by itself; what the caller marked; nothing."""

EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"


class Dialect:
    """One operation of one provider. The last piece of `streamed` holds everything after the last token."""

    manners: Manners
    operation: ClassVar[str] = "chat"
    api: ClassVar[str]
    caching: Caching = "automatic"
    method: str = "POST"
    stream_type: bytes = EVENT_STREAM

    @property
    def provider(self) -> str:
        return self.manners.provider

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """What the request asks for. Raises `Refusal` when the provider would refuse it."""
        raise NotImplementedError

    def response_id(self, _number: str, /) -> str | None:
        """The id that the body of an answer carries, or None when the protocol has none."""
        return None

    def bills(self, _draft: Draft, /) -> bool:
        """Whether this answer is one that is paid for."""
        return True

    def used(self, draft: Draft, /) -> Usage:
        """What this answer came to."""
        return draft.usage

    def headers(self, _draft: Draft, /) -> Headers:
        """What the headers of a whole answer say besides the usual."""
        return []

    def whole(self, draft: Draft, /) -> bytes:
        """The answer as one JSON body."""
        raise NotImplementedError

    def streamed(self, draft: Draft, _tokens_per_piece: int, /) -> Iterator[Piece]:
        """The answer as the protocol streams it."""
        yield self.whole(draft), 0

    def stream_error(self) -> bytes:
        """What ends a stream when the provider fails in the middle of it."""
        return b"data: " + self.manners.error_body(self.manners.refusal("server_error"), "req_stream") + b"\n\n"

    def broken_event(self) -> bytes:
        """A piece of a stream that nobody can read."""
        return b'data: {"id":"cut\n\n'


class JobDialect(Dialect):
    """An operation of jobs. It is made for each request, and given the jobs of its simulator before it is asked."""

    jobs: Jobs


@dataclass(frozen=True, slots=True)
class Route:
    """Which paths a dialect answers. `dialect_at(match, query)` makes it for one path and its query string."""

    manners: Manners
    pattern: str
    dialect_at: Callable[[re.Match[str], Mapping[str, str]], Dialect]


def route(pattern: str, dialect: Dialect) -> Route:
    """A dialect that needs to know nothing of the path."""
    return Route(dialect.manners, pattern, lambda _match, _query: dialect)


def model_route(pattern: str, manners: Manners, dialect_for: Callable[[str], Dialect]) -> Route:
    """A dialect made for the model that the group `model` of the pattern names."""
    return Route(manners, pattern, lambda match, _query: dialect_for(match["model"]))


def grouped(words: tuple[str, ...], size: int) -> Iterator[tuple[str, int]]:
    """Text in portions of `size` words with the blank before each word but the first, and the words so far."""
    for start in range(0, len(words), size):
        portion = " ".join(words[start : start + size])
        yield (" " + portion if start else portion), min(start + size, len(words))
