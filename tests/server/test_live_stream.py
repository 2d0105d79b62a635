"""The live stream: a tick at once, then one when something is stored, the newest only, and an end."""

from __future__ import annotations

import asyncio
import json
from itertools import count

from taximeter.server.live import Live


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
