"""Attributes follow the code they are said for, and nothing else."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import taximeter
from taximeter.core.attribution import NOBODY
from taximeter.sdk.context import current


def user() -> str | None:
    return current().user_id


def test_inner_blocks_add_to_outer_ones_and_win() -> None:
    with taximeter.attribute(user="ann", feature="chat", tags={"a": 1}):
        with taximeter.attribute(feature="search", tags={"b": 2}, colour="red", team=None):
            inner = current()
        outer = current()
    assert (inner.user_id, inner.feature, inner.team) == ("ann", "search", None)
    assert inner.tags == {"a": "1", "b": "2", "colour": "red"}
    assert (outer.feature, outer.tags) == ("chat", {"a": "1"})
    assert current() is NOBODY


def test_a_block_left_by_an_exception_is_left() -> None:
    with pytest.raises(ZeroDivisionError), taximeter.attribute(user="ann"):
        _ = 1 / 0
    assert user() is None


def test_a_value_that_fails_as_text_does_not_hurt() -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with taximeter.attribute(user=Hostile()):
        assert user() is None


def test_tasks_keep_their_own() -> None:
    async def work(name: str) -> str | None:
        async with taximeter.attribute(user=name):
            await asyncio.sleep(0)
            return await asyncio.create_task(inherited())

    async def inherited() -> str | None:
        return user()

    async def run() -> list[str | None]:
        return await asyncio.gather(*(work(name) for name in "abc"))

    assert asyncio.run(run()) == ["a", "b", "c"]


def test_left_in_another_context_than_it_was_entered_in() -> None:
    block = taximeter.attribute(user="ann")
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert user() is None


def test_a_function_keeps_its_name_arguments_and_result() -> None:
    @taximeter.attributed(user="ann")
    def greet(name: str, *, loud: bool = False) -> tuple[str, bool, str | None]:
        """Says hello."""
        return name, loud, user()

    assert greet("bob", loud=True) == ("bob", True, "ann")
    assert (greet.__name__, greet.__doc__) == ("greet", "Says hello.")
    assert user() is None


def test_a_recursive_function() -> None:
    @taximeter.attributed(user="ann")
    def deep(levels: int) -> str | None:
        return deep(levels - 1) if levels else user()

    assert deep(5) == "ann"


def test_a_coroutine_function() -> None:
    @taximeter.attributed(user="ann")
    async def look() -> str | None:
        await asyncio.sleep(0)
        return user()

    assert asyncio.iscoroutinefunction(look)
    assert asyncio.run(look()) == "ann"


def test_a_generator_is_attributed_while_it_runs_and_not_while_its_consumer_does() -> None:
    @taximeter.attributed(user="ann")
    def counting() -> Iterator[Any]:
        try:
            got = yield user()
            yield got, user()
        except KeyError:
            yield "caught", user()
        return

    generator: Any = counting()
    assert next(generator) == "ann"
    assert user() is None
    assert generator.send("x") == ("x", "ann")
    assert generator.throw(KeyError) == ("caught", "ann")
    assert list(generator) == []
    assert user() is None


def test_an_asynchronous_generator_is_attributed_while_it_runs() -> None:
    left: list[str | None] = []

    @taximeter.attributed(user="ann")
    async def counting() -> AsyncIterator[Any]:
        try:
            got = yield user()
            yield got, user()
        except KeyError:
            yield "caught", user()
        finally:
            left.append(user())

    async def run() -> None:
        generator: Any = counting()
        assert await anext(generator) == "ann"
        assert user() is None
        assert await generator.asend("x") == ("x", "ann")
        assert await generator.athrow(KeyError) == ("caught", "ann")
        await generator.aclose()

    asyncio.run(run())
    assert left == ["ann"]


def test_an_asynchronous_generator_can_still_be_a_context_manager() -> None:
    @asynccontextmanager
    @taximeter.attributed(user="ann")
    async def guarded() -> AsyncIterator[str | None]:
        with suppress(KeyError):
            yield user()

    async def enter() -> str | None:
        async with guarded() as inside:
            return inside

    async def enter_and_fail() -> None:
        async with guarded():
            raise KeyError

    assert asyncio.run(enter()) == "ann"
    asyncio.run(enter_and_fail())
