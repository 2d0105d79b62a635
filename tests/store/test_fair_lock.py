"""Writers of a store take turns in the order in which they asked."""

from __future__ import annotations

import threading

import pytest

from taximeter.store.events.fair_lock import FairLock

WAIT_SECONDS = 20


def waiters(lock: FairLock, names: str, order: list[str]) -> list[threading.Thread]:
    """Threads that wait for the lock, each of which began to wait before the next one did."""
    threads = []
    for number, name in enumerate(names, 1):

        def wait(name: str = name) -> None:
            with lock:
                order.append(name)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()
        for _ in range(WAIT_SECONDS * 1000):
            if len(lock._waiting) == number:
                break
            threading.Event().wait(0.001)
        else:
            pytest.fail(f"{name} does not wait")
    return threads


def test_who_lets_it_go_and_asks_again_comes_behind_those_who_wait() -> None:
    lock, order = FairLock(), list[str]()
    with lock:
        others = waiters(lock, "abc", order)
    with lock:
        order.append("again")
    for thread in others:
        thread.join(WAIT_SECONDS)
    assert order == ["a", "b", "c", "again"]


def test_one_has_it_at_a_time() -> None:
    lock, inside, most = FairLock(), [0], [0]

    def work() -> None:
        for _ in range(2_000):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert most == [1]
    assert inside == [0]


def test_an_error_inside_lets_it_go() -> None:
    lock = FairLock()
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    with lock:
        pass
