"""The events of the ingest benchmark, and the process that posts them: bodies made before, connections kept alive."""

from __future__ import annotations

import http.client
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from taximeter.clock import SystemClock, rfc3339
from taximeter.core.ids import uuid7

MODELS = (
    ("openai", "gpt-4o", "gpt-4o-2024-08-06"),
    ("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-4.1", "gpt-4.1-2025-04-14"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
)
FEATURES = ("chat", "smart-reply", "summarise", "search", "translate", "triage")
TEAMS = ("core", "growth", "support")


def events(number: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Calls of many users over the last hour: about 750 bytes each, as the SDK writes them."""
    chance = random.Random(seed)
    now_us = SystemClock().now_us()
    for place in range(number):
        yield _event(chance, now_us - 3_600_000_000 + place * 3_600_000_000 // number)


def _event(chance: random.Random, at_us: int) -> dict[str, Any]:
    provider, asked, answered = chance.choice(MODELS)
    input_tokens, output_tokens = chance.randint(80, 6000), chance.randint(20, 900)
    return {
        "event_id": uuid7(at_us // 1000, chance.randbytes(10)),
        "started_at": rfc3339(at_us),
        "source": "sdk",
        "status": "ok",
        "attempt": 1,
        "duration_ms": round(chance.uniform(300, 9000), 3),
        "time_to_first_token_ms": round(chance.uniform(120, 900), 3),
        "provider": provider,
        "request_model": asked,
        "response_model": answered,
        "operation": "chat",
        "service_tier": "default",
        "http_status": 200,
        "response_id": f"resp-{chance.getrandbits(96):024x}",
        "trace_id": f"{chance.getrandbits(128):032x}",
        "span_id": f"{chance.getrandbits(64):016x}",
        "user_id": f"user_{chance.randint(1, 20_000)}",
        "team": chance.choice(TEAMS),
        "feature": chance.choice(FEATURES),
        "endpoint": "/api/reply",
        "environment": "prod",
        "service": "checkout",
        "service_version": "2.4.1",
        "prompt_version": f"v{chance.randint(1, 9)}",
        "tags": {"experiment": chance.choice("ab"), "release": "2026-11"},
        "input_tokens": input_tokens,
        "cache_read_tokens": input_tokens // 2 if chance.random() < 0.4 else 0,
        "output_tokens": output_tokens,
    }


def lines(number: int, seed: int = 1) -> list[bytes]:
    return [json.dumps(event, separators=(",", ":")).encode() for event in events(number, seed)]


def bodies(events_as_lines: Sequence[bytes], batch: int) -> list[bytes]:
    """JSON arrays of `batch` events."""
    parts = (events_as_lines[start : start + batch] for start in range(0, len(events_as_lines), batch))
    return [b"[" + b",".join(part) + b"]" for part in parts]


def post(port: int, key: str, waiting: SimpleQueue[bytes], told: SimpleQueue[tuple[float, int]]) -> None:
    """Post bodies until there are none; tell of each how long the answer took and how many it accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    while True:
        try:
            body = waiting.get_nowait()
        except Empty:
            return
        began = time.perf_counter()
        connection.request("POST", "/v1/events", body, headers)
        answer = json.load(connection.getresponse())
        told.put((time.perf_counter() - began, answer["accepted"]))


def load(port: int, key: str, number: int, batch: int, connections: int) -> None:
    """Make the bodies, say so, wait for a line on standard input, post, report as one JSON object."""
    made = lines(number, seed=SystemClock().now_us())  # what was posted before is not the other telling of a call
    waiting: SimpleQueue[bytes] = SimpleQueue()
    for body in bodies(made, batch):
        waiting.put(body)
    told: SimpleQueue[tuple[float, int]] = SimpleQueue()
    threads = [threading.Thread(target=post, args=(port, key, waiting, told)) for _ in range(connections)]
    print(json.dumps({"bytes_an_event": sum(map(len, made)) / number}), flush=True)
    sys.stdin.readline()
    began, cpu_began = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    answers = [told.get() for _ in range(told.qsize())]
    waits = sorted(wait for wait, _ in answers)
    report = {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu_began,
        "accepted": sum(accepted for _, accepted in answers),
        "median_answer_ms": waits[len(waits) // 2] * 1000,
        "p99_answer_ms": waits[len(waits) * 99 // 100] * 1000,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    load(int(sys.argv[1]), os.environ["BENCH_KEY"], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
