"""The gateway against nginx and LiteLLM's proxy, in one run on one machine.

    python -m bench.gateway [--seconds 5] [--litellm] [--litellm-python PATH] [--idle-streams 500]

What is compared is CPU time of the proxy's process, from /proc, because wall time is noisy: for a chat completion
that is not streamed, and for one chunk of a stream. nginx does nothing but forward. The gateway does all it does in
production: keys, attribution headers, begin and end records in a real spool, reading the usage, the price header.

Needs nginx and wrk on the machine. With `--litellm`, `litellm[proxy]` is installed by uv into a folder of the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

BENCH = Path(__file__).resolve().parent
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 16
STREAM_CHUNKS = 200
LONGEST_START_SECONDS = 90.0

REQUEST = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "You help generate concise summaries of video transcripts. " * 4},
        {"role": "user", "content": "Summarise what the speaker says about the harbour. " * 12},
    ],
    "temperature": 0.2,
}
ANSWER = {
    "id": "chatcmpl-Example0001",
    "object": "chat.completion",
    "created": 1760000000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "The harbour was dredged. " * 20, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 220,
        "completion_tokens": 120,
        "total_tokens": 340,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_example",
}
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "OpenAI/Python 2.0.0",
    "X-Stainless-Lang": "python",
    "X-Stainless-Package-Version": "2.0.0",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Arch": "x64",
    "X-Stainless-Runtime": "CPython",
    "X-Stainless-Runtime-Version": "3.11.7",
    "X-Stainless-Async": "false",
    "x-stainless-retry-count": "0",
    "x-stainless-read-timeout": "600",
    "Authorization": "Bearer tm-bench-key",
    "X-Taximeter-User": "user_123",
    "X-Taximeter-Feature": "smart-reply",
    "X-Taximeter-Environment": "prod",
    "X-Taximeter-Tags": "experiment=b",
}


@dataclass(frozen=True)
class Measured:
    """CPU of a proxy in microseconds, and what it was spent on."""

    name: str
    us_a_request: float
    requests_a_second: float
    us_a_chunk: float | None = None
    kb_an_idle_stream: float | None = None


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def process(command: Sequence[str], port: int, **environment: str) -> Iterator[int]:
    """A server process that listens on `port`; its process id."""
    with tempfile.TemporaryFile() as told:
        running = subprocess.Popen(command, env={**os.environ, **environment}, stdout=told, stderr=told)
        try:
            if not _listens(port, running):
                told.seek(0)
                raise SystemExit(f"{command} did not start:\n{told.read().decode()}")
            yield running.pid
        finally:
            running.terminate()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def _listens(port: int, running: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.05)
    return False


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of the children it has now."""
    total = 0
    for one in (pid, *_children(pid)):
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS_A_SECOND


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ── load ─────────────────────────────────────────────────────────────────────────────────────────────────────


def load(folder: Path, url: str, body: dict[str, object], seconds: float) -> tuple[int, float]:
    """Requests answered, and how many a second. Everything but 2xx is a mistake of the benchmark."""
    script = folder / "post.lua"
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in HEADERS.items()]
    script.write_text("\n".join(['wrk.method = "POST"', f"wrk.body = {json.dumps(json.dumps(body))}", *lines]))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script), url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(told)
    requests = re.search(r"(\d+) requests in", told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert requests is not None
    assert rate is not None
    return int(requests[1]), float(rate[1])


def us_each(folder: Path, pid: int, url: str, body: dict[str, object], seconds: float) -> tuple[float, float]:
    load(folder, url, body, min(1.0, seconds))
    before = cpu_seconds(pid)
    requests, rate = load(folder, url, body, seconds)
    if not requests:
        raise SystemExit(f"{url} answered no request within {seconds:g} seconds; measure for longer (--seconds)")
    return (cpu_seconds(pid) - before) / requests * 1e6, rate


def measured(name: str, folder: Path, pid: int, port: int, args: argparse.Namespace, paths: Paths) -> Measured:
    # First, while nothing that was freed can be used again.
    idle = idle_stream_bytes(pid, port, paths, args.idle_streams) / 1000 if args.idle_streams else None
    url = f"http://127.0.0.1:{port}"
    each, rate = us_each(folder, pid, url + paths.whole, {**REQUEST, "model": paths.whole_model}, args.seconds)
    streamed = {**REQUEST, "model": paths.paced_model, "stream": True, "stream_options": {"include_usage": True}}
    per_stream, _ = us_each(folder, pid, url + paths.paced, streamed, args.seconds)
    return Measured(name, each, rate, per_stream / STREAM_CHUNKS, idle)


def idle_stream_bytes(pid: int, port: int, paths: Paths, number: int) -> float:
    """Memory of one stream that has begun and waits. As many others are opened before and stay: they take what was
    freed when the proxy had started."""
    body = json.dumps({**REQUEST, "model": paths.paced_model, "stream": True, "user": "stall"}).encode()
    lines = [f"{name}: {value}" for name, value in HEADERS.items()]
    first = [f"POST {paths.paced} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
    request = "\r\n".join([*first, *lines, "", ""]).encode() + body
    before = 0
    with contextlib.ExitStack() as streams:
        for place in range(2 * number):
            if place == number:
                before = resident_bytes(pid)
            stream = streams.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            stream.sendall(request)
            while b"data: " not in stream.recv(65536):
                pass
        return (resident_bytes(pid) - before) / number


# ── the provider and the three proxies ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Paths:
    """Where a proxy serves the provider that answers whole, and the one that streams at a steady pace."""

    whole: str
    paced: str
    whole_model: str = "gpt-4o-mini"
    paced_model: str = "gpt-4o-mini"


@dataclass(frozen=True)
class Providers:
    whole_port: int
    paced_port: int


def nginx(folder: Path, servers: str) -> list[str]:
    """The command for an nginx of its own."""
    folder.mkdir()
    text = Template((BENCH / "nginx.conf.template").read_text()).substitute(folder=folder, servers=servers)
    (folder / "nginx.conf").write_text(text)
    return [_needed("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise SystemExit(f"{program} is needed (Debian: apt install nginx-light wrk)")
    return found


@contextlib.contextmanager
def providers(folder: Path) -> Iterator[Providers]:
    ports = Providers(free_port(), free_port())
    server = f"""
    server {{
        listen 127.0.0.1:{ports.whole_port} backlog=4096;
        location / {{ default_type application/json; return 200 '{json.dumps(ANSWER)}'; }}
    }}"""
    paced = [sys.executable, "-m", "bench.gateway_processes", "paced", str(ports.paced_port), str(STREAM_CHUNKS)]
    with process(nginx(folder / "provider", server), ports.whole_port), process(paced, ports.paced_port):
        yield ports


def measure_nginx(folder: Path, behind: Providers, args: argparse.Namespace) -> Measured:
    port = free_port()
    server = f"""
    upstream whole {{ server 127.0.0.1:{behind.whole_port}; keepalive 256; keepalive_requests 10000000; }}
    upstream paced {{ server 127.0.0.1:{behind.paced_port}; keepalive 256; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        location /whole/ {{ proxy_pass http://whole/; }}
        location /paced/ {{ proxy_pass http://paced/; }}
    }}"""
    with process(nginx(folder / "proxy", server), port) as pid:
        paths = Paths("/whole/v1/chat/completions", "/paced/v1/chat/completions")
        return measured("nginx", folder, pid, port, args, paths)


def measure_gateway(folder: Path, behind: Providers, args: argparse.Namespace) -> Measured:
    port = free_port()
    command = [sys.executable, "-m", "bench.gateway_processes", "gateway", str(port)]
    command += [str(behind.whole_port), str(behind.paced_port), str(folder / "spool")]
    with process(command, port) as pid:
        paths = Paths("/openai/v1/chat/completions", "/paced/v1/chat/completions")
        return measured("taximeter", folder, pid, port, args, paths)


def measure_litellm(folder: Path, behind: Providers, args: argparse.Namespace, python: Path) -> Measured:
    port = free_port()
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{up}/v1", "api_key": "sk"},
        }
        for name, up in (("whole", behind.whole_port), ("paced", behind.paced_port))
    ]
    configuration = folder / "litellm.json"
    configuration.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": "tm-bench-key"}}))
    command = [str(python.with_name("litellm")), "--config", str(configuration), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    with process(command, port, LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR") as pid:
        paths = Paths("/v1/chat/completions", "/v1/chat/completions", "whole", "paced")
        return measured("LiteLLM", folder, pid, port, args, paths)


def litellm_python() -> Path:
    """The Python of an environment with `litellm[proxy]`, made on first use and kept in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "taximeter-bench" / "litellm"
    python = cache / "bin" / "python"
    if not (cache / "bin" / "litellm").exists():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(cache)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), "litellm[proxy]"], check=True)
    return python


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────


def table(rows: Sequence[Measured]) -> str:
    base = rows[0]
    lines = [f"{'':12}{'µs/call':>10}{'x nginx':>9}{'calls/s':>9}{'µs/chunk':>10}{'x nginx':>9}{'kB/idle stream':>16}"]
    for row in rows:
        chunk, times = "", ""
        if row.us_a_chunk is not None and base.us_a_chunk:
            chunk, times = f"{row.us_a_chunk:.1f}", f"{row.us_a_chunk / base.us_a_chunk:.1f}"
        idle = "" if row.kb_an_idle_stream is None else f"{row.kb_an_idle_stream:.1f}"
        lines.append(
            f"{row.name:12}{row.us_a_request:>10.1f}{row.us_a_request / base.us_a_request:>9.1f}"
            f"{row.requests_a_second:>9.0f}{chunk:>10}{times:>9}{idle:>16}"
        )
    return "\n".join(lines)


def verdict(rows: Sequence[Measured]) -> list[str]:
    """The bounds that were promised, and whether they hold."""
    by_name = {row.name: row for row in rows}
    ours, base, peer = by_name["taximeter"], by_name["nginx"], by_name.get("LiteLLM")
    ratio = ours.us_a_request / base.us_a_request
    lines = [f"{'holds ' if ratio <= 10 else 'BROKEN'}  a call costs {ratio:.1f}x nginx (at most 10x)"]
    if ours.us_a_chunk and base.us_a_chunk:
        chunks = ours.us_a_chunk / base.us_a_chunk
        lines.append(
            f"{'holds ' if chunks <= 6 else 'BROKEN'}  a streamed chunk costs {chunks:.1f}x nginx (at most 6x)"
        )
    if peer is None:
        lines.append("skipped LiteLLM: give --litellm (installs it into the cache) or --litellm-python PATH")
    else:
        less = peer.us_a_request / ours.us_a_request
        lines.append(f"{'holds ' if less >= 40 else 'BROKEN'}  LiteLLM's proxy costs {less:.0f}x ours (at least 40x)")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument(
        "--idle-streams",
        type=int,
        default=300,
        help="streams held open for the memory of one, and as many before; 0: none",
    )
    parser.add_argument("--litellm", action="store_true", help="measure LiteLLM too, installing it when needed")
    parser.add_argument("--litellm-python", type=Path, help="the Python of an environment that has litellm[proxy]")
    args = parser.parse_args(arguments)
    _needed("wrk")
    rows: list[Measured] = []
    with tempfile.TemporaryDirectory() as name, providers(Path(name)) as behind:
        folder = Path(name)
        rows += [measure_nginx(folder, behind, args), measure_gateway(folder, behind, args)]
        if args.litellm or args.litellm_python:
            rows.append(measure_litellm(folder, behind, args, args.litellm_python or litellm_python()))
    lines = verdict(rows)
    print(table(rows), *lines, sep="\n")
    return int(any(line.startswith("BROKEN") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
