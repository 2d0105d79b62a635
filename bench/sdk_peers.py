"""What others' SDKs add to a call of `openai`, beside ours: each in processes and an environment of its own.

    python -m bench.sdk_peers [--rounds 30] [--calls 100] [--only NAME ...]

Of each there are two processes, one with a bare client and one with an instrumented one, against a local server that
also swallows whatever is exported. All of them are there at the same time and take turns in short rounds, so that all
meet the same state of the machine; who begins changes from round to round. Counted is the CPU time of the whole process
in its round, the threads that export included, until everything has been flushed. What counts is the median over the
rounds of what the instrumented process took more than the bare one beside it; two bare processes of one environment
differ by what `control` says. The environments are made on first use (uv) and kept in the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

LEAST_RATIO: Final = 10.0
"""How many times less ours has to add."""

WARM_UP_ROUNDS: Final = 2
ROUNDS: Final = 30
CALLS: Final = 100

BARE: Final = "bare"
CONTROL: Final = "control"
"""Sides of which nothing is instrumented: what a peer is compared with, and a second one in our environment."""

TOOK: Final = "cpu microseconds a call: "
"""Before the figure of a round; whatever else an instrumentation prints is passed over."""

PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "taximeter": (),
    "Langfuse": ("langfuse", "openai"),
    "OpenLIT": ("openlit", "openai"),
    "Traceloop": ("traceloop-sdk", "openai", "httpx"),
}
"""Whose SDK, and what its environment has in it; ours is measured in this one. Traceloop takes `httpx` for granted,
which `openai` no longer brings."""


# ── in the process of one of them ────────────────────────────────────────────────────────────────────────────


def _start_taximeter(_: str) -> Callable[[], object]:
    import taximeter

    taximeter.init(data=tempfile.mkdtemp(), service="bench")
    taximeter.instrument_all()
    return taximeter.flush


def _start_langfuse(url: str) -> Callable[[], object]:
    import langfuse
    import langfuse.openai

    client = langfuse.Langfuse(public_key="pk", secret_key="sk", host=url)
    return client.flush


def _start_openlit(url: str) -> Callable[[], object]:
    import openlit
    from opentelemetry import trace

    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as prices:
        json.dump({"chat": {"gpt-4o-mini": {"promptPrice": 0.00015, "completionPrice": 0.0006}}}, prices)
    openlit.init(otlp_endpoint=url, pricing_json=prices.name, disable_metrics=True)
    return trace.get_tracer_provider().force_flush  # type: ignore[attr-defined, no-any-return]


def _start_traceloop(url: str) -> Callable[[], object]:
    from opentelemetry import trace
    from traceloop.sdk import Traceloop

    Traceloop.init(app_name="bench", api_endpoint=url, api_key="k", telemetry_enabled=False)
    return trace.get_tracer_provider().force_flush  # type: ignore[attr-defined, no-any-return]


START: Final[Mapping[str, Callable[[str], Callable[[], object]]]] = {
    "taximeter": _start_taximeter,
    "Langfuse": _start_langfuse,
    "OpenLIT": _start_openlit,
    "Traceloop": _start_traceloop,
}
"""Begins the instrumentation, with the URL of the server; returns what flushes it."""


def serve_rounds(name: str, side: str, url: str, messages: Any, calls: int) -> None:
    """Make some calls for each line of the standard input, and print what they took; `side` BARE: through a client that
    nothing has touched."""
    import openai

    flush: Callable[[], object] = START[name](url) if side == name else lambda: None
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="k")
    for _ in sys.stdin:
        before = time.process_time()
        for _ in range(calls):
            client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        flush()
        print(f"{TOOK}{(time.process_time() - before) / calls * 1e6}", flush=True)


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


class Side:
    """One process, which makes a round of calls when it is asked."""

    def __init__(self, name: str, side: str, asked: str) -> None:
        environment = {**os.environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "", "TRACELOOP_TELEMETRY": "false"}
        command = [str(python_of(name)), __file__, name, side, asked]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def round(self) -> float:
        """CPU microseconds a call. Raises RuntimeError when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith(TOOK):
                return float(line.removeprefix(TOOK))
        raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")

    def end(self) -> None:
        self._process.terminate()
        self._process.communicate()


@contextlib.contextmanager
def sides(names: Sequence[str], calls: int) -> Iterator[dict[tuple[str, str], Side]]:
    """The processes of all, by whose environment and what is in it; and one more bare one of the first."""
    from bench import sdk

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=sdk.serve, args=(there,), daemon=True)
    server.start()
    asked = json.dumps([f"http://127.0.0.1:{here.recv()}", sdk.MESSAGES, calls])
    wanted = [(name, side) for name in names for side in (BARE, name)] + [(names[0], CONTROL)]
    with contextlib.ExitStack() as running:
        running.callback(server.terminate)
        found = {}
        for name, side in wanted:
            found[name, side] = one = Side(name, side, asked)
            running.callback(one.end)
        yield found


def take_turns(names: Sequence[str], rounds: int, calls: int) -> Iterator[dict[tuple[str, str], float]]:
    """CPU microseconds a call of each process, round by round. Raises RuntimeError when one of them ends."""
    with sides(names, calls) as running:
        for turn in range(-WARM_UP_ROUNDS, rounds):
            first = turn % len(running)
            order = [*running][first:] + [*running][:first]
            took = {one: running[one].round() for one in order}
            if turn >= 0:
                yield took


def added(turns: Sequence[Mapping[tuple[str, str], float]]) -> dict[str, list[float]]:
    """How much more than the bare process of its environment each one took, round by round."""
    return {side: [turn[name, side] - turn[name, BARE] for turn in turns] for name, side in turns[0] if side != BARE}


def told(turns: Sequence[Mapping[tuple[str, str], float]]) -> Iterator[str]:
    """The figures, line by line."""
    medians: dict[str, float] = {}
    for name, differences in added(turns).items():
        lower, medians[name], upper = statistics.quantiles(differences, n=4)
        yield f"{name:12}{medians[name]:9.1f} µs added ({lower:.1f} to {upper:.1f})"
    for name, side in turns[0]:
        if side == BARE:
            yield f"{name:12}{statistics.median(turn[name, side] for turn in turns):9.1f} µs bare"
    medians.pop(CONTROL)
    ours = medians.pop("taximeter", 0)
    if ours > 0 and medians:
        least = min(medians.values()) / ours
        verdict = "holds " if least >= LEAST_RATIO else "BROKEN"
        yield f"{verdict}  ours adds {least:.1f}x less than the next (at least {LEAST_RATIO:.0f}x)"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calls", type=int, default=CALLS, help="of each process in a round")
    parser.add_argument("--only", nargs="+", choices=list(PACKAGES), default=list(PACKAGES))
    chosen = parser.parse_args()
    print(*told(list(take_turns(chosen.only, chosen.rounds, chosen.calls))), sep="\n")


if __name__ == "__main__":
    if len(sys.argv) > 3 and sys.argv[1] in START:
        serve_rounds(sys.argv[1], sys.argv[2], *json.loads(sys.argv[3]))
    else:
        main()
