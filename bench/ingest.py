"""Ingest: events through `POST /v1/events` of a real `taximeter up`, on one core; the load comes from another one.

    python -m bench.ingest [--events 100000] [--batch 500 1000] [--connections 4] [--into DIR]

Two ends are timed: until the last batch is answered, which is after its fsync, and until every event is in the store
and counted by a query. CPU time is that of the whole server, from /proc. Beside it, as the lower bound: DuckDB alone
reading the same lines from files on that core, without a server, a check or a price.

With `--into` the events come to the history of a data directory, which keeps them, and what is timed is until they are
durable, and until they are stored, while one client asks the page's questions about the last 30 days over and over. The
server has all cores then, which it shares with the load. What waits in the directory's spool is stored before.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Promise, Result, Row, show, wide_console
from bench.gateway import cpu_seconds, free_port, process
from bench.store import OVERVIEW

BOUND_EVENTS_A_SECOND = 20_000
GOAL_EVENTS_A_SECOND = 50_000
BATCH_OF_THE_BOUND = 500
LONGEST_STORING_SECONDS = 120.0

DURABLE = "durable/s"
STORED = "stored/s"
CPU_TO_STORE = "µs to store"
PER_CPU_SECOND = "stored/CPU s"
COLUMNS_MEAN = (
    "events a second until the last batch was answered (durable) and until all were counted by a query (stored); "
    "µs of the server's CPU an event until then; wait for the answer to one batch"
)

EVENTS = 100_000
BATCHES = (500, 1000)
CONNECTIONS = 4


@dataclass(frozen=True)
class Server:
    pid: int
    port: int
    ingest_key: str
    read_key: str


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """The command held to one core; as it is on a machine that has only one, or no taskset."""
    if shutil.which("taskset") is None or core >= (os.cpu_count() or 1):
        return list(command)
    return ["taskset", "-c", str(core), *command]


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """`taximeter up` on core 0, with a data directory of its own."""
    with tempfile.TemporaryDirectory() as folder, server_of(Path(folder) / "data", core=0) as to:
        yield to


@contextlib.contextmanager
def server_of(data: Path, core: int | None = None) -> Iterator[Server]:
    """`taximeter up` on a data directory."""
    port = free_port()
    command = [*_taximeter("up"), "--data", str(data), "--port", str(port)]
    with process(command if core is None else on_core(core, command), port) as pid:
        yield Server(pid, port, _key(str(data), "ingest"), _key(str(data), "read"))


def _taximeter(command: str) -> list[str]:
    return [sys.executable, "-m", "taximeter", command]


def _key(data: str, scope: str) -> str:
    wanted = ["create", "--name", f"bench-{scope}", "--scope", scope, "--data", data, "--format", "json"]
    told = subprocess.run([*_taximeter("keys"), *wanted], capture_output=True, text=True, check=True).stdout
    key: str = json.loads(told)["key"]
    return key


def _asked(to: Server, method: str, path: str, body: str | None = None) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", to.port, timeout=60)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {to.read_key}"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    told = answer.read().decode()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{method} {path} was refused: {told}")
    return told


def counted_calls(to: Server) -> int:
    """The calls in the store, by a query."""
    told = json.loads(_asked(to, "POST", "/api/v1/query", json.dumps({"measures": ["calls"]})))
    return int(told["totals"]["calls"])


def _until_nothing_waits(to: Server) -> None:
    deadline = time.monotonic() + LONGEST_STORING_SECONDS
    while "taximeter_collector_lag_bytes 0.0" not in _asked(to, "GET", "/metrics"):
        if time.monotonic() > deadline:
            raise SystemExit("the spool is not stored")
        time.sleep(1)


def _until_stored(to: Server, events: int) -> None:
    """Return when all are stored and a query counts exactly them. The metrics are asked first, being cheaper."""
    deadline = time.monotonic() + LONGEST_STORING_SECONDS
    while f"taximeter_stored_events {float(events)}" not in _asked(to, "GET", "/metrics"):
        if time.monotonic() > deadline:
            raise SystemExit(f"only {counted_calls(to)} of {events} events are stored")
        time.sleep(0.25)
    if (counted := counted_calls(to)) != events:
        raise SystemExit(f"{counted} events are stored, {events} were posted")


def measure(events: int, batch: int, connections: int) -> Row:
    """Post all, wait until all are stored. The events' bodies are made before the clock starts."""
    with server() as to, _load(to, events, batch, connections) as load:
        cpu_before, began = cpu_seconds(to.pid), time.perf_counter()
        told = _posted(load, events)
        answered_cpu = cpu_seconds(to.pid) - cpu_before
        _until_stored(to, events)
        stored_seconds, stored_cpu = time.perf_counter() - began, cpu_seconds(to.pid) - cpu_before
    return {
        DURABLE: events / told["seconds"],
        STORED: events / stored_seconds,
        "µs to answer": answered_cpu / events * 1e6,
        CPU_TO_STORE: stored_cpu / events * 1e6,
        PER_CPU_SECOND: events / stored_cpu,
        "answer ms": told["median_answer_ms"],
        "p99 ms": told["p99_answer_ms"],
    }


def _posted(load: subprocess.Popen[str], events: int) -> dict[str, Any]:
    """What the load, whose bodies are made, tells when all are answered."""
    assert load.stdin is not None
    assert load.stdout is not None
    print("go", file=load.stdin, flush=True)
    told: dict[str, Any] = json.loads(load.stdout.readline())
    if told["accepted"] != events:
        raise SystemExit(f"{told['accepted']} of {events} events were accepted")
    return told


@dataclass
class Asker:
    """One client that asks the page's questions in turn until it is told to stop: how long each answer took, in ms."""

    to: Server
    stop: threading.Event = field(default_factory=threading.Event)
    waits_ms: list[float] = field(default_factory=list)

    def ask(self) -> None:
        for body in itertools.cycle(OVERVIEW.values()):
            if self.stop.is_set():
                return
            began = time.perf_counter()
            _asked(self.to, "POST", "/api/v1/query", json.dumps({"from": "30d", **body}))
            self.waits_ms.append((time.perf_counter() - began) * 1000)


def measure_while_asked(data: Path, events: int, batch: int, connections: int) -> Row:
    """Post all into the store of a data directory that is asked meanwhile; until the last one is durable, and until
    it is stored."""
    with server_of(data) as to, _load(to, events, batch, connections) as load:
        _until_nothing_waits(to)
        asker = Asker(to)
        asking = threading.Thread(target=asker.ask)
        asking.start()
        try:
            cpu_before, began = cpu_seconds(to.pid), time.perf_counter()
            told = _posted(load, events)
            answered_cpu = cpu_seconds(to.pid) - cpu_before
            _until_nothing_waits(to)
            stored_seconds = time.perf_counter() - began
        finally:
            asker.stop.set()
            asking.join()
        resident_mb = most_resident_mb(to.pid)
    waits_ms = sorted(asker.waits_ms)
    return {
        DURABLE: events / told["seconds"],
        STORED: events / stored_seconds,
        "µs to answer": answered_cpu / events * 1e6,
        "answer ms": told["median_answer_ms"],
        "p99 ms": told["p99_answer_ms"],
        "asked": float(len(waits_ms)),
        "asked p95 ms": waits_ms[len(waits_ms) * 95 // 100],
        "resident MB": resident_mb,
    }


def most_resident_mb(pid: int) -> float:
    """The most memory that a process has had resident so far, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kib) / 1024


@contextlib.contextmanager
def _load(to: Server, events: int, batch: int, connections: int) -> Iterator[subprocess.Popen[str]]:
    """The process that posts, when it has made its bodies."""
    numbers = [str(number) for number in (to.port, events, batch, connections)]
    command = on_core(1, [sys.executable, "-m", "bench.ingest_events", *numbers])
    environment = {**os.environ, "BENCH_KEY": to.ingest_key}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        load.stdout.readline()
        yield load


def measure_plain(events: int, batch: int) -> Row:
    command = on_core(0, [sys.executable, "-m", "bench.ingest_plain", str(events), str(batch)])
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {STORED: events / told["seconds"], CPU_TO_STORE: told["cpu_us"], PER_CPU_SECOND: 1e6 / told["cpu_us"]}


def result(events: int = EVENTS, batches: Sequence[int] = BATCHES, connections: int = CONNECTIONS) -> Result:
    ours = {batch: measure(events, batch, connections) for batch in batches}
    plain = {batch: measure_plain(events, batch) for batch in (*batches, events)}
    rows = {f"taximeter, {batch:,} a request": row for batch, row in ours.items()}
    rows |= {f"DuckDB alone, {batch:,} a commit": row for batch, row in plain.items()}
    judged = ours.get(BATCH_OF_THE_BOUND) or ours[batches[0]]
    promises = [
        _promise("durable on one core", judged[DURABLE]),
        _promise("stored, per CPU second", judged[PER_CPU_SECOND]),
    ]
    notes = [COLUMNS_MEAN]
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        notes.append("not held to one core each: that takes taskset and two cores")
    return Result("ingest", f"Ingest: {events:,} events, server on one core", rows, promises, notes)


def result_while_asked(data: Path, events: int, batches: Sequence[int], connections: int) -> Result:
    rows = {
        f"taximeter, {batch:,} a request": measure_while_asked(data, events, batch, connections) for batch in batches
    }
    promises = [_promise("durable while questions are asked", min(row[DURABLE] or 0 for row in rows.values()))]
    return Result("ingest", f"Ingest: {events:,} events into {data}", rows, promises, [COLUMNS_MEAN])


def _promise(about: str, events_a_second: float | None) -> Promise:
    assert events_a_second is not None
    bound, goal = BOUND_EVENTS_A_SECOND, GOAL_EVENTS_A_SECOND
    return Promise(about, events_a_second, bound, "events/s", at_least=True, goal=goal)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--batch", type=int, nargs="+", default=BATCHES, help="events in one request")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--into", type=Path, metavar="DIR", help="a data directory with a history, asked meanwhile")
    chosen = parser.parse_args(arguments)
    asked = (chosen.events, chosen.batch, chosen.connections)
    found = result(*asked) if chosen.into is None else result_while_asked(chosen.into, *asked)
    show(found, wide_console())
    return int(not found.met)


if __name__ == "__main__":
    sys.exit(main())
