"""What others' SDKs add to a call of `openai`, beside ours: each in a process and an environment of its own.

    python -m bench.sdk_peers [--rounds 60] [--calls 50] [--only NAME ...]

In each process three take turns, a few calls each, many times in a round: a bare client, a second one that is bare as
well (`control`), and the instrumented one. What is bare calls the library's own method, taken before anything was
instrumented; all three share one HTTP client. So they meet the same state of the machine and of the process. The
processes take turns as well, round by round, against one local server that also swallows whatever is exported. Counted
is the CPU time of the calling thread. What an instrumentation does below that method is in all three, so not counted.

What counts is the median over the rounds of what was added, with the interval in which the true median lies with 95 %
certainty. What all other threads of a process take, which only export and make durable, comes in no particular round:
it is summed up until everything has been flushed at the end, divided by all instrumented calls and added. Each exports
as often as it does by itself. The verdict takes the unfavourable ends of both. The environments are made on first use
(uv) and kept in the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

LEAST_RATIO: Final = 10.0
"""How many times less ours has to add."""

CERTAIN: Final = 1.96
"""Standard deviations to either side within which 95 % of a normal distribution lie."""

WARM_UP_ROUNDS: Final = 2
ROUNDS: Final = 60
CALLS: Final = 50
TURN: Final = 5
"""Calls in a row of one side. The speed of a shared machine changes within tens of milliseconds."""

SIDES: Final = ("bare", "control", "added")
"""Whose turns they are, in this order: two of which nothing is instrumented, and the one that is."""

FLUSH: Final = "flush"
"""What a process is told after the last round."""

TOOK: Final = "cpu microseconds a call: "
"""Before the figures of a round; whatever else an instrumentation prints is passed over."""

PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "taximeter": (),
    "Langfuse": ("langfuse", "openai"),
    "OpenLIT": ("openlit", "openai"),
    "Traceloop": ("traceloop-sdk", "openai", "httpx"),
}
"""Whose SDK, and what its environment has in it; ours is measured in this one. Traceloop takes `httpx` for granted,
which `openai` no longer brings."""


# ── in the process of one of them ────────────────────────────────────────────────────────────────────────────


def _start_taximeter(_: str, client: Any) -> Callable[[], object]:
    import taximeter

    taximeter.init(data=tempfile.mkdtemp(), service="bench")
    taximeter.instrument(client)
    return taximeter.flush


def _start_langfuse(url: str, _: Any) -> Callable[[], object]:
    import langfuse
    import langfuse.openai

    flush: Callable[[], object] = langfuse.Langfuse(public_key="pk", secret_key="sk", host=url).flush
    return flush


def _start_openlit(url: str, _: Any) -> Callable[[], object]:
    import openlit
    from opentelemetry import trace

    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as prices:
        json.dump({"chat": {"gpt-4o-mini": {"promptPrice": 0.00015, "completionPrice": 0.0006}}}, prices)
    openlit.init(otlp_endpoint=url, pricing_json=prices.name, disable_metrics=True)
    return trace.get_tracer_provider().force_flush  # type: ignore[attr-defined, no-any-return]


def _start_traceloop(url: str, _: Any) -> Callable[[], object]:
    from opentelemetry import trace
    from traceloop.sdk import Traceloop

    Traceloop.init(app_name="bench", api_endpoint=url, api_key="k", telemetry_enabled=False)
    return trace.get_tracer_provider().force_flush  # type: ignore[attr-defined, no-any-return]


START: Final[Mapping[str, Callable[[str, Any], Callable[[], object]]]] = {
    "taximeter": _start_taximeter,
    "Langfuse": _start_langfuse,
    "OpenLIT": _start_openlit,
    "Traceloop": _start_traceloop,
}
"""Begins the instrumentation, with the URL of the server and the client that is meant; returns what flushes it."""


def serve_rounds(name: str, url: str, messages: Any, calls: int) -> None:
    """Make a round for each line of the standard input, which is its number, and print what each side took. At the line
    `FLUSH` print what the instrumentation took beside its calls, from the first counted round until all is flushed."""
    import openai
    from openai.resources.chat.completions import Completions

    untouched = Completions.create
    http = openai.DefaultHttpxClient()
    bare, control, ours = (openai.OpenAI(base_url=f"{url}/v1", api_key="k", http_client=http) for _ in SIDES)
    flush = START[name](url, ours)
    creates = (
        partial(untouched, bare.chat.completions),
        partial(untouched, control.chat.completions),
        ours.chat.completions.create,
    )
    turns = [partial(_turn, partial(create, model="gpt-4o-mini", messages=messages)) for create in creates]
    times = turns_of(calls)
    beside = 0.0
    for line in sys.stdin:
        if line.strip() == FLUSH:
            print(f"{TOOK}{json.dumps([_thread_us(flush) + _other_threads_us() - beside])}", flush=True)
            continue
        number = int(line)
        if number == WARM_UP_ROUNDS:
            flush()
            beside = _other_threads_us()
        took = _round(turns, range(number * times, (number + 1) * times))
        print(f"{TOOK}{json.dumps([us / (times * TURN) for us in took])}", flush=True)


def turns_of(calls: int) -> int:
    """Of each side in a round."""
    return max(calls // TURN, 1)


def _round(turns: Sequence[Callable[[], None]], numbers: range) -> list[float]:
    """CPU microseconds of each side. Who is first, and who comes behind whom, goes through all orders: each leaves the
    caches to the next."""
    took = [0.0] * len(turns)
    orders = [*permutations(range(len(turns)))]
    for number in numbers:
        for side in orders[number % len(orders)]:
            took[side] += _thread_us(turns[side])
    return took


def _turn(call: Callable[[], object]) -> None:
    for _ in range(TURN):
        call()


def _thread_us(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return (time.thread_time() - before) * 1e6


def _other_threads_us() -> float:
    return (time.process_time() - time.thread_time()) * 1e6


# ── around them ──────────────────────────────────────────────────────────────────────────────────────────────


def python_of(name: str) -> Path:
    """The Python of an environment with the packages of one of them, made on first use and kept in the cache."""
    if not PACKAGES[name]:
        return Path(sys.executable)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "taximeter-bench" / name.lower()
    python, whole, wanted = folder / "bin" / "python", folder / "whole", " ".join(PACKAGES[name])
    if not whole.exists() or whole.read_text() != wanted:
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *PACKAGES[name]], check=True)
        whole.write_text(wanted)
    return python


class Peer:
    """One process, which makes a round of calls when it is asked."""

    def __init__(self, name: str, asked: str) -> None:
        environment = {**os.environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "", "TRACELOOP_TELEMETRY": "false"}
        self._process = subprocess.Popen(
            [str(python_of(name)), __file__, name, asked],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def round(self, number: int | str) -> list[float]:
        """CPU microseconds a call of each of `SIDES`, or at `FLUSH` what all of them took beside. Raises RuntimeError
        when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(number, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith(TOOK):
                took: list[float] = json.loads(line.removeprefix(TOOK))
                return took
        raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")

    def end(self) -> None:
        self._process.terminate()
        self._process.communicate()


@contextlib.contextmanager
def peers(names: Sequence[str], calls: int) -> Iterator[dict[str, Peer]]:
    """The processes of all, and the server they call."""
    from bench import sdk

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=sdk.serve, args=(there,), daemon=True)
    server.start()
    asked = json.dumps([f"http://127.0.0.1:{here.recv()}", sdk.MESSAGES, calls])
    with contextlib.ExitStack() as running:
        running.callback(server.terminate)
        found = {}
        for name in names:
            found[name] = Peer(name, asked)
            running.callback(found[name].end)
        yield found


Turns: TypeAlias = dict[str, list[list[float]]]
"""By name, round by round, CPU microseconds a call of each of `SIDES`."""


def take_turns(names: Sequence[str], rounds: int, calls: int) -> Turns:
    """Raises RuntimeError when one of the processes ends."""
    took: Turns = {name: [] for name in names}
    with peers(names, calls) as running:
        for number in range(rounds + WARM_UP_ROUNDS):
            first = number % len(names)
            for name in [*names[first:], *names[:first]]:
                took[name].append(running[name].round(number))
        beside = {name: running[name].round(FLUSH)[0] / (rounds * turns_of(calls) * TURN) for name in names}
    return {
        name: [[*rest, added + beside[name]] for *rest, added in turns[WARM_UP_ROUNDS:]] for name, turns in took.items()
    }


class Median(NamedTuple):
    """A median of measured values, and between which two of them the true one lies with 95 % certainty."""

    value: float
    low: float
    high: float


def median_of(values: Sequence[float]) -> Median:
    """By the binomial distribution of how many values lie below the true median, which supposes nothing of them."""
    ordered = sorted(values)
    below = max(math.floor((len(ordered) - CERTAIN * math.sqrt(len(ordered))) / 2), 0)
    return Median(statistics.median(ordered), ordered[below], ordered[-1 - below])


def added(turns: Sequence[Sequence[float]], side: str) -> Median:
    """What one of `SIDES` took more than the bare one beside it."""
    place = SIDES.index(side)
    return median_of([took[place] - took[0] for took in turns])


def told(turns: Turns) -> Iterator[str]:
    """The figures, line by line."""
    yield f"{'':12}{'bare':>9}{'control':>9}{'added':>9}  µs of CPU a call"
    for name, rounds in turns.items():
        bare, control, more = (
            statistics.median(took[0] for took in rounds),
            added(rounds, "control"),
            added(rounds, "added"),
        )
        yield f"{name:12}{bare:9.0f}{control.value:+9.1f}{more.value:9.1f}  ({more.low:.1f} to {more.high:.1f})"
    medians = {name: added(rounds, "added") for name, rounds in turns.items()}
    ours = medians.pop("taximeter", None)
    if ours is not None and medians and ours.low > 0:
        nearest = min(medians.values())
        least, between = nearest.low / ours.high, nearest.value / ours.value
        verdict = "holds " if least >= LEAST_RATIO else "BROKEN"
        yield f"{verdict}  ours adds {between:.1f}x less than the next, at least {least:.1f}x (of {LEAST_RATIO:.0f}x)"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calls", type=int, default=CALLS, help=f"of each side in a round, {TURN} in a row")
    parser.add_argument("--only", nargs="+", choices=list(PACKAGES), default=list(PACKAGES))
    chosen = parser.parse_args()
    print(*told(take_turns(chosen.only, chosen.rounds, chosen.calls)), sep="\n")


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in START:
        serve_rounds(sys.argv[1], *json.loads(sys.argv[2]))
    else:
        main()
