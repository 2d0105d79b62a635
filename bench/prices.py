"""Prices: what pricing one call costs, and pricing stored calls again.

    python -m bench prices [--stored 100000]

CPU time of one process with one thread of DuckDB. The price of a call is that of an undisturbed round: the fastest of
many short ones. Stored calls are all different, of six models, half with cache reads; they are priced again twice, by
the same book (nothing changes) and by one that changes every amount.
"""

from __future__ import annotations

import gc
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.figures import Promise, Result
from taximeter.clock import SystemClock, rfc3339
from taximeter.core.ids import uuid7
from taximeter.core.usage import Usage
from taximeter.ingest.collector import CostSplicer
from taximeter.pricing import Priceable, PriceBook, load_price_book
from taximeter.pricing.price_file import parse
from taximeter.reports.repricing import asked, perform
from taximeter.store.events import DuckDBEvents

STORED: Final = 200_000
MOST_US_A_CALL: Final = 5.0
MOST_SECONDS_A_MILLION: Final = 60.0
ROUNDS, CALLS_A_ROUND = 400, 50
BATCH: Final = 20_000
START_US: Final = 1_790_000_000_000_000
HOUR_US: Final = 3_600_000_000
MODELS: Final = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("openai", "gpt-5.6-sol"),
    ("deepseek", "deepseek-v4-pro"),
    ("google", "gemini-2.5-pro"),
)
CALLS: Final = {
    "a plain call": Priceable("openai", "gpt-4o", START_US, Usage(input_tokens=1_000, output_tokens=500)),
    "a call with caches": Priceable(
        "anthropic",
        "claude-sonnet-4-5",
        START_US,
        Usage(input_tokens=1_000, cache_read_tokens=500, cache_write_5m_tokens=100, output_tokens=500),
    ),
}


def us_a_call(book: PriceBook, call: Priceable) -> float:
    """The fastest round: CPU µs a call whose price is resolved."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS_A_ROUND):
            book.price(call)
        rounds.append((time.process_time() - began) / CALLS_A_ROUND * 1e6)
    return min(rounds[1:])


def stored_lines(book: PriceBook, calls: int) -> Iterator[bytes]:
    splicer = CostSplicer(book)
    for number in range(calls):
        at_us = START_US + number * 720 * HOUR_US // calls
        provider, model = MODELS[number % len(MODELS)]
        event: dict[str, Any] = {
            "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
            "started_at": rfc3339(at_us),
            "provider": provider,
            "request_model": model,
            "status": "ok",
            "input_tokens": 1_000 + number % 5_000,
            "cache_read_tokens": 500 * (number % 2),
            "output_tokens": 100 + number % 700,
        }
        line = json.dumps(event).encode()
        yield splicer.spliced(line, event, event["started_at"])  # type: ignore[arg-type]


def us_again(store: DuckDBEvents, book: PriceBook, calls: int) -> float:
    """CPU µs for each stored call that is priced again."""
    clock = SystemClock()
    now_us = clock.now_us()
    run = asked({"from": rfc3339(START_US)}, run_id=uuid7(now_us // 1000, bytes(10)), by="bench", now_us=now_us)
    began = time.process_time()
    done = perform(run, book, store, clock)
    spent = time.process_time() - began
    assert done.outcome["examined"] == calls
    return spent / calls * 1e6


def result(stored: int) -> Result:
    book = load_price_book()
    dearer = parse('prices: [{provider: "*", match: "*", multiply: "1.1", kind: markup}]', "override")
    other = PriceBook([*book.layers, dearer], book.snapshots)
    price = {name: us_a_call(book, call) for name, call in CALLS.items()}
    with tempfile.TemporaryDirectory(prefix="taximeter-bench-") as folder:
        store = DuckDBEvents(Path(folder) / "events.duckdb", threads=1)
        lines = list(stored_lines(book, stored))
        for first in range(0, stored, BATCH):
            store.append(lines[first : first + BATCH], {})
        gc.freeze()  # as the server does once it has started
        same, changed = us_again(store, book, stored), us_again(store, other, stored)
        store.close()
    rows = {name: {"CPU µs a call": us} for name, us in price.items()}
    rows |= {
        "priced again, the same": {"CPU µs a call": same},
        "priced again, another amount": {"CPU µs a call": changed},
    }
    promises = [
        Promise("pricing a resolved call", max(price.values()), MOST_US_A_CALL, "µs"),
        Promise("pricing a million stored calls again, all changed", changed, MOST_SECONDS_A_MILLION, "s"),
    ]
    return Result("prices", "Prices: a call, and stored calls again", rows, promises, [f"{stored:,} stored calls"])
