"""`ollama`: chat, generate and embed; whole, streamed, asynchronous.

A call that comes whole is `_request_raw`, which tries once. A stream is a generator that `_request` returns and that
asks nothing before its first part is wanted: until then there is no call. It is read as the parts that the library
makes of the lines.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, closing
from contextvars import Context, copy_context
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from taximeter.sdk import meter as meters
from taximeter.sdk.call import FIRST_ERROR_STATUS, Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import Host, host_of
from taximeter.sdk.instruments.attempts import (
    Family,
    Place,
    Sent,
    Told,
    admit,
    admit_async,
    answered_by_http,
    attempts,
    attempts_async,
    calls,
    calls_async,
    sent,
)

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted


def _begin(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sent | None:
    """The call that `_request_raw(method, path, json=...)` makes."""
    if not INSTRUMENT.metered(client):
        return None
    method, path = args
    host = host_of(str(client._client.base_url), meters.meter().settings.url, "ollama")
    if not host.through_gateway:
        host = Host("ollama")  # whatever its host is called: people run it themselves
    outgoing = sent("ollama", method, path, kwargs.get("json"), host, partial(_rewrite, kwargs))
    if outgoing is not None and outgoing.headers:
        kwargs["headers"] = {**(kwargs.get("headers") or {}), **outgoing.headers}
    return outgoing


def _rewrite(kwargs: dict[str, Any], admitted: Admitted) -> None:
    kwargs["json"] = admitted.rewritten(kwargs["json"])


def _told(error: BaseException) -> Told | None:
    """A `ResponseError` has the status and what was said. One from within a stream has a status below any."""
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or status < FIRST_ERROR_STATUS:
        return None
    return Told(status, json.dumps({"error": getattr(error, "error", None)}).encode())


# ── a stream ────────────────────────────────────────────────────────────────────────────────────────────────


def _took(call: Call, part: Mapping[str, Any]) -> None:
    """A line of the answer, the first of which is its beginning."""
    if call.reader is None:
        call.headed(200, 1)
        call.follow("")
    call.took_event(part)


def _read_part(outgoing: Sent, part: Any) -> None:
    _took(outgoing.call, part.model_dump(exclude_none=True))


def _ended(outgoing: Sent, error: BaseException | None) -> None:
    """A stream is at its end, is let go, or raised: for want of an answer, or because a line of it says so."""
    call = outgoing.call
    if error is None:
        call.exhausted()
    elif (told := _told(error)) is not None:
        outgoing.refused(told, error)
    elif isinstance(said := getattr(error, "error", None), str):
        _took(call, {"error": said})
        call.exhausted()
    else:
        call.failed(error)


class _Read:
    """The time in which a stream is read: however it ends is the end of its call."""

    __slots__ = ("_outgoing",)

    def __init__(self, outgoing: Sent) -> None:
        self._outgoing = outgoing

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        GUARD.run("stream", _ended, self._outgoing, error)


def _streams(original: Any) -> Any:
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("stream") or not INSTRUMENT.metered(self):
            return original(self, *args, **kwargs)
        return _parts(copy_context(), original, self, args, kwargs)

    return request


def _parts(
    context: Context, original: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Any]:
    """The parts of an answer. `context`: attributes are those of the moment in which the stream was asked for."""
    outgoing = context.run(GUARD.run, "begin", _begin, client, args[1:], kwargs)
    if outgoing is None:
        yield from original(client, *args, **kwargs)
        return
    admit(outgoing)
    with _Read(outgoing), closing(original(client, *args, **kwargs)) as parts:
        for part in parts:
            GUARD.run("stream", _read_part, outgoing, part)
            yield part


def _streams_async(original: Any) -> Any:
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("stream") or not INSTRUMENT.metered(self):
            return await original(self, *args, **kwargs)
        return _parts_async(copy_context(), original, self, args, kwargs)

    return request


async def _parts_async(
    context: Context, original: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncIterator[Any]:
    """As `_parts`."""
    outgoing = context.run(GUARD.run, "begin", _begin, client, args[1:], kwargs)
    if outgoing is not None:
        await admit_async(outgoing)
    source = await original(client, *args, **kwargs)
    if outgoing is None:
        async for part in source:
            yield part
        return
    with _Read(outgoing):
        async with aclosing(source) as parts:
            async for part in parts:
                GUARD.run("stream", _read_part, outgoing, part)
                yield part


def _whole(original: Any) -> Any:
    return calls(_begin, answered_by_http)(attempts(told=_told)(original))


def _whole_async(original: Any) -> Any:
    return calls_async(_begin, answered_by_http)(attempts_async(told=_told)(original))


def _places(_: Family) -> Iterable[Place]:
    module = cast(Any, import_module("ollama._client"))
    yield Place(module.Client, "_request_raw", _whole)
    yield Place(module.AsyncClient, "_request_raw", _whole_async)
    yield Place(module.Client, "_request", _streams)
    yield Place(module.AsyncClient, "_request", _streams_async)


INSTRUMENT: Final = Family(library="ollama", client_classes=frozenset({"Client", "AsyncClient"}), places=_places)
INSTRUMENTS: Final = (INSTRUMENT,)
