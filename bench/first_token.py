"""How much later the first token comes through the gateway, while it carries many streams.

Two hundred streams flow through the gateway, as many through nginx, each read by a process of its own; new streams are
opened one by one, in turn straight to the provider, through nginx and through the gateway, and the time from the
request to the first piece of text is taken. What is told is the difference of the sides' quantiles: what all have in
common (the provider, the machine's other work) falls out of it. Where the time went, the gateway says from within
(`bench/gateway_inside.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import gateway_inside
from bench.gateway import HEADERS, REQUEST, STREAM_CHUNKS, free_port, nginx, process
from bench.gateway_inside import quantile

STREAMS = 200
PROBES = 1_000
LONGEST_SECONDS = 30.0
SETTLE_SECONDS = 2.0
WARM_UP_PROBES = 20
PAUSE_SECONDS = "0.2"

_PATH = "/v1/chat/completions"
_TEXT = b'"content":'


Probe = tuple[float, float]
"""When it began and when it had its first token, seconds of the monotonic clock."""

LEGS = (
    "from the client until the gateway's application",
    "there until it leaves for the provider",
    "to the provider and back, until the head is seen",
    "from the head of the answer to its first piece",
    "from there until the client has it",
)


@dataclass(frozen=True)
class FirstToken:
    """When each probe by each way began and had its first token, and what the gateway says from within."""

    probes: Mapping[str, list[Probe]]
    inside: gateway_inside.Told

    def ms(self, way: str, share: float) -> float:
        return quantile([had_it - began for began, had_it in self.probes[way]], share) * 1000

    def added_ms(self, way: str, share: float) -> float:
        """More than straight to the provider."""
        return self.ms(way, share) - self.ms("straight", share)

    def legs_ms(self) -> dict[str, list[float]]:
        """Where the time of the probes through the gateway went."""
        whole = [
            (began, *call, had_it) for began, had_it in self.probes["taximeter"] for call in self._of(began, had_it)
        ]
        return {leg: [(one[at + 1] - one[at]) * 1000 for one in whole] for at, leg in enumerate(LEGS)}

    def _of(self, began: float, had_it: float) -> list[gateway_inside.Moments]:
        """The call that a probe was to the gateway: it lies within it. At most one; a stream beside it may as well."""
        return [call for call in self.inside.calls if began <= call[0] and call[-1] <= had_it][-1:]


def request(path: str, user: str = "") -> bytes:
    asked = {**REQUEST, "stream": True, "stream_options": {"include_usage": True}, "user": user}
    body = json.dumps(asked).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in HEADERS.items()), "", ""]).encode() + body


def to_first_token(port: int, asked: bytes) -> Probe:
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
        return began, time.perf_counter()


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


def measure(folder: Path, streams: int = STREAMS, number: int = PROBES) -> FirstToken:
    folder.mkdir(exist_ok=True)
    provider, nginx_port, port = free_port(), free_port(), free_port()
    told = folder / "inside.json"
    ways = {
        "straight": (provider, _PATH),
        "nginx": (nginx_port, "/paced" + _PATH),
        "taximeter": (port, "/paced" + _PATH),
    }
    asked = {way: (at, request(path, "brief")) for way, (at, path) in ways.items()}
    probes: dict[str, list[Probe]] = {way: [] for way in ways}
    with process(_ours("paced", provider, STREAM_CHUNKS, PAUSE_SECONDS), provider), contextlib.ExitStack() as standing:
        gateway = _ours("gateway", port, provider, provider, folder / "spool", told)
        for command, at in ((_nginx(folder / "nginx", nginx_port, provider), nginx_port), (gateway, port)):
            standing.enter_context(process(command, at))
            standing.enter_context(carrying(at, streams))
        for turn in range(-WARM_UP_PROBES, number):
            for way, (at, body) in asked.items():
                probe = to_first_token(at, body)
                if turn >= 0:
                    probes[way].append(probe)
    return FirstToken(probes, gateway_inside.read(told))


def _ours(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bench.gateway_processes", *map(str, arguments)]


def _nginx(folder: Path, port: int, provider_port: int) -> list[str]:
    return nginx(
        folder,
        f"""
    upstream paced {{ server 127.0.0.1:{provider_port}; keepalive 512; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        location /paced/ {{ proxy_pass http://paced/; }}
    }}""",
    )


def told(found: FirstToken) -> Iterator[str]:
    """The figures, line by line."""
    for way in found.probes:
        p50, p99 = found.ms(way, 0.5), found.ms(way, 0.99)
        more = (
            "" if way == "straight" else f"; added {found.added_ms(way, 0.5):.2f} and {found.added_ms(way, 0.99):.2f}"
        )
        yield f"{way:10} p50 {p50:.2f} ms, p99 {p99:.2f} ms{more}"
    inside = found.inside
    yield "what the way through the gateway is made of, p50 and p99 in ms:"
    for about, (p50, p99) in (
        *((leg, (quantile(took, 0.5), quantile(took, 0.99))) for leg, took in found.legs_ms().items()),
        ("event loop late", inside.late),
        ("event loop late, without the wait for a processor", inside.late_by_itself),
    ):
        yield f"  {about:50} {p50:.2f} {p99:.2f}"


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--probes", type=int, default=PROBES)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(*told(measure(Path(folder), chosen.streams, chosen.probes)), sep="\n")


if __name__ == "__main__":
    main()
