"""OTLP in JSON files: what a collector's file exporter writes, and what OpenLLMetry and others dump.

The same receiver decides as for what comes over the network, with the same event ids: spans that were sent as well
count once. What would wait there for calls below it is decided after the last file: a collector's exporter begins
another one whenever it likes, in the middle of a trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from taximeter.errors import UsageError
from taximeter.ingest.imports.row import AcrossFiles, Draft, LeftOut, Options, Outcome, Row, RowError, Values
from taximeter.ingest.otlp import json_form
from taximeter.ingest.otlp.arrivals import Signal
from taximeter.ingest.otlp.deciding import Decider
from taximeter.ingest.otlp.held_file import Caller
from taximeter.ingest.otlp.trace_memory import Taken

_END_OF_TIME_US: Final = 1 << 62
_ENVELOPES: Final[tuple[tuple[Signal, str, str], ...]] = (
    ("traces", "resourceSpans", "scopeSpans"),
    ("logs", "resourceLogs", "scopeLogs"),
)


class OtlpJson(AcrossFiles):
    name = "otlp"
    title = "OTLP JSON"

    def recognises(self, values: Values) -> bool:
        return any(scopes in values for _, _, scopes in _ENVELOPES)

    def reader(self, options: Options) -> _Reader:
        return _Reader(options)


class _Reader:
    def __init__(self, options: Options) -> None:
        self._now_us = options.now_us
        self._decider = Decider(options.now_us)
        self._place = 0

    def read(self, row: Row) -> Iterator[Outcome]:
        self._place = row.place
        for signal, envelope, scopes in _ENVELOPES:
            if scopes in row.values:
                yield from self._decided(signal, msgspec.json.encode({envelope: [row.values]}))

    def finish(self) -> Iterable[Outcome]:
        memory = self._decider.memory
        return self._outcomes(memory.settle(memory.ripe(_END_OF_TIME_US), ()))

    def _decided(self, signal: Signal, body: bytes) -> Iterator[Outcome]:
        try:
            arrived = json_form.decode(signal, body)
        except UsageError as error:
            raise RowError(str(error)) from error
        for _ in range(arrived.malformed):
            yield LeftOut(self._place, arrived.problem or "a span that cannot be read")
        yield from self._outcomes(self._decider.decide(arrived, _NOBODY, self._now_us))

    def _outcomes(self, taken: Taken) -> Iterator[Outcome]:
        for event, _ in taken.ready:
            event.source = "import"
            yield Draft(self._place, msgspec.to_builtins(event))


_NOBODY: Final = Caller()
