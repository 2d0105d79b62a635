"""`mistralai`: chats, agents, conversations, embeddings; whole, streamed, asynchronous; at Azure and Vertex AI as well.

A call is `BaseSDK.do_request`, through which every method of every part of the client goes. It retries with
`utils.retry`, which is handed the function that makes an attempt. The clients for Azure and Vertex AI have both once
more, in packages of their own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from taximeter.sdk import meter as meters
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import host_of
from taximeter.sdk.instruments.attempts import (
    Family,
    Place,
    Sent,
    Wrap,
    answered_by_http,
    attempts,
    attempts_async,
    calls,
    calls_async,
    refusal_in,
    sent,
)
from taximeter.sdk.parsed_once import parsed

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted


_AT_VERTEX: Final = ("/rawPredict", "/streamRawPredict")
"""Where chats of the client for Vertex AI go, until a hook of its own writes the model into the path."""


def _begin(family: Family, provider: str, sdk: Any, _args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sent | None:
    if not family.metered(sdk.sdk_configuration):
        return None
    request = kwargs["request"]
    host = host_of(str(request.url), meters.meter().settings.url, provider)
    path = request.url.path
    path = "/v1/chat/completions" if path.endswith(_AT_VERTEX) else path
    body = parsed(request.content)
    outgoing = sent("mistral", request.method, path, body, host, partial(_rewrite, kwargs, request, body))
    if outgoing is not None:
        request.headers.update(outgoing.headers)
    return outgoing


def _rewrite(kwargs: dict[str, Any], request: Any, body: Any, admitted: Admitted) -> None:
    """A request of an HTTP library is encoded when it is made, so it is made anew. It is always given by its name."""
    headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
    content = json.dumps(admitted.rewritten(body)).encode()
    kwargs["request"] = type(request)(
        request.method, request.url, headers=headers, content=content, extensions=request.extensions
    )


def _retries(wrap_attempt: Wrap) -> Wrap:
    """Wraps `retry(function, retries)`: each run of the function is an attempt."""

    def wrap(original: Any) -> Any:
        def retry(function: Any, *args: Any, **kwargs: Any) -> Any:
            wrapped = GUARD.run("retry", wrap_attempt, function)
            return original(function if wrapped is None else wrapped, *args, **kwargs)

        return retry

    return wrap


def _places(packages: tuple[str, ...], provider: str, family: Family) -> Iterable[Place]:
    """In those of the packages that somebody has imported."""
    begin = partial(_begin, family, provider)
    for base in filter(None, (sys.modules.get(f"{package}.basesdk") for package in packages)):
        yield Place(base.BaseSDK, "do_request", calls(begin, answered_by_http))
        yield Place(base.BaseSDK, "do_request_async", calls_async(begin, answered_by_http))
        yield Place(base.utils, "retry", _retries(attempts(refusal_in)))
        yield Place(base.utils, "retry_async", _retries(attempts_async(refusal_in)))


def _family(client_class: str, packages: tuple[str, ...], provider: str) -> Family:
    return Family(
        library="mistralai",
        client_classes=frozenset({client_class}),
        places=partial(_places, packages, provider),
        marked=lambda client: client.sdk_configuration,
    )


INSTRUMENTS: Final = (
    _family("Mistral", ("mistralai.client", "mistralai"), "mistral"),  # it moved with version 2
    _family("MistralAzure", ("mistralai.azure.client",), "azure"),
    _family("MistralGCP", ("mistralai.gcp.client",), "google-vertex"),
)
