"""What a request leads to, in memory: spans and log events go in, records and what to hold come out."""

from __future__ import annotations

from typing import Any

from taximeter.ingest.otlp.agents import CALL_DETAILS, event_of_record, is_agent, without_agents
from taximeter.ingest.otlp.span import Arrived, LogRecord, Span
from taximeter.ingest.otlp.trace_memory import Taken, TraceMemory


class Decider:
    """Decides about what arrived; `ignored` counts what is left to the other signal of a coding agent."""

    def __init__(self, now_us: int) -> None:
        self.memory = TraceMemory(now_us)
        self.ignored = 0

    def decide(self, arrived: Arrived, caller: Any, now_us: int) -> Taken:
        self.ignored += arrived.ignored
        spans = without_agents(arrived.spans)
        self.ignored += len(arrived.spans) - len(spans)
        taken = self.memory.take(spans, caller, now_us)
        for record in arrived.records:
            if record.name != CALL_DETAILS and (event := event_of_record(record)) is not None:
                taken.ready.append((event, caller))
                self.memory.tally.calls += 1
        details = [_as_span(record) for record in arrived.records if _is_detail(record)]
        _join(taken, self.memory.take_details(details, caller, now_us))
        return taken


def _join(taken: Taken, more: Taken) -> None:
    taken.ready += more.ready
    taken.held += more.held
    taken.released += more.released


def _is_detail(record: LogRecord) -> bool:
    """Whether a log event tells again of the call of a span; one that names no span cannot be compared."""
    return record.name == CALL_DETAILS and bool(record.trace_id and record.span_id) and not is_agent(record.origin)


def _as_span(record: LogRecord) -> Span:
    """The span that a log event of a call belongs to, as far as the event knows it."""
    return Span(
        record.trace_id, record.span_id, b"", "", record.at_ns, record.at_ns, False, record.origin, record.found
    )
