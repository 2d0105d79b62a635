"""The family of client libraries in which one function is a call and another, called inside it, is an attempt.

mistralai, cohere, google-genai and botocore have nothing else in common, but each has these two places. They are
patched once, on the library's own classes; what passes through is metered when the object that made it was
instrumented, or everything is. The HTTP library below is left alone.

A file of this family says where the places are, how a call begins (`begin`) and what an answer is (`answered`). All
that is decided there runs under the guard; the wrappers here only pass on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from taximeter.errors import UsageError
from taximeter.extract import Flavour, flavour_for
from taximeter.sdk import meter as meters
from taximeter.sdk.call import FIRST_ERROR_STATUS, Call
from taximeter.sdk.fetched import Fetch
from taximeter.sdk.guard import GUARD
from taximeter.sdk.headers import headers_for
from taximeter.sdk.hosts import Host
from taximeter.sdk.limiting import Limited, ask_of
from taximeter.sdk.parsed_once import parsed
from taximeter.sdk.tap import install

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted

_MARK: Final = "_taximeter"
OK: Final = 200


class Told(NamedTuple):
    """What a failed attempt was answered, in the words of an HTTP response that has been read."""

    status_code: int
    content: bytes
    is_stream_consumed: bool = True


Rewrite = Callable[["Admitted"], None]


class Sent:
    """A call on its way. `failed` is True between an attempt that failed and the next one.

    `headers` go with the request when it leaves for our own gateway, so that both count it once; else there are none.
    `limited` is not None while it has to be admitted; `rewrite` gives its request what it was admitted with.
    """

    __slots__ = ("call", "failed", "flavour", "headers", "limited", "rewrite")

    def __init__(self, call: Call, flavour: Flavour, headers: dict[str, str], rewrite: Rewrite) -> None:
        self.call = call
        self.flavour = flavour
        self.headers = headers
        self.rewrite = rewrite
        self.failed = False
        self.limited: Limited | None = None

    def admitted(self, admitted: Admitted | None) -> None:
        """The call was admitted, perhaps with a smaller allowance or another model, and leaves."""
        limited, self.limited = self.limited, None
        if admitted is not None and limited is not None:
            self.call.hold = limited.hold(admitted)
            if admitted.allowance is not None or admitted.model is not None:
                self.rewrite(admitted)
        self.call.leave(meters.meter())

    def leaves(self) -> None:
        """An attempt leaves, the first or a further one."""
        if self.failed:
            self.failed = False
            self.call.again()

    def refused(self, response: Any, error: BaseException | None = None) -> None:
        """An attempt failed: with a response (anything like an HTTP library's, or `Told`) or with an error."""
        self.failed = self.call.tried(response, error) or self.failed


in_flight: Final[ContextVar[Sent | None]] = ContextVar("taximeter_sent", default=None)

Begin = Callable[[Any, tuple[Any, ...], dict[str, Any]], Sent | Fetch | None]
"""`begin(self, args, kwargs)`: the call that these arguments make, or the fetch of what an earlier one made; None when
it is neither."""

Answered = Callable[[Any, Any], None]
"""`answered(outgoing, result)`: what `begin` made was answered."""
Broke = Callable[[Call, BaseException], None]
Wrap = Callable[[Any], Any]


class Place(NamedTuple):
    """A function of the library that is patched: where it hangs, its name, and how it is wrapped."""

    owner: Any
    name: str
    wrap: Wrap


@dataclass(slots=True)
class Family:
    """One library. `client_classes` by name; `places(family)` imports it; `marked(client)` is what its calls know of
    the client that makes them."""

    library: str
    client_classes: frozenset[str]
    places: Callable[[Family], Iterable[Place]]
    marked: Callable[[Any], Any] = lambda client: client
    everything: bool = False
    _patched: list[str] = field(default_factory=list)

    def meters(self, client: object) -> bool:
        """Whether `client` is one of ours. Told by name, so that the library is not imported for the question."""
        return any(cls.__name__ in self.client_classes for cls in type(client).__mro__)

    def patch_client(self, client: Any) -> None:
        """Meter what this one client does."""
        self._patch()
        setattr(self.marked(client), _MARK, True)

    def patch_classes(self) -> None:
        """Meter what every client does."""
        self._patch()
        self.everything = True

    def restore_classes(self) -> None:
        """Undo `patch_classes`. The patches stay for the clients that are marked, and pass everything else on."""
        self.everything = False

    def metered(self, owner: Any) -> bool:
        return self.everything or getattr(owner, _MARK, False) is True

    def _patch(self) -> None:
        if self._patched:
            return
        places = list(self.places(self))
        missing = [place.name for place in places if not callable(getattr(place.owner, place.name, None))]
        if missing:
            raise UsageError(
                f"this version of {self.library} is not supported: no {', '.join(missing)}",
                hint="please report it; until then call the provider through the gateway",
            )
        for place in places:
            original = getattr(place.owner, place.name)
            setattr(place.owner, place.name, wraps(original)(place.wrap(original)))
            self._patched.append(place.name)


# ── a call ──────────────────────────────────────────────────────────────────────────────────────────────────


def sent(kind: str, method: str, path: str, body: object, host: Host, rewrite: Rewrite) -> Sent | None:
    """The call that a request makes, noted as begun unless it has to be admitted first; None when it is not
    one that is metered."""
    flavour = flavour_for(kind, method, path)
    if flavour is None:
        return None
    meter = meters.meter()
    costs = flavour.billed or flavour.charged_later
    limiter = meter.limiter if costs and not host.through_gateway else None
    if limiter is None and not (flavour.billed or flavour.begins_job):
        return None
    payload = body if isinstance(body, Mapping) else {}
    call = Call(meter, flavour, payload, host)
    base = meter.settings.base
    headers = headers_for(call.event_id, call.attribution.over(base)) if host.through_gateway else {}
    outgoing = Sent(call, flavour, headers, rewrite)
    if limiter is None:
        call.leave(meter)
    else:
        outgoing.limited = Limited(limiter, ask_of(call, payload, base))
    return outgoing


def admit(outgoing: Sent) -> None:
    """Have a call admitted that has to be. Raises LimitExceeded."""
    if outgoing.limited is not None:
        GUARD.run("begin", outgoing.admitted, outgoing.limited.admit(outgoing.call.refused))


async def admit_async(outgoing: Sent) -> None:
    """The same without blocking the event loop."""
    if outgoing.limited is not None:
        GUARD.run("begin", outgoing.admitted, await outgoing.limited.admit_async(outgoing.call.refused))


class _UnderWay:
    """The time in which a call is made: what is called inside it are its attempts, and an error is its end."""

    __slots__ = ("_outgoing", "_surrounding")

    def __init__(self, outgoing: Sent) -> None:
        self._outgoing = outgoing

    def __enter__(self) -> None:
        self._surrounding = in_flight.get()
        in_flight.set(self._outgoing)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            GUARD.run("failure", self._outgoing.call.failed, error)
        in_flight.set(self._surrounding)


def calls(begin: Begin, answered: Answered) -> Wrap:
    """Wraps a function that makes a call."""

    def wrap(original: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            outgoing = GUARD.run("begin", begin, self, args, kwargs)
            if outgoing is None:
                return original(self, *args, **kwargs)
            if isinstance(outgoing, Fetch):
                result = original(self, *args, **kwargs)
            else:
                admit(outgoing)
                with _UnderWay(outgoing):
                    result = original(self, *args, **kwargs)
            GUARD.run_or("answer", answered, unreadable, outgoing, result)
            return result

        return call

    return wrap


def calls_async(begin: Begin, answered: Answered) -> Wrap:
    """Wraps a coroutine function that makes a call."""

    def wrap(original: Any) -> Any:
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            outgoing = GUARD.run("begin", begin, self, args, kwargs)
            if outgoing is None:
                return await original(self, *args, **kwargs)
            if isinstance(outgoing, Fetch):
                result = await original(self, *args, **kwargs)
            else:
                await admit_async(outgoing)
                with _UnderWay(outgoing):
                    result = await original(self, *args, **kwargs)
            GUARD.run_or("answer", answered, unreadable, outgoing, result)
            return result

        return call

    return wrap


# ── an attempt ──────────────────────────────────────────────────────────────────────────────────────────────


Refusal = Callable[[Any], Any]
"""The failed response in what an attempt returns, or None."""

ToldBy = Callable[[BaseException], Told | None]
"""What an error knows of the answer that caused it."""


def no_refusal(_result: Any) -> Any:
    """Of a function that raises when an attempt fails."""
    return None


def refusal_in(response: Any) -> Any:
    """Of a function that returns an HTTP response, whatever its status."""
    return response if response.status_code >= FIRST_ERROR_STATUS else None


def told_by(_error: BaseException) -> Told | None:
    """Of errors that hold no answer."""
    return None


class _Trying:
    """The time in which an attempt is made: an error is its failure."""

    __slots__ = ("_outgoing", "_told")

    def __init__(self, outgoing: Sent, told: ToldBy) -> None:
        self._outgoing = outgoing
        self._told = told

    def __enter__(self) -> None:
        GUARD.run("retry", self._outgoing.leaves)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            GUARD.run("retry", _raised, self._outgoing, error, self._told)


def attempts(refusal: Refusal = no_refusal, told: ToldBy = told_by) -> Wrap:
    """Wraps a function that makes an attempt. `refusal(result)` is the failed response in what it returns, or None;
    `told(error)` is what an error knows of the answer."""

    def wrap(original: Any) -> Any:
        def attempt(*args: Any, **kwargs: Any) -> Any:
            outgoing = in_flight.get()
            if outgoing is None:
                return original(*args, **kwargs)
            with _Trying(outgoing, told):
                result = original(*args, **kwargs)
            GUARD.run("retry", _returned, outgoing, result, refusal)
            return result

        return attempt

    return wrap


def attempts_async(refusal: Refusal = no_refusal, told: ToldBy = told_by) -> Wrap:
    """As `attempts`, of a coroutine function."""

    def wrap(original: Any) -> Any:
        async def attempt(*args: Any, **kwargs: Any) -> Any:
            outgoing = in_flight.get()
            if outgoing is None:
                return await original(*args, **kwargs)
            with _Trying(outgoing, told):
                result = await original(*args, **kwargs)
            GUARD.run("retry", _returned, outgoing, result, refusal)
            return result

        return attempt

    return wrap


def _raised(outgoing: Sent, error: Exception, told: ToldBy) -> None:
    outgoing.refused(told(error), error)


def _returned(outgoing: Sent, result: Any, refusal: Refusal) -> None:
    if (response := refusal(result)) is not None:
        outgoing.refused(response)


# ── an answer ───────────────────────────────────────────────────────────────────────────────────────────────


def answered_by_http(outgoing: Sent, response: Any) -> None:
    """The answer is the response of an HTTP library: read already, or about to be read by the caller."""
    if response.status_code >= FIRST_ERROR_STATUS:
        outgoing.refused(response)
        return
    call = outgoing.call
    call.headed(response.status_code, 1)
    if response.is_closed:
        if call.facts.stream:
            call.streamed_already(response.headers.get("content-type", ""), response.content)
        else:
            call.answered(parsed(response.content))
    else:
        call.follow(response.headers.get("content-type", ""))
        install(call, response)


def unreadable(outgoing: Sent | Fetch, result: Any) -> None:
    """Looking at an answer failed, by a fault of ours. Not every library's result has a status. What was fetched is
    counted by a later fetch."""
    if isinstance(outgoing, Sent):
        outgoing.call.unreadable(getattr(result, "status_code", OK))


class Objects(Iterator[Any]):
    """The objects of a streamed answer, as the library hands them out. `broke`: what an error does to the call."""

    def __init__(self, call: Call, source: Any, broke: Broke = Call.failed) -> None:
        self._call = call
        self._source = source
        self._broke = broke

    def __next__(self) -> Any:
        try:
            event = next(self._source)
        except BaseException as error:
            GUARD.run("stream", _over, self._call, error, self._broke)
            raise
        GUARD.run("stream", self._call.took_event, event)
        return event


class ObjectsAsync(AsyncIterator[Any]):
    """The same, awaited."""

    def __init__(self, call: Call, source: Any, broke: Broke = Call.failed) -> None:
        self._call = call
        self._source = source
        self._broke = broke

    async def __anext__(self) -> Any:
        try:
            event = await anext(self._source)
        except BaseException as error:
            GUARD.run("stream", _over, self._call, error, self._broke)
            raise
        GUARD.run("stream", self._call.took_event, event)
        return event


def _over(call: Call, error: BaseException, broke: Broke) -> None:
    """A stream has no further object: it is at its end, or broke off."""
    if isinstance(error, StopIteration | StopAsyncIteration):
        call.exhausted()
    else:
        broke(call, error)


def followed(cls: Any, methods: Mapping[str, Any]) -> type:
    """A class like `cls`, the library's, with some methods of its own: an answer that is on its way becomes one."""
    own = {**methods, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls,), own)
