"""What the SDK adds where calls last and many are under way, as in a server: their begin records are written too.

    python -m bench.sdk_in_flight [--rounds 20] [--threads 32] [--calls 4] [--answer-after-ms 300]

As many threads as said make calls of `openai` at once, of which each is answered only after a while. The bare client
and the instrumented one take turns. Counted is the CPU time of the whole process, the spool's thread with its begin
records and its fsync included; printed are medians over the rounds, with their quartiles.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bench import sdk

WARM_UP_ROUNDS = 2


def cpu_us_per_call(client: Any, pool: ThreadPoolExecutor, threads: int, calls: int) -> float:
    before = time.process_time()
    made = [
        pool.submit(client.chat.completions.create, model="gpt-4o-mini", messages=sdk.MESSAGES)
        for _ in range(threads * calls)
    ]
    for call in made:
        call.result()
    return (time.process_time() - before) / len(made) * 1e6


@contextmanager
def slow_provider(answer_after_ms: int) -> Iterator[str]:
    """Its base URL."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=sdk.serve, args=(there, answer_after_ms / 1000), daemon=True)
    server.start()
    yield f"http://127.0.0.1:{here.recv()}/v1"
    server.terminate()


def main() -> None:
    import openai

    import taximeter

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--calls", type=int, default=4, help="of each thread in a round")
    parser.add_argument("--answer-after-ms", type=int, default=300)
    chosen = parser.parse_args()
    with slow_provider(chosen.answer_after_ms) as url, tempfile.TemporaryDirectory() as data:
        taximeter.init(data=data, service="bench")
        http = openai.DefaultHttpxClient()
        bare, control, metered = (openai.OpenAI(base_url=url, api_key="k", http_client=http) for _ in range(3))
        clients = {"bare": bare, "control": control, "metered": taximeter.instrument(metered)}
        turns = []
        with ThreadPoolExecutor(chosen.threads) as pool, taximeter.attribute(user="user_123", feature="smart-reply"):
            for turn in range(WARM_UP_ROUNDS + chosen.rounds):
                first = turn % len(clients)
                names = [*clients][first:] + [*clients][:first]
                turns.append(
                    {name: cpu_us_per_call(clients[name], pool, chosen.threads, chosen.calls) for name in names}
                )
        taximeter.shutdown()
    found = sdk.differences(turns[WARM_UP_ROUNDS:], beside=0.0)
    print(json.dumps({name: sdk.spread(values) for name, values in found.items()}))


if __name__ == "__main__":
    main()
