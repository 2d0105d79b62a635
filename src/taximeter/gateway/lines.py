"""The lines of a spool: what `as_record` says of an event field by field, said at once.

The begin record of a call and its event begin with the same: what is known when the call leaves is written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec

from taximeter.clock import rfc3339
from taximeter.core.attribution import DIMENSIONS, NOBODY
from taximeter.core.event import PLAIN, UsageEvent, as_record
from taximeter.core.usage import TOKEN_CLASSES

_encode: Final = msgspec.json.encode

_TOLD_LATER: Final = (
    "http_status",
    "error_type",
    "request_id",
    "response_id",
    "response_model",
    "service_tier",
    "region",
)
"""Of the fields that a record says as they are: those that the answer decides."""
_KNOWN_BEFORE: Final = ("event_id", "source", *(name for name in PLAIN if name not in _TOLD_LATER))
_SELDOM: Final = ("units", "by_model", "not_billed", "usage_estimated", "usage_conflict", "reported_cost_usd")
_who: Final = attrgetter(*DIMENSIONS)
_told_later: Final = attrgetter(*_TOLD_LATER)
_counts: Final = attrgetter(*TOKEN_CLASSES)


def _part(name: str, *fields: str) -> Any:
    """A part of a record, without what is not known, in the order of its fields."""
    return msgspec.defstruct(name, [(field, Any, None) for field in fields], omit_defaults=True, gc=False)


_Known: Final = _part("_Known", *_KNOWN_BEFORE, *DIMENSIONS, "tags", "attempt", "started_at")
_Begun: Final = _part(
    "_Begun", "record", "request_id", "region", "input_tokens", "expected_output_tokens", "held", "told_later"
)
_Ended: Final = _part(
    "_Ended", *_TOLD_LATER, *TOKEN_CLASSES, "duration_ms", "time_to_first_token_ms", "status", *_SELDOM
)


def known_part(known: Mapping[str, Any]) -> bytes:
    """How both lines of a call begin. `known` are the fields of its event that the answer does not change."""
    who = known.get("attribution", NOBODY)
    attempt, started_at = known.get("attempt", 1), rfc3339(known["started_at_us"])
    part = _Known(*map(known.get, _KNOWN_BEFORE), *_who(who), who.tags or None, attempt, started_at)
    return _encode(part)[:-1] + b","


def begin_line(
    known: bytes,
    request_id: str | None,
    region: str | None,
    input_tokens: int | None,
    expected_output_tokens: int,
    held: Mapping[str, int] | None,
    told_later: bool = False,
) -> bytes:
    """The line of a call that leaves; `input_tokens` are an estimate, `region` is where its address is. `told_later`:
    what it costs is told by an answer that can be fetched, whatever becomes of this one."""
    later = told_later or None
    return known + _encode(_Begun("begin", request_id, region, input_tokens, expected_output_tokens, held, later))[1:]


def event_line(event: UsageEvent, known: bytes | None = None) -> bytes:
    """The event as a line; `known` is how its begin record began, if it has one."""
    if known is None:
        known = known_part({name: getattr(event, name) for name in _OF_KNOWN_PART})
    ended = _Ended(
        *_told_later(event),
        *_counts(event.usage),
        _milliseconds(event.duration_ms),
        _milliseconds(event.time_to_first_token_ms),
        event.status,
    )
    if not _is_usual(event):
        record = as_record(event)
        for name in _SELDOM:
            setattr(ended, name, record.get(name))
    return known + _encode(ended)[1:]


_OF_KNOWN_PART: Final = (*_KNOWN_BEFORE, "attribution", "attempt", "started_at_us")


def progress_line(event_id: str, output_tokens: int, held: Mapping[str, int] | None) -> bytes:
    """The line of a stream that runs."""
    record: dict[str, object] = {"record": "progress", "event_id": event_id, "output_tokens": output_tokens}
    return _encode(record if held is None else {**record, "held": held})


def _milliseconds(exact: float | None) -> float | None:
    return None if exact is None else round(exact, 3)


def _is_usual(event: UsageEvent) -> bool:
    """Whether it says nothing of what is seldom said."""
    if event.usage.units or event.by_model or event.reported_cost_usd is not None:
        return False
    return not (event.not_billed or event.usage_estimated or event.usage_conflict)
