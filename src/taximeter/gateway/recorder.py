"""What the gateway writes down: a begin record when a call leaves, progress while it runs, the event at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol

from taximeter.clock import Clock
from taximeter.core.attribution import NOBODY
from taximeter.core.event import UsageEvent
from taximeter.core.expected import ExpectedOutput
from taximeter.core.ids import EventIds
from taximeter.gateway.call import Call
from taximeter.gateway.lines import begin_line, event_line, known_part, progress_line


class LineLog(Protocol):
    """Where records go: `taximeter.spool.Spool`."""

    def append(self, line: bytes) -> bool:
        """Take one line. False when it had to be dropped."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether lines that were taken wait in memory, because the disk refuses them."""
        ...


class Recorder:
    """Writes records and makes event ids. `chance` gives random bytes."""

    def __init__(self, log: LineLog, clock: Clock, chance: Callable[[int], bytes] = os.urandom) -> None:
        self._log = log
        self._clock = clock
        self._ids = EventIds(chance)
        self._expected = ExpectedOutput()
        self.written: dict[str, int] = {"begin": 0, "progress": 0, "event": 0}
        self.lost: dict[str, int] = {"begin": 0, "progress": 0, "event": 0}

    def new_event_id(self) -> str:
        return self._ids.new(self._clock.now_us() // 1000)

    @property
    def on_disk(self) -> bool:
        """Whether everything that was written so far would outlive this process."""
        return not self._log.in_memory

    def begin(self, call: Call, held: Mapping[str, int] | None = None) -> bool:
        """Write that a call leaves for the provider; `held` by its limits.

        Whether it was written: a call that is not could vanish without a trace.
        """
        known, facts = call.known, call.facts
        call.known_part = part = known_part(known)
        feature = known.get("attribution", NOBODY).feature
        expected_tokens = self._expected.of(call.provider, facts.model, feature).within(facts.max_output_tokens)
        line = begin_line(
            part,
            known.get("request_id"),
            call.region,
            call.estimated_input_tokens,
            expected_tokens,
            held,
            facts.background,
        )
        return self._write("begin", line)

    def progress(self, event_id: str, output_tokens: int, held: Mapping[str, int] | None = None) -> None:
        self._write("progress", progress_line(event_id, output_tokens, held))

    def end(self, event: UsageEvent, known: bytes | None = None) -> bool:
        """Write the event, which ends the begin record of the same id; `known` is that call's `known_part`."""
        if event.usage.output_tokens is not None and not event.usage_estimated:
            expected = self._expected.of(event.provider, event.request_model, event.attribution.feature)
            expected.learn(event.usage.output_tokens)
        return self._write("event", event_line(event, known))

    def _write(self, kind: str, line: bytes) -> bool:
        taken = self._log.append(line)
        counter = self.written if taken else self.lost
        counter[kind] += 1
        return taken
