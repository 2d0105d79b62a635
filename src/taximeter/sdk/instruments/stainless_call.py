"""A call through a client library that Stainless generates: what it leaves with, and what its answer says.

Called by the patches in `stainless.py`, and by them alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from taximeter.core.attribution import Attribution
from taximeter.core.event import Status
from taximeter.extract import Flavour, Reading, flavour_for, of_what_is_told_later
from taximeter.sdk import meter as meters
from taximeter.sdk.call import FIRST_ERROR_STATUS, Call
from taximeter.sdk.fetched import told_already, told_later
from taximeter.sdk.headers import headers_for
from taximeter.sdk.hosts import PROVIDERS_BY_CLASS, TELL_USAGE_WHEN_ASKED, Host, host_of
from taximeter.sdk.instruments.stainless_fetch import Fetching, fetching
from taximeter.sdk.limiting import Limited, ask_of
from taximeter.sdk.parsed_once import payload_and_text
from taximeter.sdk.tap import install
from taximeter.sdk.usage_chunk import hide_usage_chunk
from taximeter.sdk.yielding import usage_chunk_is_read

if TYPE_CHECKING:
    from taximeter.limits.verdict import Admitted

_KNOWN: Final = "_taximeter_known"
_RAW_HEADER: Final = "X-Stainless-Raw-Response"
_GET: Final = ("get", "GET")
_QUESTION: Final = b"stream_options"
_REFUSED_FIELD: Final = (400, 422)
"""How servers answer to a field that they do not know."""

MOST_REFUSING: Final = 1_024
"""Base URLs that are remembered for having refused our question."""

_refusing: Final[set[str]] = set()


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the calls of a library look: `protocol` is the family it speaks, `path_of(options)` the path on the
    wire, where the library settles it later than we look."""

    library: str
    protocol: str
    asks_for_usage: bool = False
    path_of: Callable[[Any], str] | None = None


class Outgoing(Call):
    """A call together with the options it leaves with.

    `unasked`: the options without our question for the usage, if we put one there; then we hide the answer to it.
    """

    options: Any
    unasked: Any = None
    limited: Limited | None
    streams: bool

    def finish(self, status: Status, reading: Reading, error_type: str | None = None) -> None:
        if told_later(self, reading):
            super().finish(status, of_what_is_told_later(reading), error_type)
        else:
            super().finish(status, reading, error_type)
            told_already(self.host, self.flavour, reading)


_Kind: TypeAlias = tuple[meters.Meter, Any, str, str]
"""Of a call: whom it is reported to, the base URL, the path, the method."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found out about the latest kind of call of a client: who answers, and in which flavour."""

    kind: _Kind
    host: Host
    flavour: Flavour | None
    """None: such calls are not metered."""


# ── a call leaves ───────────────────────────────────────────────────────────────────────────────────────────


def begin(dialect: Dialect, client: Any, own: Mapping[str, Any], options: Any) -> Outgoing | Fetching | None:
    """The call that these options make, noted as begun, or the fetch of what an earlier one made; None when it is
    neither. `own` is what the client itself has, beside its class."""
    meter = meters.current or meters.meter()
    asked = vars(options)  # by itself each of them is looked for in the class first
    path = asked["url"] if dialect.path_of is None else dialect.path_of(options)
    kind = (meter, own.get("_base_url") or client.base_url, path, asked["method"])
    known: _Known | None = own.get(_KNOWN)
    if known is None or known.kind != kind:
        known = _find_out(client, dialect, kind)
    host, flavour = known.host, known.flavour
    if flavour is None:
        return fetching(dialect.protocol, host, kind[3], kind[2], options) if kind[3] in _GET else None
    body = asked.get("json_data")
    if type(body) is not dict or asked.get("extra_json"):
        body = _body(options)
    outgoing = Outgoing(meter, flavour, body, host)
    outgoing.options, outgoing.limited = options, None
    outgoing.streams = (flavour.read_plain is None or "stream" in body) and outgoing.facts.stream
    if host.through_gateway:
        _announce(outgoing, meter.settings.base)
    elif outgoing.streams and dialect.asks_for_usage and meter.settings.ask_for_usage:
        _ask_for_usage(outgoing, flavour.name, client)
    if meter.limiter is None or host.through_gateway:
        outgoing.leave(meter)
    else:
        outgoing.limited = Limited(meter.limiter, ask_of(outgoing, _body(outgoing.options), meter.settings.base))
    return outgoing


def leave(outgoing: Outgoing, admitted: Admitted | None) -> None:
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


def _find_out(client: Any, dialect: Dialect, kind: _Kind) -> _Known:
    """Who answers this client, and how. Kept on the client for the next call of the same kind."""
    meter, _, path, method = kind
    host = _look_up(client, meter.settings.url, dialect.library)
    flavour = flavour_for(dialect.protocol, method, host.prefix + path)
    limited = meter.limiter is not None and not host.through_gateway
    metered = flavour is not None and (flavour.billed or (flavour.charged_later and limited))
    known = _Known(kind, host, flavour if metered else None)
    setattr(client, _KNOWN, known)
    return known


def _look_up(client: Any, gateway_url: str | None, library: str) -> Host:
    host = host_of(str(client.base_url), gateway_url, library)
    named = next((name for cls in type(client).__mro__ if (name := PROVIDERS_BY_CLASS.get(cls.__name__))), None)
    return host if named is None else Host(named, host.through_gateway, region=host.region)


def _announce(outgoing: Outgoing, base: Attribution) -> None:
    """Tell our own gateway which event this is and who it is for, so that both count one call once. `base` is what
    `init` says of every call."""
    headers = outgoing.options.headers
    own = headers_for(outgoing.event_id, outgoing.attribution.over(base))
    outgoing.options = copy.copy(outgoing.options)
    outgoing.options.headers = {**own, **headers} if isinstance(headers, Mapping) else own


def _ask_for_usage(outgoing: Outgoing, flavour_name: str, client: Any) -> None:
    """Have a chat stream end with its token counts, where the host knows how to do so and nobody reads it raw.

    What listens on this machine is asked as well: those servers either know the option or pass it over, and one that
    refuses it is asked only once (`take_back`).
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


def take_back(outgoing: Outgoing, client: Any, error: BaseException) -> bool:
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


def answered(outgoing: Outgoing | Fetching, response: Any, retries_taken: Any) -> None:
    """A response is about to be processed."""
    http_status = response.status_code
    if http_status >= FIRST_ERROR_STATUS:
        return  # the library raises it in a moment, or tries again
    outgoing.headed(http_status, retries_taken + 1)
    if response.is_closed:
        if outgoing.streams:
            outgoing.streamed_already(response.headers.get("content-type", ""), response.content)
        else:
            outgoing.answered(*payload_and_text(response))
    else:
        outgoing.follow(response.headers.get("content-type", ""))
        install(outgoing, response)


def answered_with(outgoing: Outgoing | Fetching, arguments: Mapping[str, Any]) -> None:
    answered(outgoing, arguments["response"], arguments.get("retries_taken", 0))


def unreadable_with(outgoing: Outgoing | Fetching, arguments: Mapping[str, Any]) -> None:
    unreadable(outgoing, arguments["response"])


def unreadable(outgoing: Outgoing | Fetching, response: Any) -> None:
    """`answered` failed, by a fault of ours. A refusal is raised or tried again in a moment, and told then."""
    if response.status_code < FIRST_ERROR_STATUS:
        outgoing.unreadable(response.status_code)


def streams(outgoing: Outgoing, stream: Any) -> None:
    """The caller gets a stream. It may live long; what was asked for in it need not."""
    unasked = outgoing.unasked
    outgoing.options = outgoing.unasked = None
    if unasked is not None and not _is_raw(unasked):
        hide_usage_chunk(stream)
