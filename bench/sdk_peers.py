"""What others' SDKs add to a call of `openai`, beside ours: each in a process and an environment of its own.

    python -m bench.sdk_peers [--calls 2000] [--only NAME ...]

Every process does the same: calls through a bare client, then the instrumentation, then calls again, against a local
server that also swallows whatever is exported. Counted is the CPU time of the whole process, the threads that export
included, until everything has been flushed. The environments are made on first use (uv) and kept in the cache.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

LEAST_RATIO: Final = 10.0
"""How many times less ours has to add."""

WARM_UP_CALLS: Final = 100
ROUNDS: Final = 10
"""Parts that the calls of each side are divided into. What counts is the least: other programs only add to it."""

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
    return taximeter.shutdown


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


def measure_here(name: str, url: str, messages: Any, calls: int) -> dict[str, float]:
    """CPU microseconds a call in this process, bare, and what the instrumentation adds."""
    import openai

    def round_of(flush: Callable[[], object]) -> float:
        before = time.process_time()
        for _ in range(calls // ROUNDS):
            client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        flush()
        return (time.process_time() - before) / (calls // ROUNDS) * 1e6

    def least_of_rounds(flush: Callable[[], object]) -> float:
        for _ in range(WARM_UP_CALLS):
            client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        flush()
        return min(round_of(flush) for _ in range(ROUNDS))

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="k")
    bare = least_of_rounds(lambda: None)
    flush = START[name](url)
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="k")
    if name == "taximeter":
        metered = least_of_rounds(lambda: None)  # what it writes is on disk, by threads that are counted
        flush()
    else:
        metered = least_of_rounds(flush)
    return {"bare_us": bare, "added_us": metered - bare}


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


def measure(names: Sequence[str], calls: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Each of them, as it is done. Raises CalledProcessError when one cannot be installed or does not run."""
    from bench import sdk

    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=sdk.serve, args=(there,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{here.recv()}"
        asked = json.dumps([url, sdk.MESSAGES, calls])
        for name in names:
            yield name, _measured(python_of(name), name, asked)
    finally:
        server.terminate()


def _measured(python: Path, name: str, asked: str) -> dict[str, float]:
    environment = {**os.environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "", "TRACELOOP_TELEMETRY": "false"}
    command = [str(python), __file__, name, asked]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--only", nargs="+", choices=list(PACKAGES), default=list(PACKAGES))
    chosen = parser.parse_args()
    found: dict[str, float] = {}
    for name, row in measure(chosen.only, chosen.calls):
        found[name] = row["added_us"]
        print(f"{name:12}{row['bare_us']:9.1f} µs bare{row['added_us']:9.1f} µs added", flush=True)
    ours = found.pop("taximeter", 0)
    if ours > 0 and found:
        least = min(found.values()) / ours
        verdict = "holds " if least >= LEAST_RATIO else "BROKEN"
        print(f"{verdict}  ours adds {least:.1f}x less than the next (at least {LEAST_RATIO:.0f}x)")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in START:
        url, messages, calls = json.loads(sys.argv[2])
        print(json.dumps(measure_here(sys.argv[1], url, messages, calls)))
    else:
        main()
