"""A fetch through a client library that Stainless generates: the request for an answer that tells what an earlier call
cost (a background response, a batch, a video, the file of a batch's results).

It goes through the patches in the place of a call and is none: nothing begins, and its failures are nobody's.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from taximeter.extract import Flavour, StreamReader, flavour_for
from taximeter.sdk.call import LONGEST_BODY_BYTES
from taximeter.sdk.fetched import Fetch
from taximeter.sdk.hosts import Host
from taximeter.sdk.parsed_once import parsed

_TOLD_ELSEWHERE: Final = frozenset({"openai.chat.retrieve", "openai.batch.output"})
"""Flavours that tell again what others tell: the answer to a POST, and the batch of a file of results."""


def fetching(kind: str, host: Host, method: str, path: str, options: Any) -> Fetching | None:
    """The fetch that a request is; None when it is none, or our own gateway counts what it tells."""
    if host.through_gateway:
        return None
    asked = urlsplit(host.prefix + path)
    flavour = flavour_for(kind, method, asked.path, polled=True)
    if flavour is None or not flavour.polled or flavour.name in _TOLD_ELSEWHERE:
        return None
    query = "&".join(part for part in (asked.query, urlencode(options.params)) if part)
    return Fetching(flavour, Fetch(flavour, host, f"{asked.path}?{query}" if query else asked.path), options)


class Fetching:
    """What an `Outgoing` is to the patches. `streams`: the answer is read piece by piece, as its caller reads it."""

    limited: Final = None
    unasked: Final = None

    def __init__(self, flavour: Flavour, fetch: Fetch, options: Any) -> None:
        self.options = options
        self.streams = flavour.several
        self._flavour = flavour
        self._fetch = fetch
        self._reader: StreamReader | None = None
        self._body = bytearray()

    def headed(self, http_status: int, attempt: int) -> None:
        pass

    def answered(self, payload: object, _text: str = "") -> None:
        self._fetch.answered(payload)

    def streamed_already(self, content_type: str, body: bytes) -> None:
        self.follow(content_type)
        self.took(body)
        self.exhausted()

    def follow(self, content_type: str) -> None:
        of_lines = self._flavour.several and "application/json" not in content_type
        if of_lines or self._flavour.streams(content_type):
            self._reader = self._flavour.stream()

    def took(self, chunk: bytes) -> None:
        if self._reader is not None:
            self._reader.feed(chunk)
            self._fetch.tells(self._reader.take_items())
        elif len(self._body) + len(chunk) <= LONGEST_BODY_BYTES:
            self._body += chunk

    def exhausted(self) -> None:
        if self._reader is None:
            self._fetch.answered(parsed(bytes(self._body)))
            return
        self._reader.end()
        self._fetch.tells(self._reader.take_items())
        self.let_go()

    def let_go(self) -> None:
        """What was read is told; the rest will be when somebody reads it."""
        if self._reader is not None and not self._flavour.several:
            self._fetch.told(self._reader.reading())

    def failed(self, _error: BaseException) -> None:
        pass

    def unreadable(self, _http_status: int) -> None:
        pass
