"""A Redis for the tests: the machine's own program, on a free port, gone with the test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from taximeter.clock import SystemClock
from taximeter.limits.counters import Counters
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.counters.redis import RedisCounters


@contextmanager
def redis_server(directory: Path, *, cluster: bool = False, port: int | None = None) -> Iterator[str]:
    """The URL of a running server. With `cluster` it is a cluster of one node, which checks the keys of scripts."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server on this machine (scripts/ensure_programs.py installs it)")
    port = port or free_port()
    arguments = ["--port", str(port), "--save", "", "--bind", "127.0.0.1", "--dir", str(directory)]
    if cluster:
        arguments += ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL) as process:
        try:
            _ready(port, cluster)
            yield f"redis{'+cluster' if cluster else ''}://127.0.0.1:{port}"
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(port: int, cluster: bool) -> None:
    with redis.Redis(port=port, decode_responses=True) as client:
        _wait(lambda: client.ping() or True)
        if cluster:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            _wait(lambda: "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")))


def _wait(ready: object, seconds: float = 120.0) -> None:
    assert callable(ready)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if ready():
                return
        except redis.ConnectionError:
            pass
        time.sleep(0.02)
    raise AssertionError("redis-server did not start")


def fresh_counters(request: pytest.FixtureRequest, kind: str) -> Counters:
    if kind == "memory":
        return MemoryCounters()
    url = request.getfixturevalue("redis_url" if kind == "redis" else "cluster_url")
    emptied = redis.Redis.from_url(url.replace("+cluster", ""))
    emptied.flushall()
    emptied.close()
    counters = RedisCounters(url, SystemClock(), timeout_seconds=60)  # a busy machine is no Redis that is away
    counters.filled("first")
    return counters
