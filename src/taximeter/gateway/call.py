"""One recorded call: what is known of it at each moment, as events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from taximeter.core.attribution import LONGEST_VALUE, NOBODY, Attribution
from taximeter.core.event import Status, UsageEvent
from taximeter.core.usage import NOTHING_COUNTED, Usage
from taximeter.extract import Flavour, Reading, RequestFacts, estimated_tokens
from taximeter.gateway.heads import RequestHead, text_of, trace_of
from taximeter.gateway.providers import Mount

NOTHING_READ: Final = Reading()
NOTHING_ASKED: Final = RequestFacts(operation="")


def is_told_again(reading: Reading) -> bool:
    """Whether an answer is that of a call still under way (a background response, a run): what it costs will be told
    by the answer that is fetched when it has ended."""
    underway = reading.error_type is None and not reading.finished
    return underway and reading.response_id is not None and not reading.usage.known


class Call:
    """A call on its way. `started_at_us` is wall time, `started` the monotonic counter at the same moment; `region` is
    where its provider's host serves."""

    __slots__ = (
        "_region",
        "asked_for_usage",
        "event_id",
        "facts",
        "first_token_at",
        "flavour",
        "known",
        "known_part",
        "started",
    )

    def __init__(
        self, event_id: str, started_at_us: int, started: float, provider: str, region: str | None = None
    ) -> None:
        self.event_id = event_id
        self._region = region
        self.started = started
        self.flavour: Flavour | None = None
        self.facts = NOTHING_ASKED
        self.asked_for_usage = False
        self.first_token_at: float | None = None
        self.known: dict[str, Any] = {
            "event_id": event_id,
            "started_at_us": started_at_us,
            "source": "gateway",
            "provider": provider,
        }
        """Fields of its event."""
        self.known_part: bytes | None = None
        """How its begin record began: what that says does not change any more."""

    def another(self, event_id: str) -> Call:
        """The next call of the same session: of the same people, under the same request id."""
        self.keeps_request_id()
        call = Call(event_id, self.known["started_at_us"], self.started, self.known["provider"], self._region)
        call.known = {**self.known, "event_id": event_id}
        return call

    def tried_again(self, event_id: str, attempt: int, mount: Mount) -> Call:
        """The next attempt of this call, perhaps at another provider."""
        call = self.another(event_id)
        call.known |= {"attempt": attempt, "provider": mount.provider.name}
        call._region = mount.region
        return call

    def keeps_request_id(self) -> None:
        """It is not the only one of its request: all of them go by one id, by its own when the client gave none."""
        self.known["request_id"] = self.known.get("request_id") or self.event_id

    @property
    def provider(self) -> str:
        provider: str = self.known["provider"]
        return provider

    @property
    def attempt(self) -> int:
        attempt: int = self.known["attempt"]
        return attempt

    def starts_now(self, now_us: int, now: float) -> None:
        """It begins later than it was made: `now_us` is wall time, `now` the monotonic counter."""
        self.known["started_at_us"] = now_us
        self.started = now

    def belongs_to(self, attribution: Attribution, api_key_id: str | None) -> None:
        self.known["attribution"] = attribution
        self.known["api_key_id"] = api_key_id

    def goes_by(self, event_id: str, attempt: int) -> None:
        """It is a later attempt than it seemed: its id is that of a call which another process has made."""
        self.keeps_request_id()
        self.event_id = event_id
        self.known |= {"event_id": event_id, "attempt": attempt}

    def is_attempt(self, attempt: int, request_id: str | None) -> None:
        self.known["attempt"] = attempt
        self.known["request_id"] = request_id

    def is_answered(self, headers: Mapping[bytes, bytes]) -> None:
        """A call that its client gave no name goes by the provider's, which its support asks for."""
        if self.known.get("request_id") is None:
            named = headers.get(b"x-request-id") or headers.get(b"request-id")
            self.known["request_id"] = None if named is None else text_of(named)[:LONGEST_VALUE] or None

    def is_traced(self, head: RequestHead) -> None:
        trace = trace_of(head.note(b"traceparent"))
        if trace is not None:
            self.known["trace_id"], self.known["span_id"] = trace

    def asks_for_usage(self, asks: bool) -> None:
        """Whether the stream is told, by us, to end with its usage."""
        self.asked_for_usage = asks
        self.facts = replace(self.facts, asks_for_stream_usage=asks)

    def asks(self, flavour: Flavour | None, facts: RequestFacts) -> None:
        """What the request says."""
        self.flavour = flavour
        self.facts = facts
        self.known["request_model"] = facts.model
        self.known["operation"] = facts.operation or None

    @property
    def estimated_input_tokens(self) -> int | None:
        characters = self.facts.input_characters
        return estimated_tokens(characters) if characters else None

    def begun(self) -> UsageEvent:
        """The event as far as it is known when the request leaves; the input is an estimate."""
        tokens = self.estimated_input_tokens
        usage = NOTHING_COUNTED if tokens is None else Usage(input_tokens=tokens)
        return UsageEvent(status="interrupted", usage=usage, region=self.region, **self.known)

    def ended(
        self,
        status: Status,
        reading: Reading,
        *,
        now: float,
        http_status: int | None,
        error_type: str | None = None,
        not_billed: bool = False,
        estimate: bool = False,
    ) -> UsageEvent:
        """The event. `now` is the monotonic counter; `estimate` fills in what the provider did not come to say."""
        usage, estimated = self._estimated(reading) if estimate else (reading.usage, False)
        first, known = self.first_token_at, self.known
        return UsageEvent(  # field by field, as a mapping in the place of names takes twice the time
            event_id=self.event_id,
            started_at_us=known["started_at_us"],
            source="gateway",
            provider=known["provider"],
            request_model=known.get("request_model"),
            operation=known.get("operation"),
            request_id=known.get("request_id"),
            attempt=known.get("attempt", 1),
            trace_id=known.get("trace_id"),
            span_id=known.get("span_id"),
            api_key_id=known.get("api_key_id"),
            attribution=known.get("attribution", NOBODY),
            status=status,
            http_status=http_status,
            error_type=reading.error_type or error_type,
            duration_ms=(now - self.started) * 1000,
            time_to_first_token_ms=None if first is None else (first - self.started) * 1000,
            response_model=reading.response_model,
            response_id=reading.response_id,
            service_tier=reading.service_tier,
            region=reading.region or self.region,
            usage=usage,
            by_model=reading.by_model,
            usage_conflict=reading.usage_conflict,
            usage_estimated=estimated or reading.usage_estimated,
            not_billed=not_billed or reading.not_billed,
            reported_cost_usd=reading.reported_cost_usd,
        )

    def refused(self, now: float, error_type: str = "unrecordable") -> UsageEvent:
        """The event of a call that was begun and did not leave. `now` is the monotonic counter."""
        return self.ended("refused", NOTHING_READ, now=now, http_status=None, error_type=error_type, not_billed=True)

    @property
    def region(self) -> str | None:
        """Where it is served: the region that its path names, else its host."""
        return (self.flavour.region if self.flavour is not None else None) or self._region

    def _estimated(self, reading: Reading) -> tuple[Usage, bool]:
        """Usage of an answer that broke off: what was reported so far, and for the rest what was seen.

        Where nothing was seen nothing is made up.
        """
        reported = reading.usage
        whole = reading.finished and reading.error_type is None
        if whole or not (reading.output_characters or reported.known):
            return reported, False
        seen = estimated_tokens(reading.output_characters)
        read = reported.input_tokens
        if read is None and self.facts.input_characters:
            read = estimated_tokens(self.facts.input_characters)
        counts = {name: getattr(reported, name) for name in Usage.__dataclass_fields__}
        counts["input_tokens"] = read
        counts["output_tokens"] = max(reported.output_tokens or 0, seen)
        return Usage(**counts), True
