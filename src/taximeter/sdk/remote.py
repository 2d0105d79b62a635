"""Asking a running server over its API, with the standard library's HTTP client."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from taximeter.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    TaximeterError,
    TooLargeError,
    UnavailableError,
    UsageError,
)

TIMEOUT_SECONDS = 60.0
_JSON = "application/json"

_BY_STATUS: dict[int, type[TaximeterError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: TooLargeError,
    422: UsageError,
    503: UnavailableError,
}


@dataclass(frozen=True, slots=True)
class Remote:
    """A server at `url`, asked with `token`."""

    url: str
    token: str | None
    timeout_seconds: float = TIMEOUT_SECONDS

    def get(self, path: str, parameters: Iterable[tuple[str, str]] = ()) -> Any:
        query = urlencode(list(parameters))
        return self._call("GET", f"{path}?{query}" if query else path)

    def post(self, path: str, content: object) -> Any:
        return self._call("POST", path, json.dumps(content).encode())

    def send(self, path: str, body: bytes, content_type: str) -> Any:
        """A body as it is."""
        return self._call("POST", path, body, content_type)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, body: bytes | None = None, content_type: str = _JSON) -> Any:
        with self._answer(method, path, body, content_type) as answer:
            content = answer.read()
        parsed = _json(content)
        if answer.status >= 400:
            raise _error(answer.status, parsed)
        return parsed

    @contextmanager
    def _answer(
        self, method: str, path: str, body: bytes | None, content_type: str
    ) -> Iterator[http.client.HTTPResponse]:
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise UsageError(f"'{self.url}' is not the address of a server", hint="such as http://127.0.0.1:8787")
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = kind(address.hostname, address.port, timeout=self.timeout_seconds)
        headers = {"accept": _JSON, "content-type": content_type}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, address.path.rstrip("/") + path, body, headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"{self.url} does not answer: {reason}", hint="is `taximeter up` running?") from None
        finally:
            connection.close()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


def _error(status: int, parsed: Any) -> TaximeterError:
    told = parsed.get("error") if isinstance(parsed, dict) else None
    if not isinstance(told, dict):
        return UnavailableError(f"the server answered {status}", hint="is it really taximeter?")
    return _BY_STATUS.get(status, UnavailableError)(str(told.get("message")), hint=told.get("hint"))
