"""One POST, as channels make it: bounded in time, with the answer's meaning for a delivery.

2xx is delivered; 408, 429 and 5xx may go through later; everything else will not.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from taximeter.alerts.channels.port import DeliveryError

TIMEOUT_SECONDS: Final = 10.0
SHOWN_CHARACTERS: Final = 200
"""Of an answer that is told in an error."""

_LATER: Final = frozenset({408, 425, 429, *range(500, 600)})


def post(url: str, body: bytes, headers: Mapping[str, str], *, service: str) -> bytes:
    """POST `body` and return the answer's. `service` names it in errors, which never show the URL: it may be a
    secret. Raises DeliveryError."""
    address = urlsplit(url)
    secure = address.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(
            "POST", f"{address.path or '/'}{'?' + address.query if address.query else ''}", body, headers
        )
        answer = connection.getresponse()
        content = answer.read(1 << 20)
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        raise DeliveryError(f"{service} does not answer: {type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status < 300:
        return content
    raise refused(answer.status, answer.headers.get("retry-after"), content.decode("utf-8", "replace"), service)


def refused(status: int, retry_after: str | None, said: str, service: str) -> DeliveryError:
    """What an answer that is no success means."""
    return DeliveryError(
        f"{service} answered {status}: {said[:SHOWN_CHARACTERS]}",
        permanent=status not in _LATER,
        retry_after_seconds=float(retry_after) if retry_after is not None and retry_after.isdecimal() else None,
    )
