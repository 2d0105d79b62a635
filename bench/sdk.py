"""What the SDK adds to a call: CPU time around a bare `openai` client, both sides in one run.

    python -m bench.sdk [--rounds 200] [--calls 64]

A local server (another process) answers a recorded-size chat completion; three clients take turns in short rounds,
so that all meet the same state of the machine: a bare one, an instrumented one, and a second bare one whose
difference from the first shows how far the figures can be trusted. The CPU time of a round is that of the calling
thread. What the other threads took, which is the spool's own with its fsync, comes in no particular round: it is
divided by all metered calls and added. What is printed are medians over the rounds, with their quartiles.

A round is as long as the ids that are made at once, so that each pays for them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from typing import Any

from taximeter.core.ids import PREPARED_IDS

TARGET_US = 40.0
WARM_UP_ROUNDS = 6
CALLS = PREPARED_IDS

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


def serve(tell: Connection, answer_after_seconds: float = 0.0) -> None:
    from socketserver import ThreadingMixIn

    class Server(ThreadingMixIn, HTTPServer):
        daemon_threads = True

    class Slow(Handler):
        def do_POST(self) -> None:
            time.sleep(answer_after_seconds)
            super().do_POST()

    server = Server(("127.0.0.1", 0), Slow if answer_after_seconds else Handler)
    tell.send(server.server_port)
    server.serve_forever()


def cpu_us_per_call(client: Any, calls: int) -> float:
    before = time.thread_time()
    for _ in range(calls):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    return (time.thread_time() - before) / calls * 1e6


def other_threads_us() -> float:
    """CPU microseconds of all threads of this process but the one that asks, so far."""
    return (time.process_time() - time.thread_time()) * 1e6


def measure(rounds: int, calls: int) -> dict[str, float]:
    """Microseconds of CPU a call, medians over the rounds: bare, instrumented, and what that added."""
    turns, beside = take_turns(rounds, calls)
    found = differences(turns, beside)
    bare, added = statistics.median(found["bare"]), statistics.median(found["added"])
    return {"bare_us": bare, "metered_us": bare + added, "added_us": added, "beside_us": beside}


def take_turns(rounds: int, calls: int) -> tuple[list[dict[str, float]], float]:
    """CPU microseconds a call of each client in each round, and of the threads beside for each metered call."""
    import openai

    import taximeter

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    with tempfile.TemporaryDirectory() as data:
        taximeter.init(data=data, service="bench")
        # One connection for all: which processor its server thread runs on makes a difference of its own.
        http = openai.DefaultHttpxClient()
        bare, control, metered = (openai.OpenAI(base_url=url, api_key="k", http_client=http) for _ in range(3))
        clients = {"bare": bare, "control": control, "metered": taximeter.instrument(metered)}
        with taximeter.attribute(user="user_123", feature="smart-reply"):
            for turn in range(WARM_UP_ROUNDS):
                one_round(clients, calls, turn)
            before = other_threads_us()
            turns = [one_round(clients, calls, turn) for turn in range(rounds)]
            beside = (other_threads_us() - before) / (rounds * calls)
        taximeter.shutdown()
    server.terminate()
    return turns, beside


def differences(turns: list[dict[str, float]], beside: float) -> dict[str, list[float]]:
    """What the bare client took, and how much more than it the others did, round by round."""
    return {
        "bare": [turn["bare"] for turn in turns],
        "control": [turn["control"] - turn["bare"] for turn in turns],
        "added": [turn["metered"] - turn["bare"] + beside for turn in turns],
    }


def one_round(clients: Mapping[str, Any], calls: int, turn: int) -> dict[str, float]:
    """Each client makes some calls; who begins changes from round to round."""
    first = turn % len(clients)
    names = [*clients][first:] + [*clients][:first]
    return {name: cpu_us_per_call(clients[name], calls) for name in names}


def spread(found: list[float]) -> dict[str, float]:
    lower, median, upper = statistics.quantiles(found, n=4)
    return {"median_us": round(median, 1), "lower_quartile_us": round(lower, 1), "upper_quartile_us": round(upper, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--calls", type=int, default=CALLS)
    chosen = parser.parse_args()
    turns, beside = take_turns(chosen.rounds, chosen.calls)
    found = {name: spread(values) for name, values in differences(turns, beside).items()}
    calling = round(found["added"]["median_us"] - beside, 1)
    print(json.dumps({**found, "calling_thread_us": calling, "beside_us": round(beside, 1), "target_us": TARGET_US}))


if __name__ == "__main__":
    main()
