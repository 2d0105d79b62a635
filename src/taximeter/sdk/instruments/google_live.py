"""Live sessions of `google-genai`: each turn of the model is a call, from its first content to the message that tells
what it came to. What is read are the messages on the session's websocket, as they come.

A session through our own gateway is counted there, which gives its turns ids of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from taximeter.extract import Flavour, Reading, flavour_for
from taximeter.extract.payload import Payload
from taximeter.sdk import meter as meters
from taximeter.sdk.call import Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import Host, host_of
from taximeter.sdk.instruments.attempts import Family, Wrap
from taximeter.sdk.parsed_once import parsed

_PATH: Final = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


class _Turns:
    """The calls in one session, of which one at most is under way."""

    def __init__(self, flavour: Flavour, request: Payload, host: Host) -> None:
        self._flavour = flavour
        self._request = request
        self._host = host
        self._reader = flavour.stream(flavour.read_request(request))
        self._call: Call | None = None

    def told(self, message: bytes) -> None:
        """A message of the provider."""
        event = parsed(message)
        if not isinstance(event, Mapping):
            return
        self._reader.feed_event(event)
        for reading in self._reader.take_items():
            call, self._call = self._call or self._begun(), None
            call.finish("error" if reading.error_type else "ok", reading)
        if self._call is None and self._reader.content_started:
            self._call = self._begun()

    def over(self) -> None:
        """The session ends. What a turn under way came to is not known."""
        call, self._call = self._call, None
        if call is not None:
            call.finish("cancelled", Reading(output_characters=self._reader.reading().output_characters))

    def _begun(self) -> Call:
        meter = meters.meter()
        call = Call(meter, self._flavour, self._request, self._host)
        call.leave(meter)
        return call


class _Socket:
    """The websocket of a session: it tells of what is received through it."""

    def __init__(self, socket: Any, turns: _Turns) -> None:
        self._socket = socket
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def recv(self, *args: Any, **kwargs: Any) -> Any:
        message = await self._socket.recv(*args, **kwargs)
        GUARD.run("stream", self._turns.told, message)
        return message


def sessions(family: Family) -> Wrap:
    """Wraps `connect(model=..., config=...)`, which opens a session for as long as it is needed."""

    def wrap(original: Any) -> Any:
        @asynccontextmanager
        async def connect(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async with original(self, *args, **kwargs) as session:
                turns = GUARD.run("begin", _follow, family, self._api_client, kwargs, session)
                try:
                    yield session
                finally:
                    if turns is not None:
                        GUARD.run("stream", turns.over)

        return connect

    return wrap


def _follow(family: Family, api: Any, kwargs: Mapping[str, Any], session: Any) -> _Turns | None:
    """Read a session along from now on; None when it is not metered, or not here."""
    host = host_of(f"{_base_url(api, kwargs.get('config'))}/", meters.meter().settings.url, "google")
    flavour = flavour_for("gemini", "GET", _PATH)
    if flavour is None or host.through_gateway or not family.metered(api):
        return None
    vertex = Host("google-vertex", region=host.region)
    turns = _Turns(flavour, {"model": kwargs["model"]}, vertex if api.vertexai else host)
    session._ws = _Socket(session._ws, turns)
    return turns


def _base_url(api: Any, config: Any) -> str:
    """That of this session, else of the client."""
    options = config.get("http_options") if isinstance(config, Mapping) else getattr(config, "http_options", None)
    own = options.get("base_url") if isinstance(options, Mapping) else getattr(options, "base_url", None)
    return str(own or api._http_options.base_url).rstrip("/")
