"""A call that has ended is gone at once: what it leaves to the garbage collector would stop other calls later."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from gateway_rig import PROVIDER_KEY, SSE_HEADERS, Play, Rig, Stage, running, stream, whole

from taximeter.gateway import GatewaySettings, Provider
from taximeter.gateway.garbage import CALLS_A_STEP

CHAT = "/openai/v1/chat/completions"
ASKED = {"model": "m", "messages": []}
ANSWER = b'{"id":"chatcmpl-1","model":"m-1","usage":{"prompt_tokens":1000,"completion_tokens":500}}'
TEXT = b'data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"twelve chars"}}]}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}}\n\n'
DONE = b"data: [DONE]\n\n"
CALLS = 5
OURS = ("taximeter.", "uvicorn.protocols.")


async def _broken(stage: Stage) -> None:
    stage.break_off()


async def _endless(stage: Stage) -> None:
    stage.head(200, SSE_HEADERS)
    while not stage.writer.is_closing():
        await stage.chunk(TEXT)


@contextmanager
def uncollected() -> Iterator[list[str]]:
    """The classes of ours that only the garbage collector could free, afterwards."""
    found: list[str] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += Counter(type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith(OURS))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _reads(rig: Rig) -> None:
    rig.ask(CHAT, ASKED)


def _finds_nobody(rig: Rig) -> None:
    rig.ask("/nobody/v1/chat/completions", ASKED)


def _streams(rig: Rig) -> None:
    rig.ask(CHAT, {**ASKED, "stream": True})


def _hangs_up(rig: Rig) -> None:
    with rig.open(CHAT, {**ASKED, "stream": True}) as connection:
        connection.recv(10)


@pytest.mark.parametrize(
    ("about", "play", "client"),
    [
        ("a whole answer", whole(ANSWER), _reads),
        ("an error", whole(b'{"error":{"type":"server_error"}}', 500), _reads),
        ("a stream to its end", stream([TEXT, USAGE, DONE]), _streams),
        ("a stream that its provider breaks off", stream([TEXT], cut=True), _streams),
        ("no answer at all", _broken, _reads),
        ("a provider that cannot be reached", _broken, _finds_nobody),
        ("a client that hangs up", _endless, _hangs_up),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_call_that_has_ended_leaves_no_garbage(about: str, play: Play, client: Callable[[Rig], None]) -> None:
    nobody = Provider("nobody", "openai", "http://127.0.0.1:1/v1", PROVIDER_KEY)
    with running(GatewaySettings(on_hangup="cancel"), more_providers=lambda _: [nobody]) as rig:
        rig.plays(play)
        client(rig)
        rig.log.wait_for(1)
        with uncollected() as classes:
            for _ in range(CALLS):
                client(rig)
            rig.log.wait_for(1 + CALLS)
        assert classes == []


@contextmanager
def looked() -> Iterator[list[int]]:
    """Up to which generations the collector looked, in answer to calls alone."""
    looks: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            looks.append(about["generation"])

    gc.collect()
    gc.disable()  # so that it does not begin by itself
    gc.callbacks.append(note)
    try:
        yield looks
    finally:
        gc.callbacks.remove(note)
        gc.enable()


def test_the_collector_looks_after_every_few_calls_that_go_on() -> None:
    with looked() as looks, running() as rig, ExitStack() as open_calls:
        rig.plays(_endless)
        for _ in range(2 * CALLS_A_STEP + 1):
            connection = open_calls.enter_context(rig.open(CHAT, {**ASKED, "stream": True}))
            assert connection.recv(10)
    assert looks == [1, 1]


def test_calls_that_have_ended_are_nothing_to_look_at() -> None:
    with looked() as looks, running() as rig:
        rig.plays(whole(ANSWER))
        for _ in range(3 * CALLS_A_STEP):
            _reads(rig)
        rig.log.wait_for(3 * CALLS_A_STEP)
    assert looks == []
