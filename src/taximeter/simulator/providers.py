"""The simulated providers: an ASGI application that answers, fails, paces and bills."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from taximeter.clock import Clock, rfc3339
from taximeter.core.usage import NOTHING_COUNTED, Usage
from taximeter.simulator.asking import Ask, Refusal, bad_request, parsed
from taximeter.simulator.connection import BodyTooLarge, Connection, Message, Receive, Send
from taximeter.simulator.dialects import Dialect, JobDialect, Piece
from taximeter.simulator.drafting import Draft, Identity, draft
from taximeter.simulator.faults import BEFORE_WORK, KINDS, check_rates, drawn_fault
from taximeter.simulator.jobs import Jobs
from taximeter.simulator.ledger import BillingLedger, Outcome, Row
from taximeter.simulator.manners import Headers, Manners
from taximeter.simulator.models import model_list
from taximeter.simulator.openai_models import SNAPSHOTS, writes_are_reported
from taximeter.simulator.prompt_cache import NOT_CACHED, CacheUse, PromptCache
from taximeter.simulator.rate_limits import RequestRate
from taximeter.simulator.recordings import Recording, Shelf
from taximeter.simulator.routes import place_of
from taximeter.simulator.settings import NO_WISH, Settings, Wish, wish_of

OWN_PATHS: Final = "/_simulator/"
JSON: Final = (b"content-type", b"application/json")
PACE_STEP_SECONDS: Final = 0.005
"""Pauses between streamed tokens shorter than this are saved up: a timer costs more than it is worth."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through the simulator. `path` is the provider's own; `dialect` None: it has no such."""

    connection: Connection
    manners: Manners
    dialect: Dialect | None
    path: str
    request_id: str
    key: str
    headers: Headers
    tag: str | None
    wish: Wish = NO_WISH
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What will be sent and billed: a whole body or the pieces of a stream."""

    dialect: Dialect
    model: str
    response_id: str | None
    status: int
    content_type: tuple[bytes, bytes]
    usage: Usage
    billed: bool
    body: bytes = b""
    pieces: Iterator[Piece] | None = None
    draft: Draft | None = None
    headers: Headers = field(default_factory=list)

    def usage_after(self, output_tokens: int) -> Usage:
        return self.usage if self.draft is None else self.draft.usage_after(output_tokens)


class Providers:
    """All providers behind one ASGI door. All state is in memory, but for the ledger's file."""

    def __init__(self, settings: Settings, shelf: Shelf, clock: Clock, chance: Random) -> None:
        check_rates(settings.fault_rates)
        self._settings = settings
        self._shelf = shelf
        self._clock = clock
        self._chance = chance
        self._jobs = Jobs()
        self._cache = PromptCache(settings.cache_min_tokens)
        self._rate = RequestRate(settings.requests_per_minute) if settings.requests_per_minute else None
        self.ledger = BillingLedger(settings.ledger_file)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        connection = Connection(scope, receive, send)
        if connection.path.startswith(OWN_PATHS):
            await self._own(connection)
            return
        call = self._call(connection)
        try:
            await self._serve(call)
        except Refusal as refusal:
            await self._refuse(call, refusal)

    async def _own(self, connection: Connection) -> None:
        if connection.path == "/_simulator/ledger":
            tag = parse_qs(connection.query.decode("latin-1")).get("tag", [None])[0]
            await connection.answer(200, [JSON], self.ledger.report(tag))
        else:
            await connection.answer(200, [JSON], msgspec.json.encode({"status": "ok"}))

    def _call(self, connection: Connection) -> Call:
        headers = connection.headers
        query = {name: values[0] for name, values in parse_qs(connection.query.decode("latin-1")).items()}
        place = place_of(connection.path, query, headers)
        request_id = f"req_{self._number()}"
        tag = headers.get(b"x-ledger-tag")
        return Call(
            connection=connection,
            manners=place.manners,
            dialect=place.dialect,
            path=place.path,
            request_id=request_id,
            key=_api_key(headers, query),
            headers=place.manners.headers(request_id, self._chance),
            tag=None if tag is None else tag.decode("latin-1"),
        )

    def _number(self) -> str:
        return f"{self._chance.getrandbits(96):024x}"

    async def _serve(self, call: Call) -> None:
        self._check_key(call)
        dialect = await self._dialect(call)
        if dialect is None:
            return
        raw = await self._body(call)
        body = parsed(raw or b"{}") if dialect.method == "GET" else parsed(raw)
        call = self._wished(call, body)
        self._check_rate(call)
        if call.fault in BEFORE_WORK:
            await self._fail(call, call.fault)
            return
        await self._send(call, self._answer(call, dialect, body))

    def _check_key(self, call: Call) -> None:
        if not call.key and call.manners.needs_key:
            raise call.manners.refusal("no_key")
        known = self._settings.api_keys
        if call.key not in known if known else "invalid" in call.key:
            raise call.manners.refusal("unauthorized")

    async def _dialect(self, call: Call) -> Dialect | None:
        """The dialect of a path, or None when the request has been answered already."""
        if isinstance(call.dialect, JobDialect):
            call.dialect.jobs = self._jobs
        if call.dialect is not None and call.connection.method == call.dialect.method:
            return call.dialect
        if call.dialect is not None:
            raise call.manners.refusal("no_method")
        listing = model_list(call.manners.provider, call.path)
        if listing is None:
            raise call.manners.refusal("no_path")
        await call.connection.answer(200, [*call.headers, JSON], listing)
        return None

    async def _body(self, call: Call) -> bytes:
        try:
            return await call.connection.body(self._settings.body_limit_bytes)
        except BodyTooLarge:
            raise call.manners.refusal("too_large") from None

    def _wished(self, call: Call, body: dict[str, Any]) -> Call:
        try:
            wish = wish_of(call.connection.headers, body.get("simulator"))
        except (ValueError, TypeError) as mistake:
            raise bad_request(str(mistake)) from None
        fault = wish.fault or drawn_fault(self._settings.fault_rates, self._chance)
        if fault is not None and fault not in KINDS:
            raise bad_request(f"the simulator has no fault {fault}; it has {', '.join(KINDS)}")
        if wish.fault_attempts is not None and _tries_before(call.connection.headers) >= wish.fault_attempts:
            fault = None
        return replace(call, wish=wish, fault=fault)

    def _check_rate(self, call: Call) -> None:
        if self._rate is None:
            return
        allowance = self._rate.take(call.key, self._clock.monotonic())
        call.headers.extend(call.manners.rate_headers(allowance, self._clock.now_us()))
        if not allowance.granted:
            call.headers.extend(_retry_after(allowance.wait_seconds))
            raise call.manners.refusal("rate_limit", round(allowance.wait_seconds, 3))

    async def _fail(self, call: Call, fault: str) -> None:
        if fault == "reset":
            await call.connection.reset()
            return
        if fault == "hang":
            await call.connection.abandoned_by_caller()
            return
        await self._pause(self._latency_seconds(call.wish) / 4)
        if fault in ("rate_limit", "overloaded"):
            call.headers.extend(_retry_after(self._settings.retry_after_seconds))
        raise call.manners.refusal(fault, self._settings.retry_after_seconds)

    async def _refuse(self, call: Call, refusal: Refusal) -> None:
        body = call.manners.error_body(refusal, call.request_id)
        headers = [*call.headers, *call.manners.error_headers(refusal), JSON]
        await call.connection.answer(refusal.status, headers, body)

    def _answer(self, call: Call, dialect: Dialect, body: dict[str, Any]) -> Answer:
        recording = self._recording(call.wish, dialect, body)
        return self._generated(call, dialect, body) if recording is None else _replayed(dialect, recording)

    def _recording(self, wish: Wish, dialect: Dialect, body: dict[str, Any]) -> Recording | None:
        if wish.case is not None:
            recording = self._shelf.named(wish.case)
            if recording is None:
                raise bad_request(f"the simulator has no recorded case {wish.case}")
            return recording
        if self._settings.mode == "generate":
            return None
        ask = dialect.ask(body)
        recording = self._shelf.fitting(dialect.api, ask.model, ask.stream)
        if recording is None:
            raise bad_request(f"the simulator has no recorded answer of {dialect.api} with stream={ask.stream}")
        return recording

    def _generated(self, call: Call, dialect: Dialect, body: dict[str, Any]) -> Answer:
        ask = dialect.ask(body)
        identity = Identity(self._number(), SNAPSHOTS.get(ask.model, ask.model), self._clock.now_us() // 1_000_000)
        made = draft(ask, self._cached(call, dialect, ask), identity, call.wish, self._settings, self._chance)
        pieces = dialect.streamed(made, self._settings.tokens_per_chunk) if ask.stream else None
        return Answer(
            dialect=dialect,
            model=made.model,
            response_id=dialect.response_id(made.number),
            status=200,
            content_type=(b"content-type", dialect.stream_type) if ask.stream else JSON,
            usage=dialect.used(made),
            billed=dialect.operation != "count_tokens" and dialect.bills(made),
            body=b"" if ask.stream else dialect.whole(made),
            pieces=pieces,
            draft=made,
            headers=[] if ask.stream else dialect.headers(made),
        )

    def _cached(self, call: Call, dialect: Dialect, ask: Ask) -> CacheUse:
        if dialect.caching == "none" or ask.max_output_tokens == 0:
            return NOT_CACHED
        scope, now = f"{call.manners.provider} {ask.model} {call.key}", self._clock.monotonic()
        if dialect.caching == "marked":
            return self._cache.marked(scope, ask.blocks, now)
        if ask.prompt_tokens < self._settings.cache_min_tokens:
            return NOT_CACHED
        words = [word for block in ask.blocks for word in block.text.split()]
        use = self._cache.automatic(scope, words, now)
        return use if writes_are_reported(ask.model) else replace(use, written_5m=0)

    async def _send(self, call: Call, answer: Answer) -> None:
        wait = self._latency_seconds(call.wish)
        if call.fault == "slow":
            wait += self._settings.slow_ms / 1000
        await self._pause(wait)
        if answer.pieces is None:
            await self._send_whole(call, answer)
        else:
            await self._send_stream(call, answer, answer.pieces)

    async def _send_whole(self, call: Call, answer: Answer) -> None:
        await self._pause(_pacing_seconds(answer.usage.output_tokens or 0, self._tokens_per_second(call.wish)))
        connection, body = call.connection, answer.body
        headers = [*call.headers, *answer.headers, answer.content_type]
        if call.fault == "cut":
            self._book(call, answer, answer.usage, "spoiled")
            await connection.start(answer.status, [*headers, (b"content-length", b"%d" % len(body))])
            await connection.write(body[: len(body) // 2], more=True)
            await connection.cut()
            return
        if call.fault in ("broken_json", "empty"):
            self._book(call, answer, answer.usage, "spoiled")
            body = body[: len(body) // 2] if call.fault == "broken_json" else b""
        else:
            self._book(call, answer, answer.usage, "hung_up" if connection.abandoned else "complete")
        await connection.answer(answer.status, headers, body)

    async def _send_stream(self, call: Call, answer: Answer, pieces: Iterator[Piece]) -> None:
        connection = call.connection
        await connection.start(answer.status, [*call.headers, answer.content_type, (b"cache-control", b"no-cache")])
        if call.fault == "empty":
            self._book(call, answer, answer.usage, "spoiled")
            await connection.write(b"", more=False)
            return
        stop_after = self._stop_after(call, answer)
        pace = _Pace(self._tokens_per_second(call.wish))
        held, done = next(pieces)
        for data, tokens in pieces:
            await connection.write(held, more=True)
            if stop_after is not None and done >= stop_after:
                await self._break_off(call, answer, done)
                return
            owed = pace.owed_seconds(tokens - done)
            if owed:
                await asyncio.sleep(owed)
            held, done = data, tokens
        self._book(call, answer, answer.usage, "hung_up" if connection.abandoned else "complete")
        await connection.write(held, more=False)

    def _stop_after(self, call: Call, answer: Answer) -> int | None:
        """Output tokens after which this stream breaks, or None when it does not."""
        if call.fault not in ("cut", "stream_error", "broken_json"):
            return None
        if call.wish.cut_after_tokens is not None:
            return call.wish.cut_after_tokens
        return self._chance.randint(0, max(0, (answer.usage.output_tokens or 1) - 1))

    async def _break_off(self, call: Call, answer: Answer, done: int) -> None:
        self._book(call, answer, answer.usage_after(done), "cut")
        if call.fault == "cut":
            await call.connection.cut()
            return
        last = answer.dialect.stream_error() if call.fault == "stream_error" else answer.dialect.broken_event()
        await call.connection.write(last, more=False)

    def _book(self, call: Call, answer: Answer, usage: Usage, outcome: Outcome) -> None:
        if not answer.billed:
            return
        self.ledger.add(
            Row(
                request_id=call.request_id,
                response_id=answer.response_id,
                provider=call.manners.provider,
                operation=answer.dialect.operation,
                model=answer.model,
                usage=usage,
                outcome=outcome,
                at=rfc3339(self._clock.now_us()),
                tag=call.tag,
                service_tier=None if answer.draft is None else answer.draft.service_tier,
            )
        )

    def _latency_seconds(self, wish: Wish) -> float:
        if wish.latency_ms is not None:
            return wish.latency_ms / 1000
        median = self._settings.latency_ms
        return median and median * math.exp(self._chance.gauss(0, self._settings.latency_spread)) / 1000

    def _tokens_per_second(self, wish: Wish) -> float:
        return self._settings.tokens_per_second if wish.tokens_per_second is None else wish.tokens_per_second

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)


class _Pace:
    """Saves up the pauses between tokens until they are worth a timer."""

    def __init__(self, tokens_per_second: float) -> None:
        self._tokens_per_second = tokens_per_second
        self._saved_seconds = 0.0

    def owed_seconds(self, tokens: int) -> float:
        self._saved_seconds += _pacing_seconds(tokens, self._tokens_per_second)
        if self._saved_seconds < PACE_STEP_SECONDS:
            return 0
        owed, self._saved_seconds = self._saved_seconds, 0.0
        return owed


def _pacing_seconds(tokens: int, tokens_per_second: float) -> float:
    return tokens / tokens_per_second if tokens_per_second > 0 else 0


def _replayed(dialect: Dialect, recording: Recording) -> Answer:
    pieces = ((event, 0) for event in recording.events) if recording.stream else None
    return Answer(
        dialect=dialect,
        model=recording.expected.get("model") or "",
        response_id=recording.response_id,
        status=recording.status,
        content_type=(b"content-type", recording.content_type.encode()),
        usage=recording.usage if recording.billed else NOTHING_COUNTED,
        billed=recording.billed,
        body=b"" if recording.stream else recording.body,
        pieces=pieces,
    )


def _api_key(headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> str:
    """The caller's key, wherever a provider looks for it; of a request signed for AWS the id of the key."""
    for name in (b"x-api-key", b"api-key", b"x-goog-api-key"):
        if key := headers.get(name):
            return key.strip().decode("latin-1")
    scheme, _, rest = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme == "AWS4-HMAC-SHA256":
        return rest.partition("Credential=")[2].partition("/")[0]
    return query.get("key", "")


def _tries_before(headers: Mapping[bytes, bytes]) -> int:
    """How often this call was tried before, where the client library tells it: OpenAI's family, and botocore."""
    told = headers.get(b"x-stainless-retry-count")
    if told is not None:
        return int(told)
    attempt = re.search(rb"attempt=(\d+)", headers.get(b"amz-sdk-request", b""))
    return int(attempt[1]) - 1 if attempt else 0


def _retry_after(seconds: float) -> Headers:
    whole = b"%d" % max(1, math.ceil(seconds))
    return [(b"retry-after", whole), (b"retry-after-ms", b"%d" % round(seconds * 1000))]
