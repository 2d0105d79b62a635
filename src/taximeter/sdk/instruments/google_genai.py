"""`google-genai`: contents, chats, embeddings, videos at the Gemini API and at Vertex AI; whole, streamed,
asynchronous; and Live sessions (`google_live`).

A call is `BaseApiClient._request`, an attempt is `_request_once`. A streamed answer is read as the objects that the
library parses, before it makes models of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from taximeter.sdk import meter as meters
from taximeter.sdk.fetched import Fetch, begun, fetch
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import Host, host_of
from taximeter.sdk.instruments.attempts import (
    Family,
    Objects,
    ObjectsAsync,
    Place,
    Sent,
    Told,
    attempts,
    attempts_async,
    calls,
    calls_async,
    followed,
    sent,
)
from taximeter.sdk.instruments.google_live import sessions
from taximeter.sdk.parsed_once import parsed

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted

_CALL: Final = "_taximeter_call"
_MODEL: Final = re.compile(r"/models/[^/:]+:")


def _begin(api: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sent | Fetch | None:
    if not INSTRUMENT.metered(api):
        return None
    request = kwargs["http_request"] if "http_request" in kwargs else args[0]
    host = host_of(request.url, meters.meter().settings.url, "google")
    if api.vertexai:
        host = Host("google-vertex", host.through_gateway, region=host.region)
    method, path = request.method.upper(), urlsplit(request.url).path
    outgoing = sent("gemini", method, path, request.data, host, partial(_rewrite, request))
    if outgoing is None:
        return fetch("gemini", method, path, request.data, host)
    request.headers.update(outgoing.headers)
    return outgoing


def _rewrite(request: Any, admitted: Admitted) -> None:
    """The model of a request is in its path."""
    if admitted.model is not None:
        request.url = _MODEL.sub(f"/models/{admitted.model}:", request.url)
    request.data = admitted.allowed(request.data)


def _told(error: BaseException) -> Told | None:
    """An `APIError` of the library has the status and what the body said."""
    status = getattr(error, "code", None)
    return Told(status, json.dumps(getattr(error, "details", None)).encode()) if isinstance(status, int) else None


def _answered(outgoing: Sent | Fetch, response: Any) -> None:
    body = response.response_stream
    if isinstance(outgoing, Fetch):
        outgoing.answered(_payload(body))
        return
    call = outgoing.call
    call.headed(200, 1)
    if isinstance(body, list):
        payload = _payload(body)
        call.answered(payload)
        begun(call, payload)
        return
    call.follow("")
    setattr(response, _CALL, call)
    cls: Any = type(response)
    response.__class__ = _followed(cls)


def _payload(body: Any) -> object:
    """The JSON of an answer that is not streamed."""
    return parsed(body[0]) if isinstance(body, list) and body else None


@lru_cache(maxsize=8)
def _followed(cls: Any) -> type:
    """A class like `cls`, the library's response, that tells a call of the objects it hands out."""

    def segments(self: Any) -> _Objects:
        return _Objects(getattr(self, _CALL), cls.segments(self))

    def async_segments(self: Any) -> _ObjectsAsync:
        return _ObjectsAsync(getattr(self, _CALL), cls.async_segments(self))

    return followed(cls, {"segments": segments, "async_segments": async_segments})


class _Objects(Objects):
    """Dropped before the end, it ends the call."""

    def __del__(self) -> None:
        GUARD.run("stream", self._call.let_go)


class _ObjectsAsync(ObjectsAsync):
    """As `_Objects`."""

    def __del__(self) -> None:
        GUARD.run("stream", self._call.let_go)


def _places(family: Family) -> Iterable[Place]:
    api = cast(Any, import_module("google.genai._api_client")).BaseApiClient
    yield Place(api, "_request", calls(_begin, _answered))
    yield Place(api, "_async_request", calls_async(_begin, _answered))
    yield Place(api, "_request_once", attempts(told=_told))
    yield Place(api, "_async_request_once", attempts_async(told=_told))
    live = cast(Any, import_module("google.genai.live"))
    yield Place(live.AsyncLive, "connect", sessions(family))


INSTRUMENT: Final = Family(
    library="google.genai",
    client_classes=frozenset({"Client"}),
    places=_places,
    marked=lambda client: client._api_client,
)
INSTRUMENTS: Final = (INSTRUMENT,)
