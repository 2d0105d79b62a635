"""Attributes follow into threads and the work of pools, and never stay there for the next one."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

import taximeter
from taximeter.sdk.context import FOLLOWING, current, follow_threads
from taximeter.sdk.instruments import uninstrument_all

PLAIN = threading.Thread.start, ThreadPoolExecutor.submit
OTHER: contextvars.ContextVar[str] = contextvars.ContextVar("of_somebody_else", default="unset")


@pytest.fixture(autouse=True)
def _following(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As at the start of a process."""
    FOLLOWING.end()
    FOLLOWING.decided, FOLLOWING.wanted = False, True
    monkeypatch.delenv("TAXIMETER_FOLLOW_THREADS", raising=False)
    yield
    taximeter.shutdown(0)
    follow_threads(True)


def user() -> str | None:
    return current().user_id


def in_thread() -> str | None:
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(user()))
    thread.start()
    thread.join()
    assert "run" not in vars(thread)
    return seen[0]


def in_subclass() -> str | None:
    class Looking(threading.Thread):
        seen: str | None = None

        def run(self) -> None:
            self.seen = user()

    thread = Looking()
    thread.start()
    thread.join()
    return thread.seen


def in_timer() -> str | None:
    seen: list[str | None] = []
    timer = threading.Timer(0, lambda: seen.append(user()))
    timer.start()
    timer.join()
    return seen[0]


def by_submit() -> str | None:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(user).result()


def by_map() -> str | None:
    with ThreadPoolExecutor(1) as pool:
        return next(iter(pool.map(lambda _: user(), [1])))


def by_run_in_executor() -> str | None:
    async def run() -> str | None:
        return await asyncio.get_running_loop().run_in_executor(None, user)

    return asyncio.run(run())


def by_to_thread() -> str | None:
    async def run() -> str | None:
        return await asyncio.to_thread(user)

    return asyncio.run(run())


def in_thread_of_a_thread() -> str | None:
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(by_submit()))
    thread.start()
    thread.join()
    return seen[0]


WAYS: list[Callable[[], str | None]] = [
    in_thread,
    in_subclass,
    in_timer,
    by_submit,
    by_map,
    by_run_in_executor,
    by_to_thread,
    in_thread_of_a_thread,
]


@pytest.mark.parametrize("look", WAYS)
def test_attributes_follow(look: Callable[[], str | None]) -> None:
    with taximeter.attribute(user="ann"):
        with taximeter.attribute(user="bob"):
            assert look() == "bob"
        assert look() == "ann"
    assert look() is None


def test_a_worker_of_a_pool_keeps_nothing_of_whom_it_worked_for() -> None:
    with ThreadPoolExecutor(1) as pool:
        with taximeter.attribute(user="ann", feature="chat"):
            assert pool.submit(user).result() == "ann"
        with taximeter.attribute(user="bob"):
            assert pool.submit(current).result().feature is None
        assert pool.submit(user).result() is None


def test_work_that_fails_leaves_nothing_and_fails_as_it_would() -> None:
    with ThreadPoolExecutor(1) as pool:
        with taximeter.attribute(user="ann"), pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
        assert pool.submit(user).result() is None


def test_the_workers_of_a_multiprocessing_pool_begin_without() -> None:
    with taximeter.attribute(user="ann"):
        pool = ThreadPool(1)
    with pool, taximeter.attribute(user="bob"):
        assert pool.apply(user) is None


def test_nothing_else_follows_and_a_context_that_was_copied_wins() -> None:
    OTHER.set("mine")
    with taximeter.attribute(user="ann"):
        copied = contextvars.copy_context()
    with taximeter.attribute(user="bob"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(OTHER.get).result() == "unset"
        assert pool.submit(copied.run, user).result() == "ann"


def test_names_stay_and_it_is_patched_once() -> None:
    with taximeter.attribute(user="ann"):
        patched = threading.Thread.start, ThreadPoolExecutor.submit
    with taximeter.attribute(user="bob"):
        assert (threading.Thread.start, ThreadPoolExecutor.submit) == patched != PLAIN
    assert [method.__name__ for method in patched] == ["start", "submit"]


def test_it_can_be_undone() -> None:
    with taximeter.attribute(user="ann"):
        assert in_thread() == "ann"
        uninstrument_all()
        assert (threading.Thread.start, ThreadPoolExecutor.submit) == PLAIN
        assert [look() for look in (in_thread, by_submit)] == [None, None]


def test_it_is_undone_below_the_patch_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with taximeter.attribute(user="ann"):
        ours = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda thread: ours(thread))
        uninstrument_all()
        assert in_thread() is None
        follow_threads(True)
        assert in_thread() == "ann"
        monkeypatch.undo()


@pytest.mark.parametrize("look", [in_thread, in_timer])
def test_a_patch_below_ours_may_hand_a_thread_what_it_runs(
    look: Callable[[], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Sentry does, which takes that for a function of the class."""
    plain_start, handed = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        run: Callable[..., None] = getattr(thread.run, "__func__", thread.run)

        def with_the_thread() -> None:
            vars(thread).pop("run", None)
            handed.append(thread)
            run(thread)

        thread.run = with_the_thread  # type: ignore[method-assign]
        plain_start(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with taximeter.attribute(user="u"):
        assert look() == "u"
    assert len(handed) == 1
    FOLLOWING.end()
    monkeypatch.undo()


def test_attributes_follow_into_a_timer_whose_start_was_patched_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenTelemetry does, which patches both `Thread` and `Timer`, and calls what it found."""
    plain_start = threading.Thread.start
    monkeypatch.setattr(threading.Timer, "start", lambda timer: plain_start(timer), raising=False)
    theirs = vars(threading.Timer)["start"]
    with taximeter.attribute(user="ann"):
        assert [look() for look in (in_timer, in_thread)] == ["ann", "ann"]
    assert in_timer() is None
    FOLLOWING.end()
    assert vars(threading.Timer)["start"] is theirs
    with taximeter.attribute(user="ann"):
        pass
    FOLLOWING.end()
    monkeypatch.undo()


def test_it_can_be_switched_off_by_argument(tmp_path: Path) -> None:
    with taximeter.attribute(user="ann"):
        taximeter.init(data=tmp_path, follow_threads=False)
        assert (threading.Thread.start, ThreadPoolExecutor.submit) == PLAIN
        assert in_thread() is None


def test_it_can_be_switched_off_by_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIMETER_FOLLOW_THREADS", "0")
    with taximeter.attribute(user="ann"):
        assert (threading.Thread.start, ThreadPoolExecutor.submit) == PLAIN
        assert in_thread() is None


def test_a_thread_that_cannot_be_started_yet_carries_what_holds_when_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(user()))
    with taximeter.attribute(user="ann"):
        monkeypatch.setattr(threading, "_start_new_thread", _refuse)
        monkeypatch.setattr(threading, "_start_joinable_thread", _refuse, raising=False)
        with pytest.raises(RuntimeError):
            thread.start()
        monkeypatch.undo()
    with taximeter.attribute(user="bob"):
        thread.start()
        thread.join()
    assert seen == ["bob"]


def _refuse(*args: object, **kwargs: object) -> None:
    raise RuntimeError("can't start new thread")
