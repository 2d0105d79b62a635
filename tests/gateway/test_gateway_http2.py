"""HTTP/2 to providers: many calls share a connection, none holds up another, no paid answer is lost or asked twice."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import openai
import pytest
import uvloop
from gateway_rig import KEY, ScriptedProvider, Stage, running, whole
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import NeverIndexedHeaderTuple
from http2_rig import Http2Provider, Play, Scene, asked, served
from hypothesis import given
from hypothesis import strategies as st

from taximeter.gateway import Provider, http2_connection
from taximeter.gateway.http2 import AT_ONCE, MOST_GOODBYES, MOST_SHUT, Refusals
from taximeter.gateway.http2_connection import MOST_UNREAD_BYTES, Connection
from taximeter.gateway.http2_goodbyes import Goodbye, Goodbyes
from taximeter.gateway.upstream import Answer, Origin, Outgoing, UpstreamFailure, UpstreamSettings, read_to_end

GET = Outgoing(b"GET", b"/v1/models", [(b"accept", b"*/*")])
POST = Outgoing(b"POST", b"/v1/chat", [(b"content-type", b"application/json"), (b"x-api-key", b"sk-1")], b"{}")
SMALL = UpstreamSettings(buffer_bytes=65_536)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within_two_minutes() -> None:
        async with asyncio.timeout(120):
            await scenario()

    uvloop.run(within_two_minutes())


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.01)


async def body_of(answer: Answer) -> bytes:
    return (await read_to_end(answer)).body


def says(body: bytes, status: int = 200) -> Play:
    async def play(scene: Scene) -> None:
        await scene.heard.wait()
        scene.head(status, ("content-type", "application/json"))
        await scene.part(body, end=True)

    return play


async def echo(scene: Scene) -> None:
    await scene.heard.wait()
    scene.head(200)
    await scene.part(bytes(scene.request.body), end=True)


async def silent(scene: Scene) -> None:
    await scene.left.wait()


# ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_and_its_answer_arrive_as_they_were_sent() -> None:
    async def play(scene: Scene) -> None:
        await scene.heard.wait()
        scene.head(201, ("content-type", "text/event-stream"), ("x-request-id", "r-1"))
        await scene.part(b"data: 1\n\n")
        await scene.part(b"data: 2\n\n", end=True)

    async def scenario() -> None:
        provider = Http2Provider(play)
        async with asked(provider) as (client, origin):
            answer = await client.send(origin, POST)
            assert (answer.status, answer.framed) == (201, True)
            assert answer.headers == [(b"content-type", b"text/event-stream"), (b"x-request-id", b"r-1")]
            assert await body_of(answer) == b"data: 1\n\ndata: 2\n\n"
        (seen,) = provider.seen
        assert [(bytes(name), bytes(value)) for name, value in seen.headers] == [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":authority", origin.authority),
            (b":path", b"/v1/chat"),
            (b"content-type", b"application/json"),
            (b"x-api-key", b"sk-1"),
            (b"content-length", b"2"),
        ]
        assert seen.body == b"{}"

    run(scenario)


def test_nobody_on_the_way_may_remember_a_key() -> None:
    async def scenario() -> None:
        provider = Http2Provider(says(b"{}"))
        async with asked(provider) as (client, origin):
            await body_of(await client.send(origin, POST))
        kept_apart = {bytes(one[0]) for one in provider.seen[0].headers if isinstance(one, NeverIndexedHeaderTuple)}
        assert b"x-api-key" in kept_apart
        assert b"content-type" not in kept_apart

    run(scenario)


def test_each_piece_of_a_stream_is_handed_on_when_it_comes() -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()

        async def play(scene: Scene) -> None:
            scene.head(200)
            await scene.part(b"first")
            await go_on.wait()
            await scene.part(b"second", end=True)

        async with asked(Http2Provider(play)) as (client, origin):
            answer = await client.send(origin, POST)
            assert await answer.chunk() == b"first"
            assert not answer.ended()
            go_on.set()
            assert await body_of(answer) == b"second"
            assert answer.ended()

    run(scenario)


@pytest.mark.parametrize(
    ("request_", "status"), [(GET, 204), (replace(GET, method=b"HEAD"), 200), (replace(POST, body=b""), 200)]
)
def test_an_answer_may_be_a_head_alone(request_: Outgoing, status: int) -> None:
    async def play(scene: Scene) -> None:
        scene.head(status, ("content-length", "0"), end=True)

    async def scenario() -> None:
        async with asked(Http2Provider(play)) as (client, origin):
            answer = await client.send(origin, request_)
            assert (answer.status, await body_of(answer)) == (status, b"")

    run(scenario)


def test_a_large_body_and_a_large_answer_arrive_whole() -> None:
    async def scenario() -> None:
        body = bytes(range(256)) * 20_000
        async with asked(Http2Provider(echo), SMALL) as (client, origin):
            assert await body_of(await client.send(origin, replace(POST, body=body))) == body

    run(scenario)


def test_padding_alone_does_not_use_up_the_window() -> None:
    async def play(scene: Scene) -> None:
        http = scene.connection.http
        scene.head(200)
        for _ in range(2 * SMALL.buffer_bytes // 256):
            while http.local_flow_control_window(scene.number) < 256:
                scene.room.clear()
                await scene.room.wait()
            http.send_data(scene.number, b"", pad_length=255)
            scene.connection.flush()
        await scene.part(b"at last", end=True)

    async def scenario() -> None:
        async with asked(Http2Provider(play), replace(SMALL, idle_seconds=5.0)) as (client, origin):
            assert await body_of(await client.send(origin, POST)) == b"at last"

    run(scenario)


def test_hints_before_an_answer_and_trailers_behind_it_are_not_the_answer() -> None:
    async def play(scene: Scene) -> None:
        scene.head(103, ("link", "</a>"))
        scene.head(200, ("content-length", "4"))
        await scene.part(b"body")
        scene.trailer(("x-checksum", "1"))

    async def scenario() -> None:
        async with asked(Http2Provider(play)) as (client, origin):
            answer = await client.send(origin, POST)
            assert (answer.status, answer.headers) == (200, [(b"content-length", b"4")])
            assert await body_of(answer) == b"body"

    run(scenario)


async def only_a_head(scene: Scene) -> None:
    scene.head(200, ("content-length", "10"), end=True)


async def half_and_a_trailer(scene: Scene) -> None:
    scene.head(200, ("content-length", "10"))
    await scene.part(b"12345")
    scene.trailer(("x-checksum", "1"))


async def half(scene: Scene) -> None:
    scene.head(200, ("content-length", "10"))
    await scene.part(b"12345", end=True)


@pytest.mark.parametrize("play", [only_a_head, half_and_a_trailer, half])
def test_an_answer_that_is_shorter_than_it_says_was_cut(play: Play) -> None:
    async def scenario() -> None:
        async with asked(Http2Provider(play)) as (client, origin):
            with pytest.raises(UpstreamFailure):
                await body_of(await client.send(origin, POST))

    run(scenario)


@pytest.mark.parametrize(("request_", "status"), [(GET, 304), (replace(GET, method=b"HEAD"), 200)])
def test_an_answer_without_a_body_may_say_how_long_that_would_be(request_: Outgoing, status: int) -> None:
    async def play(scene: Scene) -> None:
        scene.head(status, ("content-length", "10"), end=True)

    async def scenario() -> None:
        async with asked(Http2Provider(play)) as (client, origin):
            answer = await client.send(origin, request_)
            assert (answer.status, await body_of(answer)) == (status, b"")

    run(scenario)


def test_a_request_that_was_sent_is_not_kept_while_its_answer_streams() -> None:
    async def scenario() -> None:
        body = bytes(100_000)
        known = sys.getrefcount(body)
        async with asked(Http2Provider(begins_when_heard)) as (client, origin):
            answer = await client.send(origin, replace(POST, body=body))
            assert sys.getrefcount(body) == known
            answer.close()

    run(scenario)


async def begins_when_heard(scene: Scene) -> None:
    await scene.heard.wait()
    scene.head(200)
    await scene.left.wait()


# ── many on one connection ───────────────────────────────────────────────────────────────────────────────────


def test_calls_at_once_share_a_connection_and_get_their_own_answers() -> None:
    async def scenario() -> None:
        provider = Http2Provider(echo)
        async with asked(provider) as (client, origin):

            async def call(number: int) -> bytes:
                return await body_of(await client.send(origin, replace(POST, body=b"%d" % number)))

            assert await asyncio.gather(*map(call, range(60))) == [b"%d" % number for number in range(60)]
            assert len(provider.connections) == 1
            assert await call(7) == b"7"
            assert client.open_connections(origin) == len(provider.connections) == 1

    run(scenario)


@pytest.mark.parametrize("connections_max", [1, 100])
def test_a_server_that_takes_few_at_once_is_given_no_more(connections_max: int) -> None:
    async def scenario() -> None:
        provider = Http2Provider(echo, says={SettingCodes.MAX_CONCURRENT_STREAMS: 3})
        async with asked(provider, UpstreamSettings(connections_max=connections_max)) as (client, origin):
            await body_of(await client.send(origin, POST))  # from then on it is known how many

            async def call(number: int) -> bytes:
                return await body_of(await client.send(origin, replace(POST, body=b"%d" % number)))

            assert await asyncio.gather(*map(call, range(30))) == [b"%d" % number for number in range(30)]
            assert len(provider.connections) <= connections_max

    run(scenario)


def test_who_waits_for_room_gets_it_before_those_who_come_later() -> None:
    async def scenario() -> None:
        provider = Http2Provider(echo, says={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        async with asked(provider, UpstreamSettings(connections_max=1)) as (client, origin):
            served: list[str] = []

            async def call(who: str) -> None:
                await body_of(await client.send(origin, POST))
                served.append(who)

            async def one_after_the_other() -> None:
                for _ in range(50):
                    await call("again")

            busy = asyncio.create_task(one_after_the_other())
            await until(lambda: len(served) >= 2)
            await call("once")
            await busy
            assert served.index("once") < 20

    run(scenario)


def test_a_server_that_lets_nobody_begin_is_not_flooded_with_connections() -> None:
    async def scenario() -> None:
        provider = Http2Provider(echo, says={SettingCodes.MAX_CONCURRENT_STREAMS: 0})
        async with asked(provider, UpstreamSettings(connect_seconds=0.5)) as (client, origin):
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, POST)
            assert failed.value.kind == "no_free_connection"
            assert len(provider.connections) == MOST_SHUT

    run(scenario)


def test_who_waits_while_a_server_lets_nobody_begin_goes_on_when_it_does() -> None:
    async def scenario() -> None:
        provider = Http2Provider(echo, says={SettingCodes.MAX_CONCURRENT_STREAMS: 0})
        async with asked(provider, UpstreamSettings(connections_max=1)) as (client, origin):
            call = asyncio.create_task(client.send(origin, POST))
            await until(lambda: provider.connections)
            connection = provider.connections[0]
            connection.http.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 5})
            connection.flush()
            assert await body_of(await call) == b"{}"

    run(scenario)


def test_who_finds_no_room_is_told_in_time() -> None:
    async def scenario() -> None:
        provider = Http2Provider(says(b"{}"), silent, says={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        settings = UpstreamSettings(connections_max=1, connect_seconds=0.5)
        async with asked(provider, settings) as (client, origin):
            await body_of(await client.send(origin, POST))
            first = asyncio.create_task(client.send(origin, POST))
            await until(lambda: len(provider.seen) == 2)
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, POST)
            assert failed.value.kind == "no_free_connection"
            first.cancel()

    run(scenario)


def test_who_does_not_read_holds_the_provider_up_and_nobody_else() -> None:
    async def scenario() -> None:
        sent = 0

        async def flood(scene: Scene) -> None:
            nonlocal sent
            scene.head(200)
            for _ in range(200):
                await scene.part(bytes(16_384))
                sent += 16_384
            await scene.part(b"", end=True)

        provider = Http2Provider(flood, says(b"quick"))
        async with asked(provider, SMALL) as (client, origin):
            slow = await client.send(origin, POST)
            for _ in range(50):
                assert await body_of(await client.send(origin, POST)) == b"quick"
            assert sent <= SMALL.buffer_bytes
            assert len(await body_of(slow)) == 200 * 16_384
            assert len(provider.connections) == 1

    run(scenario)


# ── given up ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cancelled_call_and_a_closed_answer_leave_the_connection_to_the_others() -> None:
    async def endless(scene: Scene) -> None:
        scene.head(200)
        while not scene.left.is_set():
            await scene.part(b"more")

    async def scenario() -> None:
        provider = Http2Provider(silent, endless, echo)
        async with asked(provider) as (client, origin):
            call = asyncio.create_task(client.send(origin, POST))
            await until(lambda: provider.seen)
            call.cancel()
            answer = await client.send(origin, POST)
            assert await answer.chunk()
            answer.close()
            answer.close()
            assert answer.ended()
            assert await body_of(await client.send(origin, POST)) == b"{}"
            await until(lambda: provider.left == [1, 3])
            assert len(provider.connections) == 1

    run(scenario)


async def begins(scene: Scene) -> None:
    scene.head(200)
    await scene.part(b"12345")
    await scene.left.wait()


@pytest.mark.parametrize(
    ("play", "settings", "kind"),
    [
        (silent, UpstreamSettings(first_byte_seconds=0.3), "first_byte_timeout"),
        (begins, UpstreamSettings(idle_seconds=0.3), "idle_timeout"),
    ],
)
def test_silence_ends_one_call_and_not_its_neighbours(play: Play, settings: UpstreamSettings, kind: str) -> None:
    async def scenario() -> None:
        provider = Http2Provider(play, echo)
        async with asked(provider, settings) as (client, origin):
            with pytest.raises(UpstreamFailure) as failed:
                await body_of(await client.send(origin, POST))
            assert failed.value.kind == kind
            assert await body_of(await client.send(origin, POST)) == b"{}"
            assert len(provider.connections) == 1

    run(scenario)


def test_idle_connections_are_given_up() -> None:
    async def scenario() -> None:
        provider = Http2Provider(echo)
        async with asked(provider, UpstreamSettings(keep_idle_seconds=0.05)) as (client, origin):
            await body_of(await client.send(origin, POST))
            await until(lambda: not client.open_connections(origin))
            await body_of(await client.send(origin, POST))
            assert len(provider.connections) == 2

    run(scenario)


def test_those_who_wait_when_all_is_closed_are_told() -> None:
    async def scenario() -> None:
        provider = Http2Provider(silent, says={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        request = replace(POST, repeatable=True)
        async with asked(provider, UpstreamSettings(connections_max=1)) as (client, origin):
            calls = [asyncio.create_task(client.send(origin, request)) for _ in range(3)]
            await until(lambda: provider.seen)
            await client.aclose()
            failures = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(failure) for failure in failures] == [UpstreamFailure] * 3
            assert len(provider.connections) == 1

    run(scenario)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_who_has_called_a_server_that_hears_nothing_any_more_is_told_when_all_is_closed(
    certificate: tuple[Path, Path],
) -> None:
    async def deaf(scene: Scene) -> None:
        scene.connection.transport.pause_reading()

    async def scenario() -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate[1], certificate[0])
        tls.set_alpn_protocols(["h2"])
        provider = Http2Provider(deaf)
        async with asked(provider, tls=tls, ca_file=str(certificate[1])) as (client, origin):
            call = asyncio.create_task(client.send(origin, POST))
            await until(lambda: provider.seen)
            await client.aclose()
            done, _ = await asyncio.wait([call], timeout=5)
            assert done
            with pytest.raises(UpstreamFailure):
                await call

    run(scenario)


def test_who_waits_for_a_connection_when_all_is_closed_is_told() -> None:
    async def scenario() -> None:
        async with asked(Http2Provider(echo)) as (client, origin):
            call = asyncio.create_task(client.send(origin, POST))
            await asyncio.sleep(0)
            await client.aclose()
            with pytest.raises(UpstreamFailure):
                await call

    run(scenario)


def test_one_who_leaves_while_all_wait_for_the_same_connection_takes_nobody_along() -> None:
    async def scenario() -> None:
        provider = Http2Provider(echo)
        async with asked(provider) as (client, origin):
            calls = [asyncio.create_task(client.send(origin, POST)) for _ in range(3)]
            await asyncio.sleep(0)
            calls[0].cancel()
            assert [await body_of(await call) for call in calls[1:]] == [b"{}", b"{}"]
            assert (len(provider.connections), len(provider.seen)) == (1, 2)

    run(scenario)


# ── what providers do wrong, or at their leave ───────────────────────────────────────────────────────────────


def test_what_came_before_a_break_is_handed_over_first() -> None:
    async def play(scene: Scene) -> None:
        scene.head(200)
        await scene.part(b"12345")
        scene.reset(ErrorCodes.INTERNAL_ERROR)

    async def scenario() -> None:
        provider = Http2Provider(echo, play)
        async with asked(provider) as (client, origin):
            await body_of(await client.send(origin, POST))
            answer = await client.send(origin, replace(POST, repeatable=True))
            assert await answer.chunk() == b"12345"
            for _ in range(2):
                with pytest.raises(UpstreamFailure) as failed:
                    await answer.chunk()
                assert failed.value.kind == "closed_early"
            assert "INTERNAL_ERROR" in failed.value.message
            assert len(provider.seen) == 2

    run(scenario)


def test_an_answer_that_was_begun_goes_on_after_the_servers_goodbye() -> None:
    async def scenario() -> None:
        async def play(scene: Scene) -> None:
            scene.head(200)
            await scene.part(b"before, ")
            scene.connection.goodbye(scene.number)
            await scene.part(b"and after", end=True)

        provider = Http2Provider(play, echo)
        async with asked(provider) as (client, origin):
            answer = await client.send(origin, POST)
            assert await answer.chunk() == b"before, "
            assert await body_of(await client.send(origin, POST)) == b"{}"
            assert await body_of(answer) == b"and after"
            assert len(provider.connections) == 2
            await until(lambda: client.open_connections(origin) == 1)

    run(scenario)


async def refuses(scene: Scene) -> None:
    scene.reset(ErrorCodes.REFUSED_STREAM)


async def leaves_unheard(scene: Scene) -> None:
    scene.connection.goodbye(0, ErrorCodes.ENHANCE_YOUR_CALM)


@pytest.mark.parametrize("play", [refuses, leaves_unheard])
def test_what_the_server_says_it_has_not_looked_at_is_sent_again(play: Play) -> None:
    async def scenario() -> None:
        provider = Http2Provider(play, echo)
        async with asked(provider) as (client, origin):
            assert await body_of(await client.send(origin, POST)) == b"{}"
            assert len(provider.seen) == 2

    run(scenario)


def test_calls_at_once_outlast_a_server_that_says_goodbye_after_every_second() -> None:
    async def two_then_goodbye(scene: Scene) -> None:
        if scene.number > 3:
            return
        answered = 2 * (len(provider.connections) - 1)
        await until(lambda: len(scene.connection.scenes) == 12 - answered)
        if scene.number == 3:
            scene.connection.goodbye(scene.number)
        await echo(scene)

    provider = Http2Provider(two_then_goodbye)

    async def scenario() -> None:
        async with asked(provider) as (client, origin):

            async def call(number: int) -> bytes:
                return await body_of(await client.send(origin, replace(POST, body=b"%d" % number)))

            assert await asyncio.gather(*map(call, range(12))) == [b"%d" % number for number in range(12)]
            assert len(provider.connections) == 6

    run(scenario)


def test_a_server_that_says_goodbye_to_all_is_left_in_the_end() -> None:
    async def scenario() -> None:
        provider = Http2Provider(goodbye_at_once)
        async with asked(provider) as (client, origin):
            with pytest.raises(UpstreamFailure):
                await client.send(origin, POST)
            assert len(provider.seen) == MOST_GOODBYES

    run(scenario)


async def goodbye_at_once(scene: Scene) -> None:
    scene.connection.goodbye(0)


def test_who_is_refused_for_too_long_is_told() -> None:
    async def scenario() -> None:
        provider = Http2Provider(refuses)
        async with asked(provider, UpstreamSettings(connect_seconds=0.2)) as (client, origin):
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, POST)
            assert failed.value.kind == "closed_early"
            assert len(provider.seen) > AT_ONCE + 1

    run(scenario)


def test_a_refused_call_pauses_longer_each_time_and_not_for_ever() -> None:
    refusals, now, pauses = Refusals(10.0), 100.0, list[float]()
    while (pause := refusals.pause(now)) is not None:
        pauses.append(pause)
        now += pause
    assert pauses[:8] == [0.0, 0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
    assert max(pauses) == 1.0
    assert 9.0 < now - 100.0 <= 10.0


def test_calls_at_once_outlast_a_server_that_refuses_what_is_more_than_it_says() -> None:
    async def two_at_once(scene: Scene) -> None:
        if sum(not one.left.is_set() for one in scene.connection.scenes.values()) > 2:
            scene.left.set()
            await refuses(scene)
            return
        await scene.heard.wait()
        await asyncio.sleep(0.01)
        await echo(scene)
        scene.left.set()

    provider = Http2Provider(two_at_once)

    async def scenario() -> None:
        async with asked(provider, UpstreamSettings(connections_max=2)) as (client, origin):

            async def call(number: int) -> bytes:
                return await body_of(await client.send(origin, replace(POST, body=b"%d" % number)))

            assert await asyncio.gather(*map(call, range(40))) == [b"%d" % number for number in range(40)]
            assert len(provider.connections) == 2

    run(scenario)


async def hangs_up(scene: Scene) -> None:
    scene.connection.transport.abort()


async def resets(scene: Scene) -> None:
    scene.reset(ErrorCodes.INTERNAL_ERROR)


@pytest.mark.parametrize(
    ("used", "play", "repeatable", "repeated"),
    [
        (True, hangs_up, True, True),
        (True, hangs_up, False, False),
        (True, resets, True, False),
        (False, hangs_up, True, False),
    ],
)
def test_a_request_is_repeated_only_on_a_used_connection_that_closed_and_if_it_may_be(
    used: bool, play: Play, repeatable: bool, repeated: bool
) -> None:
    async def scenario() -> None:
        provider = Http2Provider(*([echo] if used else []), play, echo)
        async with asked(provider) as (client, origin):
            if used:
                await body_of(await client.send(origin, POST))
            request = replace(POST, repeatable=repeatable)
            if repeated:
                assert await body_of(await client.send(origin, request)) == b"{}"
            else:
                with pytest.raises(UpstreamFailure) as failed:
                    await client.send(origin, request)
                assert failed.value.kind == "closed_early"
            assert len(provider.seen) == used + 1 + repeated

    run(scenario)


@pytest.mark.parametrize("http2", [True, False])
def test_a_request_that_was_lost_and_cannot_be_repeated_may_have_been_heard(http2: bool) -> None:
    async def last_words(scene: Scene) -> None:
        provider.accepts_no_more()
        scene.connection.transport.abort()

    async def last_words_in_the_older_one(stage: Stage) -> None:
        provider.accepts_no_more()
        stage.break_off()

    async def scenario() -> None:
        async with asked(provider, older=older) as (client, origin):
            origin = replace(origin, http2=http2)
            await body_of(await client.send(origin, POST))
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, replace(POST, repeatable=True))
            assert failed.value.kind == "closed_early"
        await older.close()

    provider, older = Http2Provider(echo, last_words), ScriptedProvider()
    older.plays = [whole(b"{}"), last_words_in_the_older_one]
    run(scenario)


def test_who_answers_before_it_has_heard_all_is_sent_no_more() -> None:
    async def too_large(scene: Scene) -> None:
        scene.head(413, end=False)
        await scene.part(b"too large", end=True)

    async def scenario() -> None:
        provider = Http2Provider(too_large, hears=False)
        async with asked(provider) as (client, origin):
            answer = await client.send(origin, replace(POST, body=bytes(1 << 20)))
            assert (answer.status, await body_of(answer)) == (413, b"too large")
            assert len(provider.seen[0].body) < 1 << 20
            await until(lambda: provider.left == [1])

    run(scenario)


def test_who_has_answered_cannot_say_any_more_that_it_has_not_looked() -> None:
    async def scenario() -> None:
        for code in (ErrorCodes.REFUSED_STREAM, ErrorCodes.HTTP_1_1_REQUIRED):

            async def play(scene: Scene, code: ErrorCodes = code) -> None:
                scene.head(200)
                await scene.part(b"12345")
                scene.reset(code)

            provider = Http2Provider(play)
            async with asked(provider) as (client, origin):
                with pytest.raises(UpstreamFailure) as failed:
                    await body_of(await client.send(origin, POST))
                assert failed.value.kind == "closed_early"
                assert len(provider.seen) == 1

    run(scenario)


@pytest.mark.parametrize(
    "header",
    [("connection", "close"), ("Upper", "1"), ("x-a", "b\r\nset-cookie: c"), ("x-a", "\0"), ("a b", "1"), ("", "1")],
)
def test_a_malformed_answer_ends_alone(header: tuple[str, str]) -> None:
    go_on = asyncio.Event()

    async def well(scene: Scene) -> None:
        scene.head(200)
        await scene.part(b"before, ")
        await go_on.wait()
        await scene.part(b"and after", end=True)

    async def malformed(scene: Scene) -> None:
        scene.head(200, header)
        await scene.left.wait()

    async def scenario() -> None:
        provider = Http2Provider(well, malformed)
        async with asked(provider) as (client, origin):
            neighbour = await client.send(origin, POST)
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, POST)
            assert failed.value.kind == "protocol_error"
            go_on.set()
            assert await body_of(neighbour) == b"before, and after"
            assert (len(provider.connections), len(provider.seen)) == (1, 2)

    run(scenario)


def test_what_came_whole_before_nonsense_counts() -> None:
    async def play(scene: Scene) -> None:
        http = scene.connection.http
        http.send_headers(scene.number, [(":status", "200")])
        http.send_data(scene.number, b"whole", end_stream=True)
        nonsense = frame(4, b"x")
        scene.connection.transport.write(http.data_to_send() + nonsense)

    async def scenario() -> None:
        async with asked(Http2Provider(play)) as (client, origin):
            assert await body_of(await client.send(origin, POST)) == b"whole"

    run(scenario)


async def talks_nonsense(scene: Scene) -> None:
    scene.connection.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" * 10_000)


async def huge_head(scene: Scene) -> None:
    scene.head(200, *[(f"x-{number}", "a" * 200) for number in range(200)], end=True)


async def odd_status(scene: Scene) -> None:
    scene.head(999, end=True)


@pytest.mark.parametrize("play", [talks_nonsense, huge_head, odd_status])
def test_an_answer_that_is_none(play: Play) -> None:
    async def scenario() -> None:
        async with asked(Http2Provider(play), UpstreamSettings(head_bytes_max=4_096)) as (client, origin):
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, POST)
            assert failed.value.kind == "protocol_error"

    run(scenario)


def test_a_request_that_fits_into_no_frame_is_an_error_and_harms_nobody() -> None:
    async def scenario() -> None:
        async with asked(Http2Provider(echo)) as (client, origin):
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, replace(POST, headers=[(b"te", b"gzip")]))
            assert failed.value.kind == "protocol_error"
            assert await body_of(await client.send(origin, POST)) == b"{}"

    run(scenario)


# ── who does not speak it ────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_wants_the_older_protocol_is_asked_in_that_from_then_on() -> None:
    async def play(scene: Scene) -> None:
        scene.reset(ErrorCodes.HTTP_1_1_REQUIRED)

    async def scenario() -> None:
        provider, older = Http2Provider(play), ScriptedProvider()
        older.plays = [whole(b"in the older one")]
        async with asked(provider, older=older) as (client, origin):
            for _ in range(2):
                assert await body_of(await client.send(origin, POST)) == b"in the older one"
            assert (len(provider.seen), len(older.seen)) == (1, 2)
        await older.close()

    run(scenario)


def test_nobody_is_asked_in_it_who_is_not_set_to_it() -> None:
    async def scenario() -> None:
        provider, older = Http2Provider(echo), ScriptedProvider()
        older.plays = [whole(b"in the older one")]
        async with asked(provider, older=older) as (client, origin):
            assert await body_of(await client.send(replace(origin, http2=False), POST)) == b"in the older one"
        await older.close()

    run(scenario)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
@pytest.mark.parametrize(("offered", "in_http2"), [(["h2", "http/1.1"], 2), (["http/1.1"], 0), ([], 0)])
def test_with_tls_the_server_chooses(certificate: tuple[Path, Path], offered: list[str], in_http2: int) -> None:
    async def scenario() -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate[1], certificate[0])
        if offered:
            tls.set_alpn_protocols(offered)
        provider, older = Http2Provider(says(b"an answer")), ScriptedProvider()
        older.plays = [whole(b"an answer")]
        async with asked(provider, tls=tls, ca_file=str(certificate[1]), older=older) as (client, origin):
            for _ in range(2):
                assert await body_of(await client.send(origin, POST)) == b"an answer"
        assert (len(provider.seen), len(older.seen)) == (in_http2, 2 - in_http2)
        await older.close()

    run(scenario)


def test_a_client_of_the_gateway_sees_no_difference_and_its_call_is_counted() -> None:
    answer = b'{"id":"c-1","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":5}}'
    chunks = [b'data: {"id":"c-2","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'] * 20
    chunks.append(b'data: {"id":"c-2","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
    usage = b'data: {"id":"c-2","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":20}}\n\n'

    async def streams(scene: Scene) -> None:
        scene.head(200, ("content-type", "text/event-stream"))
        for chunk in (*chunks, usage):
            await scene.part(chunk)
        await scene.part(b"data: [DONE]\n\n", end=True)

    provider = Http2Provider(says(answer), streams)
    with served(provider) as port:
        in_http2 = Provider("other", "openai", f"http://127.0.0.1:{port}/v1", "sk-1", http2=True)
        with running(more_providers=lambda _: [in_http2]) as rig:
            with openai.OpenAI(base_url=f"{rig.url}/other/v1", api_key=KEY, max_retries=0) as client:
                whole_one = client.chat.completions.create(model="gpt-4o", messages=[])
                pieces = list(client.chat.completions.create(model="gpt-4o", messages=[], stream=True))
            events = rig.log.wait_for(2)
    assert (whole_one.id, len(pieces)) == ("c-1", len(chunks))
    assert [(one["input_tokens"], one["output_tokens"], one["status"]) for one in events] == [
        (12, 5, "ok"),
        (7, 20, "ok"),
    ]
    assert len(provider.connections) == 1
    assert provider.seen[0].header(b"authorization") == b"Bearer sk-1"


def test_nobody_there() -> None:
    async def scenario() -> None:
        async with asked(Http2Provider(echo)) as (client, origin):
            nobody = replace(origin, port=1)
            failures = await asyncio.gather(*(client.send(nobody, POST) for _ in range(5)), return_exceptions=True)
            assert [getattr(failure, "kind", failure) for failure in failures] == ["connect_failed"] * 5

    run(scenario)


# ── goodbyes ─────────────────────────────────────────────────────────────────────────────────────────────────


def frame(kind: int, body: bytes, number: int = 1) -> bytes:
    return len(body).to_bytes(3) + bytes([kind]) + b"\0" + number.to_bytes(4) + body


FRAMES = st.lists(
    st.one_of(
        st.builds(lambda kind, body: (frame(kind, body), None), st.sampled_from([0, 1, 3, 4, 6, 8]), st.binary()),
        st.builds(
            lambda last, code, more: (frame(7, last.to_bytes(4) + code.to_bytes(4) + more), (last & 0x7FFFFFFF, code)),
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**32 - 1),
            st.binary(max_size=20),
        ),
    )
)


@given(FRAMES, st.integers(1, 40))
def test_goodbyes_are_taken_out_however_the_bytes_are_cut(
    frames: list[tuple[bytes, tuple[int, int] | None]], size: int
) -> None:
    wire = b"".join(data for data, _ in frames)
    goodbyes, passed, found = Goodbyes(), b"", list[tuple[int, int]]()
    for start in range(0, len(wire), size):
        for one in goodbyes.apart(wire[start : start + size]):
            if isinstance(one, Goodbye):
                found.append(one)
            else:
                passed += one
    assert passed == b"".join(data for data, goodbye in frames if goodbye is None)
    assert found == [goodbye for _, goodbye in frames if goodbye is not None]


class Deaf(asyncio.Transport):
    """Keeps how many bytes were written, and sends none of them."""

    def __init__(self, unconnected: socket.socket) -> None:
        super().__init__({"socket": unconnected})
        self.closed = False
        self.written_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written_bytes += len(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed


@pytest.mark.parametrize("asks", [frame(6, bytes(8), 0), frame(4, b"\0\x05\0\0\x40\0", 0)], ids=["pings", "settings"])
@pytest.mark.parametrize("reads", [True, False])
def test_a_server_that_asks_without_end_and_does_not_read_is_left(
    asks: bytes, reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2_connection, "MOST_UNREAD_BYTES", 5_000)

    async def scenario() -> None:
        transport = Deaf(unconnected)
        connection = Connection(Origin("http", "h", 80), UpstreamSettings(), lambda _: None)
        connection.connection_made(transport)
        call = asyncio.ensure_future(connection.exchange(POST))
        await asyncio.sleep(0)
        connection.data_received(frame(4, b"", 0))
        for _ in range(12):
            connection.pause_writing()
            connection.data_received(asks * 100)
            if reads:
                connection.resume_writing()
        assert connection.open is reads
        assert reads or transport.written_bytes < 10_000
        call.cancel() if reads else connection.connection_lost(None)
        with pytest.raises(asyncio.CancelledError if reads else UpstreamFailure):
            await call

    with socket.socket() as unconnected:
        asyncio.run(scenario())


def test_a_body_that_a_server_reads_slowly_is_no_reason_to_leave_it() -> None:
    async def scenario() -> None:
        transport = Deaf(unconnected)
        connection = Connection(Origin("http", "h", 80), UpstreamSettings(), lambda _: None)
        connection.connection_made(transport)
        connection.data_received(frame(4, b"", 0))
        call = asyncio.ensure_future(connection.exchange(replace(POST, body=bytes(4 * MOST_UNREAD_BYTES))))
        await asyncio.sleep(0)
        connection.pause_writing()
        for number in (0, 1):
            connection.data_received(frame(8, (2**30).to_bytes(4), number))
        assert transport.written_bytes > 4 * MOST_UNREAD_BYTES
        assert connection.open
        call.cancel()

    with socket.socket() as unconnected:
        asyncio.run(scenario())


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_whatever_a_server_sends_is_an_answer_or_a_failure(pieces: list[bytes]) -> None:
    async def scenario() -> None:
        connection = Connection(Origin("http", "h", 80), UpstreamSettings(), lambda _: None)
        connection.connection_made(Deaf(unconnected))
        call = asyncio.ensure_future(connection.exchange(POST))
        await asyncio.sleep(0)
        for piece in pieces:
            connection.data_received(piece)
        connection.connection_lost(None)
        with pytest.raises(UpstreamFailure):
            await call

    with socket.socket() as unconnected:
        asyncio.run(scenario())
