"""Who the calls of this piece of code are for: attributes that follow `contextvars`.

They follow asyncio tasks by themselves, and threads and the work of thread pools by `FOLLOWING`, as does who watches
a call: a framework that has a client called in a thread of its own is not to count the call as well.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import partial, wraps
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from taximeter.core.attribution import NOBODY, Attribution, attribution
from taximeter.sdk.guard import GUARD
from taximeter.sdk.switches import switched_on
from taximeter.sdk.threads import Following
from taximeter.sdk.yielding import watching

_CURRENT: Final[ContextVar[Attribution]] = ContextVar("taximeter_attribution", default=NOBODY)

FOLLOWING: Final = Following((_CURRENT, NOBODY), (watching, None))
"""What takes attributes and watches into threads; begun with the first attribute or client, or by `init`."""

F = TypeVar("F", bound=Callable[..., Any])


current: Final[Callable[[], Attribution]] = _CURRENT.get
"""The attribution of this moment in this context."""


def follow_threads(wanted: bool) -> None:
    """Whether attributes follow into threads from now on."""
    FOLLOWING.wanted = wanted
    GUARD.run("threads", FOLLOWING.begin if wanted else FOLLOWING.end)


class _Scope:
    """Holds one attribution over the surrounding one while it is entered; may be entered again."""

    __slots__ = ("_said", "_tokens")

    def __init__(self, said: Attribution) -> None:
        self._said = said
        self._tokens: list[Token[Attribution]] = []

    def __enter__(self) -> None:
        self._tokens.append(_CURRENT.set(self._said.over(_CURRENT.get())))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ValueError):  # left in another context than it was entered in: there is nothing to undo here
            _CURRENT.reset(self._tokens.pop())

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class attribute(_Scope):  # noqa: N801 - reads as a verb where it is used: `with attribute(user=...)`
    """`with attribute(user="user_123", feature="smart-reply"):` names who the calls inside are for.

    Known names are user, team, tenant, feature, endpoint, environment, service, service_version, prompt_version and
    session; any other name becomes a tag, as does everything in `tags`. Nested blocks add to the outer ones, the
    inner value wins, None says nothing. Works with `async with` as well.
    """

    __slots__ = ()

    def __init__(self, *, tags: Mapping[str, object] | None = None, **named: object) -> None:
        super().__init__(said(tags, named))


def attributed(*, tags: Mapping[str, object] | None = None, **named: object) -> Callable[[F], F]:
    """`@attributed(feature="summarise")`: every call made while the function runs is attributed so.

    For functions, coroutine functions, generators and asynchronous generators; a generator is attributed only
    while it runs, not while its consumer does. The names are those of `attribute`.
    """
    fresh = partial(_Scope, said(tags, named))

    def decorate(function: F) -> F:
        return cast(F, wraps(function)(_wrapper_for(function, fresh)))

    return decorate


def said(tags: Mapping[str, object] | None, named: Mapping[str, object]) -> Attribution:
    """What the names say; nothing, when a value of the host fails while it is made text."""
    if not FOLLOWING.decided:
        follow_threads(switched_on("FOLLOW_THREADS"))
    return GUARD.run("attribute", partial(attribution, tags=tags, **named)) or NOBODY


def _wrapper_for(function: Callable[..., Any], fresh: Callable[[], _Scope]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, fresh)
    if inspect.isgeneratorfunction(function):
        return _generator(function, fresh)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, fresh)
    return _plain(function, fresh)


def _plain(function: Callable[..., Any], fresh: Callable[[], _Scope]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with fresh():
            return function(*args, **kwargs)

    return call


def _coroutine(function: Callable[..., Any], fresh: Callable[[], _Scope]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with fresh():
            return await function(*args, **kwargs)

    return call


def _generator(function: Callable[..., Any], fresh: Callable[[], _Scope]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _Steps(function(*args, **kwargs), fresh))

    return call


class _Steps(Generator[Any, Any, Any]):
    """A generator whose every step is attributed; between the steps the consumer's own attributes hold."""

    def __init__(self, inner: Generator[Any, Any, Any], fresh: Callable[[], _Scope]) -> None:
        self._inner = inner
        self._fresh = fresh

    def send(self, value: Any, /) -> Any:
        with self._fresh():
            return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        with self._fresh():
            return self._inner.throw(*error)


def _async_generator(function: Callable[..., Any], fresh: Callable[[], _Scope]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        resume: Callable[[], Any] = partial(inner.asend, None)
        try:
            while True:
                with fresh():
                    item = await resume()
                try:
                    resume = partial(inner.asend, (yield item))
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, handed to the generator
                    resume = partial(inner.athrow, error)
        except StopAsyncIteration:
            return
        finally:
            with fresh():
                await inner.aclose()

    return call
