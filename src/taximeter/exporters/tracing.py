"""Stored events to a receiver of OTLP over HTTP, each as one span."""

from __future__ import annotations

import contextlib
import gzip
from typing import Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from taximeter.clock import Clock
from taximeter.config.exporting import SpanSettings
from taximeter.exporters import spans
from taximeter.exporters.arrivals import Arrivals
from taximeter.exporters.http import post
from taximeter.exporters.port import ExportError
from taximeter.store.events import EventStore
from taximeter.store.events.filters import Condition
from taximeter.store.metadata import Exports

SERVICE: Final = "the OTLP receiver"


class Tracing:
    """One export of spans. `turn` raises ExportError and StoreError; what was not told then is told at the next one."""

    def __init__(self, name: str, settings: SpanSettings, store: EventStore, kept: Exports, clock: Clock) -> None:
        self.name, self._settings = f"spans {name}", settings
        left_out = {"source": settings.without_sources, "service": settings.without_services}
        conditions = [Condition(field, "not", values) for field, values in left_out.items() if values]
        self._arrivals = Arrivals(self.name, store, kept, clock, conditions)
        self.begin, self.follow = self._arrivals.begin, self._arrivals.follow

    @property
    def lag_seconds(self) -> float:
        return self._arrivals.lag_seconds

    def turn(self) -> None:
        """Tell what waits. Spans that the receiver refuses one by one are not sent again, as OTLP wants it; that it did
        is this turn's error."""
        refused = 0
        said = ""
        for records in self._arrivals.pieces():
            partial = self._send(spans.request(records).SerializeToString()).partial_success
            refused += partial.rejected_spans
            said = partial.error_message or said
        if refused:
            raise ExportError(f"{SERVICE} refused {refused} spans: {said}")

    def _send(self, body: bytes) -> ExportTraceServiceResponse:
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        headers |= {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        answer = post(self._settings.url, gzip.compress(body, mtime=0), headers, service=SERVICE)
        said = ExportTraceServiceResponse()
        with contextlib.suppress(DecodeError):  # it took them, whatever it says besides
            said.MergeFromString(answer)
        return said
