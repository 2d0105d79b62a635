"""One conversation with a server's `POST /v1/events`, over one kept connection, with the standard library."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

from taximeter.errors import UsageError

PATH: Final = "/v1/events"
LONGEST_ANSWER_BYTES: Final = 16 << 20
LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said. `ours` tells whether the body has the shape of a taximeter server's answer."""

    status: int
    retry_after_seconds: float | None = None
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return "accepted" in self.body or isinstance(self.body.get("error"), dict)

    @property
    def message(self) -> str:
        error = self.body.get("error")
        said = error.get("message") if isinstance(error, dict) else None
        return f"HTTP {self.status}: {said}" if said else f"HTTP {self.status}"


class EventsEndpoint:
    """The events endpoint of the server at `url`, used by one thread.

    Raises UsageError when `url` is not http or https with a host.
    """

    def __init__(self, url: str, key: str | None, *, timeout_seconds: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"not a server's URL: {url!r}", hint="http://host:8787")
        self.address = f"{parts.scheme}://{parts.netloc}"
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + PATH
        self._timeout_seconds = timeout_seconds
        self._headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._connection: HTTPConnection | None = None

    def post(self, lines: Sequence[bytes]) -> Reply:
        """Send a batch. Raises OSError when no answer comes (it may have arrived all the same)."""
        body = gzip.compress(b"\n".join(lines) + b"\n", compresslevel=1)
        kept, self._connection = self._connection, None
        if kept is not None:
            try:
                return self._exchange(kept, body)
            except OSError:
                kept.close()  # a server closes connections that were idle: once more, on a new one
        connection = self._connect()
        try:
            return self._exchange(connection, body)
        except OSError:
            connection.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self._https else HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout_seconds)

    def _exchange(self, connection: HTTPConnection, body: bytes) -> Reply:
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            content = response.read(LONGEST_ANSWER_BYTES)
        except HTTPException as error:
            raise OSError(f"{self.address} does not speak HTTP properly: {error!r}") from error
        if response.will_close or not response.isclosed():
            connection.close()
        else:
            self._connection = connection
        return Reply(response.status, _retry_after(response), _object(content))


def _retry_after(response: HTTPResponse) -> float | None:
    """Seconds; the form with a date is left to our own pace."""
    text = response.getheader("Retry-After", "")
    try:
        return min(max(float(text), 0.0), LONGEST_RETRY_AFTER_SECONDS)
    except ValueError:
        return None


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
