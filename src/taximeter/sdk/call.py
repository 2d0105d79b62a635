"""One call on its way: a begin record when it leaves, exactly one event when it ends.

A call ends once, whoever notices first: the answer, the stream, the caller's `close`, the garbage collector. All
methods run under the guard of whoever calls them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.core.attribution import DIMENSIONS, Attribution
from taximeter.core.event import Status, UsageEvent, as_record
from taximeter.core.ids import attempt_id
from taximeter.core.usage import Usage
from taximeter.extract.flavour import Flavour
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts, estimated_tokens
from taximeter.extract.stream import StreamReader
from taximeter.sdk import meter as meters
from taximeter.sdk.context import current
from taximeter.sdk.hosts import Host

FIRST_ERROR_STATUS: Final = 400

LONGEST_BODY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of an answer that are kept to be read when it is complete; one that is longer is estimated."""


class Call:
    """A metered call. `streams` is None until an answer begins to stream."""

    __slots__ = (
        "_attempt",
        "_attribution",
        "_began",
        "_body",
        "_clock",
        "_ends",
        "_first_content",
        "_flavour",
        "_http_status",
        "_successes",
        "event_id",
        "facts",
        "host",
        "reader",
        "started_at_us",
    )

    def __init__(self, meter: meters.Meter, flavour: Flavour, facts: RequestFacts, host: Host) -> None:
        self._clock = meter.clock
        self.started_at_us = self._clock.now_us()
        self._began = self._clock.monotonic()
        self.event_id = meter.new_event_id(self.started_at_us)
        self.facts = facts
        self.host = host
        self.reader: StreamReader | None = None
        self._flavour = flavour
        self._attribution = current().over(meter.settings.base)
        self._attempt = 1
        self._http_status: int | None = None
        self._first_content: float | None = None
        self._successes = 0
        self._body = bytearray()
        self._ends = [True]  # popping is atomic, so that of several ends in several threads one counts

    @property
    def attribution(self) -> Attribution:
        return self._attribution

    def leave(self) -> None:
        """Write the begin record. A call through our own gateway has one there."""
        if not self.host.through_gateway:
            meters.meter().append(self._begin_record())

    def _begin_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "record": "begin",
            "event_id": self.event_id,
            "started_at": rfc3339(self.started_at_us),
            "source": "sdk",
            "provider": self.host.provider,
            "operation": self.facts.operation,
            "input_tokens": estimated_tokens(self.facts.input_characters),
        }
        if self.facts.model is not None:
            record["request_model"] = self.facts.model
        for name in DIMENSIONS:
            value = getattr(self._attribution, name)
            if value is not None:
                record[name] = value
        if self._attribution.tags:
            record["tags"] = dict(self._attribution.tags)
        return record

    # -- how it can go ---------------------------------------------------------------------------------------

    def headed(self, http_status: int, attempt: int) -> None:
        """An answer has begun. A client library's middleware may cause several: each is a call of its own."""
        if self._successes:
            self._next_attempt()
        self._successes += 1
        self._http_status = http_status
        self._attempt = max(attempt, self._successes)

    def _next_attempt(self) -> None:
        self.finish("ok" if self.reader is None else "cancelled", self._read_so_far())
        self.event_id = attempt_id(self.event_id, self._successes + 1)
        self.reader = None
        self._body = bytearray()
        self._ends = [True]

    def answered(self, body: bytes) -> None:
        """A whole answer is there."""
        reading = self._flavour.read_answer(self._http_status or 200, parsed(body))
        self.finish("error" if reading.error_type else "ok", reading)

    def follow(self, content_type: str) -> None:
        """The answer is read piece by piece from now on: an event stream, or a whole one that is not read yet."""
        if self.facts.stream and "json" not in content_type:
            self.reader = self._flavour.stream(self.facts)
        else:
            self._body = bytearray()

    def took(self, chunk: bytes) -> None:
        """A piece of the answer."""
        if self.reader is None:
            if len(self._body) + len(chunk) <= LONGEST_BODY_BYTES:
                self._body += chunk
            return
        self.reader.feed(chunk)
        if self._first_content is None and self.reader.content_started:
            self._first_content = self._clock.monotonic()

    def exhausted(self) -> None:
        """The answer came to its end by itself."""
        reading = self._read_so_far()
        self.finish("error" if reading.error_type else "ok", reading)

    def let_go(self) -> None:
        """The caller closed or dropped the answer. After the terminal event that is how streams end."""
        if not self._ends:
            return
        reading = self._read_so_far()
        if reading.error_type:
            self.finish("error", reading)
        else:
            self.finish("ok" if reading.finished else "cancelled", reading)

    def failed(self, error: BaseException) -> None:
        """The call, or the reading of its stream, raised."""
        if not isinstance(error, Exception):  # cancelled, interrupted, or a generator closed early
            self.let_go()
            return
        reading = self._read_failure(error)
        self.finish("error", reading if reading.error_type else replace(reading, error_type=failure_kind(error)))

    def _read_failure(self, error: Exception) -> Reading:
        response = getattr(error, "response", None)
        status = getattr(error, "status_code", None)
        if self.reader is not None or not isinstance(status, int):
            return self._read_so_far()
        self._http_status = status
        return self._flavour.read_answer(status, parsed(getattr(response, "content", b"")))

    def _read_so_far(self) -> Reading:
        if self.reader is not None:
            return self.reader.reading()
        return self._flavour.read_answer(self._http_status or 200, parsed(self._body)) if self._body else NOTHING_READ

    # -- the one end -----------------------------------------------------------------------------------------

    def finish(self, status: Status, reading: Reading) -> None:
        """Write the event, unless this call has ended already."""
        try:
            self._ends.pop()
        except IndexError:
            return
        meters.meter().append(as_record(self._event(status, reading)))

    def _event(self, status: Status, reading: Reading) -> UsageEvent:
        usage, estimated = self._usage(status, reading)
        return UsageEvent(
            event_id=self.event_id,
            started_at_us=self.started_at_us,
            source="sdk",
            status=status,
            provider=self.host.provider,
            request_model=self.facts.model,
            response_model=reading.response_model,
            operation=self.facts.operation,
            service_tier=reading.service_tier,
            region=reading.region,
            duration_ms=(self._clock.monotonic() - self._began) * 1000,
            time_to_first_token_ms=None if self._first_content is None else (self._first_content - self._began) * 1000,
            http_status=self._http_status,
            error_type=reading.error_type,
            response_id=reading.response_id,
            attempt=self._attempt,
            attribution=self._attribution,
            usage=usage,
            by_model=reading.by_model,
            not_billed=reading.not_billed or not self._flavour.billed,
            usage_estimated=estimated,
            usage_conflict=reading.usage_conflict,
            reported_cost_usd=reading.reported_cost_usd,
        )

    def _usage(self, status: Status, reading: Reading) -> tuple[Usage, bool]:
        """What was used, and whether that is our estimate because the provider did not say it (all)."""
        if reading.not_billed or not self._flavour.billed or (status == "error" and not self._began_to_answer):
            return reading.usage, False
        if reading.usage.known and (reading.finished or self.reader is None):
            return reading.usage, False
        return self._estimate(reading), True

    @property
    def _began_to_answer(self) -> bool:
        return self._http_status is not None and self._http_status < FIRST_ERROR_STATUS

    def _estimate(self, reading: Reading) -> Usage:
        """What was reported, completed by what was seen: a stream that broke off had told its input at best."""
        seen = estimated_tokens(reading.output_characters)
        told = reading.usage
        return replace(
            told,
            input_tokens=estimated_tokens(self.facts.input_characters)
            if told.input_tokens is None
            else told.input_tokens,
            output_tokens=max(told.output_tokens or 0, seen),
        )


def parsed(body: object) -> object:
    """The JSON in a body, or None when it is none."""
    if not isinstance(body, bytes | bytearray) or not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def failure_kind(error: BaseException) -> str:
    """A stable name for a call that failed without an answer."""
    name = type(error).__name__
    if "Timeout" in name:
        return "timeout"
    if name in ("RemoteProtocolError", "ReadError", "IncompleteRead"):
        return "closed_early"
    if "Connect" in name:
        return "connect_failed"
    return name
