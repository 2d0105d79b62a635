"""`boto3` and `botocore`: Bedrock's runtime (converse, invoke, their streams, guardrails) and its agents.

A call is `BaseClient._make_api_call`, which every method of every AWS client is; those of other services pass by. An
attempt is `Endpoint._get_response`. Converse answers in the shape of the wire. What an invoked model says is in a
body that the caller reads, so it is read along; its counts are in the headers too, for callers who never read it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from taximeter.extract.flavour import Flavour
from taximeter.extract.reading import Reading
from taximeter.sdk import meter as meters
from taximeter.sdk.call import LONGEST_BODY_BYTES, UNREADABLE, Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import host_of
from taximeter.sdk.instruments.attempts import (
    Family,
    Objects,
    ObjectsAsync,
    Place,
    Sent,
    Told,
    calls,
    followed,
    in_flight,
    sent,
)
from taximeter.sdk.parsed_once import parsed

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted

SERVICES: Final = frozenset({"bedrock-runtime", "bedrock-agent-runtime"})

PATHS: Final = {
    "Converse": "/model/{modelId}/converse",
    "ConverseStream": "/model/{modelId}/converse-stream",
    "InvokeModel": "/model/{modelId}/invoke",
    "InvokeModelWithResponseStream": "/model/{modelId}/invoke-with-response-stream",
    "ApplyGuardrail": "/guardrail/{guardrailIdentifier}/version/{guardrailVersion}/apply",
    "InvokeAgent": "/agents/{agentId}/agentAliases/{agentAliasId}/sessions/{sessionId}/text",
    "InvokeInlineAgent": "/agents/{sessionId}",
}
"""Operation → its path on the wire, with names of its parameters."""

_FIRST_FAILURE: Final = 300
_CALL: Final = "_taximeter_call"


def begin(family: Family, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sent | None:
    """The call that `_make_api_call(operation, parameters)` makes."""
    if client.meta.service_model.service_name not in SERVICES or not family.metered(client):
        return None
    operation, parameters = (*args, *kwargs.values())
    pattern = PATHS.get(operation)
    if pattern is None:
        return None
    path = pattern.format_map({name: quote(value, safe="") for name, value in parameters.items() if _is_text(value)})
    host = host_of(client.meta.endpoint_url + "/", meters.meter().settings.url, "aws")
    body = _body(operation, parameters)
    return sent("bedrock", "POST", path, body, host, partial(_rewrite, parameters))


def _rewrite(parameters: dict[str, Any], admitted: Admitted) -> None:
    """Only Converse states its allowance where it can be changed; there parameters have the names of the wire."""
    parameters.update(admitted.allowed(parameters))
    if admitted.model is not None and "modelId" in parameters:
        parameters["modelId"] = admitted.model


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _body(operation: str, parameters: Mapping[str, Any]) -> object:
    """The request's JSON. Parameters have the names of the wire; an invoked model's body is there as it is sent."""
    if not operation.startswith("InvokeModel"):
        return parameters
    return parsed(parameters.get("body"))


# ── an attempt ──────────────────────────────────────────────────────────────────────────────────────────────


def requesting(original: Any) -> Any:
    """`make_request(operation_model, request_dict)`: where headers can be added before they are signed."""

    def make_request(self: Any, operation_model: Any, request_dict: Any) -> Any:
        outgoing = in_flight.get()
        if outgoing is not None and outgoing.headers:
            request_dict["headers"].update(outgoing.headers)
        return original(self, operation_model, request_dict)

    return make_request


def _attempts(original: Any) -> Any:
    """`_get_response(...)` returns what was answered, and what was raised."""

    def get_response(*args: Any, **kwargs: Any) -> Any:
        outgoing = in_flight.get()
        if outgoing is None:
            return original(*args, **kwargs)
        GUARD.run("retry", outgoing.leaves)
        answered, error = original(*args, **kwargs)
        GUARD.run("retry", look, outgoing, answered, error)
        return answered, error

    return get_response


def look(outgoing: Sent, answered: Any, error: BaseException | None) -> None:
    """What came of an attempt: what was answered, or what was raised."""
    if error is not None:
        outgoing.refused(None, error)
    elif answered is not None and answered[0].status_code >= _FIRST_FAILURE:
        said = {"__type": answered[1].get("Error", {}).get("Code")}
        outgoing.refused(Told(answered[0].status_code, json.dumps(said).encode()))


# ── an answer ───────────────────────────────────────────────────────────────────────────────────────────────


def answered(read_along: ReadAlong, outgoing: Sent, answer: dict[str, Any]) -> None:
    """`read_along(body, along)`: have a body that is read later tell of it."""
    call = outgoing.call
    call.headed(answer["ResponseMetadata"]["HTTPStatusCode"], 1)
    streaming = next((value for value in answer.values() if hasattr(value, "get_initial_response")), None)
    if streaming is not None:
        call.follow("")
        setattr(streaming, _CALL, call)
        cls: Any = type(streaming)
        streaming.__class__ = _followed(cls)
    elif hasattr(answer.get("body"), "_raw_stream"):
        read_along(answer["body"], Along(call, outgoing.flavour, answer["ResponseMetadata"]["HTTPHeaders"]))
    else:
        call.answered(answer)


ReadAlong = Callable[[Any, "Along"], None]


class Along:
    """Remembers what is read of the body of an invoked model's answer.

    The answer was whole when its headers came, so the call is `ok` also when the caller leaves the body unread: then
    it ends when nobody holds the body any more.
    """

    def __init__(self, call: Call, flavour: Flavour, headers: Mapping[str, str]) -> None:
        self._call = call
        self._flavour = flavour
        self._headers = headers
        self._read = bytearray()

    def broke(self, error: Exception) -> None:
        self._call.failed(error)

    def took(self, chunk: bytes, ended: bool) -> None:
        if len(self._read) + len(chunk) <= LONGEST_BODY_BYTES:
            self._read += chunk
        if ended:
            self.end()

    def end(self) -> None:
        reading = GUARD.run("answer", self._reading) or UNREADABLE
        self._call.finish("error" if reading.error_type else "ok", reading)

    def _reading(self) -> Reading:
        return self._flavour.read_answer(200, parsed(bytes(self._read)), self._headers)

    def __del__(self) -> None:
        GUARD.run("stream", self.end)


def _read_along(body: Any, along: Along) -> None:
    body._raw_stream = _Body(along, body._raw_stream)


class _Body:
    """The stream below a body: it tells of what is read through it."""

    def __init__(self, along: Along, raw: Any) -> None:
        self._along = along
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read(self, amt: int | None = None, *args: Any, **kwargs: Any) -> Any:
        try:
            chunk = self._raw.read(amt, *args, **kwargs)
        except Exception as error:
            GUARD.run("stream", self._along.broke, error)
            raise
        GUARD.run("stream", self._along.took, chunk, amt is None or (not chunk and amt > 0))
        return chunk

    def readinto(self, buffer: Any) -> Any:
        size = self._raw.readinto(buffer)
        GUARD.run("stream", self._along.took, bytes(buffer[:size]), size == 0)
        return size

    def readlines(self, *args: Any) -> Any:
        lines = self._raw.readlines(*args)
        GUARD.run("stream", self._along.took, b"".join(lines), True)
        return lines

    def __iter__(self) -> Iterator[Any]:
        for chunk in self._raw:
            GUARD.run("stream", self._along.took, chunk, False)
            yield chunk
        GUARD.run("stream", self._along.end)

    def close(self) -> None:
        self._raw.close()
        GUARD.run("stream", self._along.end)


@lru_cache(maxsize=8)
def _followed(cls: Any) -> type:
    """A class like `cls`, botocore's event stream or aiobotocore's, that tells a call of the events it hands out.
    Dropped or closed before the end, it ends the call; its iterators may come and go."""

    def events(self: Any) -> Iterator[Any]:
        return Objects(getattr(self, _CALL), cls.__iter__(self), _broke)

    def awaited(self: Any) -> AsyncIterator[Any]:
        return ObjectsAsync(getattr(self, _CALL), cls.__aiter__(self), _broke)

    def close(self: Any) -> None:
        try:
            cls.close(self)
        finally:
            GUARD.run("stream", getattr(self, _CALL).let_go)

    def dropped(self: Any) -> None:
        GUARD.run("stream", getattr(self, _CALL).let_go)

    iteration = {"__aiter__": awaited} if hasattr(cls, "__aiter__") else {"__iter__": events}
    return followed(cls, {**iteration, "close": close, "__del__": dropped})


def _broke(call: Call, error: BaseException) -> None:
    """A stream raised. An exception that was in the stream is the provider's own error."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    if code:
        call.took_event({"error": {"type": code}})
        call.exhausted()
    else:
        call.failed(error)


def _places(family: Family) -> Iterable[Place]:
    client, endpoint = import_module("botocore.client").BaseClient, import_module("botocore.endpoint").Endpoint
    yield Place(client, "_make_api_call", calls(partial(begin, family), partial(answered, _read_along)))
    yield Place(endpoint, "make_request", requesting)
    yield Place(endpoint, "_get_response", _attempts)


CLIENT_CLASSES: Final = frozenset({"BedrockRuntime", "AgentsforBedrockRuntime"})

INSTRUMENT: Final = Family(library="botocore", client_classes=CLIENT_CLASSES, places=_places)
INSTRUMENTS: Final = (INSTRUMENT,)
