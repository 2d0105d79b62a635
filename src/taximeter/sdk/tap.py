"""The tap: reads along while somebody else reads an answer that streams.

It sits on one response object, at the methods through which every reader of it goes: the client library's stream
classes, their helpers, raw responses, `read`, `iter_lines`. So nothing that the caller holds is wrapped: streams keep
their type, attributes and behaviour. It watches how the reading ends: to the end, with an error, by `close`, or by
nobody holding the response any more.

The tap refers to its response weakly: a cycle would keep an abandoned response, and its connection, until the
garbage collector comes round.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, cast

from taximeter.sdk.call import Call
from taximeter.sdk.guard import GUARD

METHODS: Final = ("iter_bytes", "aiter_bytes", "close", "aclose")


def install(call: Call, response: Any) -> None:
    """Follow the body of `response` from now on. Its methods stay what they are, for this one object they are ours."""
    tap = _Tap(call, response)
    for name in METHODS:
        if hasattr(response, name):
            setattr(response, name, getattr(tap, name))


def shared_json(response: Any) -> object:
    """The JSON of an answer that has been read, or None when it is none.

    The client library asks the response for the same in a moment. It is given this one then, once: parsing an answer
    twice would cost more than everything else we do. Whoever asks again parses again.
    """
    try:
        payload = response.json()
    except (ValueError, RecursionError):
        return None
    response.json = _Once(payload, response)
    return cast(object, payload)


class _Once:
    __slots__ = ("_payload", "_response")

    def __init__(self, payload: object, response: Any) -> None:
        self._payload = payload
        self._response = weakref.ref(response)

    def __call__(self, **options: Any) -> Any:
        response: Any = self._response()
        del response.json
        return type(response).json(response, **options) if options else self._payload


class _Tap:
    __slots__ = ("__weakref__", "_before", "_call", "_pulling", "_response")

    def __init__(self, call: Call, response: Any) -> None:
        self._call = call
        self._response = weakref.ref(response)
        mine = vars(response)
        self._before = {name: mine[name] for name in METHODS if name in mine}  # another tap may sit there already
        self._pulling = False  # a response closes itself at its end, before the reader has seen that end

    def _original(self, name: str) -> Callable[..., Any]:
        before: Callable[..., Any] | None = self._before.get(name)
        if before is not None:
            return before
        response = self._response()
        bound: Callable[..., Any] = getattr(type(response), name).__get__(response)
        return bound

    def iter_bytes(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        source = self._original("iter_bytes")(*args, **kwargs)
        try:
            self._pulling = True
            for chunk in source:
                self._pulling = False
                GUARD.run("stream", self._call.took, chunk)
                yield chunk
                self._pulling = True
        except BaseException as error:
            GUARD.run("stream", self._call.failed, error)
            raise
        finally:
            self._pulling = False
        GUARD.run("stream", self._call.exhausted)

    async def aiter_bytes(self, *args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        source = self._original("aiter_bytes")(*args, **kwargs)
        try:
            self._pulling = True
            async for chunk in source:
                self._pulling = False
                GUARD.run("stream", self._call.took, chunk)
                yield chunk
                self._pulling = True
        except BaseException as error:
            GUARD.run("stream", self._call.failed, error)
            if isinstance(error, GeneratorExit) and hasattr(source, "aclose"):
                await source.aclose()  # what the reader would have closed, had we not stood in between
            raise
        finally:
            self._pulling = False
        GUARD.run("stream", self._call.exhausted)

    def close(self) -> None:
        try:
            self._original("close")()
        finally:
            self._closed()

    async def aclose(self) -> None:
        try:
            await self._original("aclose")()
        finally:
            self._closed()

    def _closed(self) -> None:
        if not self._pulling:
            GUARD.run("stream", self._call.let_go)

    def __del__(self) -> None:
        GUARD.run("stream", self._call.let_go)
