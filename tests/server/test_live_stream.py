"""The live stream: a tick at once, then one when something is stored, the newest only, and an end."""

from __future__ import annotations

import asyncio
import json
from itertools import count

import pytest

from taximeter.errors import QueryStoppedError
from taximeter.server import live as live_module
from taximeter.server.live import Live, bare


def data_of(text: str) -> object:
    return json.loads(text.split("data: ", 1)[1])


def test_watchers_get_a_tick_at_once_and_another_when_something_was_stored() -> None:
    async def check() -> None:
        numbers = count(1)
        live = Live(lambda: {"n": next(numbers)})
        live.start()
        stream = live.watch()
        assert data_of(await anext(stream)) == {"n": 1}
        await asyncio.to_thread(live.stored)
        assert data_of(await anext(stream)) == {"n": 2}
        await live.stop()
        assert [text async for text in stream] == []

    asyncio.run(check())


def test_many_commits_in_a_row_are_one_look() -> None:
    async def check() -> None:
        numbers = count(1)
        live = Live(lambda: {"n": next(numbers)})
        live.start()
        stream = live.watch()
        await anext(stream)
        for _ in range(100):
            live.stored()
        assert data_of(await anext(stream)) == {"n": 2}
        await live.stop()
        assert next(numbers) == 3

    asyncio.run(check())


def test_watchers_share_a_look_until_something_was_stored() -> None:
    async def check() -> None:
        numbers = count(1)
        live = Live(lambda: {"n": next(numbers)})
        live.start()
        first = [live.watch() for _ in range(20)]
        assert [data_of(text) for text in await asyncio.gather(*map(anext, first))] == [{"n": 1}] * 20
        await asyncio.to_thread(live.stored)
        assert [data_of(text) for text in await asyncio.gather(*map(anext, first))] == [{"n": 2}] * 20
        late = live.watch()
        assert data_of(await anext(late)) == {"n": 2}
        await live.stop()

    asyncio.run(check())


def test_who_comes_after_a_quiet_time_sees_what_was_stored_in_it() -> None:
    async def check() -> None:
        numbers = count(1)
        live = Live(lambda: {"n": next(numbers)})
        live.start()
        assert data_of(await anext(live.watch())) == {"n": 1}
        await asyncio.to_thread(live.stored)
        await asyncio.sleep(0)
        assert data_of(await anext(live.watch())) == {"n": 2}
        await live.stop()

    asyncio.run(check())


def test_a_store_that_does_not_answer_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SHORTEST_PAUSE_SECONDS", 0)
    answers = iter([{"n": 1}, None, {"n": 3}])

    async def check() -> None:
        refused, loop = asyncio.Event(), asyncio.get_running_loop()

        def look() -> dict[str, int]:
            answer = next(answers)
            if answer is None:
                loop.call_soon_threadsafe(refused.set)
                raise QueryStoppedError("it took too long")
            return answer

        live = Live(look)
        live.start()
        stream = live.watch()
        await anext(stream)
        live.stored()
        await refused.wait()
        live.stored()
        assert data_of(await anext(stream)) == {"n": 3}
        await live.stop()

    asyncio.run(check())


def test_a_bare_stream_tells_that_there_is_news_and_not_what() -> None:
    async def check() -> None:
        numbers = count(1)
        live = Live(lambda: {"n": next(numbers)})
        live.start()
        stream = bare(live.watch())
        assert await anext(stream) == "event: tick\ndata: {}\n\n"
        live.stored()
        assert data_of(await anext(stream)) == {}
        await live.stop()
        assert [text async for text in stream] == []

    asyncio.run(check())


def test_nobody_looks_when_nobody_watches() -> None:
    async def check() -> None:
        numbers = count(1)
        live = Live(lambda: {"n": next(numbers)})
        live.start()
        live.stored()
        await asyncio.sleep(0)
        await live.stop()
        assert next(numbers) == 1

    asyncio.run(check())
