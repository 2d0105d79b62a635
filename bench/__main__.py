"""All benchmarks: `python -m bench [gateway|sdk|ingest|otlp|import|prices|store|limits|all] [--json] [--repeat N]`.

What a benchmark needs beyond the development environment it installs itself where it may (nginx and wrk by apt, when
root; LiteLLM by uv into a folder of the cache), and otherwise says what is left out, and why.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import first_token, gateway, import_time, ingest, limits, otlp, prices, sdk, store
from bench.figures import Promise, Result, Row, median_of, show, wide_console

GATEWAY_BOUND = 10.0
CHUNK_BOUND = 6.0
FIRST_TOKEN_BOUND_MS = 2.0
IDLE_STREAM_BOUND_KB = 50.0
LITELLM_BOUND = 40.0

PROGRAMS = {"nginx": "nginx-light", "wrk": "wrk"}
"""Programs the gateway's benchmark needs, and the Debian packages they are in."""


class LeftOutError(Exception):
    """A benchmark cannot run here; the text says why."""


# ── what is needed ───────────────────────────────────────────────────────────────────────────────────────────


def ensure_programs() -> None:
    """Raises LeftOutError when programs are missing and cannot be installed."""
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if not missing:
        return
    by_hand = f"install {' and '.join(missing)} first (Debian: apt install {' '.join(missing)})"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LeftOutError(by_hand)
    print(f"installing {', '.join(missing)}", file=sys.stderr)
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", "--quiet", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LeftOutError(f"{by_hand}: {done.stderr.strip()[-200:]}")


def litellm_python(wanted: bool) -> tuple[Path | None, str]:
    """The Python of an environment with LiteLLM's proxy, or None and why not."""
    if not wanted:
        return None, "LiteLLM was left out, as asked for"
    try:
        return gateway.litellm_python(), ""
    except (OSError, subprocess.CalledProcessError) as error:
        return None, f"LiteLLM was left out: it could not be installed ({error})"


# ── the benchmarks ───────────────────────────────────────────────────────────────────────────────────────────


def run_gateway(chosen: Namespace) -> Result:
    ensure_programs()
    python, left_out = litellm_python(not chosen.without_litellm)
    with tempfile.TemporaryDirectory() as name, gateway.providers(Path(name)) as behind:
        folder = Path(name)
        measured = [
            gateway.measure_nginx(folder, behind, chosen),
            gateway.measure_gateway(folder, behind, chosen),
        ]
        if python is not None:
            measured.append(gateway.measure_litellm(folder, behind, chosen, python))
        tokens = first_token.measure(folder / "first-token")
    return gateway_result(measured, tokens, [*first_token.told(tokens), *([left_out] if left_out else [])])


def gateway_result(
    measured: Sequence[gateway.Measured], tokens: first_token.FirstToken, notes: Sequence[str]
) -> Result:
    base, ours = measured[0], measured[1]
    ratio = ours.us_a_request / base.us_a_request
    promises = [Promise("CPU of a call", ratio, GATEWAY_BOUND, "x nginx")]
    if ours.us_a_chunk and base.us_a_chunk:
        promises.append(Promise("CPU of a streamed chunk", ours.us_a_chunk / base.us_a_chunk, CHUNK_BOUND, "x nginx"))
    if ours.kb_an_idle_stream is not None:
        promises.append(Promise("memory of an idle stream", ours.kb_an_idle_stream, IDLE_STREAM_BOUND_KB, "kB"))
    about = f"added to the first token, p99 at {first_token.STREAMS} streams"
    promises.append(Promise(about, tokens.added_ms("taximeter", 0.99), FIRST_TOKEN_BOUND_MS, "ms"))
    promises += [
        Promise("CPU of a call through LiteLLM", peer.us_a_request / ours.us_a_request, LITELLM_BOUND, "x ours", True)
        for peer in measured[2:]
    ]
    rows = {one.name: _gateway_row(one, base) for one in measured}
    return Result("gateway", "Gateway: a chat completion, and a chunk of a stream", rows, promises, notes)


def _gateway_row(one: gateway.Measured, base: gateway.Measured) -> Row:
    chunks = one.us_a_chunk / base.us_a_chunk if one.us_a_chunk and base.us_a_chunk else None
    return {
        "CPU µs a call": one.us_a_request,
        "x nginx": one.us_a_request / base.us_a_request,
        "calls/s": one.requests_a_second,
        "CPU µs a chunk": one.us_a_chunk,
        "chunk, x nginx": chunks,
        "kB an idle stream": one.kb_an_idle_stream,
    }


def run_sdk(chosen: Namespace) -> Result:
    found = sdk.measure(chosen.rounds, chosen.calls)
    bare, added = found["bare_us"], found["added_us"]
    rows: dict[str, Row] = {
        "openai client, bare": {"CPU µs a call": bare, "x bare": 1.0},
        "instrumented": {"CPU µs a call": found["metered_us"], "x bare": found["metered_us"] / bare},
        "added": {"CPU µs a call": added, "x bare": added / bare},
    }
    promises = [Promise("CPU that the SDK adds to a call", added, sdk.TARGET_US, "µs")]
    notes = [
        f"median over {chosen.rounds} pairs of rounds of {chosen.calls} calls",
        f"the spool's own thread and its fsync are {found['beside_us']:.1f} µs of it",
    ]
    return Result("sdk", "SDK: around a bare openai client", rows, promises, notes)


def run_ingest(chosen: Namespace) -> Result:
    return ingest.result(chosen.events)


def run_otlp(chosen: Namespace) -> Result:
    return otlp.result(chosen.spans)


def run_import(chosen: Namespace) -> Result:
    return import_time.result(chosen.processes)


def run_prices(chosen: Namespace) -> Result:
    return prices.result(chosen.stored)


def run_store(chosen: Namespace) -> Result:
    return store.result(chosen.store_events, chosen.store_days, chosen.store_file, others=chosen.store_others)


def run_limits(chosen: Namespace) -> Result:
    return limits.result(chosen.admissions)


BENCHMARKS: dict[str, Callable[[Namespace], Result]] = {
    "gateway": run_gateway,
    "sdk": run_sdk,
    "ingest": run_ingest,
    "otlp": run_otlp,
    "import": run_import,
    "prices": run_prices,
    "store": run_store,
    "limits": run_limits,
}


def run(name: str, chosen: Namespace) -> Result:
    """The benchmark's result, or one without figures that says why there are none."""
    try:
        return median_of([BENCHMARKS[name](chosen) for _ in range(chosen.repeat)])
    except LeftOutError as reason:
        return Result(name, f"{name}: left out", {}, notes=[str(reason)])
    except SystemExit as reason:  # the others still have something to say
        return Result(name, f"{name}: did not come to its end", {}, notes=[str(reason)], broken=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every promise that could be measured is kept, 1 otherwise."""
    chosen = _parser().parse_args(arguments)
    names = list(BENCHMARKS) if chosen.which == "all" else [chosen.which]
    results = []
    console = wide_console()
    for name in names:
        results.append(run(name, chosen))
        if not chosen.json:
            show(results[-1], console)
    if chosen.json:
        print(json.dumps({"benchmarks": [result.as_json() for result in results]}, indent=2))
    return int(not all(result.met for result in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("which", nargs="?", default="all", choices=[*BENCHMARKS, "all"])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run each N times, show the medians")
    of_gateway = parser.add_argument_group("gateway")
    of_gateway.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    of_gateway.add_argument(
        "--idle-streams", type=int, default=300, help="streams held open for the memory of one, and as many before"
    )
    of_gateway.add_argument("--without-litellm", action="store_true", help="it takes long to install and to measure")
    of_sdk = parser.add_argument_group("sdk")
    of_sdk.add_argument("--rounds", type=int, default=40)
    of_sdk.add_argument("--calls", type=int, default=sdk.CALLS, help="calls in a round")
    of_ingest = parser.add_argument_group("ingest")
    of_ingest.add_argument("--events", type=int, default=ingest.EVENTS)
    of_otlp = parser.add_argument_group("otlp")
    of_otlp.add_argument("--spans", type=int, default=otlp.SPANS)
    of_import = parser.add_argument_group("import")
    of_import.add_argument("--processes", type=int, default=import_time.PROCESSES)
    of_prices = parser.add_argument_group("prices")
    of_prices.add_argument("--stored", type=int, default=prices.STORED, help="calls that are priced again")
    of_store = parser.add_argument_group("store")
    of_store.add_argument("--store-events", type=int, default=1_000_000, help="how long a history is made")
    of_store.add_argument("--store-days", type=int, default=30, help="over how many days")
    of_store.add_argument("--store-file", type=Path, help="a history that was made before")
    of_store.add_argument(
        "--store-others", nargs="+", default=(), choices=sorted(store.OTHERS), help="engines that are asked the same"
    )
    of_limits = parser.add_argument_group("limits")
    of_limits.add_argument("--admissions", type=int, default=limits.ADMISSIONS, help="calls that are admitted")
    return parser


if __name__ == "__main__":
    sys.exit(main())
