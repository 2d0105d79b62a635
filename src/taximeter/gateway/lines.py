"""The lines of a spool: what `as_record` says of an event field by field, said at once."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec

from taximeter.clock import rfc3339
from taximeter.core.attribution import DIMENSIONS
from taximeter.core.event import PLAIN, UsageEvent, as_record
from taximeter.core.usage import TOKEN_CLASSES

_encode: Final = msgspec.json.encode

_AS_THEY_ARE: Final = ("event_id", "source", "attempt", *PLAIN)
_OTHERS: Final = (
    "started_at",
    "duration_ms",
    "time_to_first_token_ms",
    "tags",
    "status",
    "record",
    "expected_output_tokens",
    "held",
)
_SELDOM: Final = ("units", "by_model", "not_billed", "usage_estimated", "usage_conflict", "reported_cost_usd")
_told: Final = attrgetter(*_AS_THEY_ARE)
_who: Final = attrgetter(*DIMENSIONS)
_counts: Final = attrgetter(*TOKEN_CLASSES)

_Line: Final[Any] = msgspec.defstruct(
    "_Line",
    [(name, Any, None) for name in (*_AS_THEY_ARE, *DIMENSIONS, *TOKEN_CLASSES, *_OTHERS, *_SELDOM)],
    omit_defaults=True,
    gc=False,
)
"""A record without what is not known, in the order in which it is made."""


def event_line(event: UsageEvent) -> bytes:
    """The event as a line."""
    return _encode(_line(event, event.status))


def begin_line(event: UsageEvent, expected_output_tokens: int, held: Mapping[str, int] | None) -> bytes:
    """The line of a call that leaves."""
    return _encode(_line(event, None, "begin", expected_output_tokens, held))


def progress_line(event_id: str, output_tokens: int, held: Mapping[str, int] | None) -> bytes:
    """The line of a stream that runs."""
    record: dict[str, object] = {"record": "progress", "event_id": event_id, "output_tokens": output_tokens}
    return _encode(record if held is None else {**record, "held": held})


def _line(event: UsageEvent, status: str | None, *begun: object) -> Any:
    who = event.attribution
    line = _Line(
        *_told(event),
        *_who(who),
        *_counts(event.usage),
        rfc3339(event.started_at_us),
        _milliseconds(event.duration_ms),
        _milliseconds(event.time_to_first_token_ms),
        who.tags or None,
        status,
        *begun,
    )
    if not _is_usual(event):
        record = as_record(event)
        for name in _SELDOM:
            setattr(line, name, record.get(name))
    return line


def _milliseconds(exact: float | None) -> float | None:
    return None if exact is None else round(exact, 3)


def _is_usual(event: UsageEvent) -> bool:
    """Whether it says nothing of what is seldom said."""
    if event.usage.units or event.by_model or event.reported_cost_usd is not None:
        return False
    return not (event.not_billed or event.usage_estimated or event.usage_conflict)
