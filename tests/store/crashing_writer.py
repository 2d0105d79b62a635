"""A process that appends batches until it is killed: `crashing_writer.py FILE`.

It takes up at the last mark, and repeats the batch before it, as a spool that was read again would. It writes the
number of each batch to stdout when the store has acknowledged it, and meanwhile adds up roll-ups all the time.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.store.events import DuckDBEvents
from taximeter.store.events.instants import LATEST_US

LINES = 50
START_US = 1_795_000_000_000_000
MINUTE_US = 60_000_000


def batch(number: int) -> list[bytes]:
    return [_line(number * LINES + index) for index in range(LINES)]


def _line(number: int) -> bytes:
    started_us = START_US + number * MINUTE_US
    event_id = uuid7(started_us // 1000, number.to_bytes(10, "big"))
    return json.dumps(
        {"event_id": event_id, "started_at": rfc3339(started_us), "status": "ok", "cost_usd": "0.000001"}
    ).encode()


def add_up(store: DuckDBEvents) -> None:
    while True:
        store.roll_up(LATEST_US)


def main(file: Path) -> None:
    store = DuckDBEvents(file, arrange_from=1)
    threading.Thread(target=add_up, args=(store,), daemon=True).start()
    number = max(store.marks().get("spool", -1), 0)
    while True:
        store.append(batch(number), {"spool": number})
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
