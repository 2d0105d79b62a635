"""One POST, as exporters make it: bounded in time, and sure of what was not taken."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from taximeter.exporters.port import ExportError, NotTakenError

TIMEOUT_SECONDS: Final = 10.0
SHOWN_CHARACTERS: Final = 200
"""Of an answer that is told in an error."""

REFUSED_FROM, REFUSED_BELOW = 400, 500
"""Statuses that say that nothing was done."""


def post(url: str, body: bytes, headers: Mapping[str, str], *, service: str) -> bytes:
    """The answer. `service` names it in errors, which never show the URL. Raises ExportError, and NotTakenError where
    no byte of the body left, or the answer says that it was refused."""
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)
    try:
        _connect(connection, service)
        path = f"{address.path or '/'}{'?' + address.query if address.query else ''}"
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        said = answer.read(1 << 16)
    except (OSError, http.client.HTTPException) as error:
        raise ExportError(f"{service} did not answer: {type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status < 300:
        return said
    shown = said.decode("utf-8", "replace")[:SHOWN_CHARACTERS]
    refused = REFUSED_FROM <= answer.status < REFUSED_BELOW
    raise (NotTakenError if refused else ExportError)(f"{service} answered {answer.status}: {shown}")


def _connect(connection: http.client.HTTPConnection, service: str) -> None:
    try:
        connection.connect()
    except (OSError, ssl.SSLError) as error:
        raise NotTakenError(f"{service} cannot be reached: {type(error).__name__}") from None
