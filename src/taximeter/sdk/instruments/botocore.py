"""`boto3` and `botocore`: Bedrock's runtime (converse, invoke, their streams, guardrails) and its agents.

A call is `BaseClient._make_api_call`, which every method of every AWS client is; those of other services pass by. An
attempt is `Endpoint._get_response`. Converse answers in the shape of the wire. What an invoked model says is in a
body that the caller reads, so it is read along; its counts are in the headers too, for callers who never read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from taximeter.extract.flavour import Flavour
from taximeter.sdk import meter as meters
from taximeter.sdk.call import LONGEST_BODY_BYTES, Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import host_of
from taximeter.sdk.instruments.attempts import Family, Objects, Place, Sent, Told, calls, followed, in_flight, sent
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


def _begin(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sent | None:
    if client.meta.service_model.service_name not in SERVICES or not INSTRUMENT.metered(client):
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
    body = parameters.get("body")
    return parsed(body.encode() if isinstance(body, str) else body)


# ── an attempt ──────────────────────────────────────────────────────────────────────────────────────────────


def _requesting(original: Any) -> Any:
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
        GUARD.run("retry", _look, outgoing, answered, error)
        return answered, error

    return get_response


def _look(outgoing: Sent, answered: Any, error: BaseException | None) -> None:
    if error is not None:
        outgoing.refused(None, error)
    elif answered is not None and answered[0].status_code >= _FIRST_FAILURE:
        said = {"__type": answered[1].get("Error", {}).get("Code")}
        outgoing.refused(Told(answered[0].status_code, json.dumps(said).encode()))


# ── an answer ───────────────────────────────────────────────────────────────────────────────────────────────


def _answered(outgoing: Sent, answer: dict[str, Any]) -> None:
    call = outgoing.call
    call.headed(answer["ResponseMetadata"]["HTTPStatusCode"], 1)
    streaming = next((value for value in answer.values() if hasattr(value, "get_initial_response")), None)
    if streaming is not None:
        call.follow("")
        setattr(streaming, _CALL, call)
        cls: Any = type(streaming)
        streaming.__class__ = _followed(cls)
    elif hasattr(answer.get("body"), "_raw_stream"):
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        answer["body"]._raw_stream = _Body(call, outgoing.flavour, headers, answer["body"]._raw_stream)
    else:
        call.answered(answer)


class _Body:
    """The stream below the body of an invoked model's answer: it remembers what is read through it.

    The answer was whole when its headers came, so the call is `ok` also when the caller leaves the body unread.
    """

    def __init__(self, call: Call, flavour: Flavour, headers: Mapping[str, str], raw: Any) -> None:
        self._call = call
        self._flavour = flavour
        self._headers = headers
        self._raw = raw
        self._read = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read(self, amt: int | None = None, *args: Any, **kwargs: Any) -> Any:
        try:
            chunk = self._raw.read(amt, *args, **kwargs)
        except Exception as error:
            GUARD.run("stream", self._call.failed, error)
            raise
        GUARD.run("stream", self._took, chunk, amt is None or (not chunk and amt > 0))
        return chunk

    def readinto(self, buffer: Any) -> Any:
        size = self._raw.readinto(buffer)
        GUARD.run("stream", self._took, bytes(buffer[:size]), size == 0)
        return size

    def readlines(self, *args: Any) -> Any:
        lines = self._raw.readlines(*args)
        GUARD.run("stream", self._took, b"".join(lines), True)
        return lines

    def __iter__(self) -> Iterator[Any]:
        for chunk in self._raw:
            GUARD.run("stream", self._took, chunk, False)
            yield chunk
        GUARD.run("stream", self._end)

    def close(self) -> None:
        self._raw.close()
        GUARD.run("stream", self._end)

    def __del__(self) -> None:
        GUARD.run("stream", self._end)

    def _took(self, chunk: bytes, ended: bool) -> None:
        if len(self._read) + len(chunk) <= LONGEST_BODY_BYTES:
            self._read += chunk
        if ended:
            self._end()

    def _end(self) -> None:
        reading = self._flavour.read_answer(200, parsed(bytes(self._read)), self._headers)
        self._call.finish("error" if reading.error_type else "ok", reading)


@lru_cache(maxsize=8)
def _followed(cls: Any) -> type:
    """A class like `cls`, botocore's event stream, that tells a call of the events it hands out. Dropped or closed
    before the end, it ends the call; its iterators may come and go."""

    def events(self: Any) -> Iterator[Any]:
        return Objects(getattr(self, _CALL), cls.__iter__(self), _broke)

    def close(self: Any) -> None:
        try:
            cls.close(self)
        finally:
            GUARD.run("stream", getattr(self, _CALL).let_go)

    def dropped(self: Any) -> None:
        GUARD.run("stream", getattr(self, _CALL).let_go)

    return followed(cls, {"__iter__": events, "close": close, "__del__": dropped})


def _broke(call: Call, error: BaseException) -> None:
    """A stream raised. An exception that was in the stream is the provider's own error."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    if code:
        call.took_event({"error": {"type": code}})
        call.exhausted()
    else:
        call.failed(error)


def _places(_: Family) -> Iterable[Place]:
    client, endpoint = import_module("botocore.client").BaseClient, import_module("botocore.endpoint").Endpoint
    yield Place(client, "_make_api_call", calls(_begin, _answered))
    yield Place(endpoint, "make_request", _requesting)
    yield Place(endpoint, "_get_response", _attempts)


INSTRUMENT: Final = Family(
    library="botocore", client_classes=frozenset({"BedrockRuntime", "AgentsforBedrockRuntime"}), places=_places
)
INSTRUMENTS: Final = (INSTRUMENT,)
