"""Limits before every call of the gateway, with the real guard and the official clients."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from gateway_rig import KEY, PROVIDER_KEY, Rig, Stage, running, stream, whole

from taximeter.clock import SystemClock
from taximeter.config.limits import read_limits
from taximeter.core.cost import Cost
from taximeter.core.event import UsageEvent
from taximeter.core.money import ZERO
from taximeter.extract import Reading, flavour_for
from taximeter.gateway import Provider
from taximeter.gateway.admission import Asking
from taximeter.gateway.call import Call
from taximeter.gateway.kinds import OPENAI
from taximeter.gateway.limiting import LimitedCalls
from taximeter.gateway.refusals import Refusal
from taximeter.limits.counters import Bucket, Claim, Claims, CountersAway, Standing
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import CallKind, Rates

ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4000}
CHAT = "/openai/v1/chat/completions"
TOKENS = {"name": "tokens", "scope": "global", "measure": "total_tokens", "limit": 5000, "window": "day"}
MONEY = {"name": "money", "scope": "global", "measure": "cost_usd", "limit": "1", "window": "day"}
CHUNK = b'data: {"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def answer(written: int) -> bytes:
    usage = {"prompt_tokens": 9, "completion_tokens": written, "total_tokens": 9 + written}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    model = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
    return json.dumps({**model, "choices": [choice], "usage": usage}).encode()


def price(event: UsageEvent) -> Cost:
    """A dollar for a thousand output tokens."""
    return Cost(ZERO, ZERO, ZERO, Decimal(event.usage.output_tokens or 0) / 1000, ZERO, "test", "test")


def rates(kind: CallKind, input_tokens: int, at_us: int) -> Rates | None:
    return None if kind.model == "nobody-knows-it" else Rates(0, 1_000_000_000, 0)


def others(port: int) -> list[Provider]:
    paths = {"gemini": "/v1beta", "bedrock": ""}
    return [Provider(name, name, f"http://127.0.0.1:{port}{path}", PROVIDER_KEY) for name, path in paths.items()]


@contextmanager
def limited(*definitions: dict[str, Any], **how: Any) -> Iterator[tuple[Rig, LimitGuard]]:
    clock = how.pop("clock", SystemClock())
    background = how.pop("background", None)
    guard = LimitGuard(Rules(read_limits(definitions)), how.pop("counters", MemoryCounters()), rates, **how)
    calls = LimitedCalls(
        lambda: guard,
        price,
        clock,
        wait_seconds=0.2,
        fail_closed=how.get("fail") != "open",
        background=background,
    )
    with running(admission=calls, more_providers=others) as rig:
        rig.plays(whole(answer(100)))
        yield rig, guard


def buckets(guard: LimitGuard) -> list[Bucket]:
    now_us = SystemClock().now_us()
    return [one.bucket(now_us) for one in guard.rules.ruled()]


def spent(guard: LimitGuard) -> tuple[int, int]:
    [found] = guard.counters.standings(buckets(guard))
    return found


def test_a_call_is_held_before_and_settled_after() -> None:
    with limited(TOKENS) as (rig, guard):
        assert rig.ask(CHAT, ASKED).status == 200
        (begin,) = rig.log.of("begin")
        assert begin["held"]["output_tokens"] == 4000
        assert spent(guard) == (109, 0)


def test_an_allowance_that_does_not_fit_is_made_smaller() -> None:
    with limited(TOKENS) as (rig, guard):
        rig.ask(CHAT, {**ASKED, "max_tokens": 32_000})
        assert 256 <= rig.provider.seen[0].json["max_tokens"] < 5000
        assert spent(guard) == (109, 0)


def test_a_request_without_an_allowance_is_given_one() -> None:
    with limited({**TOKENS, "limit": 100_000}) as (rig, _):
        rig.ask(CHAT, {key: value for key, value in ASKED.items() if key != "max_tokens"})
        assert rig.provider.seen[0].json["max_tokens"] == 16_384


@pytest.mark.parametrize(
    "path",
    [
        "/openai/v1/images/generations",
        "/openai/v1/audio/speech",
        "/openai/v1/unheard-of",
        "/openai/v1/batches",
        "/openai/v1/videos",
        "/openai/v1/videos/video_1/remix",
        "/openai/v1/async/chat/completions",
        "/openai/v1/realtime/client_secrets",
        "/openai/v1/realtime/calls/rtc_1/accept",
        "/openai/v1/batch/jobs",
        "/openai/v1/videos/generations",
        "/anthropic/v1/messages/batches",
        "/gemini/models/gemini-2.5-flash:batchGenerateContent",
        "/gemini/models/veo-3.1-generate-preview:predictLongRunning",
    ],
)
def test_no_route_leads_around_a_limit(path: str) -> None:
    with limited(TOKENS) as (rig, guard):
        reply = rig.ask(path, {"model": "m", "input": "hello", "prompt": "hello", "voice": "v"})
        assert (reply.status, rig.provider.seen) == (429, [])
        assert "no upper bound" in reply.json["error"]["message"]
    with limited({**TOKENS, "measure": "requests", "limit": 1}) as (rig, guard):
        rig.ask(path, {"model": "m", "input": "hello"})
        assert rig.ask(path, {"model": "m", "input": "hello"}).status == 429
        assert spent(guard) == (1, 0)


@pytest.mark.parametrize(
    "path", ["/openai/v1/batches/b/cancel", "/openai/v1/files", "/anthropic/v1/messages/count_tokens"]
)
def test_what_costs_nothing_passes_when_a_limit_is_used_up(path: str) -> None:
    with limited({**TOKENS, "limit": 1}) as (rig, _):
        assert rig.ask(path, {"model": "m"}).status == 200


def test_embeddings_hold_their_input_only() -> None:
    with limited({**TOKENS, "limit": 200}) as (rig, guard):
        rig.plays(whole(b'{"object":"list","data":[],"model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}'))
        assert rig.ask("/openai/v1/embeddings", {"model": "m", "input": "hello"}).status == 200
        assert spent(guard) == (5, 0)


def test_a_model_without_any_price_is_refused_under_a_limit_of_money_and_says_why() -> None:
    with limited(MONEY) as (rig, _):
        reply = rig.ask(CHAT, {**ASKED, "model": "nobody-knows-it"})
        assert reply.status == 429
        assert "no price bounds its model" in reply.json["error"]["message"]


def test_the_official_clients_raise_their_rate_limit_error_at_once() -> None:
    with limited({**TOKENS, "limit": 10}) as (rig, guard):
        gpt = openai.OpenAI(base_url=rig.url + "/openai/v1", api_key=KEY)
        with pytest.raises(openai.RateLimitError) as refused:
            gpt.chat.completions.create(**ASKED)
        assert refused.value.code == "limit_exceeded"
        claude = anthropic.Anthropic(base_url=rig.url + "/anthropic", api_key=KEY)
        with pytest.raises(anthropic.RateLimitError):
            claude.messages.create(model="claude-opus-4-8", max_tokens=10, messages=ASKED["messages"])
        assert guard.counts["refused"] == 2
        assert int(refused.value.response.headers["retry-after"]) >= 1
        assert [one["status"] for one in rig.log.wait_for(2)] == ["refused", "refused"]


def test_a_stream_is_held_by_the_slice() -> None:
    with limited(TOKENS) as (rig, _):
        rig.plays(stream([CHUNK % b"word " * 40, DONE]))
        reply = rig.ask(CHAT, {**ASKED, "model": "gpt-4o-mini", "stream": True})
        assert reply.body.endswith(b"data: [DONE]\n\n")
        (begin,) = rig.log.of("begin")
        assert begin["held"]["output_tokens"] == 1024


def test_streams_that_are_read_late_hold_what_their_provider_may_be_ahead() -> None:
    with limited({**TOKENS, "limit": 100_000}) as (rig, _):
        rig.plays(stream([CHUNK % (b"word " * 400), DONE]))
        asked = {**ASKED, "max_tokens": 30_000, "stream": True}
        rig.ask(CHAT, asked)
        (progress,) = rig.log.of("progress")
        assert progress["held"]["output_tokens"] >= 2_000 + 2 * 2_000, "what came at once may come again"
        rig.ask(CHAT, asked)
        begin = rig.log.of("begin")[-1]
        assert begin["held"]["output_tokens"] >= 2 * 2_000, "and so it may in the next stream, from its beginning on"


def test_a_stream_that_breaks_off_after_its_opening_words_stays_spent_at_what_it_held() -> None:
    start = b'data: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
    with limited(TOKENS) as (rig, guard):
        rig.plays(stream([start], cut=True))
        rig.ask("/anthropic/v1/messages", {**ASKED, "model": "claude-opus-4-8", "stream": True, "max_tokens": 500})
        rig.log.wait_for(1)
        total, held = spent(guard)
        assert held == 0
        assert total >= 500


class WhileAsked(MemoryCounters):
    """While more is asked for, somebody else gets on with something."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def extend(self, event_id: str, claims: Claims, *, now_us: int, expires_us: int) -> Sequence[Standing] | None:
        self._meanwhile()
        return super().extend(event_id, claims, now_us=now_us, expires_us=expires_us)


def test_what_the_provider_had_written_when_its_stream_was_cut_is_counted_though_it_is_more_than_the_limit() -> None:
    asked, wrote = threading.Event(), threading.Event()

    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        await stage.chunk(CHUNK % (b"word " * 200))
        await asyncio.to_thread(asked.wait, 60)
        await stage.chunk(CHUNK % (b"word " * 4_000))
        wrote.set()
        await stage.until_gone()

    def write_more() -> None:
        asked.set()
        assert wrote.wait(60)

    with (
        ThreadPoolExecutor(1) as background,
        limited({**TOKENS, "limit": 1500}, counters=WhileAsked(write_more), background=background) as (rig, guard),
    ):
        rig.plays(play)
        rig.ask(CHAT, {**ASKED, "max_tokens": 30_000, "stream": True})
        (event,) = rig.log.wait_for(1)
        assert (event["error_type"], event["output_tokens"]) == ("limit_reached", 4_200 * 5 // 4)
        background.submit(int).result()  # one after the other: the call is settled
        assert spent(guard) == (event["input_tokens"] + event["output_tokens"], 0)


def test_a_stream_that_cannot_be_covered_is_cut_with_the_providers_error_and_stays_spent() -> None:
    async def endless(stage: Stage) -> None:
        stage.head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        for _ in range(60):
            await stage.chunk(CHUNK % (b"word " * 40))
        await stage.until_gone()

    with limited({**TOKENS, "limit": 4000}) as (rig, guard):
        rig.plays(endless)
        reply = rig.ask(CHAT, {**ASKED, "max_tokens": 30_000, "stream": True})
        assert json.loads(reply.body.rstrip().rpartition(b"data: ")[2])["error"]["code"] == "limit_reached"
        (event,) = rig.log.wait_for(1)
        assert (event["status"], event["usage_estimated"]) == ("interrupted", True)
        total, held = spent(guard)
        assert held == 0
        assert reply.body.count(b"word") < total <= 4000


@pytest.mark.parametrize("seen", [[], [CHUNK % b"word "]])
def test_a_stream_that_the_provider_ends_with_an_error_stays_spent_at_what_it_held(seen: list[bytes]) -> None:
    error = b'data: {"error":{"message":"The server had an error.","type":"server_error"}}\n\n'
    with limited(TOKENS) as (rig, guard):
        rig.plays(stream([*seen, error]))
        rig.ask(CHAT, {**ASKED, "stream": True})
        (event,) = rig.log.wait_for(1)
        assert event["status"] == "error"
        total, held = spent(guard)
        assert (held, total > 1024) == (0, True)


def test_text_that_is_not_ascii_counts_four_times() -> None:
    with limited({**TOKENS, "limit": 4000}) as (rig, _):
        rig.plays(stream([CHUNK % ("ß" * 100).encode()] * 20 + [DONE]))
        reply = rig.ask(CHAT, {**ASKED, "max_tokens": 30_000, "stream": True})
        assert b"limit_reached" in reply.body


def test_a_call_downgraded_goes_to_the_other_model() -> None:
    limit = {**TOKENS, "limit": 100, "action": {"downgrade": "gpt-4o-nano"}}
    with limited(limit) as (rig, guard):
        rig.ask(CHAT, ASKED)
        rig.ask(CHAT, ASKED)
        assert [one.json["model"] for one in rig.provider.seen] == ["gpt-4o-mini", "gpt-4o-nano"]
        assert guard.counts["downgraded"] == 1
        assert [one["request_model"] for one in rig.log.wait_for(2)] == ["gpt-4o-mini", "gpt-4o-nano"]


def test_calls_by_one_id_through_two_gateways_are_two_attempts_and_both_are_held() -> None:
    shared = MemoryCounters()
    event_id = "0192d0a0-0000-7000-8000-000000000001"
    seen = []
    for _ in range(2):
        with limited(TOKENS, counters=shared) as (rig, guard):
            rig.ask(CHAT, {**ASKED, "max_tokens": 20}, X_Taximeter_Event_Id=event_id)
            seen += [(one["event_id"], one["attempt"], one["request_id"]) for one in rig.log.wait_for(1)]
    (first, second) = seen
    assert first == (event_id, 1, event_id)
    assert (second[0] != event_id, *second[1:]) == (True, 2, event_id)
    assert spent(guard)[0] == 2 * 109


def test_who_leaves_the_tier_to_the_provider_holds_the_price_of_the_one_it_serves_in() -> None:
    asked_for = []

    def find(kind: CallKind, input_tokens: int, at_us: int) -> Rates | None:
        asked_for.append(kind.tier)
        return rates(kind, input_tokens, at_us)

    guard = LimitGuard(Rules(read_limits([MONEY])), MemoryCounters(), find)
    calls = LimitedCalls(lambda: guard, price, SystemClock(), wait_seconds=0.2)
    with running(admission=calls, more_providers=others) as rig:
        for served in ("default", "priority", "default"):
            rig.plays(whole(answer(1).replace(b'"object"', b'"service_tier": "%s", "object"' % served.encode())))
            rig.ask(CHAT, {**ASKED, "max_tokens": 100})
        rig.ask(CHAT, {**ASKED, "max_tokens": 100})
        rig.ask(CHAT, {**ASKED, "max_tokens": 100, "service_tier": "default"})
    assert asked_for == [None, None, "priority", "priority", "default"]


def test_a_tier_that_one_call_asked_for_is_not_held_for_those_that_leave_it_to_the_provider() -> None:
    asked_for = []

    def find(kind: CallKind, input_tokens: int, at_us: int) -> Rates | None:
        asked_for.append(kind.tier)
        return rates(kind, input_tokens, at_us)

    guard = LimitGuard(Rules(read_limits([MONEY])), MemoryCounters(), find)
    calls = LimitedCalls(lambda: guard, price, SystemClock(), wait_seconds=0.2)
    with running(admission=calls, more_providers=others) as rig:
        rig.plays(whole(answer(1).replace(b'"object"', b'"service_tier": "priority", "object"')))
        rig.ask(CHAT, {**ASKED, "max_tokens": 100, "service_tier": "priority"})
        rig.ask(CHAT, {**ASKED, "max_tokens": 100})
    assert asked_for == ["priority", None]


def test_a_call_under_way_is_one_at_once_however_long_it_takes() -> None:
    at_once = {"name": "at-once", "scope": "global", "measure": "concurrent", "limit": 1}
    guard = LimitGuard(Rules(read_limits([at_once, {**MONEY, "limit": "10"}])), MemoryCounters(), rates)
    calls = LimitedCalls(lambda: guard, price, SystemClock(), wait_seconds=0.0)
    asked = asking()
    hold = asyncio.run(calls.admit(asked))
    assert hold is not None
    for minutes in range(0, 60, 3):
        assert guard.expire(SystemClock().now_us() + minutes * 60_000_000) == 0
    with pytest.raises(Refusal):
        asyncio.run(
            calls.admit(Asking(asked.call.another("0192d0a0-0000-7000-8000-000000000002"), OPENAI, ASKED, b"{}"))
        )
    hold.settle(asked.call.ended("ok", Reading(), now=1.0, http_status=200, not_billed=True))
    assert [standing.held for standing in guard.counters.standings(buckets(guard))] == [0, 0]


class Stopped(SystemClock):
    """However long a call takes, the next one comes at the same instant."""

    def __init__(self) -> None:
        self._now_us = super().now_us()

    def now_us(self) -> int:
        return self._now_us


def test_calls_queue_under_a_limit_that_throttles() -> None:
    limit = {**TOKENS, "limit": 100, "action": {"throttle": "20/second"}}
    with limited(limit, clock=Stopped()) as (rig, guard):
        for _ in range(4):
            assert rig.ask(CHAT, ASKED).status == 200
        assert guard.counts["throttled"] == 2  # the first one is within its limit, the next one first in the queue


def asking() -> Asking:
    call = Call("0192d0a0-0000-7000-8000-000000000001", SystemClock().now_us(), 0.0, "openai")
    flavour = flavour_for("openai", "POST", "/v1/chat/completions")
    assert flavour is not None
    call.asks(flavour, flavour.read_request(ASKED))
    return Asking(call, OPENAI, ASKED, json.dumps(ASKED).encode())


class Slow(MemoryCounters):
    """Is asked, and answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer, self.let_go = threading.Event(), threading.Event(), threading.Event()

    def reserve(self, *given: Any, **how: Any) -> Any:
        self.asked.set()
        assert self.may_answer.wait(60)
        return super().reserve(*given, **how)

    def void(self, event_id: str) -> None:
        super().void(event_id)
        self.let_go.set()


def test_what_is_held_for_a_call_that_was_given_up_meanwhile_is_let_go() -> None:
    counters = Slow()
    guard = LimitGuard(Rules(read_limits([TOKENS])), counters, rates)

    async def give_up() -> None:
        with ThreadPoolExecutor(1) as background:
            calls = LimitedCalls(lambda: guard, price, SystemClock(), wait_seconds=0.2, background=background)
            call = asyncio.create_task(calls.admit(asking()))
            await asyncio.to_thread(counters.asked.wait, 60)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            counters.may_answer.set()
            assert await asyncio.to_thread(counters.let_go.wait, 60)

    asyncio.run(give_up())
    assert spent(guard) == (0, 0)


def test_what_another_call_holds_by_the_same_id_stays_when_one_is_given_up() -> None:
    counters = Slow()
    guard = LimitGuard(Rules(read_limits([TOKENS])), counters, rates)
    asked = asking()

    async def give_up() -> None:
        with ThreadPoolExecutor(1) as background:
            calls = LimitedCalls(lambda: guard, price, SystemClock(), wait_seconds=0.2, background=background)
            counters.may_answer.set()
            await calls.admit(asked)
            counters.may_answer.clear()
            counters.asked.clear()
            call = asyncio.create_task(calls.admit(asked))
            await asyncio.to_thread(counters.asked.wait, 60)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            counters.may_answer.set()

    asyncio.run(give_up())
    assert spent(guard)[1] > 0


def test_a_call_that_is_given_up_while_it_queues_holds_nothing_any_more() -> None:
    throttled = {**TOKENS, "limit": 100, "action": {"throttle": "1/minute"}}
    guard = LimitGuard(Rules(read_limits([throttled])), MemoryCounters(), rates)
    calls = LimitedCalls(lambda: guard, price, SystemClock(), wait_seconds=0.2)
    [ruled] = guard.rules.ruled()
    now_us = SystemClock().now_us()
    guard.counters.raise_to([Claim(ruled.bucket(now_us), 100)], now_us=now_us)
    guard._queue[ruled.bucket(now_us).slot] = now_us + 20_000_000

    async def give_up() -> None:
        call = asyncio.create_task(calls.admit(asking()))
        await asyncio.sleep(0)
        assert spent(guard)[1] > 0
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(give_up())
    assert spent(guard) == (100, 0)


class Away(MemoryCounters):
    def reserve(self, *_: Any, **__: Any) -> Any:
        raise CountersAway("Redis does not answer")


@pytest.mark.parametrize(("fail", "status"), [("closed", 503), ("open", 200)])
def test_counters_that_are_away_are_met_with_the_policy_and_it_shows(fail: Any, status: int) -> None:
    with limited(TOKENS, counters=Away(), fail=fail) as (rig, guard):
        assert rig.ask(CHAT, ASKED).status == status
        assert guard.away == "Redis does not answer"


class Broken(MemoryCounters):
    def reserve(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug of ours")


def test_a_mistake_of_our_own_breaks_no_call_under_soft_limits() -> None:
    with limited({**TOKENS, "mode": "soft"}, counters=Broken()) as (rig, _):
        assert rig.ask(CHAT, ASKED).status == 200
        assert rig.gateway.failures == {"not_admitted": 1}


def test_a_mistake_of_our_own_is_met_with_the_policy_under_hard_limits() -> None:
    with limited(TOKENS, counters=Broken()) as (rig, _):
        assert rig.ask(CHAT, ASKED).status == 503


def test_a_call_whose_output_nobody_can_bound_is_refused_where_its_output_counts() -> None:
    path, body = "/bedrock/model/meta.llama3-8b-instruct-v1:0/invoke", {"prompt": "Hi"}
    with limited(TOKENS) as (rig, _):
        reply = rig.ask(path, body)
        assert (reply.status, rig.provider.seen) == (429, [])
        assert b"does not state how much it may write" in reply.body
    with limited({**TOKENS, "measure": "input_tokens"}) as (rig, _):
        assert rig.ask(path, body).status == 200


@pytest.mark.parametrize(
    ("path", "asked", "outer", "inner"),
    [
        (
            "/gemini/v1beta/models/gemini-2.5-flash:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"topK": 3}},
            "generationConfig",
            "maxOutputTokens",
        ),
        (
            "/bedrock/model/amazon.nova-lite-v1:0/converse",
            {"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {"topK": 3}},
            "inferenceConfig",
            "maxTokens",
        ),
    ],
    ids=["gemini", "bedrock"],
)
def test_an_allowance_is_made_smaller_where_each_protocol_states_it(
    path: str, asked: dict[str, Any], outer: str, inner: str
) -> None:
    with limited({**TOKENS, "limit": 3000}) as (rig, _):
        rig.ask(path, asked)
        stated = rig.provider.seen[0].json[outer]
        assert stated["topK"] == 3
        assert 256 <= stated[inner] < 3000
