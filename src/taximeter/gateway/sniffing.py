"""Answers that do not say what they are: their first bytes tell."""

from __future__ import annotations

from typing import Final

from taximeter.gateway.upstream import Answer

UNTOLD: Final = frozenset({b"", b"text/plain", b"application/octet-stream", b"binary/octet-stream"})
"""Media types under which proxies and small servers send JSON and event streams, too."""

_BOM: Final = b"\xef\xbb\xbf"
_JSON: Final = (b"{", b"[")


def is_untold(media_type: bytes) -> bool:
    """Whether a `content-type` (lower case) leaves open what the body is."""
    return media_type.partition(b";")[0].strip() in UNTOLD


def begins_as_json(beginning: bytes) -> bool:
    """Whether a body that begins so is to be read whole; one that has not begun is read to see whether it will."""
    text = beginning.removeprefix(_BOM).lstrip()
    return not text or text.startswith(_JSON)


class BegunAnswer:
    """An answer whose first bytes were looked at."""

    def __init__(self, answer: Answer, beginning: bytes) -> None:
        self._answer = answer
        self._beginning: bytes | None = beginning
        self.status = answer.status
        self.headers = answer.headers

    @property
    def framed(self) -> bool:
        return self._answer.framed

    def ended(self) -> bool:
        return self._beginning is None and self._answer.ended()

    async def chunk(self) -> bytes:
        if self._beginning is None:
            return await self._answer.chunk()
        beginning, self._beginning = self._beginning, None
        return beginning

    def close(self) -> None:
        self._answer.close()
