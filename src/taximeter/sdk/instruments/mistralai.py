"""`mistralai`: chats, agents, conversations, embeddings; whole, streamed, asynchronous.

A call is `BaseSDK.do_request`, through which every method of every part of the client goes. It retries with
`utils.retry`, which is handed the function that makes an attempt.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

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


def _begin(sdk: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sent | None:
    if not INSTRUMENT.metered(sdk.sdk_configuration):
        return None
    request = kwargs["request"] if "request" in kwargs else args[1]
    host = host_of(str(request.url), meters.meter().settings.url, "mistral")
    body = parsed(request.content)
    outgoing = sent("mistral", request.method, request.url.path, body, host)
    if outgoing is not None:
        request.headers.update(outgoing.headers)
    return outgoing


def _retries(wrap_attempt: Wrap) -> Wrap:
    """Wraps `retry(function, retries)`: each run of the function is an attempt."""

    def wrap(original: Any) -> Any:
        def retry(function: Any, *args: Any, **kwargs: Any) -> Any:
            wrapped = GUARD.run("retry", wrap_attempt, function)
            return original(function if wrapped is None else wrapped, *args, **kwargs)

        return retry

    return wrap


def _places(_: Family) -> Iterable[Place]:
    base = _module("basesdk")
    yield Place(base.BaseSDK, "do_request", calls(_begin, answered_by_http))
    yield Place(base.BaseSDK, "do_request_async", calls_async(_begin, answered_by_http))
    yield Place(base.utils, "retry", _retries(attempts(refusal_in)))
    yield Place(base.utils, "retry_async", _retries(attempts_async(refusal_in)))


def _module(name: str) -> Any:
    """A module of the library, which moved into `mistralai.client` with version 2."""
    try:
        return import_module(f"mistralai.client.{name}")
    except ImportError:
        return import_module(f"mistralai.{name}")


INSTRUMENT: Final = Family(
    library="mistralai",
    client_classes=frozenset({"Mistral"}),
    places=_places,
    marked=lambda client: client.sdk_configuration,
)
INSTRUMENTS: Final = (INSTRUMENT,)
