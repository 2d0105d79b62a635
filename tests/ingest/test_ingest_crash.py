"""The whole road with the real store and the real price book, killed at random moments.

`INGEST_KILLS=30` takes its time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

from taximeter.clock import SystemClock
from taximeter.ingest.collector import Collector
from taximeter.pricing import load_price_book
from taximeter.spool import SpoolReader
from taximeter.store.events import DuckDBEvents, parse_query

KILLS = int(os.environ.get("INGEST_KILLS", "2"))

SERVER = """
    import asyncio, json, os, sys, threading
    from pathlib import Path
    from taximeter.clock import SystemClock, rfc3339
    from taximeter.core.ids import uuid7
    from taximeter.ingest.collector import Collector
    from taximeter.ingest.receive import Receiver
    from taximeter.pricing import load_price_book
    from taximeter.spool import Spool, SpoolReader
    from taximeter.store.events import DuckDBEvents

    data, clock = Path(sys.argv[1]), SystemClock()
    store = DuckDBEvents(data / "events.duckdb")
    spool = Spool(data / "spool", clock=clock, writer="server")
    Collector(SpoolReader(data / "spool"), load_price_book(), store, clock).start()
    receiver = Receiver(spool, store.known_ids, clock)

    def add_up():
        while True:
            store.roll_up(clock.now_us())

    threading.Thread(target=add_up, daemon=True).start()

    def event():
        now_us = clock.now_us()
        name = uuid7(now_us // 1000, os.urandom(10))
        tokens = {"input_tokens": 1000, "output_tokens": 500}
        return {"event_id": name, "started_at": "2024-06-15T12:00:00Z", "provider": "openai",
                "response_model": "gpt-4o", **tokens}

    async def client():
        while True:
            events = [event() for _ in range(20)]
            body = json.dumps(events).encode()
            for _ in range(3):
                await receiver.receive(body, "application/json")
                os.write(1, "".join(one["event_id"] + "\\n" for one in events).encode())

    async def clients():
        await asyncio.gather(*(client() for _ in range(4)))

    asyncio.run(clients())
"""


def test_an_event_posted_three_times_counts_once_also_with_crashes_between(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged = set[str]()
    for _ in range(KILLS):
        command = [sys.executable, "-c", textwrap.dedent(SERVER), str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(chance.randrange(200, 3_000))]
        process.kill()
        seen += process.communicate()[0].splitlines(keepends=True)
        acknowledged |= {line.strip() for line in seen if line.endswith("\n")}

    store = DuckDBEvents(tmp_path / "events.duckdb")
    collector = Collector(SpoolReader(tmp_path / "spool"), load_price_book(), store, SystemClock())
    while collector.step():
        pass
    assert store.known_ids(acknowledged) == acknowledged

    query = {"measures": ["calls", "cost_usd"], "from": "2024-06-01", "to": "2024-07-01"}
    totals = store.query(parse_query(query, SystemClock().now_us())).totals
    spooled = {line.split(b'"')[3] for line in _every_line(tmp_path / "spool") if line.endswith(b"}")}  # not torn
    assert totals["calls"] == len(spooled) >= len(acknowledged) > 0
    assert totals["cost_usd"] == f"{totals['calls'] * 125 / 10_000:.4f}".rstrip("0").rstrip(".")
    store.roll_up(SystemClock().now_us())
    assert store.query(parse_query(query, SystemClock().now_us())).totals == totals
    verified = store.verify()
    assert verified.differing == ()
    assert sum(verified.checked.values()) > 0
    store.close()


def _every_line(spool: Path) -> list[bytes]:
    return [line for path in spool.glob("*.sealed.ndjson") for line in path.read_bytes().splitlines()]
