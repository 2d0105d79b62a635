"""How much later the first token comes through the gateway, while it carries many streams.

Two hundred streams flow through the gateway, read by a process of their own; new streams are opened one by one, in
turn straight to the provider and through the gateway, and the time from the request to the first piece of text is
taken. What is told is the difference of the two sides' quantiles: what both have in common (the provider, the
machine's other work) falls out of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.gateway import HEADERS, REQUEST, STREAM_CHUNKS, free_port, process

STREAMS = 200
PROBES = 1_000
LONGEST_SECONDS = 30.0
SETTLE_SECONDS = 2.0
PAUSE_SECONDS = "0.2"

_PATH = "/v1/chat/completions"
_TEXT = b'"content":'


@dataclass(frozen=True)
class FirstToken:
    """Milliseconds to the first token: straight, and through the gateway."""

    straight_p50_ms: float
    straight_p99_ms: float
    through_p50_ms: float
    through_p99_ms: float

    @property
    def added_p50_ms(self) -> float:
        return self.through_p50_ms - self.straight_p50_ms

    @property
    def added_p99_ms(self) -> float:
        return self.through_p99_ms - self.straight_p99_ms


def request(path: str, user: str = "") -> bytes:
    asked = {**REQUEST, "stream": True, "stream_options": {"include_usage": True}, "user": user}
    body = json.dumps(asked).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in HEADERS.items()), "", ""]).encode() + body


def to_first_token_ms(port: int, asked: bytes) -> float:
    """One stream, given up after its first token; the connection is made before the clock runs."""
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST_SECONDS) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        stream.sendall(asked)
        received = b""
        while _TEXT not in received:
            more = stream.recv(65536)
            if not more:
                raise SystemExit(f"no token came: {received[:500]!r}")
            received += more
        return (time.perf_counter() - began) * 1000


@contextlib.contextmanager
def carrying(port: int, streams: int) -> Iterator[None]:
    """So many streams through the gateway, one after the other on each of so many connections."""
    command = [sys.executable, "-m", "bench.gateway_processes", "streams", str(port), str(streams)]
    running = subprocess.Popen(command)
    try:
        time.sleep(SETTLE_SECONDS)
        yield
    finally:
        running.terminate()
        running.wait()


def measure(folder: Path, streams: int = STREAMS, probes: int = PROBES) -> FirstToken:
    folder.mkdir(exist_ok=True)
    provider_port, port = free_port(), free_port()
    paced = [
        sys.executable,
        "-m",
        "bench.gateway_processes",
        "paced",
        str(provider_port),
        str(STREAM_CHUNKS),
        PAUSE_SECONDS,
    ]
    serving = [sys.executable, "-m", "bench.gateway_processes", "gateway", str(port), str(provider_port)]
    serving += [str(provider_port), str(folder / "spool")]
    ways = {"straight": (provider_port, request(_PATH, "brief")), "through": (port, request("/paced" + _PATH, "brief"))}
    times: dict[str, list[float]] = {name: [] for name in ways}
    with process(paced, provider_port), process(serving, port), carrying(port, streams):
        for way in ways.values():
            for _ in range(20):
                to_first_token_ms(*way)
        for _ in range(probes):
            for name, way in ways.items():
                times[name].append(to_first_token_ms(*way))
    quantiles = (quantile(times[name], share) for name in ways for share in (0.5, 0.99))
    return FirstToken(*quantiles)


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--probes", type=int, default=PROBES)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), chosen.streams, chosen.probes)
    print(f"straight: p50 {found.straight_p50_ms:.2f} ms, p99 {found.straight_p99_ms:.2f} ms")
    print(f"through:  p50 {found.through_p50_ms:.2f} ms, p99 {found.through_p99_ms:.2f} ms")
    print(f"added:    p50 {found.added_p50_ms:.2f} ms, p99 {found.added_p99_ms:.2f} ms")


if __name__ == "__main__":
    main()
