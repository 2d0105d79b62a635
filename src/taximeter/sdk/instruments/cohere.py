"""`cohere`: chat of both versions, embeddings, rerank; whole, streamed, asynchronous.

A call is `HttpClient.request`, which calls itself again for another attempt, or `HttpClient.stream`, which tries once.
Whether a response is one to try again after is asked of `_should_retry`, so that is where a failed attempt is seen.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from taximeter.sdk import meter as meters
from taximeter.sdk.call import FIRST_ERROR_STATUS
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import host_of
from taximeter.sdk.instruments.attempts import (
    Family,
    Place,
    Sent,
    admit,
    admit_async,
    answered_by_http,
    calls,
    calls_async,
    in_flight,
    sent,
    unreadable,
)

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted


def _begin(http: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sent | None:
    if not INSTRUMENT.metered(http):
        return None
    if kwargs.get("retries", 0):
        _again()
        return None
    base_url = str(http.get_base_url(kwargs.get("base_url")))
    path = "/" + str(args[0] if args else kwargs.get("path") or "").lstrip("/")
    host = host_of(base_url + "/", meters.meter().settings.url, "cohere")
    outgoing = sent("cohere", kwargs["method"], path, kwargs.get("json"), host, partial(_rewrite, kwargs))
    if outgoing is not None and outgoing.headers:
        kwargs["headers"] = {**(kwargs.get("headers") or {}), **outgoing.headers}
    return outgoing


def _rewrite(kwargs: dict[str, Any], admitted: Admitted) -> None:
    kwargs["json"] = admitted.rewritten(kwargs["json"])


def _again() -> None:
    """`request` has called itself. What went wrong was a response that `_should_retry` saw, or an error."""
    outgoing = in_flight.get()
    if outgoing is None:
        return
    if not outgoing.failed:
        outgoing.refused(None, sys.exc_info()[1])
    outgoing.leaves()


def _retrying(original: Any) -> Any:
    def should_retry(response: Any) -> Any:
        again = original(response)
        if again and (outgoing := in_flight.get()) is not None:
            GUARD.run("retry", outgoing.refused, response)
        return again

    return should_retry


def _streams(original: Any) -> Any:
    @contextmanager
    def stream(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        outgoing = GUARD.run("begin", _begin, self, args, kwargs)
        if outgoing is not None:
            admit(outgoing)
        response = None
        try:
            with original(self, *args, **kwargs) as response:
                if outgoing is not None:
                    GUARD.run_or("answer", _streaming, unreadable, outgoing, response)
                yield response
        except BaseException as error:
            if outgoing is not None:
                GUARD.run("failure", _broke, outgoing, response, error)
            raise

    return stream


def _streams_async(original: Any) -> Any:
    @asynccontextmanager
    async def stream(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        outgoing = GUARD.run("begin", _begin, self, args, kwargs)
        if outgoing is not None:
            await admit_async(outgoing)
        response = None
        try:
            async with original(self, *args, **kwargs) as response:
                if outgoing is not None:
                    GUARD.run_or("answer", _streaming, unreadable, outgoing, response)
                yield response
        except BaseException as error:
            if outgoing is not None:
                GUARD.run("failure", _broke, outgoing, response, error)
            raise

    return stream


def _streaming(outgoing: Sent, response: Any) -> None:
    """A stream has begun. One that is an error is read by the library in a moment, which then raises."""
    if response.status_code < FIRST_ERROR_STATUS:
        answered_by_http(outgoing, response)


def _broke(outgoing: Sent, response: Any, error: BaseException) -> None:
    """Something was raised before a stream began, or while it was read: by whoever reads it, if not by us."""
    if response is not None and response.status_code >= FIRST_ERROR_STATUS:
        outgoing.refused(response, error)
    else:
        outgoing.call.failed(error)


def _places(_: Family) -> Iterable[Place]:
    module = import_module("cohere.core.http_client")
    yield Place(module.HttpClient, "request", calls(_begin, answered_by_http))
    yield Place(module.AsyncHttpClient, "request", calls_async(_begin, answered_by_http))
    yield Place(module.HttpClient, "stream", _streams)
    yield Place(module.AsyncHttpClient, "stream", _streams_async)
    yield Place(module, "_should_retry", _retrying)


INSTRUMENT: Final = Family(
    library="cohere",
    client_classes=frozenset({"BaseCohere", "AsyncBaseCohere", "V2Client", "AsyncV2Client"}),
    places=_places,
    marked=lambda client: client._client_wrapper.httpx_client,
)
INSTRUMENTS: Final = (INSTRUMENT,)
