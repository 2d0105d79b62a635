"""The native event on the wire, and the outcome: what a sender may say, checked, and rewritten as one line of a spool.

Unknown keys are ignored and never stored: prompts must not slip in. A bad item never harms its neighbours.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, TypedDict, TypeVar

import msgspec
from msgspec import Meta

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.attribution import DIMENSIONS, LONGEST_VALUE, MOST_TAGS, NOBODY, SHORT_NAMES, Attribution
from taximeter.core.event import SOURCES, STATUSES, Source, Status
from taximeter.core.ids import parse_event_id
from taximeter.core.money import LARGEST_USD, exact, format_usd
from taximeter.core.outcome import OUTCOME
from taximeter.core.usage import INPUT_PARTS, LARGEST_COUNT, OUTPUT_PARTS, TOKEN_CLASSES, Usage, clamped, violations
from taximeter.errors import TooLargeError, UsageError
from taximeter.ingest.splitting import split_items

MOST_EVENTS: Final = 50_000
"""Events in one request."""

MOST_MODELS: Final = 64
"""Shares in `by_model` of one event."""

MOST_UNITS: Final = 64
"""Kinds of units in one event."""

FUTURE_SECONDS: Final = 86_400
"""How far a sender's clock may be ahead."""

EARLIEST: Final = "2000-01-01T00:00:00.000000Z"

Code = Literal[
    "not_json",
    "not_an_object",
    "missing_event_id",
    "invalid_event_id",
    "missing_started_at",
    "invalid_started_at",
    "invalid_field",
    "usage_violation",
    "invalid_outcome",
]
CODES: Final[Mapping[Code, str]] = {
    "not_json": "this item is not JSON",
    "not_an_object": "this item is JSON, but not an object",
    "missing_event_id": "event_id is missing; the sender makes it, so that a repeated event counts once",
    "invalid_event_id": "event_id is not a UUID",
    "missing_started_at": "started_at is missing",
    "invalid_started_at": "started_at is not RFC 3339 with a zone, lies more than a day ahead, or before the year 2000",
    "invalid_field": "a field has the wrong type, is out of range, or is none of the allowed values",
    "usage_violation": "the counts contradict each other: a part exceeds its whole, or a count is negative",
    "invalid_outcome": "an outcome lacks a UUID as outcome_id, occurred_at or name, or its value_usd is no amount",
}
"""Every code a rejection can have. They are stable; messages may change."""

Text = Annotated[str, Meta(max_length=LONGEST_VALUE)] | None
Count = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)] | None
LONGEST_MS: Final = 1e12
Milliseconds = Annotated[float, Meta(ge=0, le=LONGEST_MS)] | None
Amounts = dict[str, int | float | str] | None


class ModelShare(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """The counts of one of several models in a call."""

    model: Annotated[str, Meta(max_length=LONGEST_VALUE)]
    input_tokens: Count = None
    cache_read_tokens: Count = None
    cache_write_5m_tokens: Count = None
    cache_write_1h_tokens: Count = None
    input_audio_tokens: Count = None
    cache_read_audio_tokens: Count = None
    input_image_tokens: Count = None
    input_video_tokens: Count = None
    output_tokens: Count = None
    reasoning_tokens: Count = None
    output_audio_tokens: Count = None
    output_image_tokens: Count = None
    units: Amounts = None


ALIASES: Final = {"model": "request_model", **SHORT_NAMES}
"""Short names that are taken where the full one is absent."""


class WireEvent(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """One event as it may arrive. The fields are those of `core.event.FIELDS`, and `cost_usd`, a sender's own
    amount, which is kept as `reported_cost_usd`; and the short names of `ALIASES`, for what has no full one."""

    event_id: str = ""
    started_at: str = ""
    duration_ms: Milliseconds = None
    time_to_first_token_ms: Milliseconds = None
    source: Source | None = None
    provider: Text = None
    request_model: Text = None
    response_model: Text = None
    operation: Text = None
    service_tier: Text = None
    region: Text = None
    status: Status | None = None
    http_status: Annotated[int, Meta(ge=0, le=999)] | None = None
    error_type: Text = None
    request_id: Text = None
    response_id: Text = None
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    session_id: Text = None
    trace_id: Text = None
    span_id: Text = None
    user_id: Text = None
    team: Text = None
    tenant: Text = None
    feature: Text = None
    endpoint: Text = None
    environment: Text = None
    service: Text = None
    service_version: Text = None
    prompt_version: Text = None
    api_key_id: Text = None
    tags: dict[str, str | int | float | bool | None] | None = None
    input_tokens: Count = None
    cache_read_tokens: Count = None
    cache_write_5m_tokens: Count = None
    cache_write_1h_tokens: Count = None
    input_audio_tokens: Count = None
    cache_read_audio_tokens: Count = None
    input_image_tokens: Count = None
    input_video_tokens: Count = None
    output_tokens: Count = None
    reasoning_tokens: Count = None
    output_audio_tokens: Count = None
    output_image_tokens: Count = None
    units: Amounts = None
    by_model: Annotated[list[ModelShare], Meta(max_length=MOST_MODELS)] | None = None
    not_billed: bool | None = None
    usage_estimated: bool | None = None
    usage_conflict: bool | None = None
    reported_cost_usd: Decimal | None = None
    cost_usd: Decimal | None = None
    model: Text = None
    user: Text = None
    session: Text = None
    record: Any = None
    """Means nothing in an event; an outcome, which is decoded again as what it is, says `outcome`."""


class WireOutcome(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """One outcome as it may arrive: the fields of `core.outcome.OUTCOME_FIELDS`, and the short names. The line of a
    spool begins with `record`, as `core.outcome` wants it."""

    record: Literal["outcome"]
    outcome_id: str = ""
    occurred_at: str = ""
    name: Annotated[str, Meta(max_length=LONGEST_VALUE)] = ""
    value_usd: Decimal | None = None
    source: Source | None = None
    user_id: Text = None
    team: Text = None
    tenant: Text = None
    feature: Text = None
    endpoint: Text = None
    environment: Text = None
    service: Text = None
    service_version: Text = None
    prompt_version: Text = None
    session_id: Text = None
    api_key_id: Text = None
    tags: dict[str, str | int | float | bool | None] | None = None
    user: Text = None
    session: Text = None


class Rejection(TypedDict):
    """Why the item at `index` of a request was not taken."""

    index: int
    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The events and outcomes of one request: what was good, as key and spool line, and what was not. The key of an
    event is its id; that of an outcome is `outcome_key` of its id, which is no event's."""

    accepted_lines: list[tuple[str, bytes]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


class _RejectedError(Exception):
    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the receiving side adds to every event: the attributes bound to the key it came with, which win over the
    event's own or fill in what it leaves out, and the key's id, where the event names none (a gateway's events name
    the key that made the call)."""

    attributes: Attribution = NOBODY
    api_key_id: str | None = None
    attributes_win: bool = True
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        said = tuple(name for name in DIMENSIONS if getattr(self.attributes, name) is not None)
        object.__setattr__(self, "names", said)

    @property
    def is_empty(self) -> bool:
        return self.api_key_id is None and self.attributes is NOBODY

    def put_on(self, event: WireEvent | WireOutcome) -> None:
        if event.api_key_id is None:
            event.api_key_id = self.api_key_id
        for name in self.names:
            if self.attributes_win or getattr(event, name) is None:
                setattr(event, name, getattr(self.attributes, name))
        if self.attributes.tags:
            event.tags = self._tags(event.tags or {})

    def _tags(self, own: Mapping[str, Any]) -> dict[str, Any]:
        if self.attributes_win:
            return {**own, **self.attributes.tags}
        return {**self.attributes.tags, **{name: value for name, value in own.items() if value is not None}}


NO_STAMP: Final = Stamp()


def validate_batch(body: bytes, content_type: str, now_us: int, stamp: Stamp = NO_STAMP) -> Batch:
    """Check the events in a request body: one object, a JSON array, or NDJSON.

    `content_type` decides between one object and lines only when it says NDJSON; otherwise the body itself does.
    Raises UsageError when the body as a whole is not JSON, TooLargeError for more than `MOST_EVENTS`.
    """
    body = body.removeprefix(codecs.BOM_UTF8).strip()
    form = _form(body, content_type)
    finish = _Finisher(now_us, stamp, has_empty_texts=_EMPTY_TEXT in body)
    try:
        events = _DECODE[form](body)
        _check_number(len(events))
        return Batch([finish(event) for event in events])
    except (*_UNREADABLE, _RejectedError):
        return _one_by_one(_ITEMS[form](body), finish)


def validate_events(events: Iterable[WireEvent], now_us: int, stamp: Stamp = NO_STAMP) -> Batch:
    """Check events that were made here, out of another form: ids, texts and counts are as they should be by then, and
    so is the form of the time."""
    finish = _Finisher(now_us, stamp).finish_own
    batch = Batch()
    for index, event in enumerate(events):
        try:
            batch.accepted_lines.append(finish(event))
        except _RejectedError as error:
            batch.rejected.append({"index": index, "code": error.code, "message": error.message})
    return batch


# ── forms of a body ───────────────────────────────────────────────────────────────────────────────────────────

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_encode: Final = msgspec.json.Encoder().encode
_decode_one: Final = msgspec.json.Decoder(WireEvent).decode
_decode_outcome: Final = msgspec.json.Decoder(WireOutcome).decode
_decode_array: Final = msgspec.json.Decoder(list[WireEvent]).decode
_decode_lines: Final = msgspec.json.Decoder(WireEvent).decode_lines
_decode_raw_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode

_Form = Literal["one", "array", "lines"]
_LINE_TYPES: Final = ("ndjson", "jsonl", "json-lines", "jsonlines", "json-seq")


def _form(body: bytes, content_type: str) -> _Form:
    if any(name in content_type.lower() for name in _LINE_TYPES):
        return "lines"
    if body.startswith(b"["):
        return "array"
    if body.startswith(b"{"):
        return "lines" if b"\n" in body and _first_line_is_whole(body) else "one"
    raise UsageError("the body is not JSON", hint="send one event, a JSON array of events, or NDJSON")


def _first_line_is_whole(body: bytes) -> bool:
    return body.partition(b"\n")[0].rstrip().endswith(b"}") and not _is_json(body)


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except _UNREADABLE:
        return False
    return True


def _is_closed(text: bytes) -> bool:
    """Whether all that is opened in it is closed again; then it is one event, be it a bad one."""
    try:
        return split_items(b"[" + text + b"]") == [text]
    except ValueError:
        return False


def _array_items(body: bytes) -> Sequence[bytes]:
    try:
        return [bytes(raw) for raw in _decode_raw_items(body)]
    except _UNREADABLE:
        pass
    try:
        return split_items(body)
    except ValueError as error:
        raise UsageError("the body is not a whole JSON array", hint=str(error)) from error


def _only_item(body: bytes) -> Sequence[bytes]:
    if not _is_closed(body):
        raise UsageError("the body is not JSON", hint="send one event, a JSON array of events, or NDJSON")
    return [body]


def _line_items(body: bytes) -> Sequence[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]


_DECODE: Final[Mapping[_Form, Callable[[bytes], list[WireEvent]]]] = {
    "one": lambda body: [_decode_one(body)],
    "array": _decode_array,
    "lines": _decode_lines,
}
_ITEMS: Final[Mapping[_Form, Callable[[bytes], Sequence[bytes]]]] = {
    "one": _only_item,
    "array": _array_items,
    "lines": _line_items,
}


def _check_number(events: int) -> None:
    if events > MOST_EVENTS:
        raise TooLargeError(f"more than {MOST_EVENTS} events in one request", limit=MOST_EVENTS)


# ── one event ─────────────────────────────────────────────────────────────────────────────────────────────────

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CANONICAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_input_parts: Final = attrgetter(*INPUT_PARTS, "cache_read_audio_tokens")
_output_parts: Final = attrgetter(*OUTPUT_PARTS)
_NO_INPUT_PARTS: Final = (None,) * (len(INPUT_PARTS) + 1)
_NO_OUTPUT_PARTS: Final = (None,) * len(OUTPUT_PARTS)
_counts: Final = attrgetter(*TOKEN_CLASSES)


class _Finisher:
    """Completes and checks a decoded event, and encodes it. Raises _RejectedError."""

    __slots__ = ("_has_empty_texts", "_latest", "_stamp")

    def __init__(self, now_us: int, stamp: Stamp, *, has_empty_texts: bool = False) -> None:
        self._has_empty_texts = has_empty_texts
        self._latest = rfc3339(now_us + FUTURE_SECONDS * 1_000_000)
        self._stamp = stamp

    def __call__(self, event: WireEvent) -> tuple[str, bytes]:
        if event.record is not None:
            _refuse_outcome(event)
        if self._has_empty_texts:
            _leave_out_empty(event, _TEXTS)
        if not _UUID.fullmatch(event.event_id):
            event.event_id = _event_id(event.event_id)
        if not event.started_at:
            raise _RejectedError("missing_started_at", CODES["missing_started_at"])
        event.started_at = self._moment(event.started_at, "started_at", "invalid_started_at")
        if event.model is not None or event.user is not None or event.session is not None:
            _spell_out(event)
        return self._finished(event)

    def finish_own(self, event: WireEvent) -> tuple[str, bytes]:
        """The same for an event that was made here: it says its source, status and attempt, its tags are texts, and its
        counts have been clamped."""
        self._check_time(event.started_at, "started_at", "invalid_started_at")
        if not self._stamp.is_empty:
            self._stamp.put_on(event)
            event.tags = _tags(event.tags or {}) or None
        if event.reported_cost_usd is not None:
            _settle_cost(event)
        return event.event_id, _encode(event)

    def _finished(self, event: WireEvent) -> tuple[str, bytes]:
        if event.source is None:
            event.source = "api"
        if event.status is None:
            event.status = "ok"
        if event.attempt is None:
            event.attempt = 1
        self._stamp.put_on(event)
        if event.tags is not None:
            event.tags = _tags(event.tags)
        if event.units is not None:
            event.units = _amounts(event.units)
        _check_usage(event)
        if event.by_model is not None:
            _check_shares(event.by_model)
        if event.cost_usd is not None or event.reported_cost_usd is not None:
            _settle_cost(event)
        return event.event_id, _encode(event)

    def outcome(self, outcome: WireOutcome) -> tuple[str, bytes]:
        """The same for an outcome."""
        try:
            outcome.outcome_id = parse_event_id(outcome.outcome_id)
        except ValueError as error:
            raise _RejectedError("invalid_outcome", f"outcome_id is not a UUID: {outcome.outcome_id[:64]!r}") from error
        outcome.occurred_at = self._moment(outcome.occurred_at, "occurred_at", "invalid_outcome")
        outcome.name = outcome.name.strip()
        if not outcome.name:
            raise _RejectedError("invalid_outcome", "an outcome needs a name")
        if self._has_empty_texts:
            _leave_out_empty(outcome, _TEXTS_OF_OUTCOMES)
        outcome.source = outcome.source or "api"
        outcome.user_id, outcome.user = outcome.user_id or outcome.user, None
        outcome.session_id, outcome.session = outcome.session_id or outcome.session, None
        self._stamp.put_on(outcome)
        outcome.tags = None if outcome.tags is None else _tags(outcome.tags)
        outcome.value_usd = None if outcome.value_usd is None else _value(outcome.value_usd)
        return outcome_key(outcome.outcome_id), _encode(outcome)

    def _moment(self, text: str, field: str, code: Code) -> str:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise _RejectedError(code, f"{field} is not RFC 3339: {text[:64]!r}") from error
        if not _CANONICAL_TIME.fullmatch(text):
            if moment.tzinfo is None:
                raise _RejectedError(code, f"{field} has no zone: {text[:64]!r}")
            text = rfc3339(to_unix_us(moment))
        self._check_time(text, field, code)
        return text

    def _check_time(self, text: str, field: str, code: Code) -> None:
        if not EARLIEST <= text <= self._latest or len(text) != len(EARLIEST):
            raise _RejectedError(code, f"{field} is before 2000 or more than a day ahead: {text}")


def _refuse_outcome(event: WireEvent) -> None:
    """It is read again, item by item, as what it is."""
    if event.record == OUTCOME:
        raise _RejectedError("invalid_outcome", "this is no event")
    event.record = None


_EMPTY_TEXT: Final = b'""'
"""How it looks in JSON. Looked for once in a request: hardly any has one."""


def _texts(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.type == Text)


_TEXTS: Final = _texts(WireEvent)
_TEXTS_OF_OUTCOMES: Final = _texts(WireOutcome)


def _leave_out_empty(item: WireEvent | WireOutcome, names: tuple[str, ...]) -> None:
    """An empty text says nothing. Kept, a user without a name would stand beside "not set", and be charged."""
    for name in names:
        if getattr(item, name) == "":
            setattr(item, name, None)


def _spell_out(event: WireEvent) -> None:
    for short, full in ALIASES.items():
        if getattr(event, full) is None:
            setattr(event, full, getattr(event, short))
        setattr(event, short, None)


def _event_id(text: str) -> str:
    if not text:
        raise _RejectedError("missing_event_id", CODES["missing_event_id"])
    try:
        return parse_event_id(text)
    except ValueError as error:
        raise _RejectedError("invalid_event_id", f"event_id is not a UUID: {text[:64]!r}") from error


def outcome_key(outcome_id: str) -> str:
    """Under which an outcome is remembered as received: a call may have the same id."""
    return f"{outcome_id}{_KEY_ENDING}"


def is_outcome_key(key: str) -> bool:
    return key.endswith(_KEY_ENDING)


_KEY_ENDING: Final = "/outcome"


def _value(amount: Decimal) -> Decimal:
    if not amount.is_finite() or abs(amount) > LARGEST_USD:
        raise _RejectedError("invalid_outcome", f"value_usd is not an amount up to {LARGEST_USD}")
    return Decimal(format_usd(exact(amount)))


def _tags(tags: dict[str, Any]) -> dict[str, Any]:
    """At most `MOST_TAGS` texts, cut to `LONGEST_VALUE`; numbers become text, null is left out."""
    if len(tags) <= MOST_TAGS and _are_short_texts(tags):
        return tags
    kept = [(k[:LONGEST_VALUE], v if type(v) is str else _text(v)) for k, v in tags.items() if v is not None]
    return {k: v[:LONGEST_VALUE] for k, v in kept[:MOST_TAGS]}


def _are_short_texts(tags: Mapping[str, Any]) -> bool:
    for name, value in tags.items():  # not `all(...)`, which takes twice as long for two of them
        if type(value) is not str or len(value) > LONGEST_VALUE or len(name) > LONGEST_VALUE:
            return False
    return True


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _amounts(units: Mapping[str, int | float | str]) -> dict[str, Any]:
    """Whole amounts as numbers, others as decimal text."""
    if len(units) > MOST_UNITS:
        raise _RejectedError("invalid_field", f"more than {MOST_UNITS} units")
    return {name[:LONGEST_VALUE]: _amount(name, amount) for name, amount in units.items()}


def _amount(name: str, given: float | str) -> int | str:
    try:
        amount = Decimal(str(given)) if len(str(given)) <= 32 else Decimal("NaN")
    except InvalidOperation as error:
        raise _RejectedError("invalid_field", f"units.{name[:64]} is not a number") from error
    if not amount.is_finite() or amount > LARGEST_COUNT:
        raise _RejectedError("invalid_field", f"units.{name[:64]} is not a number that can be believed")
    if amount < 0:
        raise _RejectedError("usage_violation", f"units.{name[:64]} is negative")
    return int(amount) if amount == amount.to_integral_value() else format_usd(amount)


def clamp_counts(event: WireEvent) -> None:
    """Cut the parts of an event down to fit their wholes, and flag it if anything had to be cut."""
    if _fits(event) and max(event.input_tokens or 0, event.output_tokens or 0) <= LARGEST_COUNT:
        return
    usage, conflict = clamped(usage_in(event))
    if conflict:
        event.usage_conflict = True
        for name in TOKEN_CLASSES:
            setattr(event, name, getattr(usage, name))


def _check_usage(event: WireEvent | ModelShare) -> None:
    """A part never exceeds its whole."""
    if not _fits(event) and (found := violations(usage_in(event))):
        raise _RejectedError("usage_violation", found[0].message)


def _fits(event: WireEvent | ModelShare) -> bool:
    """Whether the parts fit into their wholes even together; then they need no closer look. Most events have none."""
    found = _input_parts(event)
    if found != _NO_INPUT_PARTS:
        parts, whole = sum(filter(None, found)), event.input_tokens
        if parts and (whole is None or parts > whole or event.cache_read_audio_tokens):
            return False
    found = _output_parts(event)
    if found == _NO_OUTPUT_PARTS:
        return True
    parts, whole = sum(filter(None, found)), event.output_tokens
    return not parts or (whole is not None and parts <= whole)


def usage_in(event: WireEvent | ModelShare) -> Usage:
    """The counts of an event, units apart."""
    return Usage(**dict(zip(TOKEN_CLASSES, _counts(event), strict=True)))


def _check_shares(shares: Iterable[ModelShare]) -> None:
    for share in shares:
        _check_usage(share)
        if share.units is not None:
            share.units = _amounts(share.units)


def _settle_cost(event: WireEvent) -> None:
    """A sender's own amount is reported, never the cost: that is computed here, from the counts."""
    amount = event.reported_cost_usd if event.reported_cost_usd is not None else event.cost_usd
    event.cost_usd = None
    if amount is None or not amount.is_finite() or not 0 <= amount <= LARGEST_USD:
        raise _RejectedError("invalid_field", f"reported_cost_usd is not an amount between 0 and {LARGEST_USD}")
    event.reported_cost_usd = Decimal(format_usd(exact(amount)))


# ── the slow road: item by item, when something in the batch is wrong ─────────────────────────────────────────


def _one_by_one(items: Sequence[bytes], finish: _Finisher) -> Batch:
    _check_number(len(items))
    batch = Batch()
    for index, item in enumerate(items):
        try:
            batch.accepted_lines.append(_finish_item(item, finish))
        except _RejectedError as error:
            batch.rejected.append({"index": index, "code": error.code, "message": error.message})
    return batch


def _finish_item(item: bytes, finish: _Finisher) -> tuple[str, bytes]:
    event = _decode_leniently(item, _decode_one)
    if event.record == OUTCOME:
        return finish.outcome(_decode_leniently(item, _decode_outcome))
    return finish(event)


Item = TypeVar("Item")


def _decode_leniently(item: bytes, decode: Callable[[bytes], Item]) -> Item:
    """One event or outcome; over-long texts are cut, broken bytes replaced. Raises _RejectedError."""
    try:
        return decode(item)
    except _UNREADABLE:
        pass
    loose = _mended(item)
    try:
        return decode(json.dumps(loose, ensure_ascii=False).encode())
    except UnicodeEncodeError as error:
        raise _RejectedError("not_json", "this item has half of a character in it (a lone surrogate)") from error
    except _UNREADABLE as error:
        raise _explained(str(error)) from error


def _mended(item: bytes) -> dict[str, Any]:
    """What a patient reader makes of an item. A text cut within a character's bytes is no reason to lose it."""
    try:
        loose = json.loads(item.decode("utf-8", "replace"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _RejectedError("not_json", f"this item is not JSON: {error}") from error
    if not isinstance(loose, dict):
        raise _RejectedError("not_an_object", CODES["not_an_object"])
    cut = {k: v[:LONGEST_VALUE] if type(v) is str else v for k, v in loose.items()}
    return {name: value for name, value in cut.items() if value is not None}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _explained(complaint: str) -> _RejectedError:
    """msgspec says `Expected ... - at `$.input_tokens``; we name the field first."""
    reason, _, place = complaint.partition(" - at `$.")
    name = place.removesuffix("`")
    if name == "event_id":
        return _RejectedError("invalid_event_id", "event_id is not a UUID")
    if name == "started_at":
        return _RejectedError("invalid_started_at", "started_at is not RFC 3339")
    if name.rpartition(".")[2] in TOKEN_CLASSES and "`int`" in reason and ("= 0" in reason or "<=" in reason):
        return _RejectedError("usage_violation", f"{name} must be between 0 and {LARGEST_COUNT}")
    if name in ("source", "status"):
        allowed = SOURCES if name == "source" else STATUSES
        return _RejectedError("invalid_field", f"{name} must be one of {', '.join(allowed)}")
    return _RejectedError("invalid_field", f"{name}: {reason}")
