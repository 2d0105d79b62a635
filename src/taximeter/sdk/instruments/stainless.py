"""The family of client libraries that Stainless generates: openai and anthropic.

Two places are patched, both on the client, both there since the first releases of these libraries:

- `request(cast_to, options, ...)`, through which every call goes whatever resource, helper or raw variant made it:
  where a call begins, and where it fails.
- `_process_response(response=..., ...)`, which turns an HTTP response into what the caller gets: where a call is
  answered. The body is read from there, so the counts come from what the provider wrote and not from what a version
  of the library made of it.

A third is patched where it is there: `_sleep_for_retry(response=..., ...)`, which is called between two attempts of a
call and never when the first one succeeds. Without it a call with all its attempts is one event.

A client that is made from another (`copy`, `with_options`, Python's `copy.copy`) is patched like it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial, update_wrapper, wraps
from typing import Any, Final

from taximeter.errors import UsageError
from taximeter.sdk.call import Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.instruments.stainless_call import (
    Dialect,
    Outgoing,
    answered,
    answered_with,
    begin,
    leave,
    streams,
    take_back,
    unreadable,
    unreadable_with,
)
from taximeter.sdk.instruments.stainless_fetch import Fetching

_MARK: Final = "_taximeter"
_RETRY: Final = "_sleep_for_retry"
_PLACED: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
_NAMED: Final = inspect.Parameter.KEYWORD_ONLY
_NEEDED: Final = inspect.Parameter.empty
_REQUEST: Final = (
    *(("cast_to", _PLACED, _NEEDED), ("options", _PLACED, _NEEDED)),
    *(("stream", _NAMED, False), ("stream_cls", _NAMED, None)),
)
_RESPONSE: Final = (
    *((name, _NAMED, _NEEDED) for name in ("cast_to", "options", "response", "stream", "stream_cls")),
    ("retries_taken", _NAMED, 0),
)
"""The parameters of the methods that are patched, as the libraries have them. Handed on by name they cost a third of
what `**kwargs` does."""

_COPIES: Final = ("copy", "with_options")
_TAKEN_APART: Final = "__reduce_ex__"
"""What `copy.copy` asks an object for."""

_in_flight: Final[ContextVar[Outgoing | Fetching | None]] = ContextVar("taximeter_call", default=None)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One library. `sync_class` and `async_class` are its public client classes; others derive from them."""

    dialect: Dialect
    sync_class: str
    async_class: str
    _originals: list[tuple[type, str, Any]] = field(default_factory=list)

    def meters(self, client: object) -> bool:
        """Whether `client` is one of ours. Told by name, so that the library is not imported for the question."""
        return any(
            cls.__module__.split(".")[0] == self.dialect.library and cls.__name__ in (self.sync_class, self.async_class)
            for cls in type(client).__mro__
        )

    def patch_client(self, client: Any) -> None:
        """Patch this one client."""
        if _MARK in vars(client) or getattr(type(client), _MARK, False):
            return
        asynchronous = any(cls.__name__ == self.async_class for cls in type(client).__mro__)
        _check(client)
        patched = {name: _copying(getattr(client, name), self) for name in _COPIES if hasattr(client, name)}
        patched["request"] = _bound_request(client, self.dialect, asynchronous)
        patched["_process_response"] = _processing(client._process_response)
        if hasattr(client, _RETRY):
            patched[_RETRY] = _bound_retrying(getattr(client, _RETRY), asynchronous)
        patched[_TAKEN_APART] = _taking_apart(client, self, frozenset((*patched, _TAKEN_APART, _MARK)))
        for name, method in patched.items():
            setattr(client, name, method)
        setattr(client, _MARK, True)

    def patch_classes(self) -> None:
        """Patch the client classes of the library."""
        library = importlib.import_module(self.dialect.library)
        for name, asynchronous in ((self.sync_class, False), (self.async_class, True)):
            if hasattr(library, name):
                self._patch_class(getattr(library, name), asynchronous)

    def _patch_class(self, cls: Any, asynchronous: bool) -> None:
        if _MARK in vars(cls):
            return
        _check(cls)
        self._put(cls, "request", _class_request(cls.request, self.dialect, asynchronous))
        self._put(cls, "_process_response", _class_processing(cls._process_response))
        if hasattr(cls, _RETRY):
            self._put(cls, _RETRY, _class_retrying(getattr(cls, _RETRY), asynchronous))
        self._put(cls, _MARK, True)

    def _put(self, cls: type, name: str, value: object) -> None:
        self._originals.append((cls, name, vars(cls).get(name, _ABSENT)))
        setattr(cls, name, value)

    def restore_classes(self) -> None:
        """Undo `patch_classes`."""
        while self._originals:
            cls, name, former = self._originals.pop()
            if former is _ABSENT:
                delattr(cls, name)
            else:
                setattr(cls, name, former)


_ABSENT: Final = object()


def _check(owner: Any) -> None:
    """Raises UsageError when a version of a library has lost the places we patch."""
    missing = [name for name in ("request", "_process_response") if not callable(getattr(owner, name, None))]
    if missing:
        raise UsageError(
            f"this version of {owner.__module__.split('.')[0]} is not supported: no {', '.join(missing)}",
            hint="please report it; until then call the provider through the gateway",
        )


# ── the patches ─────────────────────────────────────────────────────────────────────────────────────────────


def _bound_request(client: Any, dialect: Dialect, asynchronous: bool) -> Callable[..., Any]:
    original = client.request
    run = _request_async if asynchronous else _request
    bound = partial(run, dialect, client, vars(client))
    if not _takes(original, _REQUEST):
        bound = partial(_as_it_came, bound)
    return update_wrapper(partial(bound, original), original)


def _as_it_came(run: Callable[..., Any], original: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
    """A request with arguments that we may not know, which the library gets."""

    def request(cast_to: Any, options: Any, **_: Any) -> Any:
        return original(cast_to, options, *args, **kwargs)

    return run(request, cast_to, options)


def _takes(method: Callable[..., Any], parameters: tuple[tuple[str, object, object], ...]) -> bool:
    """Whether these are the parameters of a method of a client, and not only of what somebody's own one wraps."""
    try:
        taken = inspect.signature(method, follow_wrapped=False).parameters.values()
        return (*((one.name, one.kind, one.default) for one in taken),) == parameters
    except (TypeError, ValueError):
        return False


def _class_request(original: Any, dialect: Dialect, asynchronous: bool) -> Callable[..., Any]:
    run = _request_async if asynchronous else _request

    @wraps(original)
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        own = vars(self)
        if _MARK in own:  # patched by itself already
            return original(self, cast_to, options, *args, **kwargs)
        return _as_it_came(partial(run, dialect, self, own), original.__get__(self), cast_to, options, *args, **kwargs)

    return request


def _request(
    dialect: Dialect,
    client: Any,
    own: Mapping[str, Any],
    original: Any,
    /,
    cast_to: Any,
    options: Any,
    *,
    stream: Any = False,
    stream_cls: Any = None,
) -> Any:
    try:
        outgoing: Any = begin(dialect, client, own, options)
    except Exception as error:  # noqa: BLE001 - the guard's, without a frame of its own
        GUARD.caught("begin", error)
        outgoing = None
    if outgoing is None:
        return original(cast_to, options, stream=stream, stream_cls=stream_cls)
    if outgoing.limited is not None:
        GUARD.run("begin", leave, outgoing, outgoing.limited.admit(outgoing.refused))
    surrounding = _in_flight.get()
    while True:
        _in_flight.set(outgoing)
        try:
            result = original(cast_to, outgoing.options, stream=stream, stream_cls=stream_cls)
            break
        except BaseException as error:
            if not GUARD.run("usage_question", take_back, outgoing, client, error):
                GUARD.run("failure", outgoing.failed, error)
                raise
        finally:
            _in_flight.set(surrounding)
    if outgoing.streams:
        GUARD.run("usage_chunk", streams, outgoing, result)
    return result


async def _request_async(
    dialect: Dialect,
    client: Any,
    own: Mapping[str, Any],
    original: Any,
    /,
    cast_to: Any,
    options: Any,
    *,
    stream: Any = False,
    stream_cls: Any = None,
) -> Any:
    try:
        outgoing: Any = begin(dialect, client, own, options)
    except Exception as error:  # noqa: BLE001 - the guard's, without a frame of its own
        GUARD.caught("begin", error)
        outgoing = None
    if outgoing is None:
        return await original(cast_to, options, stream=stream, stream_cls=stream_cls)
    if outgoing.limited is not None:
        GUARD.run("begin", leave, outgoing, await outgoing.limited.admit_async(outgoing.refused))
    surrounding = _in_flight.get()
    while True:
        _in_flight.set(outgoing)
        try:
            result = await original(cast_to, outgoing.options, stream=stream, stream_cls=stream_cls)
            break
        except BaseException as error:
            if not GUARD.run("usage_question", take_back, outgoing, client, error):
                GUARD.run("failure", outgoing.failed, error)
                raise
        finally:
            _in_flight.set(surrounding)
    if outgoing.streams:
        GUARD.run("usage_chunk", streams, outgoing, result)
    return result


def _processing(original: Callable[..., Any]) -> Callable[..., Any]:
    if not _takes(original, _RESPONSE):
        return _processing_as_it_came(original)

    @wraps(original)
    def process_response(
        *, cast_to: Any, options: Any, response: Any, stream: Any, stream_cls: Any, retries_taken: Any = 0
    ) -> Any:
        if (outgoing := _in_flight.get()) is not None:
            try:
                answered(outgoing, response, retries_taken)
            except Exception as error:  # noqa: BLE001 - the guard's, without a frame of its own
                GUARD.caught("answer", error)
                GUARD.run("answer", unreadable, outgoing, response)
        return original(  # of an asynchronous client: a coroutine, which its caller awaits
            cast_to=cast_to,
            options=options,
            response=response,
            stream=stream,
            stream_cls=stream_cls,
            retries_taken=retries_taken,
        )

    return process_response


def _processing_as_it_came(original: Callable[..., Any]) -> Callable[..., Any]:
    """With arguments that we may not know."""

    @wraps(original)
    def process_response(*args: Any, **kwargs: Any) -> Any:
        if (outgoing := _in_flight.get()) is not None:
            GUARD.run_or("answer", answered_with, unreadable_with, outgoing, kwargs)
        return original(*args, **kwargs)

    return process_response


def _class_processing(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def process_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _MARK not in vars(self) and (outgoing := _in_flight.get()) is not None:
            GUARD.run_or("answer", answered_with, unreadable_with, outgoing, kwargs)
        return original(self, *args, **kwargs)

    return process_response


def _bound_retrying(original: Callable[..., Any], asynchronous: bool) -> Callable[..., Any]:
    run = _retry_async if asynchronous else _retry

    @wraps(original)
    def sleep_for_retry(*args: Any, **kwargs: Any) -> Any:
        return run(original, args, kwargs)

    return sleep_for_retry


def _class_retrying(original: Any, asynchronous: bool) -> Callable[..., Any]:
    run = _retry_async if asynchronous else _retry

    @wraps(original)
    def sleep_for_retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _MARK in vars(self):  # patched by itself already
            return original(self, *args, **kwargs)
        return run(original.__get__(self), args, kwargs)

    return sleep_for_retry


def _retry(original: Any, args: Any, kwargs: Any) -> Any:
    call = GUARD.run("retry", _tried, kwargs)
    result = original(*args, **kwargs)
    if call is not None:
        GUARD.run("retry", call.again)
    return result


async def _retry_async(original: Any, args: Any, kwargs: Any) -> Any:
    call = GUARD.run("retry", _tried, kwargs)
    result = await original(*args, **kwargs)
    if call is not None:
        GUARD.run("retry", call.again)
    return result


def _tried(arguments: Mapping[str, Any]) -> Call | None:
    """The call of which an attempt has just failed, that attempt recorded; None when it is none of ours."""
    outgoing = _in_flight.get()
    if not isinstance(outgoing, Call):
        return None
    response = arguments["response"]
    error = sys.exc_info()[1] if response is None else None  # the library waits where it caught what went wrong
    return outgoing if outgoing.tried(response, error) else None


def _copying(original: Callable[..., Any], instrument: Instrument) -> Callable[..., Any]:
    @wraps(original)
    def copy_client(*args: Any, **kwargs: Any) -> Any:
        client = original(*args, **kwargs)
        GUARD.run("copy", instrument.patch_client, client)
        return client

    return copy_client


def _taking_apart(client: Any, instrument: Instrument, ours: frozenset[str]) -> Callable[[Any], Any]:
    """How Python copies this client: without `ours`, which go on calling this one. Its copy gets its own."""
    cls: Any = type(client)

    def taken_apart(protocol: Any) -> Any:
        state = cls.__reduce_ex__(client, protocol)[2]
        own = {name: value for name, value in vars(client).items() if name not in ours}
        return partial(_empty, instrument), (cls,), (own, state[1] if isinstance(state, tuple) else None)

    return taken_apart


def _empty(instrument: Instrument, cls: Any) -> Any:
    client = cls.__new__(cls)
    GUARD.run("copy", instrument.patch_client, client)
    return client
