"""The caller hangs up: the answer is read to its end within bounds, or dropped and estimated."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from gateway_rig import SSE_HEADERS, WAIT_SECONDS, MemoryLog, Play, Rig, Stage, running
from test_gateway_recorded import STREAMS, all_providers, body_of, case_id, differences, path_of

from taximeter.clock import SystemClock
from taximeter.gateway import Gateway, GatewaySettings, Provider, Recorder
from taximeter.gateway.client import HANGUP, WATCH_AFTER_SECONDS, WHOLE, Message
from taximeter.gateway.upstream import Answer, Origin, Outgoing
from taximeter.server.http_protocol import HANGUP as HANGUP_OF_OUR_SERVER
from taximeter.server.whole_answers import WHOLE as WHOLE_OF_OUR_SERVER

CHAT = "/openai/v1/chat/completions"
ASKED = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x" * 40}]}
TEXT = b'data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"twelve chars"}}]}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}}\n\n'
DONE = b"data: [DONE]\n\n"
ANSWER = b'{"id":"chatcmpl-1","model":"m-1","usage":{"prompt_tokens":1000,"completion_tokens":500}}'


class Waiting:
    """A provider that begins a stream and goes on when it is told to; it notices when it is left."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.left = threading.Event()

    async def stream(self, stage: Stage) -> None:
        stage.head(200, SSE_HEADERS)
        await stage.chunk(TEXT)
        await self.told(stage)
        for piece in (TEXT, USAGE, DONE):
            await stage.chunk(piece)
        stage.end()

    async def whole(self, stage: Stage) -> None:
        await self.told(stage)
        stage.head(200, [("content-type", "application/json"), ("content-length", str(len(ANSWER)))])
        stage.writer.write(ANSWER)

    async def whole_at_once(self, stage: Stage) -> None:
        self.go_on.set()
        await self.whole(stage)

    async def endless(self, stage: Stage) -> None:
        stage.head(200, SSE_HEADERS)
        try:
            while not stage.writer.is_closing():
                await stage.chunk(TEXT)
        finally:
            self.left.set()

    async def silent(self, stage: Stage) -> None:
        await stage.until_gone()
        self.left.set()

    async def told(self, stage: Stage) -> None:
        going_on = asyncio.ensure_future(asyncio.to_thread(self.go_on.wait, WAIT_SECONDS))
        leaving = asyncio.ensure_future(stage.until_gone())
        try:
            await asyncio.wait((going_on, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not self.go_on.is_set():
                self.left.set()
        finally:
            self.go_on.set()  # a provider that is stopped first would leave its thread waiting
        leaving.cancel()
        await asyncio.wait((leaving, going_on))


@contextmanager
def hung_up(rig: Rig, play: Play, body: object, until: bytes = b"") -> Iterator[None]:
    """A client that reads as far as `until` and leaves."""
    rig.plays(play)
    with rig.open(CHAT, body) as connection:
        received = b""
        assert rig.provider.asked.wait(WAIT_SECONDS)
        while until not in received:
            received += connection.recv(65536)
    yield


def wait_until_noticed(rig: Rig) -> None:
    """The gateway learns of a hang-up from its own socket, which it watches from a moment on; another request on it
    makes sure that it has."""
    time.sleep(4 * WATCH_AFTER_SECONDS)
    rig.ask("/nobody", method="GET")
    rig.ask("/nobody", method="GET")


def test_a_stream_is_drained_and_its_real_usage_recorded_as_cancelled() -> None:
    provider = Waiting()
    with running() as rig, hung_up(rig, provider.stream, ASKED, until=TEXT):
        wait_until_noticed(rig)
        provider.go_on.set()
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["input_tokens"], event["output_tokens"]) == ("cancelled", 1000, 500)
    assert "usage_estimated" not in event


def test_a_whole_answer_is_drained_too() -> None:
    provider = Waiting()
    with running() as rig, hung_up(rig, provider.whole, {"model": "m"}):
        wait_until_noticed(rig)
        provider.go_on.set()
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["http_status"], event["output_tokens"]) == ("cancelled", 200, 500)


def test_draining_ends_in_time() -> None:
    provider = Waiting()
    with running(GatewaySettings(drain_timeout_seconds=0.1)) as rig, hung_up(rig, provider.stream, ASKED, until=TEXT):
        event = rig.log.wait_for(1)[0]
        assert provider.left.wait(WAIT_SECONDS)
    assert (event["status"], event["usage_estimated"], event["output_tokens"]) == ("cancelled", True, 3)


def test_what_nobody_waits_for_takes_half_of_the_connections_at_most_and_the_oldest_gives_way() -> None:
    first, second = Waiting(), Waiting()
    with running(GatewaySettings(connections_max=2)) as rig, hung_up(rig, first.stream, ASKED, until=TEXT):
        wait_until_noticed(rig)
        with hung_up(rig, second.stream, ASKED, until=TEXT):
            assert first.left.wait(WAIT_SECONDS)
            rig.plays(Waiting().whole_at_once)
            assert rig.ask(CHAT, {"model": "m"}).status == 200
            second.go_on.set()
            events = rig.log.wait_for(3)
    told = [(event["status"], event["output_tokens"], event.get("usage_estimated", False)) for event in events]
    assert told == [("cancelled", 3, True), ("ok", 500, False), ("cancelled", 500, False)]


def test_draining_ends_at_its_bound_of_bytes() -> None:
    provider = Waiting()
    with running(GatewaySettings(drain_limit_bytes=10_000)) as rig, hung_up(rig, provider.endless, ASKED, until=TEXT):
        event = rig.log.wait_for(1)[0]
        assert provider.left.wait(WAIT_SECONDS)
    assert (event["status"], event["usage_estimated"]) == ("cancelled", True)


def test_cancel_drops_the_stream_and_estimates() -> None:
    provider = Waiting()
    with running(GatewaySettings(on_hangup="cancel")) as rig, hung_up(rig, provider.stream, ASKED, until=TEXT):
        assert provider.left.wait(WAIT_SECONDS)
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["usage_estimated"]) == ("cancelled", True)
    assert (event["input_tokens"], event["output_tokens"]) == (10, 3)


def test_cancel_before_any_answer_leaves_the_usage_unknown() -> None:
    provider = Waiting()
    with running(GatewaySettings(on_hangup="cancel")) as rig, hung_up(rig, provider.silent, ASKED):
        assert provider.left.wait(WAIT_SECONDS)
        event = rig.log.wait_for(1)[0]
        assert rig.gateway.open_calls == 0
    assert event["status"] == "cancelled"
    assert event.keys().isdisjoint({"http_status", "input_tokens", "output_tokens", "usage_estimated"})


def test_a_client_that_leaves_before_its_request_is_complete_made_no_call() -> None:
    with running() as rig:
        with rig.open(CHAT, raw=b"half", given={"content-length": "100"}):
            pass
        wait_until_noticed(rig)
        assert (rig.log.lines, rig.provider.seen) == ([], [])
        assert rig.gateway.failures == {"client_left_early": 1}


class NeverAnswers:
    """A provider at which every request waits."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def send(self, origin: Origin, request: Outgoing) -> Answer:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def aclose(self) -> None:
        pass


def test_a_call_that_is_under_way_when_the_gateway_stops_is_recorded_as_interrupted() -> None:
    log, clock, provider = MemoryLog(), SystemClock(), NeverAnswers()
    openai = Provider("openai", "openai", "http://up/v1", "sk")
    gateway = Gateway({"openai": openai}, None, Recorder(log, clock), None, clock, upstream=provider)

    async def stopped() -> None:
        bodies = [{"type": "http.request", "body": b'{"model":"m"}'}]

        async def receive() -> Message:
            return bodies.pop() if bodies else await asyncio.Future()

        async def send(_: Message) -> None:
            raise AssertionError("nothing was answered")

        scope = {"type": "http", "method": "POST", "raw_path": CHAT.encode(), "query_string": b"", "headers": []}
        call = asyncio.create_task(gateway({**scope}, receive, send))
        await provider.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(stopped())
    event = log.of(None)[0]
    assert (event["status"], event["error_type"]) == ("interrupted", "gateway_stopped")


# ── every kind of provider ───────────────────────────────────────────────────────────────────────────────────

ONE_OF_EACH = list({(case["name"], case["api"]): case for case in STREAMS if "error" not in case["expected"]}.values())


def halves(case: dict[str, Any], provider: Waiting) -> Play:
    """A recorded stream that stops in the middle until it is told to go on."""
    body, content_type = body_of(case), case["response"]["headers"]["content-type"]
    middle = len(body) // 2

    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", content_type), ("transfer-encoding", "chunked")])
        await stage.chunk(body[:middle])
        await provider.told(stage)
        if not stage.writer.is_closing():
            await stage.chunk(body[middle:])
            stage.end()

    return play


@pytest.mark.parametrize("policy", ["drain", "cancel"])
@pytest.mark.parametrize("case", ONE_OF_EACH, ids=case_id)
def test_a_hang_up_in_a_recorded_stream(case: dict[str, Any], policy: Literal["drain", "cancel"]) -> None:
    provider = Waiting()
    with running(GatewaySettings(on_hangup=policy), more_providers=all_providers) as rig:
        rig.plays(halves(case, provider))
        with rig.open(path_of(case), case["request"]["body"]) as connection:
            assert connection.recv(1)
            time.sleep(4 * WATCH_AFTER_SECONDS)
        if policy == "cancel":
            assert provider.left.wait(WAIT_SECONDS), "the provider is left"
        else:
            wait_until_noticed(rig)
            provider.go_on.set()
        (event,) = rig.log.wait_for(1)
        (begin,) = rig.log.of("begin")
    assert (event["event_id"], event["status"]) == (begin["event_id"], "cancelled")
    assert policy == "cancel" or differences([event], case) == []


def test_our_server_and_the_gateway_mean_the_same_extensions() -> None:
    assert HANGUP == HANGUP_OF_OUR_SERVER
    assert WHOLE == WHOLE_OF_OUR_SERVER
