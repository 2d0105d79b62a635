"""What the gateway writes down: a begin record when a call leaves, progress while it runs, the event at its end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from taximeter.clock import Clock
from taximeter.core.event import UsageEvent, as_record
from taximeter.core.ids import RANDOM_BYTES, uuid7

_encode: Final = msgspec.json.encode

UNKNOWN_OUTPUT_TOKENS: Final = 300
"""Expected of a feature and model that were never seen."""

NEWEST_SHARE: Final = 0.1
"""Weight of the newest answer in the learnt mean."""

MOST_EXPECTATIONS: Final = 10_000
"""Triples of provider, model and feature whose mean is remembered."""


class LineLog(Protocol):
    """Where records go: `taximeter.spool.Spool`."""

    def append(self, line: bytes) -> bool:
        """Take one line. False when it had to be dropped."""
        ...


class Recorder:
    """Writes records and makes event ids. `chance` gives random bytes."""

    def __init__(self, log: LineLog, clock: Clock, chance: Callable[[int], bytes] = os.urandom) -> None:
        self._log = log
        self._clock = clock
        self._chance = chance
        self._expected = ExpectedOutput()
        self.written: dict[str, int] = {"begin": 0, "progress": 0, "event": 0}
        self.lost: dict[str, int] = {"begin": 0, "progress": 0, "event": 0}

    def new_event_id(self) -> str:
        return uuid7(self._clock.now_us() // 1000, self._chance(RANDOM_BYTES))

    def begin(self, event: UsageEvent, max_output_tokens: int | None) -> bool:
        """Write that a call leaves for the provider. `event` is it as far as it is known.

        Whether it was written: a call that is not could vanish without a trace.
        """
        record = as_record(event)
        del record["status"]
        record["record"] = "begin"
        expected = self._expected.of(event)
        record["expected_output_tokens"] = expected if max_output_tokens is None else min(expected, max_output_tokens)
        return self._write("begin", record)

    def progress(self, event_id: str, output_tokens: int) -> None:
        self._write("progress", {"record": "progress", "event_id": event_id, "output_tokens": output_tokens})

    def end(self, event: UsageEvent) -> bool:
        """Write the event, which ends the begin record of the same id."""
        if event.usage.output_tokens is not None and not event.usage_estimated:
            self._expected.learn(event, event.usage.output_tokens)
        return self._write("event", as_record(event))

    def _write(self, kind: str, record: dict[str, object]) -> bool:
        taken = self._log.append(_encode(record))
        counter = self.written if taken else self.lost
        counter[kind] += 1
        return taken


class ExpectedOutput:
    """The mean length of answers by provider, model asked for and feature; newer answers weigh more."""

    def __init__(self) -> None:
        self._means: dict[tuple[str, str | None, str | None], float] = {}

    def of(self, event: UsageEvent) -> int:
        return round(self._means.get(_expectation_key(event), UNKNOWN_OUTPUT_TOKENS))

    def learn(self, event: UsageEvent, output_tokens: int) -> None:
        key = _expectation_key(event)
        mean = self._means.get(key)
        if mean is None:
            if len(self._means) >= MOST_EXPECTATIONS:
                del self._means[next(iter(self._means))]
            self._means[key] = float(output_tokens)
        else:
            self._means[key] = mean + NEWEST_SHARE * (output_tokens - mean)


def _expectation_key(event: UsageEvent) -> tuple[str, str | None, str | None]:
    return event.provider, event.request_model, event.attribution.feature
