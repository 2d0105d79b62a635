"""One call on its way: a begin record when it lasts, exactly one event when it ends.

A call ends once, whoever notices first: the answer, the stream, the caller's `close`, the garbage collector. All
methods run under the guard of whoever calls them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from taximeter.clock import rfc3339
from taximeter.core.event import Status
from taximeter.core.ids import attempt_id, timed_id
from taximeter.core.usage import Usage
from taximeter.extract import answered
from taximeter.extract.flavour import Flavour
from taximeter.extract.gist import LONGEST_GIST
from taximeter.extract.payload import Payload, text
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts, estimated_tokens
from taximeter.extract.stream import StreamReader
from taximeter.sdk import lines
from taximeter.sdk import meter as meters
from taximeter.sdk.context import current
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import Host
from taximeter.sdk.parsed_once import parsed
from taximeter.sdk.spans import TRACE, loaded_modules, span_members
from taximeter.sdk.yielding import counted, watching

if TYPE_CHECKING:
    from taximeter.sdk.limiting import Hold
    from taximeter.sdk.meter import About
    from taximeter.spool.writer import Begun

FIRST_ERROR_STATUS: Final = 400

NOT_BILLED: Final = Reading(not_billed=True)

UNREADABLE: Final = Reading(usage_conflict=True)
"""Of an answer that we failed to read: what it used is unknown, and the event says that something is wrong with it."""

LONGEST_BODY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of an answer that are kept to be read when it is complete; one that is longer is not counted."""


_NOWHERE: Final[dict[Begun, float]] = {}
_NOTHING: Final[Payload] = {}


class Call:
    """A metered call. `reader` is None until an answer begins to stream."""

    # What few calls need is on the class. What every call needs is set in `__init__`: it is found much sooner there.
    reader: StreamReader | None = None
    _body: bytearray | None = None
    _first_content: float | None = None
    _first_id = ""
    """Of the first attempt, once there is a second."""
    _facts: RequestFacts | None = None
    _request: Payload = _NOTHING
    _never_left = False
    _process = 0
    """Where a stream is followed. A child that is forked meanwhile drops what is its parent's."""
    _missed = False
    """There is a piece of its answer that we failed to read, perhaps the one that ends it."""

    def __init__(self, meter: meters.Meter, flavour: Flavour, request: Payload, host: Host) -> None:
        self.hold: Hold | None = None
        self._attempt = 1
        self._successes = 0
        self._http_status: int | None = None
        self._about: About | None = None
        self._further = ""  # members of its records that few calls have
        self._begun = _NOWHERE  # where it is noted that it has begun
        self._meter = meter
        self.started_at_us = meter.clock.now_us()
        monotonic = meter.monotonic  # called as a method it would be looked for in the class, at each call
        self._began = monotonic()
        self._event_id: str | None = None
        try:
            self._random_part = meter.ids.prepared.pop()
        except IndexError:
            self._random_part = meter.ids.prepare()
        self.flavour = flavour
        self.host = host
        self.attribution = current()
        self._asked_model = request.get("model")
        if flavour.read_plain is None:
            self._facts = flavour.read_request(request)
        else:
            self._request = request
        self._open = [None]  # who takes out what is in there has ended it
        if TRACE in loaded_modules:
            self._further = span_members()

    @property
    def event_id(self) -> str:
        """Made when somebody asks: nobody does for a plain answer."""
        made = self._event_id
        if made is None:
            made = self._event_id = timed_id(self.started_at_us // 1000, self._random_part)
        return made

    @property
    def facts(self) -> RequestFacts:
        """What the request says. Where the answer may be plain it is read when somebody asks: a plain answer needs none
        of it. The request is let go then."""
        request = self._request  # taken first: another thread that reads it lets it go when the facts are there
        facts = self._facts
        if facts is None:
            self._facts = facts = self.flavour.read_request(request)
            self._request = _NOTHING
        return facts

    def kind(self) -> tuple[str, str | None]:
        """Operation and model. Where the answer may be plain there is one operation, and the model is that asked for,
        unless only the path names it."""
        flavour = self.flavour
        model = text(self._asked_model)
        if flavour.read_plain is not None and model is not None:
            return flavour.operation, model
        facts = self.facts
        return facts.operation, facts.model

    def _known(self) -> About:
        """What it has in common with others; settled when it is first needed."""
        about = self._about
        if about is None:
            self._about = about = self._meter.about(self, self._asked_model)
        return about

    def _beginning(self) -> str:
        """The members that are known from the beginning, each with a comma before it."""
        return f',"started_at":"{rfc3339(self.started_at_us)}"{self._known().members}{self._further}'

    def leave(self, meter: meters.Meter) -> None:
        """The call, or a further attempt of it, leaves. One through our own gateway has its begin record there."""
        if watching.get() is not None:
            counted()
        if not self.host.through_gateway:
            begun = self._begun = meter.begun
            begun[self] = self._began
            if not meter.spool.awake:
                meter.spool.wake()

    def begin_line(self) -> bytes | None:
        """The begin record, for a call that lasts."""
        return GUARD.run("begin", self._begin_line)

    def _begin_line(self) -> bytes:
        self._meter.learn()
        facts = self.facts
        tokens = estimated_tokens(facts.input_characters)
        expected = self._known().expected.within(facts.max_output_tokens)
        attempt = f',"attempt":{self._attempt}' if self._attempt > 1 else ""
        told_later = ',"told_later":true' if facts.background else ""
        line = (
            f'{{"record":"begin","event_id":"{self.event_id}","input_tokens":{tokens},'
            f'"expected_output_tokens":{expected}{self._beginning()}{attempt}{told_later}}}'
        )
        return line.encode(*lines.UTF8)

    def _ended(self) -> bool:
        """End it; False when it has ended already. From now on no begin record of it is written: what is being written
        is in front of whatever is appended."""
        try:
            self._open.pop()  # atomic, so that of several ends in several threads one counts
        except IndexError:
            return False
        self._begun.pop(self, None)
        return True

    # -- attempts that the client library makes by itself ------------------------------------------------------

    def tried(self, response: Any, error: BaseException | None) -> bool:
        """This attempt failed with an answer or an error, and another one follows: it is an event of its own.

        False when it is not: our gateway saw each attempt.
        """
        if self.host.through_gateway:
            return False
        if not self._first_id:
            self._first_id = self.event_id
            self._further += f',"request_id":"{self._first_id}"'
        reading = NOTHING_READ
        hold, self.hold = self.hold, None  # the next attempt has it
        if response is not None:
            self._http_status = response.status_code
            content = response.content if response.is_stream_consumed else b""
            reading = self.flavour.read_answer(response.status_code, parsed(content))
        self.finish("error", reading, None if error is None else failure_kind(error))
        self.hold = hold
        return True

    def again(self) -> None:
        """The next attempt leaves."""
        self._open = [None]
        self._http_status = None
        self._attempt += 1
        self._event_id = attempt_id(self._first_id, self._attempt)
        self.started_at_us = self._meter.clock.now_us()
        self._began = self._meter.monotonic()
        self.leave(meters.meter())

    @property
    def flavour_name(self) -> str:
        return self.flavour.name

    def refused(self) -> None:
        """A limit refuses it: it never leaves."""
        self._never_left = True
        self.finish("refused", NOT_BILLED, "limit_exceeded")

    # -- how it can go ---------------------------------------------------------------------------------------

    def headed(self, http_status: int, attempt: int) -> None:
        """An answer has begun. A client library's middleware may cause several: each is a call of its own."""
        if self._successes:
            self._next_answer()
        self._successes = successes = self._successes + 1
        self._http_status = http_status
        if attempt > 1 or successes > 1:
            self._is_attempt(max(attempt, successes))

    def _next_answer(self) -> None:
        self.let_go()
        self._event_id = attempt_id(self.event_id, self._successes + 1)
        self.reader = None
        self._body = None
        self._open = [None]

    def _is_attempt(self, attempt: int) -> None:
        """The client library tries again by itself, and tells at the end how often. Our gateway saw each attempt,
        and gave each its own id."""
        if attempt > 1 and self.host.through_gateway and self._attempt == 1:
            self._event_id = attempt_id(self.event_id, attempt)
        self._attempt = max(self._attempt, attempt)

    def answered(self, payload: object, body: str = "") -> None:
        """A whole answer is there: parsed JSON, or None when it is none; and its text, where that is at hand."""
        flavour, status = self.flavour, self._http_status or 200
        gist_of = flavour.gist
        if gist_of is not None and status == 200 and self._successes < 2 and self._attempt == 1 and self.hold is None:
            gist = gist_of(payload, body)
            if gist is not None and len(gist) <= LONGEST_GIST:
                if self._ended():
                    self._spool_unread(gist)
                return
        reading = flavour.read_answer(status, payload)
        self.finish("error" if reading.error_type else "ok", reading)

    def _spool_unread(self, gist: str) -> None:
        """Whoever takes the answer from the spool reads it."""
        meter = self._meter
        about = self._about or meter.about(self, self._asked_model)
        meter.unlearnt.append((about, gist))
        monotonic = meter.monotonic
        took_us = int((monotonic() - self._began) * 1_000_000)
        (meters.current or meters.meter()).append_line(
            f'{{"unread":["{self.flavour.name}",{self.started_at_us},{took_us},"{self._random_part}",{gist}]'
            f"{about.members}{self._further}}}\n"
        )

    def follow(self, content_type: str) -> None:
        """The answer is read piece by piece from now on: an event stream, or a whole one that is not read yet."""
        if self.facts.stream and ("json" not in content_type or self.flavour.streams(content_type)):
            self.reader = self.flavour.stream(self.facts)
            self._process = os.getpid()

    def streamed_already(self, content_type: str, body: bytes) -> None:
        """A stream that is all there before anybody reads it, as out of a cache."""
        self.follow(content_type)
        self.took(body)
        self.exhausted()

    def took(self, chunk: bytes) -> None:
        """A piece of the answer."""
        if self.reader is None:
            self._keep(chunk)
            return
        try:
            self.reader.feed(chunk)
        except Exception:
            self._missed = True
            raise
        if self._first_content is None and self.reader.content_started:
            self._first_content = self._meter.monotonic()

    def took_event(self, event: Payload) -> None:
        """An event of a stream that the client library has parsed."""
        if self.reader is None:
            return
        try:
            self.reader.feed_event(event)
        except Exception:
            self._missed = True
            raise
        if self._first_content is None and self.reader.content_started:
            self._first_content = self._meter.monotonic()

    def _keep(self, chunk: bytes) -> None:
        if self._body is None:
            self._body = bytearray()
        if len(self._body) + len(chunk) <= LONGEST_BODY_BYTES:
            self._body += chunk

    def unreadable(self, http_status: int) -> None:
        """An answer is there, and we fail to make anything of it: the call ends as what it was."""
        self._http_status = http_status
        self.finish("ok" if http_status < FIRST_ERROR_STATUS else "error", UNREADABLE)

    def exhausted(self, if_well: Status = "ok") -> None:
        """The answer came to its end by itself."""
        reading = self._read_so_far()
        self.finish("error" if reading.error_type else if_well, reading)

    def cached(self, payload: object) -> None:
        """A whole answer came out of a cache in this process: nobody was asked for it."""
        self.finish("cached", self.flavour.read_answer(200, payload))

    def let_go(self) -> None:
        """The caller closed or dropped the answer. After the terminal event that is how streams end."""
        if not self._open or (self._process and self._process != os.getpid()):
            return
        reading = self._read_so_far()
        if reading.error_type:
            self.finish("error", reading)
        else:
            self.finish("ok" if reading.finished or self._missed else "cancelled", reading)

    def failed(self, error: BaseException) -> None:
        """The call, or the reading of its answer, raised."""
        if not isinstance(error, Exception):  # cancelled, interrupted, or a generator closed early
            self.let_go()
        elif self._http_status is not None:  # what is lost is the rest of an answer that had begun well
            self.finish("interrupted", self._read_so_far(), failure_kind(error))
        else:
            self._never_left = _found_nobody(error)
            reading = GUARD.run("failure", self._read_failure, error) or NOTHING_READ
            self.finish("error", reading, failure_kind(error))

    def _read_failure(self, error: Exception) -> Reading:
        status, response = getattr(error, "status_code", None), getattr(error, "response", None)
        if not isinstance(status, int):
            return NOTHING_READ
        self._http_status = status
        self._is_attempt(_attempt_of(response))
        return self.flavour.read_answer(status, parsed(getattr(response, "content", b"")))

    def _read_so_far(self) -> Reading:
        reading = GUARD.run("answer", self._read)
        if reading is None:
            self._missed = True
            return UNREADABLE
        return replace(reading, usage_conflict=True) if self._missed else reading

    def _read(self) -> Reading:
        if self.reader is not None:
            return self.reader.reading()
        if self._body is not None:
            return self.flavour.read_answer(self._http_status or 200, parsed(bytes(self._body)))
        return NOTHING_READ

    # -- the one end -----------------------------------------------------------------------------------------

    def finish(self, status: Status, reading: Reading, error_type: str | None = None) -> None:
        """Write the event, unless this call has ended already."""
        if not self._ended():
            return
        if self.host.through_gateway and self._counts_better_there(reading):
            return
        if self.hold is not None:
            GUARD.run("limits", self._settle, self.hold, reading)
        outcome = GUARD.run("answer", self._outcome, status, reading, error_type)
        if outcome is None:
            outcome = self._outcome(status, UNREADABLE, error_type)
        meters.meter().append(f'{{"event_id":"{self.event_id}"{self._beginning()}{outcome}}}')

    def _settle(self, hold: Hold, reading: Reading) -> None:
        self.hold = None
        usage, estimated = self._usage(reading)
        hold.settle(replace(reading, usage=usage), estimated, self._http_status)

    def _counts_better_there(self, reading: Reading) -> bool:
        """Whether our gateway has seen the call and knows more of it: it reads an answer to its end that we gave up
        waiting for. Of two events with one id the first to arrive counts, so that one must not be ours."""
        told = (self._http_status or 0) >= FIRST_ERROR_STATUS or (reading.finished and reading.usage.known)
        return not told and not self._never_left

    def _outcome(self, status: Status, reading: Reading, error_type: str | None) -> str:
        """What the end adds to what was known at the beginning: the rest of the event's members."""
        usage, estimated = self._usage(reading)
        if usage.output_tokens is not None and not estimated:
            self._known().expected.learn(usage.output_tokens)
        duration_ms = (self._meter.monotonic() - self._began) * 1000
        outcome = f',"status":"{status}","attempt":{self._attempt},"duration_ms":{duration_ms:.3f}'
        if self._http_status is not None:
            outcome += f',"http_status":{self._http_status}'
        rarities: dict[str, Any] = {}
        if self._first_content is not None:
            rarities["time_to_first_token_ms"] = round((self._first_content - self._began) * 1000, 3)
        if estimated:
            rarities["usage_estimated"] = True
        return outcome + answered.of_reading(reading, usage, error_type=error_type, rarities=rarities)

    def _usage(self, reading: Reading) -> tuple[Usage, bool]:
        """What was used, and whether we had to estimate it: the provider did not come to say it, or never does.

        Where no answer was seen nothing is made up.
        """
        told = reading.usage
        if (reading.finished and told.known) or not (reading.output_characters or told.known):
            return told, False
        read = estimated_tokens(self.facts.input_characters) if told.input_tokens is None else told.input_tokens
        written = max(told.output_tokens or 0, estimated_tokens(reading.output_characters))
        return replace(told, input_tokens=read, output_tokens=written), True


def _attempt_of(response: Any) -> int:
    """Which attempt an answer was for, from the header by which these libraries count their retries."""
    if response is None:
        return 1
    retries = response.request.headers.get("x-stainless-retry-count", "0")
    return int(retries) + 1 if retries.isdecimal() else 1


def _found_nobody(error: BaseException) -> bool:
    """Whether no connection came about. The libraries' own errors hide that in their causes."""
    return type(error.__cause__ or error).__name__.startswith("Connect")


def failure_kind(error: BaseException) -> str:
    """A stable name for a call that failed without the provider saying why."""
    name = type(error).__name__
    if "Timeout" in name:
        return "timeout"
    if name in ("RemoteProtocolError", "ReadError", "IncompleteRead"):
        return "closed_early"
    if "Connect" in name:
        return "connection_error"
    return name
