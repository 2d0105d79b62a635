"""The tap: reads along while somebody else reads an answer that streams.

It sits on one response object, at the methods through which every reader of it goes: the client library's stream
classes, their helpers, raw responses, `read`, `iter_lines`. So nothing that the caller holds is wrapped: streams keep
their type, attributes and behaviour. It watches how the reading ends: to the end, with an error, by `close`, or by
nobody holding the response any more.

The response's class is exchanged for a subclass of the same name, so that the methods are given their response like
any others. Methods put on the object would have to hold it: strongly, which keeps an abandoned response and its
connection until the garbage collector comes round, or weakly, which fails when that collector closes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from taximeter.sdk.guard import GUARD

_TAP: Final = "_taximeter_tap"


class Listener(Protocol):
    """Who is told of a body as it is read: a call, or a fetch."""

    def took(self, piece: bytes, /) -> None: ...

    def exhausted(self) -> None: ...

    def let_go(self) -> None: ...

    def failed(self, error: BaseException, /) -> None: ...


def install(call: Listener, response: Any) -> None:
    """Follow the body of `response` from now on."""
    setattr(response, _TAP, _Tap(call))
    cls: Any = type(response)
    response.__class__ = _tapped(cls)


class _Tap:
    """What one response tells a call. `pulling`: the reader waits for the next piece. A response closes itself at its
    end, before its reader has seen that end, and that close says nothing."""

    __slots__ = ("call", "pulling")

    def __init__(self, call: Listener) -> None:
        self.call = call
        self.pulling = False

    def closed(self) -> None:
        if not self.pulling:
            GUARD.run("stream", self.call.let_go)

    def ended(self, how: BaseException) -> None:
        """What the reader asked for is not there: the answer is at its end, or it broke."""
        if isinstance(how, StopIteration | StopAsyncIteration):
            GUARD.run("stream", self.call.exhausted)
        else:
            GUARD.run("stream", self.call.failed, how)

    def __del__(self) -> None:
        GUARD.run("stream", self.call.let_go)


@lru_cache(maxsize=64)
def _tapped(cls: Any) -> type:
    """A class like `cls`, a response of an HTTP library, whose body is followed by the tap on the object."""

    def iter_bytes(self: Any, *args: Any, **kwargs: Any) -> _Pieces:
        return _Pieces(getattr(self, _TAP), cls.iter_bytes(self, *args, **kwargs))

    def aiter_bytes(self: Any, *args: Any, **kwargs: Any) -> _PiecesAsync:
        return _PiecesAsync(getattr(self, _TAP), cls.aiter_bytes(self, *args, **kwargs))

    def close(self: Any) -> None:
        try:
            cls.close(self)
        finally:
            getattr(self, _TAP).closed()

    async def aclose(self: Any) -> None:
        try:
            await cls.aclose(self)
        finally:
            getattr(self, _TAP).closed()

    methods = {"iter_bytes": iter_bytes, "aiter_bytes": aiter_bytes, "close": close, "aclose": aclose}
    return type(cls.__name__, (cls,), {**methods, "__module__": cls.__module__, "__qualname__": cls.__qualname__})


class _Pieces(Iterator[bytes]):
    """The pieces of a body, as they come. Not a generator: those would end in an order of their own when dropped."""

    def __init__(self, tap: _Tap, source: Any) -> None:
        self._tap = tap
        self._source = source

    def __next__(self) -> bytes:
        tap = self._tap
        tap.pulling = True
        try:
            piece = cast(bytes, next(self._source))
        except BaseException as error:
            tap.ended(error)
            raise
        finally:
            tap.pulling = False
        GUARD.run("stream", tap.call.took, piece)
        return piece

    def close(self) -> None:
        self._source.close()


class _PiecesAsync(AsyncIterator[bytes]):
    def __init__(self, tap: _Tap, source: Any) -> None:
        self._tap = tap
        self._source = source

    async def __anext__(self) -> bytes:
        tap = self._tap
        tap.pulling = True
        try:
            piece = cast(bytes, await anext(self._source))
        except BaseException as error:
            tap.ended(error)
            raise
        finally:
            tap.pulling = False
        GUARD.run("stream", tap.call.took, piece)
        return piece

    async def aclose(self) -> None:
        await self._source.aclose()
