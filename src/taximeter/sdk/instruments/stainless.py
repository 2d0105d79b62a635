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

import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial, update_wrapper, wraps
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from taximeter.core.attribution import Attribution
from taximeter.errors import UsageError
from taximeter.extract import Flavour, flavour_for
from taximeter.sdk import meter as meters
from taximeter.sdk.call import FIRST_ERROR_STATUS, Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.headers import headers_for
from taximeter.sdk.hosts import PROVIDERS_BY_CLASS, TELL_USAGE_WHEN_ASKED, Host, host_of
from taximeter.sdk.limiting import Limited, ask_of
from taximeter.sdk.parsed_once import payload_and_text
from taximeter.sdk.tap import install
from taximeter.sdk.usage_chunk import hide_usage_chunk
from taximeter.sdk.yielding import usage_chunk_is_read

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted

_MARK: Final = "_taximeter"
_KNOWN: Final = "_taximeter_known"
_RAW_HEADER: Final = "X-Stainless-Raw-Response"
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

_QUESTION: Final = b"stream_options"
_REFUSED_FIELD: Final = (400, 422)
"""How servers answer to a field that they do not know."""

MOST_REFUSING: Final = 1_024
"""Base URLs that are remembered for having refused our question."""

_refusing: Final[set[str]] = set()
_in_flight: Final[ContextVar[_Outgoing | None]] = ContextVar("taximeter_call", default=None)


class _Outgoing(Call):
    """A call together with the options it leaves with.

    `unasked`: the options without our question for the usage, if we put one there; then we hide the answer to it.
    """

    options: Any
    unasked: Any = None
    limited: Limited | None
    streams: bool


_Kind: TypeAlias = tuple[meters.Meter, Any, str, str]
"""Of a call: whom it is reported to, the base URL, the path, the method."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found out about the latest kind of call of a client: who answers, and in which flavour."""

    kind: _Kind
    host: Host
    flavour: Flavour | None
    """None: such calls are not metered."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One library. `sync_class` and `async_class` are its public client classes; others derive from them.

    `kind` is the protocol family it speaks, when that is not called like the library. `path_of(options)` is the path
    on the wire, where the library settles it later than we look.
    """

    library: str
    sync_class: str
    async_class: str
    asks_for_usage: bool = False
    kind: str | None = None
    path_of: Callable[[Any], str] | None = None
    _originals: list[tuple[type, str, Any]] = field(default_factory=list)

    def meters(self, client: object) -> bool:
        """Whether `client` is one of ours. Told by name, so that the library is not imported for the question."""
        return any(
            cls.__module__.split(".")[0] == self.library and cls.__name__ in (self.sync_class, self.async_class)
            for cls in type(client).__mro__
        )

    def patch_client(self, client: Any) -> None:
        """Patch this one client."""
        if _MARK in vars(client) or getattr(type(client), _MARK, False):
            return
        asynchronous = any(cls.__name__ == self.async_class for cls in type(client).__mro__)
        _check(client)
        patched = {name: _copying(getattr(client, name), self) for name in _COPIES if hasattr(client, name)}
        patched["request"] = _bound_request(client, self, asynchronous)
        patched["_process_response"] = _processing(client._process_response)
        if hasattr(client, _RETRY):
            patched[_RETRY] = _bound_retrying(getattr(client, _RETRY), asynchronous)
        patched[_TAKEN_APART] = _taking_apart(client, self, frozenset((*patched, _TAKEN_APART, _MARK)))
        for name, method in patched.items():
            setattr(client, name, method)
        setattr(client, _MARK, True)

    def patch_classes(self) -> None:
        """Patch the client classes of the library."""
        library = importlib.import_module(self.library)
        for name, asynchronous in ((self.sync_class, False), (self.async_class, True)):
            if hasattr(library, name):
                self._patch_class(getattr(library, name), asynchronous)

    def _patch_class(self, cls: Any, asynchronous: bool) -> None:
        if _MARK in vars(cls):
            return
        _check(cls)
        self._put(cls, "request", _class_request(cls.request, self, asynchronous))
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


# ── a call leaves ───────────────────────────────────────────────────────────────────────────────────────────


def _begin(instrument: Instrument, client: Any, own: Mapping[str, Any], options: Any) -> _Outgoing | None:
    """The call that these options make, noted as begun; None when it is not one that is metered. `own` is what the
    client itself has, beside its class."""
    meter = meters.current or meters.meter()
    asked = vars(options)  # by itself each of them is looked for in the class first
    path = asked["url"] if instrument.path_of is None else instrument.path_of(options)
    kind = (meter, own.get("_base_url") or client.base_url, path, asked["method"])
    known: _Known | None = own.get(_KNOWN)
    if known is None or known.kind != kind:
        known = _find_out(client, instrument, kind)
    host, flavour = known.host, known.flavour
    if flavour is None:
        return None
    body = asked.get("json_data")
    if type(body) is not dict or asked.get("extra_json"):
        body = _body(options)
    outgoing = _Outgoing(meter, flavour, body, host)
    outgoing.options, outgoing.limited = options, None
    outgoing.streams = (flavour.read_plain is None or "stream" in body) and outgoing.facts.stream
    if host.through_gateway:
        _announce(outgoing, meter.settings.base)
    elif outgoing.streams and instrument.asks_for_usage and meter.settings.ask_for_usage:
        _ask_for_usage(outgoing, flavour.name, client)
    if meter.limiter is None or host.through_gateway:
        outgoing.leave(meter)
    else:
        outgoing.limited = Limited(meter.limiter, ask_of(outgoing, _body(outgoing.options), meter.settings.base))
    return outgoing


def _leave(outgoing: _Outgoing, admitted: Admitted | None) -> None:
    """The call was admitted, perhaps with a smaller allowance or another model, and leaves."""
    limited, outgoing.limited = outgoing.limited, None
    if admitted is not None and limited is not None:
        outgoing.options = _rewritten(outgoing.options, admitted)
        outgoing.unasked = None if outgoing.unasked is None else _rewritten(outgoing.unasked, admitted)
        outgoing.hold = limited.hold(admitted)
    outgoing.leave(meters.meter())


def _rewritten(options: Any, admitted: Admitted) -> Any:
    body = admitted.rewritten(options.json_data)
    if body is options.json_data:
        return options
    changed = copy.copy(options)
    changed.json_data = body
    return changed


def _body(options: Any) -> Mapping[str, Any]:
    """The request's JSON. What the caller put into `extra_body` is laid over the rest, as the library does it."""
    body = options.json_data if isinstance(options.json_data, dict) else {}
    extra = getattr(options, "extra_json", None)
    return {**body, **extra} if extra else body


def _find_out(client: Any, instrument: Instrument, kind: _Kind) -> _Known:
    """Who answers this client, and how. Kept on the client for the next call of the same kind."""
    meter, _, path, method = kind
    host = _look_up(client, meter.settings.url, instrument.library)
    flavour = flavour_for(instrument.kind or instrument.library, method, host.prefix + path)
    known = _Known(kind, host, flavour if flavour is not None and flavour.billed else None)
    setattr(client, _KNOWN, known)
    return known


def _look_up(client: Any, gateway_url: str | None, library: str) -> Host:
    host = host_of(str(client.base_url), gateway_url, library)
    named = next((name for cls in type(client).__mro__ if (name := PROVIDERS_BY_CLASS.get(cls.__name__))), None)
    return host if named is None else Host(named, host.through_gateway)


def _announce(outgoing: _Outgoing, base: Attribution) -> None:
    """Tell our own gateway which event this is and who it is for, so that both count one call once. `base` is what
    `init` says of every call."""
    headers = outgoing.options.headers
    own = headers_for(outgoing.event_id, outgoing.attribution.over(base))
    outgoing.options = copy.copy(outgoing.options)
    outgoing.options.headers = {**own, **headers} if isinstance(headers, Mapping) else own


def _ask_for_usage(outgoing: _Outgoing, flavour_name: str, client: Any) -> None:
    """Have a chat stream end with its token counts, where the host knows how to do so and nobody reads it raw.

    What listens on this machine is asked as well: those servers either know the option or pass it over, and one that
    refuses it is asked only once (`_take_back`).
    """
    facts, options = outgoing.facts, outgoing.options
    if facts.asks_for_stream_usage or flavour_name != "openai.chat":
        return
    host = outgoing.host
    if host.provider not in TELL_USAGE_WHEN_ASKED or _too_old(client):
        return
    if _is_raw(options) and not usage_chunk_is_read():
        return
    if _refusing and str(client.base_url) in _refusing:
        return
    body = _body(options)
    wanted = {**(body.get("stream_options") or {}), "include_usage": True}
    outgoing.options = copy.copy(options)
    outgoing.options.json_data = {**options.json_data, "stream_options": wanted}
    outgoing.unasked = options


def _take_back(outgoing: _Outgoing, client: Any, error: BaseException) -> bool:
    """Whether it was our question that the host refused. Then the call leaves again without it: the caller has sent
    nothing wrong. This host is not asked again."""
    if outgoing.unasked is None or getattr(error, "status_code", None) not in _REFUSED_FIELD:
        return False
    if _QUESTION not in getattr(getattr(error, "response", None), "content", b""):
        return False
    if len(_refusing) < MOST_REFUSING:
        _refusing.add(str(client.base_url))
    outgoing.options, outgoing.unasked = outgoing.unasked, None
    return True


def _is_raw(options: Any) -> bool:
    return isinstance(options.headers, dict) and _RAW_HEADER in options.headers


def _too_old(client: Any) -> bool:
    """Whether it is an Azure API from before `stream_options`, which refuses what it does not know."""
    version = getattr(client, "_api_version", None)
    return isinstance(version, str) and version < "2024-09-01"


# ── a call is answered ──────────────────────────────────────────────────────────────────────────────────────


def _answered(outgoing: _Outgoing, response: Any, retries_taken: Any) -> None:
    """A response is about to be processed."""
    http_status = response.status_code
    if http_status >= FIRST_ERROR_STATUS:
        return  # the library raises it in a moment, or tries again
    outgoing.headed(http_status, retries_taken + 1)
    if response.is_closed:
        outgoing.answered(*payload_and_text(response))
    else:
        outgoing.follow(response.headers.get("content-type", ""))
        install(outgoing, response)


def _answered_with(outgoing: _Outgoing, arguments: Mapping[str, Any]) -> None:
    _answered(outgoing, arguments["response"], arguments.get("retries_taken", 0))


def _streams(outgoing: _Outgoing, stream: Any) -> None:
    """The caller gets a stream. It may live long; what was asked for in it need not."""
    unasked = outgoing.unasked
    outgoing.options = outgoing.unasked = None
    if unasked is not None and not _is_raw(unasked):
        hide_usage_chunk(stream)


# ── the patches ─────────────────────────────────────────────────────────────────────────────────────────────


def _bound_request(client: Any, instrument: Instrument, asynchronous: bool) -> Callable[..., Any]:
    original = client.request
    run = _request_async if asynchronous else _request
    bound = partial(run, instrument, client, vars(client))
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


def _class_request(original: Any, instrument: Instrument, asynchronous: bool) -> Callable[..., Any]:
    run = _request_async if asynchronous else _request

    @wraps(original)
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        own = vars(self)
        if _MARK in own:  # patched by itself already
            return original(self, cast_to, options, *args, **kwargs)
        return _as_it_came(
            partial(run, instrument, self, own), original.__get__(self), cast_to, options, *args, **kwargs
        )

    return request


def _request(
    instrument: Instrument,
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
        outgoing = _begin(instrument, client, own, options)
    except Exception as error:  # noqa: BLE001 - the guard's, without a frame of its own
        GUARD.caught("begin", error)
        outgoing = None
    if outgoing is None:
        return original(cast_to, options, stream=stream, stream_cls=stream_cls)
    if outgoing.limited is not None:
        GUARD.run("begin", _leave, outgoing, outgoing.limited.admit(outgoing.refused))
    surrounding = _in_flight.get()
    while True:
        _in_flight.set(outgoing)
        try:
            result = original(cast_to, outgoing.options, stream=stream, stream_cls=stream_cls)
            break
        except BaseException as error:
            if not GUARD.run("usage_question", _take_back, outgoing, client, error):
                GUARD.run("failure", outgoing.failed, error)
                raise
        finally:
            _in_flight.set(surrounding)
    if outgoing.streams:
        GUARD.run("usage_chunk", _streams, outgoing, result)
    return result


async def _request_async(
    instrument: Instrument,
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
        outgoing = _begin(instrument, client, own, options)
    except Exception as error:  # noqa: BLE001 - the guard's, without a frame of its own
        GUARD.caught("begin", error)
        outgoing = None
    if outgoing is None:
        return await original(cast_to, options, stream=stream, stream_cls=stream_cls)
    if outgoing.limited is not None:
        GUARD.run("begin", _leave, outgoing, await outgoing.limited.admit_async(outgoing.refused))
    surrounding = _in_flight.get()
    while True:
        _in_flight.set(outgoing)
        try:
            result = await original(cast_to, outgoing.options, stream=stream, stream_cls=stream_cls)
            break
        except BaseException as error:
            if not GUARD.run("usage_question", _take_back, outgoing, client, error):
                GUARD.run("failure", outgoing.failed, error)
                raise
        finally:
            _in_flight.set(surrounding)
    if outgoing.streams:
        GUARD.run("usage_chunk", _streams, outgoing, result)
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
                _answered(outgoing, response, retries_taken)
            except Exception as error:  # noqa: BLE001 - the guard's, without a frame of its own
                GUARD.caught("answer", error)
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
            GUARD.run("answer", _answered_with, outgoing, kwargs)
        return original(*args, **kwargs)

    return process_response


def _class_processing(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def process_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _MARK not in vars(self) and (outgoing := _in_flight.get()) is not None:
            GUARD.run("answer", _answered_with, outgoing, kwargs)
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
    if outgoing is None:
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
