"""What the SDK adds to a call: CPU time around a bare `openai` client, both sides in one run.

    python -m bench.sdk [--rounds 40] [--calls 50]

A local server (another process) answers a recorded-size chat completion; bare and instrumented clients take turns in
short rounds, so that both meet the same state of the machine. CPU time is that of this whole process, the spool's
own thread and its fsync included. The difference is the median over the rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import statistics
import tempfile
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from typing import Any

TARGET_US = 40.0

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The customer asks for a refund. " * 12, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 1149,
            "completion_tokens": 87,
            "total_tokens": 1236,
            "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }
).encode()

MESSAGES: list[Any] = [
    {"role": "system", "content": "You summarise support tickets in one sentence. " * 10},
    {"role": "user", "content": "My parcel has not arrived, and nobody answers the telephone. " * 10},
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *args: Any) -> None:
        pass


def serve(tell: Connection) -> None:
    from socketserver import ThreadingMixIn

    class Server(ThreadingMixIn, HTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    tell.send(server.server_port)
    server.serve_forever()


def cpu_us_per_call(client: Any, calls: int) -> float:
    before = time.process_time()
    for _ in range(calls):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    return (time.process_time() - before) / calls * 1e6


def measure(rounds: int, calls: int) -> dict[str, float]:
    """Microseconds of CPU a call: bare, instrumented, and the median difference of neighbouring rounds."""
    import openai

    import taximeter

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    with tempfile.TemporaryDirectory() as data:
        taximeter.init(data=data, service="bench")
        bare = openai.OpenAI(base_url=url, api_key="k")
        metered = taximeter.instrument(openai.OpenAI(base_url=url, api_key="k"))
        with taximeter.attribute(user="user_123", feature="smart-reply"):
            pairs = [_round(bare, metered, calls, turn) for turn in range(rounds + 4)][4:]
        taximeter.shutdown()
    server.terminate()
    return {
        "bare_us": statistics.median(a for a, _ in pairs),
        "metered_us": statistics.median(b for _, b in pairs),
        "added_us": statistics.median(b - a for a, b in pairs),
    }


def _round(bare: Any, metered: Any, calls: int, turn: int) -> tuple[float, float]:
    gc.collect()
    if turn % 2:
        added = cpu_us_per_call(metered, calls)
        return cpu_us_per_call(bare, calls), added
    return cpu_us_per_call(bare, calls), cpu_us_per_call(metered, calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=50)
    chosen = parser.parse_args()
    found = measure(chosen.rounds, chosen.calls)
    print(json.dumps({**{name: round(value, 1) for name, value in found.items()}, "target_us": TARGET_US}))


if __name__ == "__main__":
    main()
