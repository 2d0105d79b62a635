"""What the store knows of calls, as the collector asks it: who has told of this answer, of this span?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from typing import Any, Final

from taximeter.ingest.roads import Key, Telling, keys_of, telling_of
from taximeter.store.events import EventQuery, EventStore, Query
from taximeter.store.events.filters import Condition

MOST_KEYS: Final = 20_000
"""Keys asked for at once, for which the events of the time are read once."""

_COLUMNS: Final = (
    *("event_id", "source", "status", "provider", "response_id", "trace_id", "span_id"),
    *("input_tokens", "output_tokens"),
)
_FIELD: Final = {"answer": "response_id", "span": "trace_id"}
"""Kind of key → the field whose values its second part is."""


class StoredCalls:
    """Asks a store. Every method blocks, and raises StoreError."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def roads(self, since_us: int, until_us: int) -> set[str]:
        question = Query(from_us=since_us, to_us=until_us, measures=("calls",), group_by=("source",))
        return {row["source"] for row in self._store.query(question).rows}

    def tellings(self, keys: Sequence[Key], roads: Set[str], since_us: int, until_us: int) -> dict[Key, list[Telling]]:
        found: dict[Key, list[Telling]] = {}
        wanted = set(keys)
        for kind, field in _FIELD.items():
            values = sorted({key[1] for key in keys if key[0] == kind})
            for start in range(0, len(values), MOST_KEYS):
                for record in self._records(field, values[start : start + MOST_KEYS], roads, since_us, until_us):
                    for key in wanted.intersection(keys_of(record)):
                        if key[0] == kind:
                            found.setdefault(key, []).append(telling_of(record))
        return found

    def _records(
        self, field: str, values: Sequence[str], roads: Set[str], since_us: int, until_us: int
    ) -> Iterator[dict[str, Any]]:
        conditions = (Condition(field, "in", tuple(values)), Condition("source", "in", tuple(sorted(roads))))
        question = EventQuery(filters=conditions, from_us=since_us, to_us=until_us, limit=MOST_KEYS, columns=_COLUMNS)
        while True:
            page = self._store.events(question)
            yield from page.events
            if page.next is None:
                return
            question = replace(question, cursor=page.next)
