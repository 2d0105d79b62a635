"""The HTTP/1.1 client: connections are kept, bounded, given up, and a request is repeated only when that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from gateway_rig import Play, ScriptedProvider, Stage, stream, whole

from taximeter.gateway.http1 import Http1
from taximeter.gateway.upstream import Answer, Origin, Outgoing, UpstreamFailure, UpstreamSettings

GET = Outgoing(b"GET", b"/v1/models", [(b"accept", b"*/*")])
POST = Outgoing(b"POST", b"/v1/chat", [], b"{}")
SOON_SILENT = UpstreamSettings(idle_seconds=0.5)


@asynccontextmanager
async def provider(
    *plays: Play, settings: UpstreamSettings | None = None
) -> AsyncIterator[tuple[Http1, Origin, ScriptedProvider]]:
    scripted = ScriptedProvider()
    scripted.plays = list(plays)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    client = Http1(settings)
    try:
        yield client, Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1]), scripted
    finally:
        await client.aclose()
        await scripted.close()
        server.close()


async def read(answer: Answer) -> bytes:
    body = b""
    while not answer.ended():
        body += await answer.chunk()
    return body


def test_a_connection_is_used_again() -> None:
    async def scenario() -> None:
        async with provider(whole(b"one"), stream([b"two", b"three"]), whole(b"")) as (client, origin, scripted):
            assert await read(await client.send(origin, GET)) == b"one"
            assert await read(await client.send(origin, POST)) == b"twothree"
            assert await read(await client.send(origin, GET)) == b""
            assert scripted.connections == 1
            assert [request.method for request in scripted.seen] == ["GET", "POST", "GET"]
            assert scripted.seen[1].body == b"{}"

    asyncio.run(scenario())


def test_calls_at_once_have_a_connection_each() -> None:
    async def scenario() -> None:
        async with provider(whole(b"x")) as (client, origin, scripted):
            answers = await asyncio.gather(*(client.send(origin, GET) for _ in range(5)))
            assert [await read(answer) for answer in answers] == [b"x"] * 5
            assert scripted.connections == 5

    asyncio.run(scenario())


def test_a_bounded_pool_hands_its_connections_on() -> None:
    async def scenario() -> None:
        settings = UpstreamSettings(connections_max=2)
        async with provider(whole(b"x"), settings=settings) as (client, origin, scripted):

            async def call() -> bytes:
                return await read(await client.send(origin, GET))

            assert await asyncio.gather(*(call() for _ in range(20))) == [b"x"] * 20
            assert scripted.connections <= 2

    asyncio.run(scenario())


async def silent(stage: Stage) -> None:
    await stage.until_gone()


def test_a_full_pool_says_so_in_time() -> None:
    async def scenario() -> None:
        settings = UpstreamSettings(connections_max=1, connect_seconds=0.5)
        async with provider(silent, settings=settings) as (client, origin, scripted):
            first = asyncio.create_task(client.send(origin, GET))
            await _until(lambda: bool(scripted.seen))
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, GET)
            assert failed.value.kind == "no_free_connection"
            first.cancel()
            await asyncio.wait([first])

    asyncio.run(scenario())


async def answer_and_close_later(stage: Stage) -> None:
    """Answers, and closes when the next request comes."""
    await whole(b"first")(stage)
    await stage.writer.drain()
    await stage.reader.read(1)
    stage.break_off()


@pytest.mark.parametrize(
    ("request_", "repeated"),
    [(replace(GET, repeatable=True), True), (replace(POST, repeatable=True), True), (POST, False)],
)
def test_a_request_on_a_connection_that_just_closed_is_repeated_only_if_it_may_be(
    request_: Outgoing, repeated: bool
) -> None:
    async def scenario() -> None:
        async with provider(answer_and_close_later, whole(b"second")) as (client, origin, _):
            assert await read(await client.send(origin, GET)) == b"first"
            if repeated:
                assert await read(await client.send(origin, request_)) == b"second"
            else:
                with pytest.raises(UpstreamFailure) as failed:
                    await client.send(origin, request_)
                assert failed.value.kind == "closed_early"

    asyncio.run(scenario())


async def hang_up(stage: Stage) -> None:
    stage.break_off()


def test_a_request_on_a_new_connection_is_never_repeated() -> None:
    async def scenario() -> None:
        async with provider(hang_up, whole(b"second")) as (client, origin, scripted):
            with pytest.raises(UpstreamFailure):
                await client.send(origin, replace(GET, repeatable=True))
            assert len(scripted.seen) == 1

    asyncio.run(scenario())


async def begin_and_break(stage: Stage) -> None:
    stage.head(200, [("content-length", "10")])
    stage.writer.write(b"12345")
    await stage.writer.drain()
    stage.break_off()


async def begin_and_stall(stage: Stage) -> None:
    stage.head(200, [("content-length", "10")])
    stage.writer.write(b"12345")
    await stage.until_gone()


@pytest.mark.parametrize(("play", "kind"), [(begin_and_break, "closed_early"), (begin_and_stall, "idle_timeout")])
def test_what_came_before_a_break_is_handed_over_first(play: Play, kind: str) -> None:
    async def scenario() -> None:
        async with provider(play, settings=SOON_SILENT) as (client, origin, _):
            answer = await client.send(origin, GET)
            assert await answer.chunk() == b"12345"
            with pytest.raises(UpstreamFailure) as failed:
                await answer.chunk()
            assert failed.value.kind == kind

    asyncio.run(scenario())


async def until_closed(stage: Stage) -> None:
    stage.writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it")
    await stage.writer.drain()
    stage.writer.close()


async def interim(stage: Stage) -> None:
    stage.writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    await whole(b"final")(stage)


async def no_content(stage: Stage) -> None:
    stage.writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def with_trailers(stage: Stage) -> None:
    stage.head(200, [("transfer-encoding", "chunked")])
    stage.writer.write(b"4\r\nbody\r\n0\r\nx-checksum: 1\r\n\r\n")


@pytest.mark.parametrize(
    ("play", "body", "framed"),
    [
        (until_closed, b"all of it", False),
        (interim, b"final", True),
        (no_content, b"", False),
        (with_trailers, b"body", True),
    ],
)
def test_every_way_to_frame_a_body(play: Play, body: bytes, framed: bool) -> None:
    async def scenario() -> None:
        async with provider(play, whole(b"next")) as (client, origin, _):
            answer = await client.send(origin, GET)
            assert (await read(answer), answer.framed) == (body, framed)
            assert all(name not in (b"link", b"x-checksum") for name, _ in answer.headers)
            assert await read(await client.send(origin, GET)) == b"next"

    asyncio.run(scenario())


async def huge_head(stage: Stage) -> None:
    stage.writer.write(b"HTTP/1.1 200 OK\r\n" + b"x-padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 200)
    await stage.until_gone()


def test_a_head_has_a_bound() -> None:
    async def scenario() -> None:
        async with provider(huge_head, settings=UpstreamSettings(head_bytes_max=4096)) as (client, origin, _):
            with pytest.raises(UpstreamFailure) as failed:
                await client.send(origin, GET)
            assert failed.value.kind == "protocol_error"

    asyncio.run(scenario())


def test_a_slow_reader_slows_the_provider_down() -> None:
    async def scenario() -> None:
        async def flood(stage: Stage) -> None:
            stage.head(200, [("content-length", str(64 << 20))])
            for _ in range(64):
                stage.writer.write(bytes(1 << 20))
                await stage.writer.drain()

        async with provider(flood, settings=UpstreamSettings(buffer_bytes=1 << 20)) as (client, origin, _):
            answer = await client.send(origin, GET)
            largest, total = 0, 0
            while not answer.ended():
                for _ in range(20):
                    await asyncio.sleep(0)
                chunk = await answer.chunk()
                largest, total = max(largest, len(chunk)), total + len(chunk)
            assert total == 64 << 20
            assert largest < 4 << 20

    asyncio.run(scenario())


def test_a_cancelled_call_closes_its_connection() -> None:
    async def scenario() -> None:
        left = asyncio.Event()

        async def stalled(stage: Stage) -> None:
            await stage.until_gone()
            left.set()

        async with provider(stalled) as (client, origin, scripted):
            call = asyncio.create_task(client.send(origin, GET))
            await _until(lambda: bool(scripted.seen))
            call.cancel()
            await asyncio.wait_for(left.wait(), 100)
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(scenario())


def test_closing_an_answer_twice_or_after_its_end_harms_nobody() -> None:
    async def scenario() -> None:
        async with provider(whole(b"x")) as (client, origin, scripted):
            finished = await client.send(origin, GET)
            assert await read(finished) == b"x"
            running = await client.send(origin, GET)
            finished.close()
            assert await read(running) == b"x"
            assert await finished.chunk() == b""
            assert scripted.connections == 1

    asyncio.run(scenario())


def test_idle_connections_are_given_up() -> None:
    async def scenario() -> None:
        async with provider(whole(b"x"), settings=UpstreamSettings(keep_idle_seconds=0.05)) as (
            client,
            origin,
            scripted,
        ):
            await read(await client.send(origin, GET))
            await _until(lambda: not client.open_connections(origin))
            await read(await client.send(origin, GET))
            assert scripted.connections == 2

    asyncio.run(scenario())


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


def test_a_large_body_arrives_whole() -> None:
    async def scenario() -> None:
        body = bytes(range(256)) * 20_000
        async with provider(whole(b"x")) as (client, origin, scripted):
            await read(await client.send(origin, replace(POST, body=body)))
            assert scripted.seen[0].body == body

    asyncio.run(scenario())
