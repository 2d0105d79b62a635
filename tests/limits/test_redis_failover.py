"""The Redis that calls are counted in becomes a replica, and its name leads to another one from then on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis
from redis_here import redis_server

from taximeter.limits.counters import Bucket, Claim, CountersAway
from taximeter.limits.counters.redis import PAUSE_SECONDS, RedisCounters

NOW = 1_800_000_000_000_000
BUCKET = Bucket("daily|ann", 100, NOW + 86_400_000_000)


class HandClock:
    """Time that passes when it is told to."""

    seconds = 0.0

    def now_us(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return self.seconds


class Name:
    """An address whose new connections are led to `port`; those that there are stay where they are."""

    def __init__(self, closing: ExitStack, port: int) -> None:
        self.port = port
        self._closing = closing
        self._listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.port))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with one, other:
        try:
            while content := one.recv(65_536):
                other.sendall(content)
        except OSError:
            return


@contextmanager
def served(directory: Path) -> Iterator[int]:
    directory.mkdir()
    with redis_server(directory) as url:
        yield int(url.rpartition(":")[2])


def test_calls_are_counted_in_the_one_that_its_name_leads_to_after_a_failover(tmp_path: Path) -> None:
    clock = HandClock()
    with ExitStack() as closing:
        old, new = (closing.enter_context(served(tmp_path / name)) for name in ("old", "new"))
        name = Name(closing, old)
        counters = RedisCounters(name.url, clock, timeout_seconds=60)
        counters.filled("first")
        assert counters.reserve("one", [Claim(BUCKET, 60)], now_us=NOW, expires_us=NOW + 1) is None

        name.port = new
        with redis.Redis(port=old) as demoted, redis.Redis(port=new) as promoted:
            demoted.replicaof("127.0.0.1", new)
            promoted.set("{taximeter}:generation", "first")
        with pytest.raises(CountersAway):
            counters.reserve("two", [Claim(BUCKET, 10)], now_us=NOW, expires_us=NOW + 1)
        clock.seconds += 2 * PAUSE_SECONDS
        assert counters.reserve("three", [Claim(BUCKET, 60)], now_us=NOW, expires_us=NOW + 1) is None
        counters.settle("three", [Claim(BUCKET, 50)], now_us=NOW)
        [standing] = counters.standings([BUCKET])
        assert standing == (50, 0)
