"""The simulated providers: an ASGI application that answers, fails, paces and bills."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from taximeter.clock import Clock, rfc3339
from taximeter.core.usage import NOTHING_COUNTED, Usage
from taximeter.simulator import errors_on_the_wire as wire_errors
from taximeter.simulator.asking import Ask, Refusal, bad_request, parsed
from taximeter.simulator.connection import BodyTooLarge, Connection, Message, Receive, Send
from taximeter.simulator.dialects import Dialect, Piece
from taximeter.simulator.dialects.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from taximeter.simulator.dialects.openai_chat import OpenAIChat
from taximeter.simulator.dialects.openai_embeddings import OpenAIEmbeddings
from taximeter.simulator.dialects.openai_responses import OpenAIResponses
from taximeter.simulator.drafting import Draft, Identity, draft
from taximeter.simulator.faults import BEFORE_WORK, KINDS, check_rates, drawn_fault
from taximeter.simulator.ledger import BillingLedger, Outcome, Row
from taximeter.simulator.models import model_list
from taximeter.simulator.openai_models import SNAPSHOTS, writes_are_reported
from taximeter.simulator.prompt_cache import NOT_CACHED, CacheUse, PromptCache
from taximeter.simulator.rate_limits import Allowance, RequestRate
from taximeter.simulator.recordings import Recording, Shelf
from taximeter.simulator.settings import NO_WISH, Settings, Wish, wish_of

DIALECTS: Final[dict[str, Dialect]] = {
    "/v1/chat/completions": OpenAIChat(),
    "/v1/responses": OpenAIResponses(),
    "/v1/embeddings": OpenAIEmbeddings(),
    "/v1/messages": AnthropicMessages(),
    "/v1/messages/count_tokens": AnthropicCountTokens(),
}
OWN_PATHS: Final = "/_simulator/"
JSON: Final = (b"content-type", b"application/json")
EVENT_STREAM: Final = (b"content-type", b"text/event-stream; charset=utf-8")
PACE_STEP_SECONDS: Final = 0.005
"""Pauses between streamed tokens shorter than this are saved up: a timer costs more than it is worth."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through the simulator."""

    connection: Connection
    provider: str
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

    def usage_after(self, output_tokens: int) -> Usage:
        return self.usage if self.draft is None else self.draft.usage_after(output_tokens)


class Providers:
    """OpenAI and Anthropic behind one ASGI door. All state is in memory, but for the ledger's file."""

    def __init__(self, settings: Settings, shelf: Shelf, clock: Clock, chance: Random) -> None:
        check_rates(settings.fault_rates)
        self._settings = settings
        self._shelf = shelf
        self._clock = clock
        self._chance = chance
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
        is_anthropic = b"anthropic-version" in headers or b"x-api-key" in headers or "/messages" in connection.path
        provider = "anthropic" if is_anthropic else "openai"
        request_id = f"req_{self._number()}"
        tag = headers.get(b"x-ledger-tag")
        return Call(
            connection=connection,
            provider=provider,
            request_id=request_id,
            key=_api_key(headers),
            headers=_usual_headers(provider, request_id, self._chance),
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
        body = parsed(raw)
        call = self._wished(call, body)
        self._check_rate(call)
        if call.fault in BEFORE_WORK:
            await self._fail(call, call.fault)
            return
        await self._send(call, self._answer(call, dialect, body))

    def _check_key(self, call: Call) -> None:
        if not call.key:
            raise wire_errors.refusal(call.provider, "no_key")
        known = self._settings.api_keys
        if call.key not in known if known else "invalid" in call.key:
            raise wire_errors.refusal(call.provider, "unauthorized")

    async def _dialect(self, call: Call) -> Dialect | None:
        """The dialect of a path, or None when the request has been answered already."""
        connection = call.connection
        dialect = DIALECTS.get(connection.path)
        if dialect is not None and connection.method == "POST":
            return dialect
        if dialect is not None:
            raise wire_errors.refusal(call.provider, "no_method")
        listing = model_list(call.provider, connection.path)
        if listing is None:
            raise wire_errors.refusal(call.provider, "no_path")
        await connection.answer(200, [*call.headers, JSON], listing)
        return None

    async def _body(self, call: Call) -> bytes:
        try:
            return await call.connection.body(self._settings.body_limit_bytes)
        except BodyTooLarge:
            raise wire_errors.refusal(call.provider, "too_large") from None

    def _wished(self, call: Call, body: dict[str, Any]) -> Call:
        try:
            wish = wish_of(call.connection.headers, body.get("simulator"))
        except (ValueError, TypeError) as mistake:
            raise bad_request(str(mistake)) from None
        fault = wish.fault or drawn_fault(self._settings.fault_rates, self._chance)
        if fault is not None and fault not in KINDS:
            raise bad_request(f"the simulator has no fault {fault}; it has {', '.join(KINDS)}")
        tries = int(call.connection.headers.get(b"x-stainless-retry-count", b"0"))
        if wish.fault_attempts is not None and tries >= wish.fault_attempts:
            fault = None
        return replace(call, wish=wish, fault=fault)

    def _check_rate(self, call: Call) -> None:
        if self._rate is None:
            return
        allowance = self._rate.take(call.key, self._clock.monotonic())
        call.headers.extend(_rate_headers(call.provider, allowance, self._clock.now_us()))
        if not allowance.granted:
            call.headers.extend(_retry_after(allowance.wait_seconds))
            raise wire_errors.refusal(call.provider, "rate_limit", round(allowance.wait_seconds, 3))

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
        raise wire_errors.refusal(call.provider, fault, self._settings.retry_after_seconds)

    async def _refuse(self, call: Call, refusal: Refusal) -> None:
        body = wire_errors.BODIES[call.provider](refusal, call.request_id)
        await call.connection.answer(refusal.status, [*call.headers, JSON], body)

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
        made = draft(ask, self._cached(call, ask), identity, call.wish, self._settings, self._chance)
        pieces = dialect.streamed(made, self._settings.tokens_per_chunk) if ask.stream else None
        return Answer(
            dialect=dialect,
            model=made.model,
            response_id=dialect.response_id(made.number),
            status=200,
            content_type=EVENT_STREAM if ask.stream else JSON,
            usage=made.usage,
            billed=dialect.operation != "count_tokens",
            body=b"" if ask.stream else dialect.whole(made),
            pieces=pieces,
            draft=made,
        )

    def _cached(self, call: Call, ask: Ask) -> CacheUse:
        scope, now = f"{call.provider} {ask.model} {call.key}", self._clock.monotonic()
        if call.provider == "anthropic":
            return NOT_CACHED if ask.max_output_tokens == 0 else self._cache.marked(scope, ask.blocks, now)
        if ask.max_output_tokens == 0 or ask.prompt_tokens < self._settings.cache_min_tokens:
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
        headers = [*call.headers, answer.content_type]
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
        last = wire_errors.stream_error(call.provider) if call.fault == "stream_error" else b'data: {"id":"cut\n\n'
        await call.connection.write(last, more=False)

    def _book(self, call: Call, answer: Answer, usage: Usage, outcome: Outcome) -> None:
        if not answer.billed:
            return
        self.ledger.add(
            Row(
                request_id=call.request_id,
                response_id=answer.response_id,
                provider=call.provider,
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


def _api_key(headers: dict[bytes, bytes]) -> str:
    key = headers.get(b"x-api-key") or headers.get(b"api-key")
    if key is None:
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            key = b""
    return key.strip().decode("latin-1")


def _usual_headers(provider: str, request_id: str, chance: Random) -> Headers:
    if provider == "anthropic":
        return [(b"request-id", request_id.encode()), (b"anthropic-organization-id", b"org-simulator")]
    return [
        (b"x-request-id", request_id.encode()),
        (b"openai-organization", b"org-simulator"),
        (b"openai-processing-ms", b"%d" % chance.randint(20, 900)),
        (b"openai-version", b"2020-10-01"),
    ]


def _rate_headers(provider: str, allowance: Allowance, now_us: int) -> Headers:
    limit, remaining = b"%d" % allowance.limit, b"%d" % allowance.remaining
    if provider == "anthropic":
        full_again_us = now_us + int((allowance.limit - allowance.remaining) * 60_000_000 / allowance.limit)
        return [
            (b"anthropic-ratelimit-requests-limit", limit),
            (b"anthropic-ratelimit-requests-remaining", remaining),
            (b"anthropic-ratelimit-requests-reset", rfc3339(full_again_us).encode()),
        ]
    return [
        (b"x-ratelimit-limit-requests", limit),
        (b"x-ratelimit-remaining-requests", remaining),
        (b"x-ratelimit-reset-requests", b"%dms" % round(allowance.wait_seconds * 1000)),
    ]


def _retry_after(seconds: float) -> Headers:
    whole = b"%d" % max(1, math.ceil(seconds))
    return [(b"retry-after", whole), (b"retry-after-ms", b"%d" % round(seconds * 1000))]
