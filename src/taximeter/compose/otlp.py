"""The receiver of OTLP, put together: what it holds lies in the data directory, what it forgot the store knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from taximeter.clock import Clock
from taximeter.ingest.otlp.held_file import HeldFile
from taximeter.ingest.otlp.receive import Events, OtlpReceiver
from taximeter.store.events import EventStore, parse_query

HELD_FILE: Final = "otlp-held.ndjson"

LOOK_BACK: Final = "7d"
"""How old the calls of a trace may be that is asked for after a restart."""

MOST_TRACES: Final = 500
"""Traces asked for at once."""


def open_otlp(data: Path, events: Events, store: EventStore, clock: Clock) -> OtlpReceiver:
    """The receiver, with what waited when the last process ended."""

    def traces_with_calls(traces: Sequence[str]) -> set[str]:
        return {
            trace
            for start in range(0, len(traces), MOST_TRACES)
            for trace in _asked(traces[start : start + MOST_TRACES])
        }

    def _asked(traces: Sequence[str]) -> set[str]:
        question = {
            "measures": ["calls"],
            "group_by": ["trace_id"],
            "filters": {"trace_id": {"in": list(traces)}, "source": "otlp"},
            "from": LOOK_BACK,
        }
        return {row["trace_id"] for row in store.query(parse_query(question, clock.now_us())).rows}

    return OtlpReceiver(events, HeldFile(data / HELD_FILE), clock, traces_with_calls)
