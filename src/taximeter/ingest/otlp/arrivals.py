"""Spans and log records as they come out of either form: whole enough to be used, or counted as malformed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from taximeter.core.event import SPAN_SCOPE
from taximeter.ingest.otlp.agents import EVENT_NAMES
from taximeter.ingest.otlp.span import SPAN_ID_BYTES, TRACE_ID_BYTES, Arrived, Found, LogRecord, Origin, Span

Signal: TypeAlias = Literal["traces", "logs", "metrics"]

EARLIEST_NS: Final = 946_684_800_000_000_000
"""The year 2000. What claims to be older has no time at all."""


def add_span(arrived: Arrived, span: Span) -> None:
    """Take a span that has its ids. One without is malformed if it tells of a call, and nothing otherwise. What was
    told of stored events comes back where a collector sends it on: it counts already."""
    if span.origin.scope_name == SPAN_SCOPE:
        arrived.ignored += 1
        return
    if not span.parent_id.strip(b"\0") or span.parent_id == span.span_id:
        span.parent_id = b""
    if len(span.trace_id) != TRACE_ID_BYTES or len(span.span_id) != SPAN_ID_BYTES:
        problem = f"a span ({span.name!r}) has no valid trace id or span id"
    elif span.start_ns < EARLIEST_NS:
        problem = f"a span ({span.name!r}) has no start time"
    else:
        arrived.spans.append(span)
        return
    if span.found:
        arrived.reject(problem)


def add_record(
    arrived: Arrived,
    names: Iterable[str],
    at_ns: int,
    trace_id: bytes,
    span_id: bytes,
    origin: Origin,
    found: Found,
) -> None:
    """Take a log record if one of its names (its own, its body, the attribute `event.name`) is one we know."""
    said = [*names, found.get("event_name", "")]
    name = next((EVENT_NAMES[one] for one in said if one in EVENT_NAMES), None)
    if name is None:
        arrived.ignored += 1
        return
    arrived.records.append(LogRecord(name, at_ns, trace_id, span_id, origin, found))
