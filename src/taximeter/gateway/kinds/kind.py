"""What a kind of provider is, beside what its answers say: that is `taximeter.extract`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from taximeter.gateway.upstream import Headers, Outgoing

if TYPE_CHECKING:
    from taximeter.gateway.providers import Provider

ErrorShape = Callable[[int, str, str], object]
"""HTTP status, our code, message → the JSON of an error, as the provider would write it."""
ErrorHeaders = Callable[[int, str], Headers]
ErrorInStream = Callable[[int, str, bytes], bytes]
"""HTTP status, our code, and the error as JSON → the bytes that end a stream with it."""


class Signer(Protocol):
    """Signs requests with a credential of the server's own, where a key in a header is not enough."""

    async def signed(self, request: Outgoing) -> Outgoing | None:
        """The request as it may leave; None when the server has no credential."""
        ...


def in_event_stream(_: int, __: str, error: bytes) -> bytes:
    return b"data: " + error + b"\n\n"


def no_headers(_: int, __: str) -> Headers:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How hosts of one protocol are called.

    - `family`: which flavours of `taximeter.extract` they speak first
    - `protocol`: kinds that share one can stand in for each other
    - `key_headers`: where they take a key. It is put where the client had its own, else into the first
    - `query_keys`: query parameters in which clients may put their key
    - `base_stands_for_v1`: whether a `base_url` with a path is where `/v1` of its clients begins
    - `tells_usage_unasked`: models (lower case, as a part of the name) whose streams end with their usage in any case
    - `needs_key`: whether a call without any credential is refused here already
    - `model_in_path`: where a path names the model, as group 1; where it names none the body does
    - `signer`: for a provider without a configured key
    """

    name: str
    family: str
    protocol: str
    error_shape: ErrorShape
    key_headers: tuple[bytes, ...] = (b"authorization",)
    query_keys: tuple[bytes, ...] = ()
    base_stands_for_v1: bool = False
    tells_usage_unasked: tuple[str, ...] = ()
    error_headers: ErrorHeaders = no_headers
    error_in_stream: ErrorInStream = in_event_stream
    needs_key: bool = True
    model_in_path: re.Pattern[bytes] | None = None
    signer: Callable[[Provider], Signer] | None = None

    def error(self, status: int, code: str, message: str) -> bytes:
        """The body of an error."""
        return json.dumps(self.error_shape(status, code, message)).encode()

    def stream_error(self, status: int, code: str, message: str) -> bytes:
        """The bytes that end a stream with an error."""
        return self.error_in_stream(status, code, self.error(status, code, message))
