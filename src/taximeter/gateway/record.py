"""What is written of one attempt of a call: its begin, its progress, and its event, once."""

from __future__ import annotations

from typing import Final

from taximeter.core.event import Status, UsageEvent
from taximeter.extract import Reading, estimated_tokens, of_what_is_told_later
from taximeter.gateway.admission import Hold
from taximeter.gateway.call import Call, is_told_again
from taximeter.gateway.client import Client
from taximeter.gateway.polled import FETCHED_AGAIN
from taximeter.gateway.refusals import unrecordable
from taximeter.gateway.tools import Tools

_WITHOUT_COST: Final = frozenset({204, *range(300, 400)})
"""Answers in which nothing was made: no content, and the way to somewhere else."""

EMPTY: Final = Reading(error_type="empty_answer")
UNREADABLE: Final = Reading(error_type="unreadable_answer")
"""Answers that should have said what they cost. They may have cost it all the same."""


class Record:
    """The event is written before the last bytes of the answer go to the client: a gateway killed at any moment has
    either recorded an answered call, or left its begin record."""

    __slots__ = ("_client", "_tools", "call", "ended", "event", "hold", "http_status")

    def __init__(self, tools: Tools, client: Client, call: Call, hold: Hold | None = None) -> None:
        self._tools = tools
        self._client = client
        self.call = call
        self.hold = hold
        self.http_status: int | None = None
        self.ended = False
        self.event: UsageEvent | None = None

    def begin(self) -> None:
        """Write that the call leaves. Raises Refusal when that is not on disk and calls are to be refused then.

        While records wait in memory nothing is added to them for a call that is refused.
        """
        tools = self._tools
        refuses = tools.settings.when_unrecordable == "refuse"
        if refuses and not tools.recorder.on_disk:
            self.void()
            raise unrecordable()
        if not tools.guard("begin_unrecorded", self._begin):
            tools.guard.count("begin_lost")
            if refuses:
                self.void()
                raise unrecordable()
        elif refuses and not tools.recorder.on_disk:
            event = self._refused()
            self.ended = True
            tools.guard("event_unrecorded", tools.recorder.end, event)
            self._settle(event)
            raise unrecordable()

    def _begin(self) -> bool:
        held = None if self.hold is None else self.hold.held
        return self._tools.recorder.begin(self.call, held)

    def void(self) -> None:
        """Let go of what is held for a call of which nothing is written."""
        self.ended = True
        self._settle(self._refused())

    def refuse(self, error_type: str) -> None:
        """Write the event of a call that a limit refused."""
        self.ended = True
        event = self.call.refused(self._tools.clock.monotonic(), error_type)
        self._tools.guard("event_unrecorded", self._tools.recorder.end, event)

    def _refused(self) -> UsageEvent:
        return self.call.refused(self._tools.clock.monotonic())

    def progress(self, reading: Reading) -> None:
        """Write how far a running stream has come: its output tokens so far, as an estimate, and what is held."""
        output_tokens = max(reading.usage.output_tokens or 0, estimated_tokens(reading.output_characters))
        held = None if self.hold is None or not self.hold.leased else self.hold.held
        self._tools.recorder.progress(self.call.event_id, output_tokens, held)

    def end_as_answered(self, reading: Reading) -> UsageEvent | None:
        if reading is EMPTY or reading is UNREADABLE:
            return self.end("interrupted", reading)
        http_status = self.http_status or 0
        failed = reading.error_type is not None or http_status >= 400
        status: Status = "error" if failed else "cancelled" if self._client.gone else "ok"
        not_billed = http_status in _WITHOUT_COST or is_told_again(reading)
        if reading.error_type is not None and not _told_all_of(reading):
            return self.break_off(status, reading, not_billed=not_billed)
        return self.end(status, reading, not_billed=not_billed)

    def break_off(
        self, status: Status, reading: Reading, *, error_type: str | None = None, not_billed: bool = False
    ) -> UsageEvent | None:
        """Write the event of an answer that did not come to say what it cost: an estimate, or nothing where the answer
        that is fetched later tells it."""
        if self._goes_on(reading):
            return self.end(status, of_what_is_told_later(reading), error_type=error_type, not_billed=True)
        return self.end(status, reading, error_type=error_type, not_billed=not_billed, estimate=True)

    def _goes_on(self, reading: Reading) -> bool:
        """Whether it is made in the background, whoever listens to its stream."""
        return self.call.facts.background and reading.response_id is not None and not reading.finished

    def end(
        self,
        status: Status,
        reading: Reading,
        *,
        error_type: str | None = None,
        not_billed: bool = False,
        estimate: bool = False,
    ) -> UsageEvent | None:
        """Write the event, once."""
        if self.ended:
            return None
        self.ended = True
        if status == "interrupted" and self._client.gone:
            status = "cancelled"  # whatever broke afterwards, nobody was listening any more
        return self._tools.guard("event_unrecorded", self._write, status, reading, error_type, not_billed, estimate)

    def _write(
        self, status: Status, reading: Reading, error_type: str | None, not_billed: bool, estimate: bool
    ) -> UsageEvent:
        tools, flavour = self._tools, self.call.flavour
        event = self.call.ended(
            status,
            reading,
            now=tools.clock.monotonic(),
            http_status=self.http_status,
            error_type=error_type,
            not_billed=not_billed,
            estimate=estimate,
        )
        self.event = event
        self._settle(event)
        if not tools.recorder.end(event, self.call.known_part):
            tools.guard.count("event_lost")
        if event.response_id is not None and event.usage.known and flavour and flavour.name in FETCHED_AGAIN:
            tools.counted.add(event.provider, event.response_id)
        if flavour is not None and flavour.begins_job:
            tools.jobs.begun(event.provider, self.call.facts, reading)
        return event

    def _settle(self, event: UsageEvent) -> None:
        if self.hold is not None:
            self._tools.guard("unsettled", self.hold.settle, event)


def _told_all_of(reading: Reading) -> bool:
    """Whether an answer that ended with an error had said of its tokens as much as came of it."""
    written = estimated_tokens(reading.output_characters)
    return reading.usage.tokens_known and (reading.finished or written <= (reading.usage.output_tokens or 0))
