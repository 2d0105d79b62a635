"""Whatever is stored is spent, once and all of it, also when the collector and a job tell at the same time."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from taximeter.ingest.posting import PostingStore
from taximeter.store.events import Appended

LINES = [
    json.dumps({"event_id": f"e{n}", "started_at": "2026-11-20T09:30:00Z", "status": "ok", "cost_usd": "0.01"}).encode()
    for n in range(3)
]


class Store:
    """Takes everything."""

    def append(self, lines: Sequence[bytes], marks: Mapping[str, int]) -> Appended:
        del marks
        return Appended(len(lines), 0)

    def marks(self) -> dict[str, int]:
        return {}

    def forget_marks(self, names: Iterable[str]) -> None:
        del names

    def known_ids(self, ids: Collection[str]) -> Collection[str]:
        del ids
        return ()


def test_two_threads_that_tell_at_once_leave_no_event_out() -> None:
    told: list[str] = []
    first = threading.Event()

    def post(event_id: str, *_: Any, **__: Any) -> None:
        if not first.is_set():
            first.set()
            second.start()
            second.join(0.2)  # it has all the time it needs to be at the same event, unless it has to wait
        told.append(event_id)

    posting = PostingStore(Store(), post, lambda: True, told.append)
    second = threading.Thread(target=posting.post_pending)
    posting.append(LINES, {})
    second.join(60)
    assert told == ["e0", "e1", "e2"]
